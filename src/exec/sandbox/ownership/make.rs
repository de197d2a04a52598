//! Files that somebody makes: whose they are follows from who makes them and from the folder that they are made in,
//! and the disk would say neither. So they are made here, in the caller's place; all that root makes in ordinary
//! folders is left to the kernel.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;
use rustix::process::umask;

use crate::exec::sandbox::notify::{Answer, Call};
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::ownership::credentials::{READ, SEARCH, WRITE};
use crate::exec::sandbox::ownership::places::{Place, c_string};
use crate::tree::disk::owned::{Device, Owned};

/// Links that lead on at the end of one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What is to be made.
#[derive(Debug)]
pub(super) enum Making {
    /// Opened in the same call.
    File {
        flags: OFlags,
        mode: u32,
    },
    Folder {
        mode: u32,
    },
    Symlink {
        target: CString,
    },
    Node {
        kind: FileType,
        mode: u32,
        device: Option<Device>,
    },
}

/// What a call asks for: where, and what. `None`: the kernel will refuse it.
pub(super) fn asked(call: &Call) -> Result<Option<(i32, usize, Making)>, Errno> {
    let here = libc::AT_FDCWD;
    let mode = |argument: usize| call.number_at(argument);
    let flags = |argument: usize| OFlags::from_bits_retain(call.number_at(argument));
    let file = |flags, argument| Making::File { flags, mode: mode(argument) };
    Ok(match call.number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => Some((here, 0, file(flags(1), 2))),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => Some((here, 0, file(OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, 1))),
        libc::SYS_openat => Some((call.descriptor(0), 1, file(flags(2), 3))),
        libc::SYS_openat2 => {
            // `struct open_how`; ways of looking up that are not the usual ones are left to the kernel.
            let mut how = [0; 24];
            call.read(call.arguments[2], &mut how)?;
            let [flags, mode, ways] = [0, 8, 16]
                .map(|at| u64::from_ne_bytes(how[at..at + 8].try_into().expect("bug: eight bytes")));
            let flags = OFlags::from_bits_retain(flags as u32);
            let making = Making::File { flags, mode: mode as u32 };
            (ways == 0).then_some((call.descriptor(0), 1, making))
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => Some((here, 0, Making::Folder { mode: mode(1) })),
        libc::SYS_mkdirat => Some((call.descriptor(0), 1, Making::Folder { mode: mode(2) })),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mknod => node(mode(1), call.arguments[2]).map(|making| (here, 0, making)),
        libc::SYS_mknodat => node(mode(2), call.arguments[3]).map(|making| (call.descriptor(0), 1, making)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_symlink => Some((here, 1, Making::Symlink { target: call.path(0)? })),
        libc::SYS_symlinkat => Some((call.descriptor(1), 2, Making::Symlink { target: call.path(0)? })),
        _ => None,
    })
}

/// A device 0:0 is what an overlay marks removed names with: the kernel refuses it, and so do we.
fn node(mode: u32, device: u64) -> Option<Making> {
    let (major, minor) = (libc::major(device), libc::minor(device));
    let kind = if mode & libc::S_IFMT == 0 { FileType::RegularFile } else { FileType::from_raw_mode(mode) };
    let device = match kind {
        FileType::CharacterDevice if (major, minor) == (0, 0) => return None,
        FileType::CharacterDevice => Some(Device { block: false, major, minor }),
        FileType::BlockDevice => Some(Device { block: true, major, minor }),
        FileType::RegularFile | FileType::Fifo | FileType::Socket => None,
        _ => return None,
    };
    Some(Making::Node { kind, mode: mode & 0o7777, device })
}

impl Making {
    fn device(&self) -> Option<Device> {
        match self {
            Making::Node { device, .. } => *device,
            _ => None,
        }
    }

    /// A file that has no name has its folder as its path.
    fn is_nameless(&self) -> bool {
        matches!(self, Making::File { flags, .. } if flags.contains(OFlags::TMPFILE))
    }

    /// Whether the kernel would look where a link leads, and make the file there.
    fn follows(&self) -> bool {
        matches!(self, Making::File { flags, .. } if !flags.intersects(OFlags::EXCL | OFlags::NOFOLLOW))
    }

    /// Whether it is for the kernel alone, which makes nothing for these.
    fn makes_nothing(&self) -> bool {
        let Making::File { flags, .. } = self else { return false };
        let makes = flags.contains(OFlags::CREATE) || self.is_nameless();
        !makes || flags.contains(OFlags::PATH) || flags.contains(OFlags::CREATE | OFlags::DIRECTORY)
    }
}

/// Where something is to be made.
struct Spot {
    folder: OwnedFd,
    name: CString,
    /// Whose it will be.
    owned: Owned,
}

impl Ownership {
    /// `folder` and the argument of number `path` say where.
    pub(super) fn make(&mut self, call: &Call, folder: i32, path: usize, making: &Making) -> Answer {
        let is_special = !self.people.of(call.thread).makes_roots_files() || making.device().is_some();
        if making.makes_nothing() || (!is_special && !self.inodes.has_group_folders()) {
            return Answer::GoOn;
        }
        let spot = match self.spot(call, folder, path, making, is_special) {
            Ok(Some(spot)) => spot,
            Err(Errno::ACCESS) => return Answer::Failed(Errno::ACCESS),
            // What else goes wrong until something is to be made, goes wrong for the kernel as well.
            Ok(None) | Err(_) => return Answer::GoOn,
        };
        if making.device().is_some() && !self.people.of(call.thread).is_root_with_files() {
            return Answer::Failed(Errno::PERM);
        }
        if !self.is_waiting(call) {
            return Answer::Nobody;
        }
        match self.make_at(call, &spot, making) {
            // It is there by now: the kernel knows what that means.
            Err(Errno::EXIST) if making.follows() => Answer::GoOn,
            made => made.unwrap_or_else(Answer::Failed),
        }
    }

    fn make_at(&mut self, call: &Call, spot: &Spot, making: &Making) -> Result<Answer, Errno> {
        let before = umask(self.places.umask(call.thread)?);
        let made = spot.make(making);
        umask(before);
        let made = made?;
        let facts = self.places.facts_of(made.as_fd())?.numbers();
        self.inodes.record(&facts, None, spot.owned);
        if let Ok(object) = reopen(spot.folder.as_fd(), &spot.name) {
            self.inodes.hold(object);
        }
        match making {
            // Nobody may find it open for writing but the caller.
            Making::File { flags, .. } => Ok(self.hand_over(call, made, flags.contains(OFlags::CLOEXEC))),
            _ => Ok(Answer::Done(0)),
        }
    }

    /// `None` where nothing is to be done in the caller's place.
    fn spot(
        &mut self,
        call: &Call,
        folder: i32,
        path: usize,
        making: &Making,
        is_special: bool,
    ) -> Result<Option<Spot>, Errno> {
        self.places.enter(call.thread)?;
        let path = call.path(path)?;
        let Some((above, name)) = split(&path, making) else { return Ok(None) };
        if !is_special && !self.may_get_a_group(call.thread, folder, (&path, &above), making)? {
            return Ok(None);
        }
        let place = self.places.place(call.thread, folder, &path)?;
        self.check_what_is_there(call, &place, making)?;
        let place = self.places.place(call.thread, folder, &above)?;
        let Some((folder, name)) = follow(open_folder(place.folder, &place.path)?, name, making)? else {
            return Ok(None);
        };
        let facts = self.places.facts_of(folder.as_fd())?.numbers();
        let given = self.given_group(&facts);
        if !is_special && given.is_none_or(|group| group == 0) {
            return Ok(None);
        }
        let maker = self.people.of(call.thread);
        if !maker.may(facts.stx_mode.into(), &self.inodes.of(&facts), WRITE | SEARCH) {
            return Err(Errno::ACCESS);
        }
        let gid = given.unwrap_or(maker.groups.files);
        Ok(Some(Spot { folder, name, owned: Owned { uid: maker.users.files, gid, device: making.device() } }))
    }

    /// A look or two, which is enough for most of what root makes.
    fn may_get_a_group(
        &self,
        thread: i32,
        folder: i32,
        (path, above): (&CStr, &CStr),
        making: &Making,
    ) -> Result<bool, Errno> {
        if making.follows() {
            let place = self.places.place(thread, folder, path)?;
            match self.places.facts(&place, libc::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                facts => {
                    let mode = u32::from(facts?.numbers().stx_mode);
                    return Ok(FileType::from_raw_mode(mode) == FileType::Symlink);
                }
            }
        }
        let facts = self.places.facts(&self.places.place(thread, folder, above)?, 0)?.numbers();
        Ok(self.given_group(&facts).is_some_and(|group| group != 0))
    }

    /// A file that is there already is opened, by who may.
    fn check_what_is_there(&self, call: &Call, place: &Place<'_>, making: &Making) -> Result<(), Errno> {
        let Making::File { flags, .. } = making else { return Ok(()) };
        let who = self.people.of(call.thread);
        if who.is_root_with_files() || making.is_nameless() || flags.contains(OFlags::EXCL) {
            return Ok(());
        }
        let Ok(facts) = self.places.facts(place, 0) else { return Ok(()) };
        let facts = facts.numbers();
        let mut wanted = match flags.bits() & libc::O_ACCMODE as u32 {
            0 => READ,
            1 => WRITE,
            _ => READ | WRITE,
        };
        if flags.contains(OFlags::TRUNC) {
            wanted |= WRITE;
        }
        let is_file = u32::from(facts.stx_mode) & libc::S_IFMT == libc::S_IFREG;
        if is_file && !who.may(facts.stx_mode.into(), &self.inodes.of(&facts), wanted) {
            return Err(Errno::ACCESS);
        }
        Ok(())
    }

    /// The group that a folder gives to what is made in it (inode(7), "The set-group-ID bit").
    fn given_group(&self, facts: &libc::statx) -> Option<u32> {
        (u32::from(facts.stx_mode) & libc::S_ISGID != 0).then(|| self.inodes.of(facts).gid)
    }
}

/// The folder and name that are meant where `name` in `folder` may be a link that leads on; `None` where something
/// else is there already.
fn follow(
    mut folder: OwnedFd,
    mut name: CString,
    making: &Making,
) -> Result<Option<(OwnedFd, CString)>, Errno> {
    if making.is_nameless() {
        return Ok(Some((folder, name)));
    }
    for _ in 0..MOST_LINKS {
        match statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Some((folder, name))),
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink && making.follows() => {
                let target = readlinkat(&folder, &name, Vec::new())?;
                let Some((above, last)) = split(&target, making) else { return Ok(None) };
                if !above.is_empty() {
                    let from = if above.to_bytes().starts_with(b"/") { CWD } else { folder.as_fd() };
                    folder = open_folder(from, &above)?;
                }
                name = last;
            }
            found => return found.map(|_| None),
        }
    }
    Err(Errno::LOOP)
}

fn open_folder(from: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(from, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

impl Spot {
    fn make(&self, making: &Making) -> Result<OwnedFd, Errno> {
        let folder = self.folder.as_fd();
        match making {
            Making::File { flags, mode } => {
                let fresh =
                    if making.is_nameless() { OFlags::empty() } else { OFlags::EXCL | OFlags::NOFOLLOW };
                let mode = Mode::from_raw_mode(mode & 0o7777);
                return openat(folder, &self.name, *flags | fresh | OFlags::CLOEXEC, mode);
            }
            Making::Folder { mode } => mkdirat(folder, &self.name, Mode::from_raw_mode(mode & 0o7777))?,
            Making::Symlink { target } => symlinkat(target.as_c_str(), folder, &self.name)?,
            Making::Node { kind, mode, device } => {
                let kind = if device.is_some() { FileType::RegularFile } else { *kind };
                mknodat(folder, &self.name, kind, Mode::from_raw_mode(*mode), 0)?;
            }
        }
        reopen(folder, &self.name)
    }
}

fn reopen(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The folder's path, which may be empty, and a name in it; `None` where there is no name that could be made.
fn split(path: &CStr, making: &Making) -> Option<(CString, CString)> {
    let bytes = path.to_bytes();
    if making.is_nameless() {
        return Some((path.to_owned(), c".".to_owned()));
    }
    let end = bytes.iter().rposition(|&byte| byte != b'/')? + 1;
    if end < bytes.len() && !matches!(making, Making::Folder { .. }) {
        return None;
    }
    let start = bytes[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (above, name) = (&bytes[..start], &bytes[start..end]);
    if name == b"." || name == b".." {
        return None;
    }
    Some((c_string(above.to_vec()).ok()?, c_string(name.to_vec()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &CStr, making: &Making, expected: Option<(&CStr, &CStr)>) {
        let found = split(path, making);
        let found = found.as_ref().map(|(above, name)| (above.as_c_str(), name.as_c_str()));
        assert_eq!(found, expected, "{path:?} {making:?}");
    }

    #[test]
    fn a_path_is_a_folder_and_a_name() {
        let folder = Making::Folder { mode: 0o755 };
        let file = |flags| Making::File { flags, mode: 0o644 };
        check(c"a", &folder, Some((c"", c"a")));
        check(c"/a", &folder, Some((c"/", c"a")));
        check(c"a/b//", &folder, Some((c"a/", c"b")));
        check(c"a/b/", &file(OFlags::CREATE), None);
        check(c"a/b", &file(OFlags::CREATE), Some((c"a/", c"b")));
        check(c"a/b", &file(OFlags::TMPFILE), Some((c"a/b", c".")));
        for nothing in [c"", c"/", c"a/..", c".", c"//"] {
            check(nothing, &folder, None);
        }
    }

    #[test]
    fn links_lead_to_what_is_made() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir(at("below")).unwrap();
        std::fs::write(at("there"), "").unwrap();
        let links = [("far", "below/new"), ("chain", "far"), ("old", "there"), ("ring", "ring")];
        for (name, target) in links {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        let plain = Making::File { flags: OFlags::CREATE, mode: 0o644 };
        let fresh = Making::File { flags: OFlags::CREATE | OFlags::EXCL, mode: 0o644 };
        let find = |name: &CStr, making| {
            let path = CString::new(top.path().to_str().unwrap()).unwrap();
            let found = follow(open_folder(CWD, &path).unwrap(), name.to_owned(), making)?;
            Ok(found.map(|(_, name)| name))
        };
        assert_eq!(find(c"new", &plain), Ok(Some(c"new".to_owned())));
        assert_eq!(find(c"chain", &plain), Ok(Some(c"new".to_owned())));
        assert_eq!(find(c"chain", &fresh), Ok(None));
        assert_eq!(find(c"old", &plain), Ok(None));
        assert_eq!(find(c"there", &plain), Ok(None));
        assert_eq!(find(c"ring", &plain), Err(Errno::LOOP));
    }

    #[test]
    fn devices_are_told_from_other_nodes() {
        let device = |mode, number| node(mode, number).and_then(|making| making.device());
        let number = libc::makedev(8, 1);
        assert_eq!(device(libc::S_IFBLK, number), Some(Device { block: true, major: 8, minor: 1 }));
        assert_eq!(device(libc::S_IFIFO, number), None);
        assert!(node(libc::S_IFCHR, 0).is_none() && node(libc::S_IFDIR, 0).is_none());
        assert!(node(0o644, 0).is_some());
    }
}
