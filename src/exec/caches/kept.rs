//! The caches that a store keeps: told, and removed where no run uses them.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::durable::{self, FileLock};
use crate::base::remove::remove;
use crate::exec::caches::name::CacheName;
use crate::exec::caches::sight::Memory;
use crate::exec::caches::{about, all_of, content, lock, memory, read, turn};
use crate::exec::executor::ExecError;
use crate::exec::helper;
use crate::exec::identity::Identity;
use crate::exec::zygote::Zygote;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::store::usage::total;

/// One cache, with all its copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    #[serde(flatten)]
    pub name: CacheName,
    /// Private ones have several.
    pub copies: u32,
    pub files: u64,
    /// What they take on the disk, as far as may be looked at.
    pub disk_bytes: u64,
    /// Seconds since 1970 when a run last began to use it.
    pub used: i64,
    pub in_use: bool,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    identity: Identity,
}

/// What came of removing one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    #[serde(flatten)]
    pub kept: Kept,
    /// Not where a run uses it.
    pub removed: bool,
}

/// Kept beside a cache, for people and for who removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub name: CacheName,
    /// In which its files can be removed.
    pub identity: Identity,
}

impl About {
    /// Where nothing is there yet.
    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        if path.exists() {
            return Ok(());
        }
        let json = serde_json::to_vec_pretty(self).expect("bug: a name is always JSON");
        durable::write_atomically(path, &json, 0o600).map_err(StoreError::io("cannot write", path))
    }

    fn read(path: &Path) -> Result<Option<About>, StoreError> {
        Ok(read(path)?.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}

/// By workspace, then by name.
pub fn kept(memo: &Memo) -> Result<Vec<Kept>, StoreError> {
    let mut all = Vec::new();
    for folder in folders(memo)? {
        all.extend(look_at(&folder)?);
    }
    all.sort_by(|one, other| (&one.name.workspace, &one.name).cmp(&(&other.name.workspace, &other.name)));
    Ok(all)
}

/// Removes those that `wanted` picks; one that a run uses stays. `program` is this program, as a path that can be
/// started: files of other users are removed by a process of its own.
pub fn prune(memo: &Memo, program: &Path, wanted: &dyn Fn(&Kept) -> bool) -> Result<Vec<Pruned>, ExecError> {
    let zygote = Zygote::new(program.to_owned());
    let mut pruned = Vec::new();
    for kept in kept(memo)?.into_iter().filter(|kept| wanted(kept)) {
        let removed = remove_one(memo, &zygote, &kept)?;
        pruned.push(Pruned { kept, removed });
    }
    Ok(pruned)
}

fn folders(memo: &Memo) -> Result<Vec<PathBuf>, StoreError> {
    let above = all_of(memo);
    let failed = || StoreError::io("cannot list", &above);
    let entries = match fs::read_dir(&above) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed())?,
    };
    entries.map(|entry| Ok(entry.map_err(failed())?.path())).collect()
}

/// `None` for one that somebody removes just now, or begins to make.
fn look_at(folder: &Path) -> Result<Option<Kept>, StoreError> {
    let Some(About { name, identity }) = About::read(&about(folder))? else { return Ok(None) };
    let mut kept = Kept {
        name,
        copies: 0,
        files: 0,
        disk_bytes: 0,
        used: 0,
        in_use: false,
        folder: folder.to_owned(),
        identity,
    };
    for copy in copies(folder) {
        kept.copies += 1;
        kept.in_use |= is_used(folder, copy)?;
        let known =
            read(&memory(folder, copy))?.and_then(|json| serde_json::from_slice::<Memory>(&json).ok());
        kept.used = kept.used.max(known.map_or(0, |memory| memory.used / 1_000_000_000));
        let total = total(String::new(), content(folder, copy))?;
        kept.files += total.files;
        kept.disk_bytes += total.disk_bytes;
    }
    Ok(Some(kept))
}

fn copies(folder: &Path) -> impl Iterator<Item = u32> {
    (0..).take_while(|&copy| lock(folder, copy).exists())
}

fn is_used(folder: &Path, copy: u32) -> Result<bool, StoreError> {
    let _turn = turn(folder)?;
    let path = lock(folder, copy);
    Ok(FileLock::try_exclusive(&path).map_err(StoreError::io("cannot lock", &path))?.is_none())
}

/// False where it is used.
fn remove_one(memo: &Memo, zygote: &Zygote, kept: &Kept) -> Result<bool, ExecError> {
    let folder = &kept.folder;
    let work = memo.work_folder()?;
    let aside = work.path().join("cache");
    {
        let _turn = turn(folder)?;
        let mut locks = Vec::new();
        for copy in copies(folder) {
            let path = lock(folder, copy);
            match FileLock::try_exclusive(&path).map_err(StoreError::io("cannot lock", &path))? {
                Some(lock) => locks.push(lock),
                None => return Ok(false),
            }
        }
        durable::rename_noreplace(folder, &aside).map_err(StoreError::io("cannot move", folder))?;
        // Whoever waits for it finds that it has lost its name.
        let turn = aside.join("turn");
        fs::remove_file(&turn).map_err(StoreError::io("cannot remove", &turn))?;
    }
    match remove(&aside) {
        Err(_) if matches!(kept.identity, Identity::Ranges { .. }) => {
            helper::remove(zygote, memo, &kept.identity, &aside)?;
        }
        removed => removed.map_err(StoreError::io("cannot remove", &aside))?,
    }
    Ok(true)
}
