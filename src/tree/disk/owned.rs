//! Whose a file is in truth, where everything on a disk is one user's: what a tree says that no inode can.

use std::fmt;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

/// Which inode it is: the number of one that was removed is soon another's, but when that was made is another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub device: (u32, u32),
    pub number: u64,
    /// Zero where the filesystem does not tell.
    pub born: (i64, u32),
}

impl Identity {
    /// Of `name` in a folder; an empty name is the open file itself.
    pub(crate) fn of(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Identity, Errno> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statx(folder, name, flags, wanted)?;
        let is_known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(Identity {
            device: (found.stx_dev_major, found.stx_dev_minor),
            number: found.stx_ino,
            born: if is_known { (found.stx_btime.tv_sec, found.stx_btime.tv_nsec) } else { (0, 0) },
        })
    }
}

/// Numbers of a device (mknod(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub block: bool,
    pub major: u32,
    pub minor: u32,
}

/// What is said of an inode in place of what the disk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owned {
    pub uid: u32,
    pub gid: u32,
    /// What a plain file stands for.
    pub device: Option<Device>,
}

/// Who knows it of a folder that is captured.
pub trait Whose: fmt::Debug + Sync {
    /// Of `name` in the folder at `path`, which is relative to what is captured; an empty name is the folder itself.
    /// `is_copied`: an overlay marked it as the copy of a file below.
    fn whose(&self, path: &[u8], name: &[u8], is_copied: bool) -> Result<Owned, Errno>;
}
