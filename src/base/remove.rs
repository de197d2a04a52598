//! Removes a folder with all below it, however deep it is and whatever its folders permit. Follows no
//! link and enters no mount: only what `rmdir` calls full is entered, and a mount it calls busy. Full folders are moved up until they lie directly in the one removed, so that neither the
//! stack nor the number of open files limits the depth.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Goes on after a failure and reports the first one; what could not be removed is left.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    let mut removal = Removal { top: open_folder(CWD, path)?, full: Vec::new(), moved: 0, failure: None };
    removal.empty(None);
    while let Some(name) = removal.full.pop() {
        match open_folder(removal.top.as_fd(), &name) {
            Ok(folder) => removal.empty(Some(folder)),
            Err(errno) => removal.fail(errno),
        }
        let removed = rustix::fs::unlinkat(&removal.top, &name, AtFlags::REMOVEDIR);
        removed.unwrap_or_else(|errno| removal.fail(errno));
    }
    match removal.failure {
        Some(errno) => Err(errno.into()),
        None => Ok(rustix::fs::rmdir(path)?),
    }
}

struct Removal {
    top: OwnedFd,
    /// Names in `top` of folders that are not empty yet.
    full: Vec<CString>,
    /// How many names were given to folders moved up.
    moved: u64,
    failure: Option<Errno>,
}

impl Removal {
    /// Empties the folder, or the top where none is given, but for the folders it puts on the list.
    fn empty(&mut self, folder: Option<OwnedFd>) {
        let listing = match Dir::read_from(folder.as_ref().unwrap_or(&self.top)) {
            Ok(listing) => listing,
            Err(errno) => return self.fail(errno),
        };
        let entries = listing.filter_map(|entry| entry.map_err(|errno| self.fail(errno)).ok());
        let entries: Vec<_> = entries
            .map(|entry| (entry.file_name().to_owned(), entry.file_type()))
            .filter(|(name, _)| name.as_bytes() != b"." && name.as_bytes() != b"..")
            .collect();
        for (name, kind) in entries {
            let result = self.remove_entry(folder.as_ref(), &name, kind);
            result.unwrap_or_else(|errno| self.fail(errno));
        }
    }

    fn remove_entry(&mut self, folder: Option<&OwnedFd>, name: &CStr, kind: FileType) -> Result<(), Errno> {
        let parent = folder.unwrap_or(&self.top);
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                // Filesystems that list no types call a folder unknown.
                Err(Errno::ISDIR) => {}
                result => return result,
            }
        }
        match (rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR), folder) {
            (Err(Errno::NOTEMPTY | Errno::EXIST), None) => self.full.push(name.to_owned()),
            (Err(Errno::NOTEMPTY | Errno::EXIST), Some(folder)) => self.move_up(folder, name)?,
            (result, _) => return result,
        }
        Ok(())
    }

    fn move_up(&mut self, folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        // Moving a folder changes its `..`, for which it must be writable.
        open_folder(folder.as_fd(), name)?;
        loop {
            let up = CString::new(format!("moved-{}", self.moved)).expect("bug: a NUL in a number");
            self.moved += 1;
            match rustix::fs::renameat(folder, name, &self.top, &up) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                moved => {
                    self.full.extend(moved.is_ok().then_some(up));
                    return moved;
                }
            }
        }
    }

    fn fail(&mut self, errno: Errno) {
        self.failure.get_or_insert(errno);
    }
}

/// Opens a folder, never a link to one, after giving its owner every right on it.
fn open_folder(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        // A descriptor opened by path alone takes no fchmod; its name under /proc does.
        let name = format!("/proc/self/fd/{}", place.as_raw_fd());
        rustix::fs::chmod(name, Mode::RWXU)?;
    }
    rustix::fs::openat(place, c".", flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn folders_without_permissions_go_and_links_are_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        let kept = outer.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "kept").unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir_all(folder.join("a/b/c/d")).unwrap();
        fs::create_dir_all(folder.join("moved-0/moved-1")).unwrap();
        fs::write(folder.join("moved-2"), "").unwrap();
        fs::write(folder.join("a/b/c/file"), "").unwrap();
        symlink(&kept, folder.join("a/b/link")).unwrap();
        symlink("/absent", folder.join("a/dangling")).unwrap();
        for below in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(folder.join(below), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove_folder(&folder).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"kept");
    }

    #[test]
    fn depth_is_no_limit() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let mut place = open_folder(CWD, &folder).unwrap();
        for _ in 0..1500 {
            rustix::fs::mkdirat(&place, c"d", Mode::RWXU).unwrap();
            place = open_folder(place.as_fd(), c"d").unwrap();
        }
        remove_folder(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_mounted_below_is_left() {
        use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
        let outer = tempfile::tempdir().unwrap();
        let (kept, folder) = (outer.path().join("kept"), outer.path().join("folder"));
        fs::create_dir_all(kept.join("below")).unwrap();
        fs::create_dir_all(folder.join("a/b/mount")).unwrap();
        let body = || {
            // SAFETY: takes no pointers and changes the calling thread alone, which ends below.
            let alone = unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0;
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            if !alone || mount_change("/", private).is_err() {
                return eprintln!("skipped: mounting needs root");
            }
            mount_bind(&kept, folder.join("a/b/mount")).unwrap();
            assert_eq!(remove_folder(&folder).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
            assert!(kept.join("below").exists());
        };
        std::thread::scope(|scope| scope.spawn(body).join().unwrap());
        remove_folder(&folder).unwrap();
    }

    #[test]
    fn absent_and_not_a_folder() {
        let outer = tempfile::tempdir().unwrap();
        let file = outer.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(remove_folder(&outer.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(remove_folder(&file).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
