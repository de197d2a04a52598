//! Which groups were made, written down in the store before they are: the kernel forgets no group by itself. An
//! entry is locked while its build lives, so that the next one knows which groups are nobody's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::durable::FileLock;
use crate::exec::cgroup::group::NAME;

/// In the store's folder.
const FOLDER: &str = "groups";

/// The list of one group's folders, a line each.
pub(super) struct Entry {
    list: PathBuf,
    lock: Option<FileLock>,
}

impl Entry {
    /// A name that no other living process of this machine uses.
    pub(super) fn stamp(count: u64) -> String {
        // Process numbers are used again, and in other namespaces at the same time.
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        format!("{}-{count}-{:x}", std::process::id(), since.as_nanos())
    }

    pub(super) fn write(store: &Path, stamp: &str, paths: &[&Path]) -> io::Result<Entry> {
        let list = store.join(FOLDER).join(stamp);
        let lock = FileLock::try_exclusive(&list.with_extension("lock"))?;
        let lock = Some(lock.ok_or(io::ErrorKind::AlreadyExists)?);
        let lines = paths.iter().map(|path| format!("{}\n", path.display()));
        fs::write(&list, lines.collect::<String>())?;
        Ok(Entry { list, lock })
    }

    /// Its folders are gone.
    pub(super) fn strike(&mut self) {
        if let (Ok(()), Some(lock)) = (fs::remove_file(&self.list), self.lock.take()) {
            let _ = lock.remove();
        }
    }
}

/// Removes the groups that dead processes left, as far as it may.
pub(crate) fn sweep(store: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(store.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Some(lock) = FileLock::try_exclusive(&path)? else { continue };
        let list = path.with_extension("");
        let lines = fs::read_to_string(&list).unwrap_or_default();
        let until = Instant::now();
        if lines.lines().all(|line| remove_folder(Path::new(line), until)) {
            Entry { list: list.clone(), lock: None }.strike();
            lock.remove()?;
        }
    }
    Ok(())
}

/// Kills what is in it and removes it; whether it is gone. Removes nothing that is not an empty folder of ours.
pub(super) fn remove_folder(path: &Path, until: Instant) -> bool {
    let is_ours = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(NAME.as_bytes()));
    if !is_ours || !path.is_absolute() {
        return true;
    }
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(_) if Instant::now() >= until => return false,
            Err(_) => {}
        }
        // Of version 2, since Linux 5.14; elsewhere the end of the first process is the end of all.
        let kill = path.join("cgroup.kill");
        if kill.exists() {
            let _ = fs::write(kill, "1");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_living_made_is_left_and_the_rest_is_removed() {
        let (store, groups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let make = |name: &str| {
            let path = groups.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (mine, dead, other) = (make("memobuild-1"), make("memobuild-2"), make("other"));
        let mut entry = Entry::write(store.path(), "1", &[&mine]).unwrap();
        drop(Entry::write(store.path(), "2", &[&dead, &other]).unwrap());
        sweep(store.path()).unwrap();
        assert!(mine.exists() && !dead.exists() && other.exists());
        entry.strike();
        assert_eq!(fs::read_dir(store.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn one_that_cannot_be_removed_stays_written_down() {
        let (store, groups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let group = groups.path().join("memobuild-1");
        fs::create_dir_all(group.join("in use")).unwrap();
        drop(Entry::write(store.path(), "1", &[&group]).unwrap());
        sweep(store.path()).unwrap();
        assert!(group.exists());
        fs::remove_dir(group.join("in use")).unwrap();
        sweep(store.path()).unwrap();
        assert!(!group.exists());
    }
}
