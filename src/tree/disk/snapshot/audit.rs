//! Looks over all snapshots of a store: what they take up, and whether every byte in them is what its tree says.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, Digest, TreeDigest};
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::descent::{self, Folders};
use crate::tree::disk::snapshot::seal::{Coverage, Seal};
use crate::tree::disk::snapshot::{FOLDER, ROOT, SEAL, State, discard, look_over};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::tree::Content;

/// What the snapshots take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotUsage {
    pub snapshots: u64,
    pub files: u64,
    /// Of content, as file sizes say.
    pub bytes: u64,
}

/// As counted when each was made; nothing is walked.
pub fn snapshot_usage(memo: &Memo) -> Result<SnapshotUsage, TreeError> {
    let mut usage = SnapshotUsage::default();
    for place in places(memo)? {
        usage.snapshots += 1;
        let seal = fs::read_to_string(place.join(SEAL)).unwrap_or_default();
        if let Some(seal) = Seal::from_text(&seal) {
            usage.files += seal.files;
            usage.bytes += seal.bytes;
        }
    }
    Ok(usage)
}

/// Compares every snapshot with its seal and all content in it with its tree. Damaged ones are discarded;
/// their places are the result.
pub fn verify_snapshots(memo: &Memo, cancel: &Cancel) -> Result<Vec<PathBuf>, TreeError> {
    let mut damaged = Vec::new();
    for place in places(memo)? {
        let Some((tree, coverage)) = read_key(&place) else {
            continue;
        };
        let inode = match look_over(&place, coverage, cancel)? {
            State::Absent => continue,
            State::Damaged { inode } => inode,
            State::Intact { .. } if has_content(memo, &place, tree, coverage, cancel)? => continue,
            State::Intact { inode } => inode,
        };
        discard(memo, &place, inode)?;
        damaged.push(place);
    }
    Ok(damaged)
}

fn places(memo: &Memo) -> Result<Vec<PathBuf>, TreeError> {
    let folder = memo.folder().join(FOLDER);
    let failed = || TreeError::io("cannot list", &folder);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed())?,
    };
    let mut places = Vec::new();
    for entry in entries {
        places.push(entry.map_err(failed())?.path());
    }
    places.sort_unstable();
    Ok(places)
}

fn read_key(place: &Path) -> Option<(TreeDigest, Coverage)> {
    let (tree, rest) = place.file_name()?.to_str()?.split_once('-')?;
    let coverage = if rest.split('-').nth(1)? == "single" { Coverage::Open } else { Coverage::All };
    Some((TreeDigest(Digest::from_hex(tree).ok()?), coverage))
}

/// Whether every file holds the blob that the tree says. A tree that is damaged itself says nothing.
fn has_content(
    memo: &Memo,
    place: &Path,
    tree: TreeDigest,
    coverage: Coverage,
    cancel: &Cancel,
) -> Result<bool, TreeError> {
    let root = descent::open_path(&place.join(ROOT))?;
    let mut folders = Folders::new();
    let mut level = vec![(Folders::ROOT, tree)];
    while !level.is_empty() {
        let read = descent::for_each(&level, false, cancel, |&(id, tree)| {
            read_folder(memo, &root, &folders, id, tree, coverage)
        })?;
        let mut next = Vec::new();
        for (&(id, _), below) in level.iter().zip(read) {
            let Some(below) = below else {
                return Ok(false);
            };
            next.extend(below.into_iter().map(|(name, tree)| (folders.add(id, name), tree)));
        }
        level = next;
    }
    Ok(true)
}

/// The folders in a folder, by name.
type Below = Vec<(Vec<u8>, TreeDigest)>;

/// The folders in a folder, or `None` if a file in it is not what the tree says.
fn read_folder(
    memo: &Memo,
    root: &OwnedFd,
    folders: &Folders,
    id: usize,
    tree: TreeDigest,
    coverage: Coverage,
) -> Result<Option<Below>, TreeError> {
    let directory = match encode::load(memo, tree) {
        Err(StoreError::Missing(_) | StoreError::Damaged(_)) => return Ok(Some(Vec::new())),
        directory => directory?,
    };
    let opened = folders.open(root.as_fd(), id)?;
    let mut below = Vec::new();
    for (name, entry) in directory.entries {
        match entry.content {
            Content::Directory { tree, .. } if coverage.includes(entry.metadata.mode) => {
                below.push((name, tree));
            }
            Content::File { blob, .. } if !holds(&opened, &name, &blob, coverage) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(below))
}

/// Whether the file holds the blob. A user can't read files that deny it even to their owner;
/// nor write them, without their seal telling.
fn holds(folder: &OwnedFd, name: &[u8], blob: &BlobDigest, coverage: Coverage) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        Err(error) => return error == Errno::ACCESS && coverage == Coverage::Open,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).is_ok() && hasher.finalize().as_bytes() == blob.as_bytes()
}
