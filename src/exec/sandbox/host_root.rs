//! The root of a `host` run: this machine's programs and libraries, read-only, and the few files of
//! `/etc` that they need to start. No home, no workspace, no store, no keys.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::symlinkat;
use rustix::mount::MountAttrFlags;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::Trouble;

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

/// `store` is hidden where it happens to lie below one of the shown folders.
pub(super) fn mount(root: BorrowedFd<'_>, stubs: &mut Stubs, store: &Path) -> Result<(), Trouble> {
    for path in PROGRAMS.iter().chain(&SETTINGS) {
        show(root, stubs, path)?;
    }
    stubs.folder(root, &known("root"))?;
    hide(root, stubs, store)
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

fn hide(root: BorrowedFd<'_>, stubs: &mut Stubs, store: &Path) -> Result<(), Trouble> {
    let Ok(store) = fs::canonicalize(store) else { return Ok(()) };
    if !PROGRAMS.iter().any(|path| store.starts_with(Path::new("/").join(path))) {
        return Ok(());
    }
    let Ok(path) = TreePath::parse(store.as_os_str().as_encoded_bytes()) else { return Ok(()) };
    let nothing = mounts::memory("555", MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let under = stubs.folder(root, &path)?;
    mounts::attach(nothing.as_fd(), under.as_fd()).map_err(Trouble::at("hide the store"))
}
