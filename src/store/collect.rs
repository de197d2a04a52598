//! What is removed and when: everyone who uses a store holds its lease, shared, as long as they use it;
//! whoever removes objects that others may be about to name must hold it alone. Work folders of dead
//! processes and locks that nobody holds need no lease, having locks of their own.

use std::fs;
use std::io;
use std::path::Path;

use crate::base::durable::FileLock;
use crate::store::object::StoreError;

/// The right to count on what the store holds, or to change that.
pub struct Lease(#[expect(dead_code, reason = "held, never read")] FileLock);

impl Lease {
    /// Waits for a collection to end.
    pub fn shared(folder: &Path) -> Result<Lease, StoreError> {
        let path = folder.join("lease");
        Ok(Lease(FileLock::shared(&path).map_err(StoreError::io("cannot lock", &path))?))
    }

    /// `None` while anyone uses the store.
    pub fn try_exclusive(folder: &Path) -> Result<Option<Lease>, StoreError> {
        let path = folder.join("lease");
        Ok(FileLock::try_exclusive(&path).map_err(StoreError::io("cannot lock", &path))?.map(Lease))
    }
}

/// Removes the key locks that their holders left behind when they died.
pub(super) fn sweep_locks(locks: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(locks) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    for entry in entries {
        if let Some(lock) = FileLock::try_exclusive(&entry?.path())? {
            lock.remove()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_waits_for_every_user() {
        let folder = tempfile::tempdir().unwrap();
        let users = [Lease::shared(folder.path()).unwrap(), Lease::shared(folder.path()).unwrap()];
        assert!(Lease::try_exclusive(folder.path()).unwrap().is_none());
        drop(users);
        assert!(Lease::try_exclusive(folder.path()).unwrap().is_some());
    }

    #[test]
    fn only_locks_of_the_dead_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let held = FileLock::exclusive(&folder.path().join("held")).unwrap();
        fs::write(folder.path().join("left"), "").unwrap();
        sweep_locks(folder.path()).unwrap();
        assert!(folder.path().join("held").exists());
        assert!(!folder.path().join("left").exists());
        drop(held);
    }
}
