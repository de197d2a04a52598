//! Caches: folders below the store that outlive runs. What lies in one is no part of any key, record or layer.
//!
//! Below `caches/v1/` there is a folder for each cache, and in it `about.json`, and for each copy of it (only private
//! ones have several) by number: the folder that runs see, what it has seen (`.json`), and its lock (`.lock`).
//! A later form has another number, so that no program misreads what another one wrote.

mod claim;
mod kept;
mod name;
mod sight;

pub(crate) use claim::{Claims, Of, Shown, claim};
pub use kept::{Kept, Pruned, kept, prune};
pub use name::CacheName;
pub(crate) use sight::Sight;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::durable::FileLock;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

/// In the store's folder.
const FOLDER: &str = "caches";
/// Raised whenever an older program would misread what a newer one keeps here, or the reverse.
const FORMAT: &str = "v1";

fn all_of(memo: &Memo) -> PathBuf {
    memo.folder().join(FOLDER).join(FORMAT)
}

/// One copy of a cache. `folder` is the cache's.
fn content(folder: &Path, number: u32) -> PathBuf {
    folder.join(number.to_string())
}

fn memory(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.json"))
}

fn lock(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.lock"))
}

fn about(folder: &Path) -> PathBuf {
    folder.join("about.json")
}

/// Held for moments: while somebody takes a lock of the cache, notes what it saw, or removes it.
fn turn(folder: &Path) -> Result<FileLock, StoreError> {
    let path = folder.join("turn");
    FileLock::exclusive(&path).map_err(StoreError::io("cannot lock", &path))
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// `None` for a file that is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("cannot read", path)(error)),
    }
}
