//! What a folder looked like before somebody else had it: of each inode, what moves when anything about it does.
//! The time of the last change (`ctime`) is the kernel's alone, so that what shows the same later is the same.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::tree::disk::contents::joined;
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::owned::Identity;
use crate::tree::error::TreeError;
use crate::tree::tree::Metadata;
use crate::tree::xattr::{self, Flavour};

/// How plain folders show the attributes of a tree: as an overlay's upper folder made by root, which has notes of its
/// own under names that no command can write.
pub(crate) const PLAIN: Flavour = Flavour::Trusted;

/// The clock of files moves at least so often.
const LONGEST_TICK: Duration = Duration::from_millis(20);

/// The folders and what is in them, the top first.
#[derive(Debug)]
pub struct Notes(Vec<NotedFolder>);

#[derive(Debug)]
pub(crate) struct NotedFolder {
    pub(crate) identity: Identity,
    pub(crate) metadata: Metadata,
    /// When anything about it was changed last.
    pub(crate) changed: (i64, u64),
    pub(crate) names: BTreeMap<Vec<u8>, Noted>,
}

#[derive(Debug)]
pub(crate) enum Noted {
    /// Its number among the folders.
    Folder(usize),
    Other(Facts),
}

/// Of anything but a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    inode: u64,
    size: i64,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Notes {
    pub(crate) const TOP: usize = 0;

    /// Looks at all below `folder` but at what is left out, and waits until the clock of files has moved on: whatever
    /// is done from then on shows.
    pub fn take(folder: BorrowedFd<'_>, leave_out: &[TreePath]) -> Result<Notes, TreeError> {
        let leave_out: HashSet<&[u8]> = leave_out.iter().map(TreePath::as_bytes).collect();
        let mut folders = Folders::new();
        let mut notes = Vec::new();
        let mut level = vec![Folders::ROOT];
        while !level.is_empty() {
            let noted = descent::for_each(&level, false, &Cancel::default(), |&id| {
                note(folder, &folders, id, &leave_out)
            })?;
            let mut next = Vec::new();
            for (&id, (mut folder, below)) in level.iter().zip(noted) {
                for name in below {
                    let below = folders.add(id, name.clone());
                    folder.names.insert(name, Noted::Folder(below));
                    next.push(below);
                }
                notes.push(folder);
            }
            level = next;
        }
        wait_for_a_tick();
        Ok(Notes(notes))
    }

    pub(crate) fn folder(&self, number: usize) -> &NotedFolder {
        &self.0[number]
    }
}

/// One folder, and the names of those in it.
fn note(
    top: BorrowedFd<'_>,
    folders: &Folders,
    id: usize,
    leave_out: &HashSet<&[u8]>,
) -> Result<(NotedFolder, Vec<Vec<u8>>), TreeError> {
    let path = folders.path(id);
    let opened = folders.open(top, id)?;
    let failed = |name: &[u8], error| failed("cannot look at", &path, name, error);
    let (identity, metadata, changed) = look(opened.as_fd()).map_err(|error| failed(b"", error))?;
    let (mut names, mut below) = (BTreeMap::new(), Vec::new());
    for (name, kind) in descent::list(opened.as_fd()).map_err(|error| failed(b"", error))? {
        if leave_out.contains(&*joined(&path, &name)) {
            continue;
        }
        if kind == FileType::Directory {
            below.push(name);
        } else {
            let facts = Facts::of(opened.as_fd(), &name).map_err(|error| failed(&name, error))?;
            names.insert(name, Noted::Other(facts));
        }
    }
    Ok((NotedFolder { identity, metadata, changed, names }, below))
}

fn look(folder: BorrowedFd<'_>) -> Result<(Identity, Metadata, (i64, u64)), Errno> {
    let stat = rustix::fs::fstat(folder)?;
    let xattrs = xattr::read(folder, Some(PLAIN))?.kept;
    let metadata = Metadata { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, xattrs };
    Ok((Identity::of(folder, b"")?, metadata, changed(&stat)))
}

impl Facts {
    pub(crate) fn of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Facts, Errno> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Facts {
            inode: stat.st_ino,
            size: stat.st_size,
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: changed(&stat),
        })
    }
}

pub(crate) fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_ctime, stat.st_ctime_nsec)
}

/// Files get their times from a clock that moves in ticks: what is done in one of them has one time.
fn wait_for_a_tick() {
    let now = || clock_gettime(ClockId::RealtimeCoarse);
    let (start, mut waited) = (now(), Duration::ZERO);
    let later = |one: Timespec, other: Timespec| (one.tv_sec, one.tv_nsec) > (other.tv_sec, other.tv_nsec);
    while !later(now(), start) && waited < LONGEST_TICK {
        let pause = Duration::from_millis(1);
        std::thread::sleep(pause);
        waited += pause;
    }
}
