//! What a snapshot that is one user's cannot show of its tree: owners and devices, by the number of the inode. Kept
//! beside the snapshot, since numbers are found sooner than names, and hold for copies that an overlay makes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::store::memo::Memo;
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::owned::{Device, Owned};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry};

/// Beside the snapshot's own folder.
pub(super) const FILE: &str = "owners";

/// Inode, user, group, flags, major and minor: the first of 64 bits, the others of 32, little-endian.
const ROW: usize = 28;
const GIVES_GROUP: u32 = 1;
const CHARACTER: u32 = 2;
const BLOCK: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    pub owned: Owned,
    /// A folder whose group is that of what is made in it.
    pub gives_group: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// By inode.
    rows: Vec<(u64, Note)>,
}

impl Notes {
    pub fn new(notes: BTreeMap<u64, Note>) -> Notes {
        Notes { rows: notes.into_iter().collect() }
    }

    /// Those of the snapshot in the folder `root`, as `snapshot` gave it.
    pub fn read(root: &Path) -> Result<Notes, TreeError> {
        let path = root.with_file_name(FILE);
        let bytes = fs::read(&path).map_err(TreeError::io("cannot read", &path))?;
        Notes::from_bytes(&bytes)
            .ok_or_else(|| TreeError::io("cannot read", &path)(io::ErrorKind::InvalidData.into()))
    }

    pub fn find(&self, inode: u64) -> Option<&Note> {
        let place = self.rows.binary_search_by_key(&inode, |(inode, _)| *inode).ok()?;
        Some(&self.rows[place].1)
    }

    pub fn has_group_folders(&self) -> bool {
        self.rows.iter().any(|(_, note)| note.gives_group)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ROW * self.rows.len());
        for (inode, Note { owned, gives_group }) in &self.rows {
            let kind = owned.device.map_or(0, |device| if device.block { BLOCK } else { CHARACTER });
            let (major, minor) = owned.device.map_or((0, 0), |device| (device.major, device.minor));
            let flags = kind | if *gives_group { GIVES_GROUP } else { 0 };
            bytes.extend(inode.to_le_bytes());
            for number in [owned.uid, owned.gid, flags, major, minor] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Notes> {
        let rows = bytes.chunks_exact(ROW);
        rows.remainder().is_empty().then(|| Notes { rows: rows.map(read_row).collect() })
    }
}

fn read_row(row: &[u8]) -> (u64, Note) {
    let (inode, rest) = row.split_first_chunk().expect("bug: a row has 28 bytes");
    let mut numbers = [0; 5];
    for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(4)) {
        *number = u32::from_le_bytes(bytes.try_into().expect("bug: four bytes are four"));
    }
    let [uid, gid, flags, major, minor] = numbers;
    let device = Device { block: flags & BLOCK != 0, major, minor };
    let device = (flags & (BLOCK | CHARACTER) != 0).then_some(device);
    let note = Note { owned: Owned { uid, gid, device }, gives_group: flags & GIVES_GROUP != 0 };
    (u64::from_le_bytes(*inode), note)
}

/// Of `tree`, which the folder `root` shows.
pub(super) fn take(memo: &Memo, root: &Path, tree: TreeDigest, cancel: &Cancel) -> Result<Notes, TreeError> {
    let root = descent::open_path(root)?;
    let mut notes = BTreeMap::new();
    let mut folders = Folders::new();
    let mut level = vec![(Folders::ROOT, tree)];
    while !level.is_empty() {
        let read = descent::for_each(&level, false, cancel, |&(id, tree)| {
            note_folder(memo, &root, &folders, id, tree)
        })?;
        let mut next = Vec::new();
        for (&(id, _), folder) in level.iter().zip(read) {
            notes.extend(folder.notes);
            next.extend(folder.below.into_iter().map(|(name, tree)| (folders.add(id, name), tree)));
        }
        level = next;
    }
    Ok(Notes::new(notes))
}

#[derive(Default)]
struct NotedFolder {
    notes: Vec<(u64, Note)>,
    below: Vec<(Vec<u8>, TreeDigest)>,
}

/// A folder that its owner may not look into is left out: nothing in it can be told from what root has.
fn note_folder(
    memo: &Memo,
    root: &OwnedFd,
    folders: &Folders,
    id: usize,
    tree: TreeDigest,
) -> Result<NotedFolder, TreeError> {
    use std::os::fd::AsFd as _;
    let mut folder = NotedFolder::default();
    let mut opened: Option<OwnedFd> = None;
    for (name, entry) in encode::load(memo, tree)?.entries {
        if let Some(note) = note(&entry) {
            let parent = match &opened {
                Some(parent) => parent,
                None => match folders.open(root.as_fd(), id) {
                    Err(TreeError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                        return Ok(NotedFolder::default());
                    }
                    parent => opened.insert(parent?),
                },
            };
            match rustix::fs::statat(parent, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => folder.notes.push((stat.st_ino, note)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(failed("cannot look at", &folders.path(id), &name, error)),
            }
        }
        if let Content::Directory { tree, .. } = entry.content {
            folder.below.push((name, tree));
        }
    }
    Ok(folder)
}

/// `None` where the disk shows all there is.
fn note(entry: &Entry) -> Option<Note> {
    const SETGID: u32 = 0o2000;
    let (uid, gid) = (entry.metadata.uid, entry.metadata.gid);
    let device = match entry.content {
        Content::Device { block, major, minor } => Some(Device { block, major, minor }),
        _ => None,
    };
    let is_folder = matches!(entry.content, Content::Directory { .. });
    let gives_group = is_folder && gid != 0 && entry.metadata.mode & SETGID != 0;
    ((uid, gid) != (0, 0) || device.is_some())
        .then_some(Note { owned: Owned { uid, gid, device }, gives_group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_as_written() {
        let device = |block| Some(Device { block, major: 259, minor: 1 << 20 });
        let notes = [
            (u64::MAX, Note { owned: Owned { uid: 1, gid: 2, device: None }, gives_group: true }),
            (3, Note { owned: Owned { uid: 0, gid: 0, device: device(true) }, gives_group: false }),
            (9, Note { owned: Owned { uid: 0, gid: 4, device: device(false) }, gives_group: false }),
        ];
        let notes = Notes::new(notes.into());
        let bytes = notes.to_bytes();
        assert_eq!(Notes::from_bytes(&bytes), Some(notes.clone()));
        assert_eq!(Notes::from_bytes(&bytes[1..]), None);
        assert!(notes.has_group_folders());
        assert_eq!(notes.find(9).unwrap().owned.device, device(false));
        assert_eq!(notes.find(4), None);
    }
}
