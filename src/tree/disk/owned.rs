//! Whose a file is in truth, where everything on a disk is one user's: what a tree says that no inode can.

use std::fmt;

use rustix::io::Errno;

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
