//! A run's own folder in the store: what the run writes lies there, and what is made for it hangs there, in memory.
//! Runs after one another use the same one: making and removing files on a disk costs more than the rest of a
//! small sandbox. Nothing of one run may reach the next, so all but what is as it was made is removed.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, flistxattr, fstat, futimens,
    ioctl_getflags, openat, unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags};

use crate::base::remove::remove;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::spec::Trouble;

/// A filesystem in memory, of this sandbox alone: making a file on a disk costs ten times as much.
fn memory(work: &Path) -> PathBuf {
    work.join("memory")
}

/// Where the root hangs.
pub(super) fn root(work: &Path) -> PathBuf {
    memory(work).join("root")
}

/// Files made for this run, to be mounted one by one.
pub(super) fn made_files(work: &Path) -> PathBuf {
    memory(work).join("files")
}

/// For the values of secrets; a filesystem of its own.
pub(super) fn secrets(work: &Path) -> PathBuf {
    memory(work).join("secrets")
}

/// For the lowest folder of the root.
pub(super) fn ground(work: &Path) -> PathBuf {
    memory(work).join("ground")
}

/// What the run writes onto its root, as an overlay keeps it.
pub(super) fn upper(work: &Path) -> PathBuf {
    work.join("upper")
}

/// What the overlay itself needs.
pub(super) fn overlay(work: &Path) -> PathBuf {
    work.join("overlay")
}

/// The root, where it is a copy. Nobody else looks into the folder around it.
pub(super) fn copied_root(work: &Path) -> PathBuf {
    work.join("copy").join("root")
}

/// In a folder that is empty, or tidy, where nothing can be mounted.
pub(super) fn set_up_without_mounts(work: &Path) -> Result<(), Trouble> {
    let memory = memory(work);
    if !memory.exists() {
        make_folder(&memory, 0o700)?;
    }
    Ok(())
}

/// In a folder that is empty, or tidy.
pub(super) fn set_up(work: &Path) -> Result<(), Trouble> {
    for folder in [upper(work), overlay(work), memory(work)] {
        if !folder.exists() {
            make_folder(&folder, 0o755)?;
        }
    }
    let memory = memory(work);
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let fresh = mounts::memory("755", attributes)?;
    let under = open(&memory).map_err(Trouble::at("open a place for its own files"))?;
    mounts::attach(fresh.as_fd(), under.as_fd()).map_err(Trouble::at("mount a place for its own files"))?;
    make_folder(&root(work), 0o755)?;
    make_folder(&made_files(work), 0o755)
}

/// Takes the root away, with all that hangs in it.
pub(super) fn unmount(work: &Path) -> Result<(), Trouble> {
    rustix::mount::unmount(memory(work), UnmountFlags::DETACH).map_err(Trouble::at("unmount the root"))
}

/// Removes what the run left. Inside the user namespace, since outside it nobody may be allowed to; what stays
/// all the same is for the main process, or is swept later.
pub(super) fn tidy(work: &Path) -> io::Result<()> {
    // It hangs still where something went wrong.
    let _ = unmount(work);
    let is_reusable = is_as_made(work).unwrap_or(false);
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        if is_reusable && path == overlay(work) {
            remove_marks(&path).or_else(|_| remove(&path.join("work")))?;
        } else if !is_reusable || (path != upper(work) && path != memory(work)) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// What says that an overlay was not synced: the kernel refuses a folder with it (overlayfs.rst, "Volatile mount").
fn remove_marks(overlay: &Path) -> Result<(), Errno> {
    let folder = open(overlay)?;
    unlinkat(&folder, "work/incompat/volatile/dirty", AtFlags::empty())?;
    for path in ["work/incompat/volatile", "work/incompat", "work"] {
        unlinkat(&folder, path, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

/// Whether nothing at all was written onto the root: no file, and none of what the root's top itself carries.
fn is_as_made(work: &Path) -> Result<bool, Errno> {
    let open = |path: PathBuf| {
        openat(
            CWD,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let (upper, other) = (open(upper(work))?, open(overlay(work))?);
    let (found, made) = (fstat(&upper)?, fstat(&other)?);
    Ok(is_empty(upper.as_fd())?
        && (found.st_mode, found.st_uid, found.st_gid) == (made.st_mode, made.st_uid, made.st_gid)
        && ioctl_getflags(&upper).ok() == ioctl_getflags(&other).ok()
        && has_only_marks(upper.as_fd())?
        && touch(upper.as_fd()).is_ok())
}

/// Its times were the command's to set.
fn touch(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    futimens(folder, &Timestamps { last_access: now, last_modification: now })
}

/// No extended attributes but the overlay's own. A command's are kept under other names
/// (overlayfs.rst, "Nesting overlayfs mounts").
fn has_only_marks(folder: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut names = [0; 4096];
    let length = flistxattr(folder, &mut names[..])?;
    let is_mark = |name: &[u8]| {
        let of = |prefix| name.strip_prefix(prefix).is_some_and(|name| !name.starts_with(b"overlay."));
        of(b"trusted.overlay.".as_slice()) || of(b"user.overlay.".as_slice())
    };
    Ok(names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()).all(is_mark))
}

pub(super) fn is_empty(folder: BorrowedFd<'_>) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Exactly this mode; the process's umask takes nothing from one like 0755.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), Trouble> {
    let make = || {
        fs::DirBuilder::new().mode(mode).create(path)?;
        if mode & 0o7022 == 0 {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    make().map_err(Trouble::at::<io::Error>(format!("make {}", path.display())))
}

pub(super) fn open(path: &Path) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use rustix::fs::{XattrFlags, setxattr};

    use super::*;

    fn check(what: &str, stays: bool, change: impl Fn(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path();
        for place in [upper(work), overlay(work).join("work"), memory(work)] {
            fs::create_dir_all(place).unwrap();
        }
        change(work);
        tidy(work).unwrap();
        assert_eq!(upper(work).exists(), stays, "{what}");
        assert_eq!(fs::read_dir(work).unwrap().count(), if stays { 3 } else { 0 }, "{what}");
        assert!(!overlay(work).join("work").exists(), "{what}");
    }

    fn set_attribute(folder: &Path, name: &str) {
        setxattr(folder, name, b"", XattrFlags::empty()).unwrap();
    }

    #[test]
    fn only_what_is_as_it_was_made_stays() {
        check("nothing", true, |_| {});
        check("the overlay's own mark", true, |work| set_attribute(&upper(work), "user.overlay.uuid"));
        check("a copied mount", true, |work| fs::create_dir_all(work.join("0/upper/a")).unwrap());
        check("a file", false, |work| fs::write(upper(work).join("file"), "").unwrap());
        check("an attribute", false, |work| set_attribute(&upper(work), "user.name"));
        check("a hidden one", false, |work| set_attribute(&upper(work), "user.overlay.overlay.name"));
        let mode = fs::Permissions::from_mode(0o1777);
        check("a mode", false, |work| fs::set_permissions(upper(work), mode.clone()).unwrap());
    }
}
