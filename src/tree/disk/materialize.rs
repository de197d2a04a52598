//! Tree → folder: every inode gets the entry's exact mode and attributes, and one time. Files are written
//! from the store anew, never linked to it; links exist only where the tree has a link group.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::remove::remove_at;
use crate::store::memo::Memo;
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::make::{self, Maker};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, LinkGroup, Metadata};
use crate::tree::xattr::Flavour;

/// In nanoseconds, as times of files are told.
pub const SECOND: i64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Materialize {
    pub owners: Owners,
    /// Nanoseconds since 1970, for everything that is made.
    pub time: i64,
    pub whiteouts: Whiteouts,
}

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owners {
    /// The tree's ids.
    Exact,
    /// All of the current user: the true ids live in the tree only. Where a tree is made for an overlay, file
    /// capabilities that this user may not write are left out, and plain files stand for devices.
    Single,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// A change can't be a plain folder.
    Refuse,
    /// As an overlay mount reads them.
    Overlay(Flavour),
}

/// Makes `dest`, which must not exist, in a parent that does. What was made before an error is removed again.
pub fn materialize(
    memo: &Memo,
    entry: &Entry,
    dest: &Path,
    options: &Materialize,
    cancel: &Cancel,
) -> Result<(), TreeError> {
    let parent = match dest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = descent::open_path(parent)?;
    let name = dest.file_name().unwrap_or_default().as_bytes();
    let maker = Maker { memo, options, cancel };
    let Content::Directory { tree, opaque } = entry.content else {
        return maker.make(parent.as_fd(), b"", name, entry);
    };
    make_folder(parent.as_fd(), name).map_err(|error| failed("cannot make", b"", name, error))?;
    let filled = Filling { maker, root: parent.as_fd(), folders: Folders::new(), linked: Mutex::default() }
        .fill(name, ToFill { tree, opaque, metadata: entry.metadata.clone() });
    if filled.is_err() {
        // The first error is the one to tell.
        let _ = remove_at(parent.as_fd(), name);
    }
    filled
}

/// One folder to be made.
struct ToFill {
    tree: TreeDigest,
    opaque: bool,
    metadata: Metadata,
}

struct Filling<'a> {
    maker: Maker<'a>,
    /// The parent of what is made.
    root: BorrowedFd<'a>,
    folders: Folders,
    /// Files of link groups, made when all folders are there.
    linked: Mutex<Vec<Linked>>,
}

struct Linked {
    group: LinkGroup,
    folder: usize,
    name: Vec<u8>,
    entry: Entry,
}

impl Filling<'_> {
    /// From the top down folders are made, open to us; then from the bottom up they get their own modes.
    fn fill(mut self, name: &[u8], top: ToFill) -> Result<(), TreeError> {
        let cancel = self.maker.cancel;
        let mut levels = vec![vec![(self.folders.add(Folders::ROOT, name.to_vec()), top)]];
        while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
            descent::check_depth(levels.len(), &self.folders, level[0].0)?;
            let below = descent::for_each(level, false, cancel, |(id, to_fill)| self.fill_one(*id, to_fill))?;
            let mut next = Vec::new();
            for ((id, _), below) in level.iter().zip(below) {
                next.extend(below.into_iter().map(|(name, to_fill)| (self.folders.add(*id, name), to_fill)));
            }
            levels.push(next);
        }
        self.link()?;
        for level in levels.iter().rev() {
            descent::for_each(level, false, cancel, |(id, to_fill)| self.finish(*id, to_fill))?;
        }
        Ok(())
    }

    /// Makes everything in a folder, and gives the folders in it, which are made but empty.
    fn fill_one(&self, id: usize, to_fill: &ToFill) -> Result<Vec<(Vec<u8>, ToFill)>, TreeError> {
        let directory = encode::load(self.maker.memo, to_fill.tree)?;
        let path = self.folders.path(id);
        let opened = self.folders.open(self.root, id)?;
        let mut below = Vec::new();
        let mut others = Vec::new();
        for (name, entry) in directory.entries {
            match entry.content {
                Content::Directory { tree, opaque } => {
                    make_folder(opened.as_fd(), &name)
                        .map_err(|error| failed("cannot make", &path, &name, error))?;
                    below.push((name, ToFill { tree, opaque, metadata: entry.metadata }));
                }
                Content::File { link: Some(group), .. } => {
                    let mut linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner);
                    linked.push(Linked { group, folder: id, name, entry });
                }
                // Nothing shows through anyway.
                Content::Whiteout if to_fill.opaque => {}
                _ => others.push((name, entry)),
            }
        }
        descent::for_each(&others, false, self.maker.cancel, |(name, entry)| {
            self.maker.make(opened.as_fd(), &path, name, entry)
        })?;
        Ok(below)
    }

    /// Makes the files of link groups: the first of a group by path is written, the others link to it.
    fn link(&mut self) -> Result<(), TreeError> {
        let mut linked = std::mem::take(self.linked.get_mut().unwrap_or_else(PoisonError::into_inner));
        linked.sort_by_cached_key(|file| (self.folders.path(file.folder), file.name.clone()));
        let mut written: BTreeMap<LinkGroup, Vec<&Linked>> = BTreeMap::new();
        for file in &linked {
            let written = written.entry(file.group).or_default();
            match written.iter_mut().find(|first| first.entry == file.entry) {
                None => {
                    self.write_linked(file)?;
                    written.push(file);
                }
                Some(first) if self.link_to(file, first)? => {}
                Some(first) => {
                    self.write_linked(file)?;
                    *first = file;
                }
            }
        }
        Ok(())
    }

    fn write_linked(&self, file: &Linked) -> Result<(), TreeError> {
        let folder = self.folders.open(self.root, file.folder)?;
        self.maker.make(folder.as_fd(), &self.folders.path(file.folder), &file.name, &file.entry)
    }

    /// False where the filesystem allows no more links to one inode: another has to do for the rest.
    fn link_to(&self, file: &Linked, first: &Linked) -> Result<bool, TreeError> {
        let (from, to) =
            (self.folders.open(self.root, first.folder)?, self.folders.open(self.root, file.folder)?);
        match rustix::fs::linkat(from, &*first.name, to, &*file.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::MLINK) => Ok(false),
            Err(error) => Err(failed("cannot link", &self.folders.path(file.folder), &file.name, error)),
        }
    }

    fn finish(&self, id: usize, to_fill: &ToFill) -> Result<(), TreeError> {
        let opened = self.folders.open(self.root, id)?;
        let failed = |error| failed("cannot set the attributes of", &self.folders.path(id), b"", error);
        if let (true, Whiteouts::Overlay(flavour)) = (to_fill.opaque, self.maker.options.whiteouts) {
            make::write_opaque(opened.as_fd(), flavour, b"y").map_err(failed)?;
        }
        self.maker.finish(opened.as_fd(), &to_fill.metadata).map_err(failed)
    }
}

/// Open to us alone until it is finished.
fn make_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)
}

#[cfg(test)]
mod tests;
