//! Removal of whole folders by descriptor: whatever their modes, names and depth, and never through a link.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::tree::disk::descent::{self, Folders};
use crate::tree::error::TreeError;

/// Removes `name` in `parent`, with everything below it. A name that is not there is no error.
///
/// It can't be cancelled: what is half removed is of no use to anybody.
pub fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), TreeError> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => remove_folder(parent, name),
        Err(error) => Err(descent::failed("cannot remove", b"", name, error)),
    }
}

/// From the top down every folder is unlocked and emptied of all but folders; then they go from the bottom up.
fn remove_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), TreeError> {
    let never = Cancel::default();
    let mut folders = Folders::new();
    let mut levels = vec![vec![folders.add(Folders::ROOT, name.to_vec())]];
    while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
        descent::check_depth(levels.len(), &folders, level[0])?;
        let below = descent::for_each(level, false, &never, |&id| empty(&folders, parent, id))?;
        let mut next = Vec::new();
        for (&id, names) in level.iter().zip(below) {
            next.extend(names.into_iter().map(|name| folders.add(id, name)));
        }
        levels.push(next);
    }
    for level in levels.iter().rev() {
        descent::for_each(level, false, &never, |&id| remove_empty(&folders, parent, id))?;
    }
    Ok(())
}

/// Removes all but folders from a folder, and gives the names of the folders.
fn empty(folders: &Folders, root: BorrowedFd<'_>, id: usize) -> Result<Vec<Vec<u8>>, TreeError> {
    let path = folders.path(id);
    let failed = |name: &[u8], error| descent::failed("cannot remove", &path, name, error);
    let opened = open_unlocked(folders, root, id).map_err(|error| failed(b"", error))?;
    let mut below = Vec::new();
    for (name, kind) in descent::list(opened.as_fd()).map_err(|error| failed(b"", error))? {
        if kind == FileType::Directory {
            below.push(name);
        } else {
            rustix::fs::unlinkat(&opened, &*name, AtFlags::empty()).map_err(|error| failed(&name, error))?;
        }
    }
    Ok(below)
}

/// Opens a folder whose parents are unlocked, and unlocks it.
fn open_unlocked(folders: &Folders, root: BorrowedFd<'_>, id: usize) -> Result<OwnedFd, Errno> {
    let path = folders.path(id);
    let opened = match descent::open_below(root, &path) {
        Err(Errno::ACCESS) => {
            let (parent, name) = place(folders, root, id)?;
            descent::unlock(parent.as_fd(), name, Mode::RWXU)?;
            descent::open_below(root, &path)?
        }
        opened => opened?,
    };
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        rustix::fs::fchmod(&opened, mode | Mode::RWXU)?;
    }
    Ok(opened)
}

fn remove_empty(folders: &Folders, root: BorrowedFd<'_>, id: usize) -> Result<(), TreeError> {
    let removed = place(folders, root, id)
        .and_then(|(parent, name)| rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR));
    removed.map_err(|error| descent::failed("cannot remove", &folders.path(id), b"", error))
}

/// The opened parent and the name of a folder below the root.
fn place<'f>(folders: &'f Folders, root: BorrowedFd<'_>, id: usize) -> Result<(OwnedFd, &'f [u8]), Errno> {
    let (parent, name) = folders.place(id).expect("bug: the root is not removed");
    Ok((descent::open_below(root, &folders.path(parent))?, name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn remove_at(parent: &Path, name: &str) -> Result<(), TreeError> {
        remove(descent::open_path(parent)?.as_fd(), name.as_bytes())
    }

    #[test]
    fn modes_are_no_obstacle() {
        let temporary = tempfile::tempdir().unwrap();
        let victim = temporary.path().join("victim");
        let mut at = victim.clone();
        for name in ["a", "b", "c"] {
            at.push(name);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("file"), name).unwrap();
        }
        for (name, mode) in [("a/b/c", 0o000), ("a/b", 0o500), ("a", 0o100), ("", 0o000)] {
            fs::set_permissions(victim.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove_at(temporary.path(), "victim").unwrap();
        assert!(!victim.exists());
        remove_at(temporary.path(), "victim").unwrap();
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir_all(temporary.path().join("kept")).unwrap();
        fs::write(temporary.path().join("kept/file"), "x").unwrap();
        fs::create_dir(temporary.path().join("victim")).unwrap();
        symlink("../kept", temporary.path().join("victim/link")).unwrap();
        symlink("kept", temporary.path().join("link")).unwrap();
        remove_at(temporary.path(), "victim").unwrap();
        remove_at(temporary.path(), "link").unwrap();
        assert!(temporary.path().join("kept/file").exists());
    }

    #[test]
    fn depth_is_no_obstacle() {
        let temporary = tempfile::tempdir().unwrap();
        let name = vec![b'x'; 200];
        let root = descent::open_path(temporary.path()).unwrap();
        let mut at = rustix::io::dup(&root).unwrap();
        for _ in 0..300 {
            rustix::fs::mkdirat(&at, &*name, Mode::RWXU).unwrap();
            at = descent::open_below(at.as_fd(), &name).unwrap();
        }
        remove(root.as_fd(), &name).unwrap();
        assert_eq!(descent::list(root.as_fd()).unwrap(), []);
    }
}
