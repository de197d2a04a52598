//! Folder → tree: contents go to the store, names and metadata become directories. Times are left behind.
//! Never follows a link, never enters another mount.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::RwLock;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::tree::disk::contents;
use crate::tree::disk::descent::failed;
use crate::tree::disk::inode::{Found, Reader};
use crate::tree::disk::owned::Whose;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry};
use crate::tree::xattr::Flavour;

/// Whose a file is in the tree.
#[derive(Debug, Clone, Copy, Default)]
pub enum Ids<'a> {
    /// Whose it is on disk.
    #[default]
    Exact,
    /// Of 0:0: where one user stands for all, ownership on disk says nothing.
    AllRoot,
    /// Whose somebody says that it is.
    Told(&'a dyn Whose),
}

#[derive(Debug, Clone, Default)]
pub struct CaptureOptions<'a> {
    pub ids: Ids<'a>,
    /// Of the overlay whose upper side is captured; a plain folder has none.
    pub flavour: Flavour,
    /// What is there but is no content: mount points, injected files. Relative to the captured folder.
    pub leave_out: Vec<TreePath>,
    /// The folder is ours alone: what its modes deny us is opened by changing them. Those of folders stay changed.
    pub unlock: bool,
    pub single_threaded: bool,
}

/// The folder itself with its metadata, and all below it.
pub fn capture_folder(
    memo: &Memo,
    folder: BorrowedFd<'_>,
    options: &CaptureOptions<'_>,
    cancel: &Cancel,
) -> Result<Entry, TreeError> {
    let (metadata, tree) =
        contents::read(memo, folder, None, options, cancel)?.join(memo, options, cancel)?;
    Ok(Entry { metadata, content: Content::Directory { tree, opaque: false } })
}

/// What `name` in `parent` is: a file, a folder, or a link, which is not followed. `None` if there is no such name,
/// or a socket has it.
pub fn capture_entry(
    memo: &Memo,
    parent: BorrowedFd<'_>,
    name: &[u8],
    options: &CaptureOptions<'_>,
    cancel: &Cancel,
) -> Result<Option<Entry>, TreeError> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat.map_err(|error| failed("cannot read", b"", name, error))?,
    };
    let reader = Reader { memo, options, upper: None, cancel, unlocking: RwLock::new(()) };
    match reader.read(parent, b"", name, FileType::from_raw_mode(stat.st_mode))? {
        Found::Other(entry) | Found::Linked(entry, _) => Ok(Some(entry)),
        Found::Nothing => Ok(None),
        Found::Folder => {
            let (opened, facts) = reader.open_folder(parent, b"", name)?;
            let entry = capture_folder(memo, opened.as_fd(), options, cancel)?;
            Ok(Some(Entry { metadata: facts.metadata, ..entry }))
        }
    }
}
