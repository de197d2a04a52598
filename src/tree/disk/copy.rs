//! Snapshots, stacked → a folder of one's own that shows what an overlay mount of them would, for where none can be
//! mounted. Files are clones where the filesystem has them, else copies, and never links to a snapshot: whoever has
//! the folder may do anything to it. Links inside of it are those of the snapshots.

mod file;

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::tree::disk::contents::joined;
use crate::tree::disk::copy::file::{Copier, Original};
use crate::tree::disk::descent::{self, Folders, failed, open_below};
use crate::tree::disk::owned::Identity;
use crate::tree::disk::snapshot::{Note, Notes};
use crate::tree::error::TreeError;
use crate::tree::xattr::{self, Flavour};

/// What is copied, and how it is read.
pub struct ToCopy<'a> {
    /// Snapshots, lowest first.
    pub lowers: &'a [PathBuf],
    /// What no inode of them shows, one for each of them; or none at all.
    pub notes: &'a [Notes],
    /// Of the overlay mount that the snapshots are made for.
    pub flavour: Flavour,
    /// Folders, relative to the top, that are left out with all below them. What else is there is copied.
    pub leave_out: &'a [TreePath],
}

/// What was noted of an inode of a snapshot, and the inode that is its copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    pub identity: Identity,
    pub note: Note,
}

/// Asked now and then whether to give up.
pub type Stop<'a> = dyn Fn() -> bool + Sync + 'a;

/// Into `dest`, an empty folder, whose own owner and mode stay.
pub fn copy(what: &ToCopy<'_>, dest: BorrowedFd<'_>, stop: &Stop<'_>) -> Result<Vec<Noted>, TreeError> {
    Ok(copying(what, dest, stop)?.copy()?.copier.noted())
}

/// As `copy`, and `dest` looks like the topmost snapshot afterwards.
pub fn copy_with_top(
    what: &ToCopy<'_>,
    dest: BorrowedFd<'_>,
    stop: &Stop<'_>,
) -> Result<Vec<Noted>, TreeError> {
    let copied = copying(what, dest, stop)?.copy()?;
    copied.finish(&Folder { id: Folders::ROOT, lowers: vec![what.lowers.len() - 1] })?;
    Ok(copied.copier.noted())
}

fn copying<'a>(
    what: &'a ToCopy<'_>,
    dest: BorrowedFd<'a>,
    stop: &'a Stop<'_>,
) -> Result<Copying<'a>, TreeError> {
    let lowers: Result<Vec<_>, _> = what.lowers.iter().map(|lower| descent::open_path(lower)).collect();
    Ok(Copying {
        lowers: lowers?,
        dest,
        copier: Copier::new(what.flavour, what.notes),
        leave_out: what.leave_out.iter().map(TreePath::as_bytes).collect(),
        stop,
        never: Cancel::default(),
        folders: Folders::new(),
        linked: Mutex::default(),
    })
}

struct Copying<'a> {
    /// Lowest first.
    lowers: Vec<OwnedFd>,
    dest: BorrowedFd<'a>,
    copier: Copier<'a>,
    leave_out: HashSet<&'a [u8]>,
    stop: &'a Stop<'a>,
    never: Cancel,
    folders: Folders,
    /// Files with several names, made when all folders are there.
    linked: Mutex<Vec<Linked>>,
}

/// A folder of the copy.
struct Folder {
    id: usize,
    /// The lowers that have it and may show in it, topmost first.
    lowers: Vec<usize>,
}

/// A folder's name, and the lowers that have it.
type Named = (Vec<u8>, Vec<usize>);

/// A folder of a lower, opened.
struct Source {
    lower: usize,
    opened: OwnedFd,
    /// Removed names may be files with a mark in it.
    has_marks: bool,
}

/// What a name stands for, as far as has been seen from the top.
enum Seen {
    Folder { lowers: Vec<usize>, is_closed: bool },
    Other { source: usize, kind: FileType },
    Removed,
}

struct Linked {
    lower: usize,
    inode: u64,
    folder: usize,
    name: Vec<u8>,
}

impl Copying<'_> {
    /// From the top down folders are made, open to us; then from the bottom up they get their own modes.
    fn copy(mut self) -> Result<Self, TreeError> {
        let all = (0..self.lowers.len()).rev().collect();
        let mut levels = vec![vec![Folder { id: Folders::ROOT, lowers: all }]];
        while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
            descent::check_depth(levels.len(), &self.folders, level[0].id)?;
            let below = descent::for_each(level, false, &self.never, |folder| self.fill(folder))?;
            let mut next = Vec::new();
            for (folder, below) in level.iter().zip(below) {
                let add = |(name, lowers)| Folder { id: self.folders.add(folder.id, name), lowers };
                next.extend(below.into_iter().map(add));
            }
            levels.push(next);
        }
        self.link()?;
        for level in levels.iter().skip(1).rev() {
            descent::for_each(level, false, &self.never, |folder| self.finish(folder))?;
        }
        Ok(self)
    }

    /// Makes everything in a folder, and gives the folders in it, which are made but empty.
    fn fill(&self, folder: &Folder) -> Result<Vec<Named>, TreeError> {
        if (self.stop)() {
            return Err(TreeError::Cancelled);
        }
        let path = self.folders.path(folder.id);
        let to = self.folders.open(self.dest, folder.id)?;
        let sources = self.open_sources(&path, &folder.lowers)?;
        let (mut below, mut others) = (Vec::new(), Vec::new());
        for (name, seen) in self.merged(&path, &sources)? {
            match seen {
                Seen::Removed => {}
                Seen::Folder { lowers, .. } => {
                    rustix::fs::mkdirat(&to, &*name, Mode::RWXU)
                        .map_err(|error| failed("cannot make", &path, &name, error))?;
                    below.push((name, lowers));
                }
                Seen::Other { source, kind } => others.push((name, &sources[source], kind)),
            }
        }
        descent::for_each(&others, false, &self.never, |(name, source, kind)| {
            let original = Original { lower: source.lower, folder: source.opened.as_fd(), name };
            let copied = self.copier.copy(original, to.as_fd(), *kind);
            match copied.map_err(|error| failed("cannot copy", &path, name, error))? {
                None => Ok(()),
                Some(inode) => {
                    let linked = Linked { lower: source.lower, inode, folder: folder.id, name: name.clone() };
                    self.linked.lock().unwrap_or_else(PoisonError::into_inner).push(linked);
                    Ok(())
                }
            }
        })?;
        Ok(below)
    }

    /// Below an opaque folder nothing shows through.
    fn open_sources(&self, path: &[u8], lowers: &[usize]) -> Result<Vec<Source>, TreeError> {
        let mut sources = Vec::with_capacity(lowers.len());
        for &lower in lowers {
            let failed = |error| failed("cannot open", path, b"", error);
            let opened = open_below(self.lowers[lower].as_fd(), path).map_err(failed)?;
            let notes = xattr::read(opened.as_fd(), Some(self.copier.flavour)).map_err(failed)?.notes;
            let note = notes.get(&b"opaque"[..]).map(Vec::as_slice);
            let (is_opaque, has_marks) = (note == Some(b"y"), note == Some(b"x"));
            sources.push(Source { lower, opened, has_marks });
            if is_opaque {
                break;
            }
        }
        Ok(sources)
    }

    fn merged(&self, path: &[u8], sources: &[Source]) -> Result<BTreeMap<Vec<u8>, Seen>, TreeError> {
        let mut merged = BTreeMap::new();
        for (number, source) in sources.iter().enumerate() {
            let names = descent::list(source.opened.as_fd())
                .map_err(|error| failed("cannot list", path, b"", error))?;
            for (name, kind) in names {
                match merged.entry(name) {
                    Place::Vacant(place) => {
                        let is_left_out = kind == FileType::Directory
                            && !self.leave_out.is_empty()
                            && self.leave_out.contains(&*joined(path, place.key()));
                        let first = match is_left_out {
                            true => Seen::Removed,
                            false => source
                                .first(number, place.key(), kind, self.copier.flavour)
                                .map_err(|error| failed("cannot look at", path, place.key(), error))?,
                        };
                        place.insert(first);
                    }
                    Place::Occupied(mut place) => place.get_mut().add(source.lower, kind),
                }
            }
        }
        Ok(merged)
    }

    /// The first name of each file with several is a copy, the others are links to it.
    fn link(&mut self) -> Result<(), TreeError> {
        let mut linked = std::mem::take(self.linked.get_mut().unwrap_or_else(PoisonError::into_inner));
        linked.sort_by_cached_key(|file| (self.folders.path(file.folder), file.name.clone()));
        let mut made: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        for (number, file) in linked.iter().enumerate() {
            let first = made.get(&(file.lower, file.inode)).map(|&number| &linked[number]);
            let is_linked = match first {
                Some(first) => self.link_to(file, first)?,
                None => false,
            };
            if !is_linked {
                self.copy_linked(file)?;
                made.insert((file.lower, file.inode), number);
            }
        }
        Ok(())
    }

    fn copy_linked(&self, file: &Linked) -> Result<(), TreeError> {
        let path = self.folders.path(file.folder);
        let from = self.folders.open(self.lowers[file.lower].as_fd(), file.folder)?;
        let to = self.folders.open(self.dest, file.folder)?;
        let original = Original { lower: file.lower, folder: from.as_fd(), name: &file.name };
        self.copier
            .copy_file(original, to.as_fd())
            .map_err(|error| failed("cannot copy", &path, &file.name, error))
    }

    /// False where the filesystem allows no more links to one inode.
    fn link_to(&self, file: &Linked, first: &Linked) -> Result<bool, TreeError> {
        let (from, to) =
            (self.folders.open(self.dest, first.folder)?, self.folders.open(self.dest, file.folder)?);
        match rustix::fs::linkat(from, &*first.name, to, &*file.name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::MLINK) => Ok(false),
            Err(error) => Err(failed("cannot link", &self.folders.path(file.folder), &file.name, error)),
        }
    }

    /// A merged folder looks as its topmost part does.
    fn finish(&self, folder: &Folder) -> Result<(), TreeError> {
        let lower = folder.lowers[0];
        let from = self.folders.open(self.lowers[lower].as_fd(), folder.id)?;
        let to = self.folders.open(self.dest, folder.id)?;
        self.copier.finish(lower, from.as_fd(), to.as_fd()).map_err(|error| {
            failed("cannot set the attributes of", &self.folders.path(folder.id), b"", error)
        })
    }
}

impl Source {
    /// What a name is of which nothing was seen above; `number` is the source's own.
    fn first(&self, number: usize, name: &[u8], kind: FileType, flavour: Flavour) -> Result<Seen, Errno> {
        if kind == FileType::Directory {
            return Ok(Seen::Folder { lowers: vec![self.lower], is_closed: false });
        }
        let may_be_removed =
            kind == FileType::CharacterDevice || (kind == FileType::RegularFile && self.has_marks);
        if may_be_removed && file::is_whiteout(self.opened.as_fd(), name, flavour)? {
            return Ok(Seen::Removed);
        }
        Ok(Seen::Other { source: number, kind })
    }
}

impl Seen {
    /// What the same name is in a lower one.
    fn add(&mut self, lower: usize, kind: FileType) {
        if let Seen::Folder { lowers, is_closed } = self
            && !*is_closed
        {
            match kind {
                FileType::Directory => lowers.push(lower),
                _ => *is_closed = true,
            }
        }
    }
}

#[cfg(test)]
mod tests;
