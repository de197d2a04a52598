//! Tree → a read-only folder that an overlay mount takes as a lower side, made once and kept under `snapshots/`.
//! Its inodes are nobody else's, so what a command does to a copy of them changes nothing here.
//! Each process looks over a snapshot before its first use: one that is not as it was made is made again.

mod audit;
mod notes;
mod seal;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::durable::rename_noreplace;
use crate::store::memo::Memo;
use crate::tree::disk::materialize::{Materialize, Owners, SECOND, Whiteouts, materialize};
use crate::tree::disk::snapshot::seal::{Coverage, Seal};
use crate::tree::error::TreeError;
use crate::tree::tree::Entry;
use crate::tree::xattr::Flavour;

pub use crate::tree::disk::snapshot::audit::{SnapshotUsage, snapshot_usage, verify_snapshots};
pub use crate::tree::disk::snapshot::notes::{Note, Notes};

/// 1980-01-01T00:00:00Z, the time of slot 0, in seconds since 1970.
pub const FIRST_TIME: i64 = 315_532_800;

/// How far the times of two slots are apart, in seconds.
pub const SLOT_WIDTH: i64 = 1 << 20;

/// Which time all that is in a snapshot shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Age {
    /// One made of this place in an order and of the content (`time`).
    Slot(u32),
    /// A real one, in nanoseconds since 1970: for who compares it with files that outlived a run.
    Since(i64),
}

/// The folder of all snapshots, in the store's.
const FOLDER: &str = "snapshots";
/// In the folder of one: the tree, and what it looked like when it was finished.
const ROOT: &str = "root";
const SEAL: &str = "seal";

/// How a tree is made into inodes, beside its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotForm {
    pub owners: Owners,
    /// Of the mount or copy that it will be part of.
    pub flavour: Flavour,
    /// Tells apart user namespaces in which the same ids are other ids on disk. Letters, digits and dashes.
    pub class: String,
}

impl SnapshotForm {
    /// For mounts that root makes: the tree's own ids.
    pub fn root() -> SnapshotForm {
        SnapshotForm { owners: Owners::Exact, flavour: Flavour::Trusted, class: String::new() }
    }

    /// For mounts in a user namespace with one id.
    pub fn one_id() -> SnapshotForm {
        SnapshotForm { owners: Owners::Single, flavour: Flavour::User, class: String::new() }
    }
}

/// The folder that shows `tree`, with one time for everything in it.
///
/// Nobody may write to it, but the mount of an overlay with it as a lower side never does.
pub fn snapshot(
    memo: &Memo,
    tree: TreeDigest,
    age: Age,
    form: &SnapshotForm,
    cancel: &Cancel,
) -> Result<PathBuf, TreeError> {
    let place = memo.folder().join(FOLDER).join(key(tree, age, form));
    let root = place.join(ROOT);
    let turn = turn(&place);
    let mut verified = turn.lock().unwrap_or_else(PoisonError::into_inner);
    if *verified && root.exists() {
        return Ok(root);
    }
    loop {
        match look_over(&place, Coverage::of(form.owners), cancel)? {
            State::Intact { .. } => break,
            State::Damaged { inode } => discard(memo, &place, inode)?,
            State::Absent => {
                if make(memo, tree, age, form, &place, cancel)? {
                    break;
                }
            }
        }
    }
    *verified = true;
    Ok(root)
}

/// Begins with the tree, so that an audit knows what a snapshot should hold.
fn key(tree: TreeDigest, age: Age, form: &SnapshotForm) -> String {
    let age = match age {
        Age::Slot(slot) => slot.to_string(),
        Age::Since(time) => format!("at{time}"),
    };
    let owners = match form.owners {
        Owners::Exact => "exact",
        Owners::Single => "single",
    };
    let flavour = match form.flavour {
        Flavour::Trusted => "trusted",
        Flavour::User => "user",
        Flavour::Own => "own",
    };
    format!("{}-{age}-{owners}-{flavour}-{}", tree.to_hex(), form.class)
}

/// A higher slot is a later time, for tools that ask what is newer. In a slot, another tree has another time
/// (but for one in 500,000), for those that ask whether it is the same. Even, since zip keeps no odd seconds.
pub fn time(tree: TreeDigest, slot: u32) -> i64 {
    let bytes = tree.as_bytes();
    let number = i64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    FIRST_TIME + SLOT_WIDTH * i64::from(slot) + 2 * number % SLOT_WIDTH
}

/// One lock for each snapshot, shared by the threads of this process. It holds whether the snapshot was looked over.
fn turn(place: &Path) -> Arc<Mutex<bool>> {
    static TURNS: Mutex<BTreeMap<PathBuf, Arc<Mutex<bool>>>> = Mutex::new(BTreeMap::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.entry(place.to_owned()).or_default().clone()
}

enum State {
    Absent,
    Intact { inode: u64 },
    Damaged { inode: u64 },
}

/// Compares the snapshot with its seal, without reading content: whoever writes to a file moves its times.
fn look_over(place: &Path, coverage: Coverage, cancel: &Cancel) -> Result<State, TreeError> {
    let inode = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        metadata => metadata.map_err(TreeError::io("cannot look at", place))?.ino(),
    };
    let written = fs::read_to_string(place.join(SEAL)).unwrap_or_default();
    match Seal::take(&place.join(ROOT), coverage, cancel) {
        Ok(seal) if sealed(&seal, place, coverage) == written => Ok(State::Intact { inode }),
        Err(TreeError::Cancelled) => Err(TreeError::Cancelled),
        _ => Ok(State::Damaged { inode }),
    }
}

/// What is written down of a finished snapshot in `place`: its notes are part of it, where there are any.
fn sealed(seal: &Seal, place: &Path, coverage: Coverage) -> String {
    let text = seal.to_text();
    match coverage {
        Coverage::All => text,
        Coverage::Open => {
            let notes = fs::read(place.join(notes::FILE)).unwrap_or_default();
            format!("{text}{}\n", blake3::hash(&notes).to_hex())
        }
    }
}

/// Makes the snapshot aside and renames it into place. False if another process was faster.
fn make(
    memo: &Memo,
    tree: TreeDigest,
    age: Age,
    form: &SnapshotForm,
    place: &Path,
    cancel: &Cancel,
) -> Result<bool, TreeError> {
    let work = memo.work_folder()?;
    let draft = aside(work.path());
    fs::create_dir(&draft).map_err(TreeError::io("cannot make", &draft))?;
    let options = Materialize {
        owners: form.owners,
        time: match age {
            Age::Slot(slot) => time(tree, slot) * SECOND,
            Age::Since(time) => time,
        },
        whiteouts: Whiteouts::Overlay(form.flavour),
    };
    let root = draft.join(ROOT);
    materialize(memo, &Entry::directory(tree), &root, &options, cancel)?;
    let coverage = Coverage::of(form.owners);
    let write = |name, bytes: &[u8]| {
        fs::write(draft.join(name), bytes).map_err(TreeError::io("cannot write", &draft))
    };
    if coverage == Coverage::Open {
        write(notes::FILE, &notes::take(memo, &root, tree, cancel)?.to_bytes())?;
    }
    let seal = Seal::take(&root, coverage, cancel)?;
    write(SEAL, sealed(&seal, &draft, coverage).as_bytes())?;
    let snapshots = memo.folder().join(FOLDER);
    fs::create_dir_all(&snapshots).map_err(TreeError::io("cannot make", &snapshots))?;
    match rename_noreplace(&draft, place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(TreeError::io("cannot make", place)(error)),
    }
}

/// Takes the snapshot away, if it still is the folder that was found damaged: another process may have
/// made it again meanwhile.
fn discard(memo: &Memo, place: &Path, inode: u64) -> Result<(), TreeError> {
    let work = memo.work_folder()?;
    let taken = aside(work.path());
    match rename_noreplace(place, &taken) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(TreeError::io("cannot remove", place))?,
    }
    let found = fs::symlink_metadata(&taken).map_err(TreeError::io("cannot look at", &taken))?.ino();
    if found != inode {
        // If yet another one is there by now, that will do as well.
        let _ = rename_noreplace(&taken, place);
    }
    Ok(())
}

/// A new name in a work folder.
fn aside(work: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    work.join(format!("snapshot-{}", COUNT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests;
