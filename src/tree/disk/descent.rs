//! Folders by descriptor. A place below an open folder is always opened anew from that folder, never through
//! a symbolic link or into another mount: so depth costs neither descriptors nor stack nor `PATH_MAX`,
//! and nobody can swap a folder for a link while it is walked.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::tree::error::TreeError;

/// Deeper nesting is refused, whatever is walked.
const DEPTH_LIMIT: usize = 10_000;

/// Bytes of path given to the kernel at once: below `PATH_MAX` with room to spare.
const CHUNK: usize = 3_000;

/// The folders that a walk has found, each known by its parent and its own name. The first is the root.
pub(crate) struct Folders(Vec<(usize, Vec<u8>)>);

impl Folders {
    pub(crate) const ROOT: usize = 0;

    pub(crate) fn new() -> Folders {
        Folders(vec![(0, Vec::new())])
    }

    pub(crate) fn add(&mut self, parent: usize, name: Vec<u8>) -> usize {
        self.0.push((parent, name));
        self.0.len() - 1
    }

    /// The parent and name; `None` for the root.
    pub(crate) fn place(&self, folder: usize) -> Option<(usize, &[u8])> {
        let (parent, name) = &self.0[folder];
        (folder != Folders::ROOT).then_some((*parent, name.as_slice()))
    }

    /// Relative to the root, with `/` between names.
    pub(crate) fn path(&self, folder: usize) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = folder;
        while let Some((parent, name)) = self.place(at) {
            names.push(name);
            at = parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    pub(crate) fn open(&self, root: BorrowedFd<'_>, folder: usize) -> Result<OwnedFd, TreeError> {
        let path = self.path(folder);
        open_below(root, &path).map_err(|error| failed("cannot open", &path, b"", error))
    }
}

/// An error about `name` in the folder at `folder`; an empty name is the folder itself.
pub(crate) fn failed(action: &'static str, folder: &[u8], name: &[u8], error: Errno) -> TreeError {
    let path = shown(folder, name);
    match error {
        Errno::XDEV => TreeError::MountPoint { path },
        error => TreeError::Io { action, path, source: error.into() },
    }
}

/// As an absolute path, so that the root of the walk shows as `/`.
pub(crate) fn shown(folder: &[u8], name: &[u8]) -> PathBuf {
    let at = |bytes| Path::new(std::ffi::OsStr::from_bytes(bytes));
    let path = Path::new("/").join(at(folder));
    if name.is_empty() { path } else { path.join(at(name)) }
}

/// Opens the folder at `path` below `root` for reading; the empty path is `root` itself.
pub(crate) fn open_below(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut rest = path;
    let mut at: Option<OwnedFd> = None;
    while rest.len() > CHUNK {
        let end = rest[..CHUNK].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
        let from = at.as_ref().map_or(root, |folder| folder.as_fd());
        at = Some(open_chunk(from, &rest[..end], OFlags::PATH)?);
        rest = &rest[end + 1..];
    }
    let from = at.as_ref().map_or(root, |folder| folder.as_fd());
    open_chunk(from, if rest.is_empty() { b"." } else { rest }, OFlags::RDONLY)
}

fn open_chunk(from: BorrowedFd<'_>, path: &[u8], access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(from, path, flags, Mode::empty(), resolve) {
        // Some container hosts forbid `openat2`, and say so in either way.
        Err(Errno::NOSYS | Errno::PERM) => open_by_names(from, path, flags),
        opened => opened,
    }
}

fn open_by_names(from: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names = path.split(|&byte| byte == b'/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let folder = at.as_ref().map_or(from, |folder| folder.as_fd());
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = if names.peek().is_some() { on_the_way } else { flags };
        at = Some(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}

/// Everything in an open folder but `.` and `..`, in the order of the filesystem.
pub(crate) fn list(folder: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), kind(folder, name, entry.file_type())?));
        }
    }
    Ok(names)
}

/// Not every filesystem tells the type while listing.
fn kind(folder: BorrowedFd<'_>, name: &[u8], told: FileType) -> Result<FileType, Errno> {
    if told != FileType::Unknown {
        return Ok(told);
    }
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Gives the owner `bits` on a name that denies them, without following a link.
pub(crate) fn unlock(folder: BorrowedFd<'_>, name: &[u8], bits: Mode) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&place)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    // `fchmod` refuses such a descriptor; its name under /proc stands for the very inode.
    let itself = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::chmod(itself, Mode::from_raw_mode(stat.st_mode) | bits)
}

/// What `work` gives for each item, in order; the first error, or the wish to stop, ends it.
pub(crate) fn for_each<I: Sync, O: Send>(
    items: &[I],
    single_threaded: bool,
    cancel: &Cancel,
    work: impl Fn(&I) -> Result<O, TreeError> + Sync + Send,
) -> Result<Vec<O>, TreeError> {
    let work = |item| if cancel.is_raised() { Err(TreeError::Cancelled) } else { work(item) };
    if single_threaded || items.len() < 2 {
        items.iter().map(work).collect()
    } else {
        items.par_iter().map(work).collect()
    }
}

/// Refuses what `depth` levels below the root would be too deep; `folder` is any one of them.
pub(crate) fn check_depth(depth: usize, folders: &Folders, folder: usize) -> Result<(), TreeError> {
    if depth <= DEPTH_LIMIT {
        return Ok(());
    }
    let path = folders.path(folder);
    let start = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    Err(TreeError::TooDeep { path: shown(start, b""), limit: DEPTH_LIMIT })
}

/// Opens a folder that the caller names by an ordinary path.
pub(crate) fn open_path(path: &Path) -> Result<OwnedFd, TreeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .map_err(TreeError::io("cannot open", path))
}
