//! Work folders: places of one process's own on the store's filesystem. Each has a lock beside it, taken
//! before the folder is made and given up after it is removed, so that a folder whose lock is free belongs
//! to a dead process, at every moment.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use crate::base::durable::FileLock;
use crate::base::remove::remove;
use crate::store::object::StoreError;

/// Removed when dropped; what cannot be removed is left for a sweep.
pub struct WorkFolder {
    path: PathBuf,
    lock: Option<FileLock>,
}

impl WorkFolder {
    /// `above` is the folder of all work folders.
    pub(super) fn create(above: &Path) -> Result<WorkFolder, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if !above.exists() {
            fs::create_dir_all(above).map_err(StoreError::io("cannot create", above))?;
            // Only a wish, for filesystems that know it.
            let _ = spread(above);
        }
        loop {
            // Processes in other PID namespaces may share the number: then the lock or the folder is taken.
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = above.join(format!("{}-{count}", std::process::id()));
            let lock = FileLock::try_exclusive(&lock_path(&path));
            let Some(lock) = lock.map_err(StoreError::io("cannot lock", &lock_path(&path)))? else {
                continue;
            };
            match fs::create_dir(&path) {
                Ok(()) => return Ok(WorkFolder { path, lock: Some(lock) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("cannot create", &path)(error)),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let (Ok(()), Some(lock)) = (remove(&self.path), self.lock.take()) {
            let _ = lock.remove();
        }
    }
}

/// Asks for the folders in this one to lie apart on the disk: they have nothing to do with each other (chattr(1),
/// `T`). Without a journal, ext4 looks at each file lately removed nearby before it makes a new one.
fn spread(above: &Path) -> io::Result<()> {
    let folder = fs::File::open(above)?;
    let flags = ioctl_getflags(&folder)? | IFlags::TOPDIR;
    Ok(ioctl_setflags(&folder, flags)?)
}

/// Removes every work folder of a dead process by `with`; gives those that are still there.
pub(super) fn sweep(above: &Path, with: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for path in all(above)? {
        let Some(lock) = FileLock::try_exclusive(&lock_path(&path))? else {
            continue;
        };
        match with(&path) {
            Err(_) => left.push(path),
            Ok(()) => lock.remove()?,
        }
    }
    Ok(left)
}

/// The work folders whose owners are dead.
pub(super) fn stale(above: &Path) -> io::Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for path in all(above)? {
        if path.exists() && FileLock::try_exclusive(&lock_path(&path))?.is_some() {
            stale.push(path);
        }
    }
    Ok(stale)
}

/// Every work folder, and every one that has only its lock.
fn all(above: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        result => result?,
    };
    entries
        .map(|entry| {
            let path = entry?.path();
            Ok(if path.extension() == Some("lock".as_ref()) { path.with_extension("") } else { path })
        })
        .collect()
}

fn lock_path(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(above: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(above)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_folder_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let folder = WorkFolder::create(above.path()).unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        drop(folder);
        assert!(names(above.path()).is_empty());
    }

    #[test]
    fn the_dead_are_swept_and_the_living_are_not() {
        let above = tempfile::tempdir().unwrap();
        let live = WorkFolder::create(above.path()).unwrap();
        for dead in ["1-0", "1-1"] {
            fs::create_dir_all(above.path().join(dead).join("below")).unwrap();
        }
        for lock in ["1-0.lock", "1-2.lock"] {
            fs::write(above.path().join(lock), "").unwrap();
        }
        assert_eq!(stale(above.path()).unwrap(), [above.path().join("1-0"), above.path().join("1-1")]);
        assert!(sweep(above.path(), &remove).unwrap().is_empty());
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 2);
        assert!(live.path().is_dir());
    }

    #[test]
    fn what_cannot_be_removed_stays_stale() {
        let above = tempfile::tempdir().unwrap();
        let dead = above.path().join("1-0");
        fs::create_dir(&dead).unwrap();
        let refuse = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(sweep(above.path(), &refuse).unwrap(), std::slice::from_ref(&dead));
        assert_eq!(stale(above.path()).unwrap(), [dead]);
    }

    /// Were a folder visible before its lock is held, the sweepers would take it from its maker.
    #[test]
    fn sweeping_takes_no_folder_in_creation() {
        let above = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            let folder = WorkFolder::create(above.path()).unwrap();
                            fs::write(folder.path().join("file"), "").unwrap();
                        }
                    })
                })
                .collect();
            while !makers.iter().all(|maker| maker.is_finished()) {
                let _ = sweep(above.path(), &remove);
            }
        });
        sweep(above.path(), &remove).unwrap();
        assert!(names(above.path()).is_empty());
    }
}
