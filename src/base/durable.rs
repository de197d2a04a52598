//! Files that are either there whole or not at all, and locks that die with their holder.
//! The only place that publishes by rename, syncs or locks. A rename alone outlives any kill of the process;
//! only what must outlive a power cut unread is synced as well.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RenameFlags};

/// A file written under a name that nobody looks for, until it is published. Dropped before that,
/// it is removed.
pub struct Draft {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Draft {
    /// `path` must be new. One that is made with the mode that it is to have in the end is spared a change of it, which
    /// costs the disk as much as making it.
    pub fn create(path: PathBuf, mode: u32) -> io::Result<Draft> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(mode))?.into();
        Ok(Draft { file, path, published: false })
    }

    /// In the folder where it is to be published, which must exist. Until then, nobody else can read it.
    pub fn beside(path: &Path) -> io::Result<Draft> {
        Draft::create(beside(path), 0o600)
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name, in place of what had it; folders on the way are made.
    /// `to` must be on the same filesystem. `mode` is exact, whatever the umask.
    pub fn publish(mut self, to: &Path, mode: u32) -> io::Result<()> {
        if self.file.metadata()?.mode() & 0o7777 != mode {
            rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        }
        with_parents(to, || fs::rename(&self.path, to))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whoever looks finds the old content or the new. After a power cut it may be neither.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = Draft::beside(path)?;
    draft.file().write_all(bytes)?;
    draft.publish(path, mode)
}

/// As `write_atomically`, and a power cut changes nothing. Takes as long as the disk needs.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = Draft::beside(path)?;
    draft.file().write_all(bytes)?;
    draft.file().sync_all()?;
    draft.publish(path, mode)?;
    File::open(folder_of(path))?.sync_all()
}

/// As `write_durably`, in the place of a file, whose mode and owner stay as they are.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = path.metadata()?;
    let mut draft = Draft::beside(path)?;
    draft.file().write_all(bytes)?;
    // Only root may give a file away; what another user replaces becomes its own.
    let _ = std::os::unix::fs::fchown(draft.file(), Some(before.uid()), Some(before.gid()));
    draft.file().sync_all()?;
    draft.publish(path, before.mode() & 0o7777)
}

/// What the names of drafts beside their destination begin with.
pub const DRAFT_PREFIX: &str = ".draft-";

fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!("{DRAFT_PREFIX}{}-{count}-{name}", std::process::id()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts a file or folder in the place of what `to` is, which comes to lie at `from`, or where nothing is.
/// Whoever looks finds the old one or the new one.
pub fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::NOENT) => rename_noreplace(from, to),
        other => Ok(other?),
    }
}

/// Whether files may be made in `folder`, as far as can be told without making one.
pub fn may_write_in(folder: &Path) -> io::Result<()> {
    let asked = Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(CWD, folder, asked, AtFlags::EACCESS)?)
}

/// Moves a file or folder within one filesystem; fails with `AlreadyExists` where `to` exists.
pub fn rename_noreplace(from: &Path, to: &Path) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// A lock on a file, made where it is missing. The kernel drops it when the last descriptor goes:
/// when the process dies, however that happens, and all it forked.
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Waits while anyone holds it exclusively.
    pub fn shared(path: &Path) -> io::Result<FileLock> {
        FileLock::wait(path, File::lock_shared)
    }

    /// Waits while anyone holds it.
    pub fn exclusive(path: &Path) -> io::Result<FileLock> {
        FileLock::wait(path, File::lock)
    }

    /// `None` while anyone holds it.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<FileLock>> {
        FileLock::attempt(path, File::try_lock)
    }

    /// `None` while anyone holds it exclusively.
    pub fn try_shared(path: &Path) -> io::Result<Option<FileLock>> {
        FileLock::attempt(path, File::try_lock_shared)
    }

    fn attempt(path: &Path, take: fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<FileLock>> {
        loop {
            let lock = FileLock::unlocked(path)?;
            match take(&lock.file) {
                Ok(()) if lock.has_name()? => return Ok(Some(lock)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Removes the file and lets go. Only for an exclusive lock. Whoever waits for it finds that the
    /// file has lost its name, and makes a new one.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn wait(path: &Path, take: fn(&File) -> io::Result<()>) -> io::Result<FileLock> {
        loop {
            let lock = FileLock::unlocked(path)?;
            take(&lock.file)?;
            if lock.has_name()? {
                return Ok(lock);
            }
        }
    }

    /// Opens for reading only, so that a store that cannot be written can still be read.
    fn unlocked(path: &Path) -> io::Result<FileLock> {
        let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = || Ok(rustix::fs::open(path, flags, Mode::from_raw_mode(0o600))?);
        Ok(FileLock { file: with_parents(path, open)?.into(), path: path.to_owned() })
    }

    fn has_name(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }
}

/// Whoever is given a copy holds the lock too, until it is given up by word.
impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Unlocks by word, since a process forked meanwhile may still hold the descriptor.
impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Does `make`, which puts something at `path`, again after making the folders above it where they lack.
fn with_parents<T>(path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder_of(path))?;
            make()
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn files_are_whole_and_leave_no_drafts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        for write in [write_atomically, write_durably] {
            fs::create_dir_all(folder.path().join("new")).unwrap();
            write(&path, b"one", 0o444).unwrap();
            write(&path, b"two", 0o640).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"two");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        }
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"one", 0o751).unwrap();
        // Where the tests may: a file of another user.
        let _ = std::os::unix::fs::chown(&path, Some(12), Some(34));
        let before = path.metadata().unwrap();
        replace(&path, b"two").unwrap();
        let after = path.metadata().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino());
        assert!(replace(&folder.path().join("other"), b"").is_err());
    }

    #[test]
    fn a_dropped_draft_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::create(folder.path().join("draft"), 0o600).unwrap();
        draft.file().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn publishing_makes_folders() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("a/b/c");
        Draft::create(folder.path().join("draft"), 0o600).unwrap().publish(&to, 0o444).unwrap();
        assert!(to.is_file());
    }

    #[test]
    fn what_is_published_has_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        // The umask takes something from the last one, unless it takes nothing from anybody.
        for made in [0o600, 0o444, 0o666] {
            let draft = Draft::create(folder.path().join("draft"), made).unwrap();
            draft.publish(&to, 0o666).unwrap();
            assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o666, "{made:o}");
        }
    }

    #[test]
    fn no_replacing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "from").unwrap();
        fs::write(&to, "to").unwrap();
        assert_eq!(rename_noreplace(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&to).unwrap();
        rename_noreplace(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"from");
    }

    #[test]
    fn shared_excludes_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/lock");
        let one = FileLock::shared(&path).unwrap();
        let two = FileLock::shared(&path).unwrap();
        drop(one);
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
        drop(two);
        let alone = FileLock::try_exclusive(&path).unwrap();
        assert!(alone.is_some() && FileLock::try_shared(&path).unwrap().is_none());
        drop(alone);
        assert!(FileLock::try_shared(&path).unwrap().is_some());
    }

    /// Were a waiter content with the file that the last holder removed, two would be inside at once.
    #[test]
    fn removing_lets_no_two_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let (inside, start) = (AtomicBool::new(false), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..50 {
                        let lock = FileLock::exclusive(&path).unwrap();
                        assert!(!inside.swap(true, Ordering::SeqCst));
                        std::thread::yield_now();
                        inside.store(false, Ordering::SeqCst);
                        lock.remove().unwrap();
                    }
                });
            }
        });
    }
}
