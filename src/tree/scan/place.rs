//! A directory of the workspace during a walk: opened by descriptor from the one above, only when
//! something in it must be looked at, and never through a link.

use std::ffi::CStr;
use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, openat, statx};
use rustix::io::Errno;

use crate::tree::scan::ScanError;

/// Far more than people nest folders, and few enough for a walk's stack.
const DEEPEST: usize = 512;

pub(crate) struct Place<'a> {
    above: Option<(&'a Place<'a>, &'a CStr)>,
    directory: OnceLock<OwnedFd>,
    /// From the workspace, without a slash at its end. Empty for the workspace.
    path: Vec<u8>,
    depth: usize,
}

impl<'a> Place<'a> {
    pub(crate) fn workspace(directory: OwnedFd) -> Place<'static> {
        Place { above: None, directory: directory.into(), path: Vec::new(), depth: 0 }
    }

    pub(crate) fn below(&'a self, name: &'a CStr) -> Result<Place<'a>, ScanError> {
        let path = self.path_of(name.to_bytes());
        if self.depth == DEEPEST {
            return Err(ScanError::TooDeep { path: shown(&path), limit: DEEPEST });
        }
        Ok(Place { above: Some((self, name)), directory: OnceLock::new(), path, depth: self.depth + 1 })
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// From the workspace. Of the empty name, with a slash at its end where one belongs.
    pub(crate) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    pub(crate) fn directory(&self) -> Result<BorrowedFd<'_>, ScanError> {
        if self.directory.get().is_none() {
            let (above, name) = self.above.expect("bug: the workspace is open");
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(above.directory()?, name, flags, Mode::empty());
            // Another thread may have been faster: both descriptors are the same directory.
            let _ = self.directory.set(opened.map_err(|errno| self.failed(errno))?);
        }
        Ok(self.directory.get().expect("bug: just opened").as_fd())
    }

    /// Of the directory itself.
    pub(crate) fn stat(&self) -> Result<Stat, ScanError> {
        let stat = statx(self.directory()?, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
        stat.map(|stat| Stat::from(&stat)).map_err(|errno| self.failed(errno))
    }

    pub(crate) fn stat_of(&self, name: &CStr) -> Result<Stat, ScanError> {
        let stat = statx(self.directory()?, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
        stat.map(|stat| Stat::from(&stat)).map_err(|errno| self.failed_at(name, errno))
    }

    /// For reading; never a link, and never waits for the other end of a fifo.
    pub(crate) fn open(&self, name: &CStr) -> Result<OwnedFd, ScanError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        openat(self.directory()?, name, flags, Mode::empty()).map_err(|errno| self.failed_at(name, errno))
    }

    pub(crate) fn link_target(&self, name: &CStr) -> Result<Vec<u8>, ScanError> {
        let target = rustix::fs::readlinkat(self.directory()?, name, Vec::new());
        target.map(|target| target.into_bytes()).map_err(|errno| self.failed_at(name, errno))
    }

    pub(crate) fn failed(&self, errno: Errno) -> ScanError {
        ScanError::from_errno(shown(&self.path), errno)
    }

    pub(crate) fn failed_at(&self, name: &CStr, errno: Errno) -> ScanError {
        ScanError::from_errno(self.shown(name), errno)
    }

    /// As messages show it.
    pub(crate) fn shown(&self, name: &CStr) -> PathBuf {
        shown(&self.path_of(name.to_bytes()))
    }
}

pub(crate) fn shown(path: &[u8]) -> PathBuf {
    match path {
        b"" => PathBuf::from("."),
        path => PathBuf::from(OsString::from_vec(path.to_vec())),
    }
}

/// All that tells an unchanged file. Access times do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Nanoseconds since 1970, as `changed`.
    pub(crate) modified: i64,
    pub(crate) changed: i64,
    /// With the file type.
    pub(crate) mode: u32,
}

impl Stat {
    pub(crate) const SIZE: usize = 48;

    pub(crate) fn to_bytes(self) -> [u8; Stat::SIZE] {
        let mut bytes = [0; Stat::SIZE];
        let numbers = [
            self.device,
            self.inode,
            self.size,
            self.modified as u64,
            self.changed as u64,
            u64::from(self.mode),
        ];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Stat::SIZE]) -> Stat {
        let number =
            |place: usize| u64::from_le_bytes(bytes[place * 8..][..8].try_into().expect("bug: eight bytes"));
        Stat {
            device: number(0),
            inode: number(1),
            size: number(2),
            modified: number(3) as i64,
            changed: number(4) as i64,
            mode: number(5) as u32,
        }
    }
}

impl From<&Statx> for Stat {
    fn from(stat: &Statx) -> Stat {
        // What lies beyond the year 2262 is the latest of times: never older than now, so never trusted.
        let nanoseconds = |time: &rustix::fs::StatxTimestamp| {
            time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
        };
        Stat {
            device: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
            inode: stat.stx_ino,
            size: stat.stx_size,
            modified: nanoseconds(&stat.stx_mtime),
            changed: nanoseconds(&stat.stx_ctime),
            mode: stat.stx_mode.into(),
        }
    }
}
