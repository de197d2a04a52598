//! Where the paths of a caller lead. They are looked up by the kernel as the caller would have it done: relative ones
//! begin at `/proc/PID/cwd` or `/proc/PID/fd`, and for all others this process has the caller's root for its own
//! while it answers. So no path leads further than the caller itself gets.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{chdir, chroot, fchdir};

use crate::exec::sandbox::ownership::people::Program;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys::listener::{Facts, facts};

/// What owners are kept by, beside what every `stat` gives.
const WANTED: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

pub(super) struct Places {
    /// The machine's `/proc`.
    processes: OwnedFd,
    /// The root that this process had.
    own: OwnedFd,
    /// Device and inode of the root it has.
    now: Option<(u32, u32, u64)>,
    /// Whether some process may have another root than the rest.
    are_many: bool,
}

/// A path as it can be given to the kernel from here.
pub(super) struct Place<'a> {
    pub folder: BorrowedFd<'a>,
    pub path: CString,
    /// What a descriptor stands for, and no name: the link that leads to it is always followed.
    is_descriptor: bool,
}

impl Places {
    pub(super) fn new() -> Result<Places, Trouble> {
        let open = |path: &str| {
            openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(Trouble::at(format!("open {path}")))
        };
        Ok(Places { processes: open("/proc")?, own: open("/")?, now: None, are_many: false })
    }

    /// From now on roots are compared.
    pub(super) fn expect_other_roots(&mut self) {
        self.are_many = true;
    }

    /// Takes the caller's root for its own.
    pub(super) fn enter(&mut self, thread: i32) -> Result<(), Errno> {
        if self.now.is_some() && !self.are_many {
            return Ok(());
        }
        let path = c_string(format!("{thread}/root").into_bytes())?;
        let found = self.facts_at(self.processes.as_fd(), &path, 0)?.numbers();
        let found = (found.stx_dev_major, found.stx_dev_minor, found.stx_ino);
        if self.now != Some(found) {
            let root = openat(
                &self.processes,
                &path,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            fchdir(&root)?;
            chroot(".")?;
            self.now = Some(found);
        }
        Ok(())
    }

    /// Takes its own root again.
    pub(super) fn leave(&mut self) -> Result<(), Trouble> {
        if self.now.take().is_none() {
            return Ok(());
        }
        let back = || {
            fchdir(&self.own)?;
            chroot(".")?;
            chdir("/")
        };
        back().map_err(Trouble::at("go back to its own root"))
    }

    /// What a call means by a descriptor (or `AT_FDCWD`) and a path.
    pub(super) fn place(&self, thread: i32, folder: i32, path: &CStr) -> Result<Place<'_>, Errno> {
        let path = path.to_bytes();
        let is_descriptor = path.is_empty();
        let below =
            |at: &str| Ok((self.processes.as_fd(), [format!("{thread}/{at}").as_bytes(), path].concat()));
        let (folder, path) = match (path.first(), own_descriptor(path), folder) {
            (None, ..) if folder == libc::AT_FDCWD => below("cwd")?,
            (None, ..) => below(&format!("fd/{folder}"))?,
            (Some(b'/'), Some(rest), _) => {
                (self.processes.as_fd(), [format!("{thread}/").as_bytes(), rest].concat())
            }
            (Some(b'/'), None, _) => (CWD, path.to_vec()),
            (_, _, libc::AT_FDCWD) => below("cwd/")?,
            (_, _, folder) => below(&format!("fd/{folder}/"))?,
        };
        Ok(Place { folder, path: c_string(path)?, is_descriptor })
    }

    /// `flags` are `AT_*`.
    pub(super) fn facts(&self, place: &Place<'_>, flags: i32) -> Result<Facts, Errno> {
        let ignored = if place.is_descriptor { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
        self.facts_at(place.folder, &place.path, flags & !ignored & !libc::AT_EMPTY_PATH)
    }

    /// Of what a descriptor of this process is.
    pub(super) fn facts_of(&self, object: BorrowedFd<'_>) -> Result<Facts, Errno> {
        self.facts_at(object, c"", libc::AT_EMPTY_PATH)
    }

    fn facts_at(&self, folder: BorrowedFd<'_>, path: &CStr, flags: i32) -> Result<Facts, Errno> {
        facts(folder, path, flags, WANTED).map_err(|error| errno(&error))
    }

    /// Without reading or writing it. `follow`: a link at the end leads on.
    pub(super) fn open(&self, place: &Place<'_>, follow: bool) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let flags = if follow || place.is_descriptor { flags } else { flags | OFlags::NOFOLLOW };
        openat(place.folder, &place.path, flags, Mode::empty())
    }

    /// Where a descriptor of this process lies, below the root it has now.
    pub(super) fn path_of(&self, object: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
        use std::os::fd::AsRawFd as _;
        let link = format!("self/fd/{}", object.as_raw_fd());
        Ok(rustix::fs::readlinkat(&self.processes, link, Vec::new())?.into_bytes())
    }

    pub(super) fn program(&self, thread: i32) -> Result<Program, Errno> {
        let path = c_string(format!("{thread}/exe").into_bytes())?;
        let found = self.facts_at(self.processes.as_fd(), &path, 0)?.numbers();
        Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
    }

    pub(super) fn open_memory(&self, thread: i32) -> Result<OwnedFd, Errno> {
        openat(&self.processes, format!("{thread}/mem"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// What the caller takes from the mode of what it makes.
    pub(super) fn umask(&self, thread: i32) -> Result<Mode, Errno> {
        let path = format!("{thread}/status");
        let file = openat(&self.processes, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = [0; 512];
        let length = rustix::io::read(file, &mut text[..])?;
        let text = String::from_utf8_lossy(&text[..length]);
        let mask = text.lines().find_map(|line| line.strip_prefix("Umask:"));
        let mask = mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
        Ok(Mode::from_raw_mode(mask.unwrap_or(0o022)))
    }
}

/// `/proc/self` stands for who asks, which here is another: what follows it, or what stands for it.
fn own_descriptor(path: &[u8]) -> Option<&[u8]> {
    match path {
        b"/dev/stdin" => Some(b"fd/0"),
        b"/dev/stdout" => Some(b"fd/1"),
        b"/dev/stderr" => Some(b"fd/2"),
        path if path.starts_with(b"/dev/fd/") => path.strip_prefix(b"/dev/"),
        path => path.strip_prefix(b"/proc/self/").or_else(|| path.strip_prefix(b"/proc/thread-self/")),
    }
}

pub(super) fn c_string(bytes: Vec<u8>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::INVAL)
}

pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn paths_begin_where_the_callers_do() {
        let places = Places::new().unwrap();
        let table = [
            (libc::AT_FDCWD, "", "7/cwd"),
            (3, "", "7/fd/3"),
            (libc::AT_FDCWD, "a/b", "7/cwd/a/b"),
            (3, "a", "7/fd/3/a"),
            (3, "/a", "/a"),
            (libc::AT_FDCWD, "/proc/self/fd/4", "7/fd/4"),
            (libc::AT_FDCWD, "/dev/fd/4", "7/fd/4"),
            (libc::AT_FDCWD, "/dev/stdout", "7/fd/1"),
            (libc::AT_FDCWD, "/dev/null", "/dev/null"),
        ];
        for (folder, path, expected) in table {
            let path = CString::new(path).unwrap();
            let place = places.place(7, folder, &path).unwrap();
            assert_eq!(place.path.to_str().unwrap(), expected);
        }
    }

    #[test]
    fn the_umask_is_the_callers() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 027; echo set; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut said = [0; 4];
        shell.stdout.take().unwrap().read_exact(&mut said).unwrap();
        let found = Places::new().unwrap().umask(shell.id().cast_signed()).unwrap();
        assert_eq!(found, Mode::from_raw_mode(0o027));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
