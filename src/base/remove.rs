//! Removes whatever has a name, with all below it, however deep it is and whatever its folders permit.
//! Follows no link and enters no mount: only what `rmdir` calls full is entered, and a mount it calls busy.
//! Full folders are moved up until they lie directly in the one removed, so that neither the stack nor the
//! number of open files limits the depth.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A name that is not there is no error. Goes on after a failure and reports the first one; what could not
/// be removed is left.
pub fn remove(path: &Path) -> io::Result<()> {
    remove_at(CWD, path)
}

/// As `remove`, for a name in an open folder.
pub fn remove_at(parent: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> io::Result<()> {
    match remove_shallow(parent, name, false) {
        Ok(Removed::Yes) | Err(Errno::NOENT) => return Ok(()),
        Ok(Removed::Full) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut removal = Removal { top: open_folder(parent, name)?, full: Vec::new(), moved: 0, failure: None };
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
        None => Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?),
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
        let parent = folder.unwrap_or(&self.top).as_fd();
        match (remove_shallow(parent, name, kind == FileType::Directory)?, folder) {
            (Removed::Yes, _) => {}
            (Removed::Full, None) => self.full.push(name.to_owned()),
            (Removed::Full, Some(folder)) => self.move_up(folder, name)?,
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

enum Removed {
    Yes,
    /// It is a folder with something in it.
    Full,
}

/// Some listings do not tell a folder from a file; then `is_folder` is `false`.
fn remove_shallow(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
    is_folder: bool,
) -> Result<Removed, Errno> {
    if !is_folder {
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            result => return result.map(|()| Removed::Yes),
        }
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Removed::Full),
        result => result.map(|()| Removed::Yes),
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
        remove(&folder).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"kept");
    }

    #[test]
    fn depth_is_no_limit() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("folder");
        let long = "x".repeat(200);
        for name in ["d", &long] {
            fs::create_dir(&folder).unwrap();
            let mut place = open_folder(CWD, &folder).unwrap();
            for _ in 0..1500 {
                rustix::fs::mkdirat(&place, name, Mode::RWXU).unwrap();
                place = open_folder(place.as_fd(), name).unwrap();
            }
            remove(&folder).unwrap();
            assert!(!folder.exists());
        }
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
                return crate::base::skipped::skipped("mounting needs root");
            }
            mount_bind(&kept, folder.join("a/b/mount")).unwrap();
            for victim in [&folder.join("a/b/mount"), &folder] {
                assert_eq!(remove(victim).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
            }
            assert!(kept.join("below").exists());
        };
        std::thread::scope(|scope| scope.spawn(body).join().unwrap());
        remove(&folder).unwrap();
    }

    #[test]
    fn absent_and_not_a_folder() {
        let outer = tempfile::tempdir().unwrap();
        let file = outer.path().join("file");
        fs::write(&file, "").unwrap();
        symlink("file", outer.path().join("link")).unwrap();
        remove(&outer.path().join("absent")).unwrap();
        remove(&outer.path().join("link")).unwrap();
        assert!(file.exists());
        remove(&file).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_link_to_a_full_folder_is_a_name_like_any_other() {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir_all(outer.path().join("kept/below")).unwrap();
        symlink("kept", outer.path().join("link")).unwrap();
        let opened = open_folder(CWD, outer.path()).unwrap();
        remove_at(opened.as_fd(), c"link").unwrap();
        assert!(outer.path().join("kept/below").exists());
    }
}
