//! Places below a sandbox's root, found name by name and never through a link: what a root
//! filesystem ships must not steer where something is mounted or read.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2, unlinkat};
use rustix::io::Errno;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::spec::Trouble;

/// What was made only so that a run can have it, in the order it was made.
#[derive(Default)]
pub(super) struct Stubs(Vec<(TreePath, Kind)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

impl Stubs {
    /// Opens the folder at `path`, and makes it (0755) with all that is missing above it.
    pub(super) fn folder(&mut self, root: BorrowedFd<'_>, path: &TreePath) -> Result<OwnedFd, Trouble> {
        let mut here = open_inside(root, &TreePath::root(), OFlags::PATH).map_err(refused(path))?;
        let mut so_far = TreePath::root();
        for name in path.names() {
            so_far = so_far.join(name);
            here = match enter(here.as_fd(), name) {
                Err(Errno::NOENT) => {
                    mkdirat(&here, name, Mode::from_raw_mode(0o755)).map_err(refused(&so_far))?;
                    self.0.push((so_far.clone(), Kind::Folder));
                    enter(here.as_fd(), name)
                }
                other => other,
            }
            .map_err(refused(&so_far))?;
        }
        Ok(here)
    }

    /// Opens the file at `path`, and makes it (empty, 0644) with all that is missing above it.
    pub(super) fn file(&mut self, root: BorrowedFd<'_>, path: &TreePath) -> Result<OwnedFd, Trouble> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Trouble::input("a file cannot be mounted at `/`", "give it a name: `at=\"/name\"`"));
        };
        let parent = self.folder(root, &parent)?;
        let make = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&parent, name, make, Mode::from_raw_mode(0o644)) {
            Ok(_) => self.0.push((path.clone(), Kind::File)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(refused(path)(error)),
        }
        let place = openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(refused(path))?;
        match file_type(place.as_fd()).map_err(refused(path))? {
            FileType::RegularFile => Ok(place),
            _ => Err(refused(path)(Errno::EXIST)),
        }
    }

    /// Takes the stubs out of `upper`, but for folders in which something came to be.
    pub(super) fn remove_from(&self, upper: BorrowedFd<'_>) {
        for (path, kind) in self.0.iter().rev() {
            let (Some(parent), Some(name)) = (path.parent(), path.name()) else { continue };
            // One that lies in a mount, or that the run removed, is not there.
            let Ok(parent) = open_inside(upper, &parent, OFlags::PATH | OFlags::DIRECTORY) else { continue };
            let flags = if *kind == Kind::Folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            let _ = unlinkat(&parent, name, flags);
        }
    }
}

/// Opens `path` below `root`; a link on the way, or at its end, is an error (`ELOOP`).
pub(super) fn open_inside(root: BorrowedFd<'_>, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    open_with(root, path, flags, resolve)
}

/// As `open_inside`, but follows the root's own links, without ever leaving the root.
pub(super) fn open_following(root: BorrowedFd<'_>, path: &TreePath, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_with(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Opens the folder at `path` as `open_following` does, and makes it (0755) with all that is missing above it. No way
/// leads through a link that the kernel makes up, as those below /proc are: they may lead out of the root.
pub(super) fn make_following(root: BorrowedFd<'_>, path: &TreePath) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut so_far = TreePath::root();
    let mut here = open_following(root, &so_far, flags)?;
    for name in path.names() {
        so_far = so_far.join(name);
        here = match open_following(root, &so_far, flags) {
            Err(Errno::NOENT) => {
                mkdirat(&here, name, Mode::from_raw_mode(0o755))?;
                enter(here.as_fd(), name)?
            }
            other => other?,
        };
    }
    Ok(here)
}

fn open_with(
    root: BorrowedFd<'_>,
    path: &TreePath,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let path = if path.is_root() { &b"."[..] } else { path.as_bytes() };
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn enter(folder: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

pub(super) fn file_type(place: BorrowedFd<'_>) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(place)?.st_mode))
}

fn refused(path: &TreePath) -> impl Fn(Errno) -> Trouble + use<> {
    let path = path.clone();
    move |error| match error {
        Errno::NOTDIR | Errno::LOOP | Errno::EXIST => Trouble::input(
            format!("nothing can be put at `{path}`: something else, or a link, stands there in the root"),
            "use the path that the link leads to, or another one",
        ),
        Errno::ROFS => Trouble::input(
            format!("`{path}` cannot be made: it lies below a read-only mount"),
            "mount what lies above it with `access=cow`, or use another path",
        ),
        error => Trouble::at(format!("make `{path}`"))(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn open(folder: &std::path::Path) -> OwnedFd {
        fs::File::open(folder).unwrap().into()
    }

    #[test]
    fn stubs_are_made_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let root = open(folder.path());
        let mut stubs = Stubs::default();
        fs::create_dir(folder.path().join("old")).unwrap();
        stubs.folder(root.as_fd(), &path("/old/a/b")).unwrap();
        stubs.file(root.as_fd(), &path("/used/file")).unwrap();
        fs::write(folder.path().join("used/result"), "").unwrap();
        assert!(folder.path().join("old/a/b").is_dir());
        assert!(folder.path().join("used/file").is_file());
        stubs.remove_from(root.as_fd());
        assert!(folder.path().join("old").is_dir());
        assert!(!folder.path().join("old/a").exists());
        assert!(!folder.path().join("used/file").exists());
        assert!(folder.path().join("used/result").exists());
    }

    #[test]
    fn folders_are_made_behind_links_of_the_root_only() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = open(folder.path());
        fs::create_dir(folder.path().join("real")).unwrap();
        symlink("/real", folder.path().join("way")).unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        let kernels = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
        make_following(root.as_fd(), &path("/way/a/b")).unwrap();
        assert!(folder.path().join("real/a/b").is_dir());
        make_following(root.as_fd(), &path("/")).unwrap();
        // It leads to a path that the root does not have, and stands where a folder would be made.
        assert_eq!(make_following(root.as_fd(), &path("/out/a")).unwrap_err(), Errno::EXIST);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let machine = open(std::path::Path::new("/"));
        assert_eq!(make_following(machine.as_fd(), &path(&kernels)).unwrap_err(), Errno::LOOP);
        let below = format!("{kernels}/made");
        assert_eq!(make_following(machine.as_fd(), &path(&below)).unwrap_err(), Errno::LOOP);
        assert!(!folder.path().join("made").exists());
    }

    #[test]
    fn links_lead_nowhere() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = open(folder.path());
        symlink(outside.path(), folder.path().join("way")).unwrap();
        symlink(outside.path().join("file"), folder.path().join("name")).unwrap();
        let mut stubs = Stubs::default();
        for wanted in ["/way", "/way/in"] {
            assert!(matches!(stubs.folder(root.as_fd(), &path(wanted)), Err(Trouble::Input { .. })));
        }
        assert!(matches!(stubs.file(root.as_fd(), &path("/name")), Err(Trouble::Input { .. })));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(open_inside(root.as_fd(), &path("/way/x"), OFlags::RDONLY).unwrap_err(), Errno::LOOP);
        // Followed, it is a path below the root, where there is no such thing.
        assert_eq!(open_following(root.as_fd(), &path("/way/x"), OFlags::RDONLY).unwrap_err(), Errno::NOENT);
    }
}
