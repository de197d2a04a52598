//! The root of a `host` run: this machine's programs and libraries, read-only, and the few files of
//! `/etc` that they need to start. No home, no workspace, no store, no keys.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::symlinkat;
use rustix::mount::MountAttrFlags;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::Trouble;

/// All of the machine that such a run sees, beside folders that a build file names.
pub(super) fn places() -> impl Iterator<Item = PathBuf> {
    PROGRAMS.iter().chain(&SETTINGS).map(|path| Path::new("/").join(path))
}

const PROGRAMS: [&str; 8] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"];

/// Who users are, where libraries lie, which of several programs is meant, whom to trust.
const SETTINGS: [&str; 10] = [
    "etc/passwd",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/alternatives",
    "etc/ssl/certs",
    "etc/pki/tls/certs",
    "etc/pki/ca-trust/extracted",
];

/// The store is hidden where it happens to lie below one of the shown folders, and so are the paths of `hidden`.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    store: &Path,
    folders: &[String],
    hidden: &[Vec<u8>],
) -> Result<(), Trouble> {
    for path in PROGRAMS.iter().chain(&SETTINGS) {
        show(root, stubs, path)?;
    }
    stubs.folder(root, &known("root"))?;
    for folder in folders {
        show_folder(root, stubs, folder)?;
    }
    // A link among them is shown as that link.
    let programs = PROGRAMS.iter().map(|path| Path::new("/").join(path)).filter(|path| !path.is_symlink());
    let shown = programs.chain(folders.iter().map(PathBuf::from));
    let shown: Vec<Shown> = shown.filter_map(Shown::new).collect();
    let hidden = hidden.iter().map(|path| Path::new(OsStr::from_bytes(path)));
    hidden.chain([store]).try_for_each(|path| hide(root, stubs, &shown, path))
}

fn show(root: BorrowedFd<'_>, stubs: &mut Stubs, path: &str) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<io::Error>(format!("show the machine's /{path}"));
    let source = Path::new("/").join(path);
    let metadata = match fs::symlink_metadata(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(cannot())?,
    };
    // `/bin` → `usr/bin`. A link among the settings is followed: it is the file that is needed.
    if metadata.is_symlink() && PROGRAMS.contains(&path) {
        let target = fs::read_link(&source).map_err(cannot())?;
        return symlinkat(target, root, path).map_err(|error| cannot()(error.into()));
    }
    let source = match fs::canonicalize(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source.map_err(cannot())?,
    };
    let view = mounts::view(&source).map_err(|error| cannot()(error.into()))?;
    mounts::make_read_only(view.as_fd())?;
    let under =
        if source.is_dir() { stubs.folder(root, &known(path))? } else { stubs.file(root, &known(path))? };
    mounts::attach(view.as_fd(), under.as_fd()).map_err(|error| cannot()(error.into()))
}

/// One that a build file names, at the path by which it names it.
fn show_folder(root: BorrowedFd<'_>, stubs: &mut Stubs, folder: &str) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<io::Error>(format!("show the machine's {folder}"));
    let path = TreePath::parse(folder).map_err(|error| cannot()(io::Error::other(error)))?;
    let source = fs::canonicalize(folder).map_err(cannot())?;
    let view = mounts::view(&source).map_err(|error| cannot()(error.into()))?;
    mounts::make_read_only(view.as_fd())?;
    let under = stubs.folder(root, &path)?;
    mounts::attach(view.as_fd(), under.as_fd()).map_err(|error| cannot()(error.into()))
}

/// A folder of the machine, by the name that it has in the sandbox and without links.
struct Shown {
    at: PathBuf,
    source: PathBuf,
}

impl Shown {
    fn new(at: PathBuf) -> Option<Shown> {
        let source = fs::canonicalize(&at).ok()?;
        Some(Shown { at, source })
    }
}

/// Covers a folder of the machine wherever it lies below one that is shown.
fn hide(root: BorrowedFd<'_>, stubs: &mut Stubs, shown: &[Shown], hidden: &Path) -> Result<(), Trouble> {
    let Ok(hidden) = fs::canonicalize(hidden) else { return Ok(()) };
    for Shown { at, source } in shown {
        let Ok(below) = hidden.strip_prefix(source) else { continue };
        let Ok(path) = TreePath::parse(at.join(below).as_os_str().as_bytes()) else { continue };
        let nothing = mounts::memory("555", MountAttrFlags::MOUNT_ATTR_RDONLY)?;
        let under = stubs.folder(root, &path)?;
        mounts::attach(nothing.as_fd(), under.as_fd())
            .map_err(Trouble::at(format!("hide {}", hidden.display())))?;
    }
    Ok(())
}
