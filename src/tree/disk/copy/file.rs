//! One inode of a snapshot, copied with all that it is: content, owner, attributes, mode, time.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::tree::disk::copy::Noted;
use crate::tree::disk::owned::Identity;
use crate::tree::disk::snapshot::Notes;
use crate::tree::xattr::{self, Flavour};

/// Files up to this many bytes are read and written: asking the kernel to copy costs more.
const SMALL: u64 = 256 << 10;

pub(super) struct Copier<'a> {
    pub(super) flavour: Flavour,
    /// Of each lower.
    notes: &'a [Notes],
    /// What was noted of inodes, of their copies.
    noted: Mutex<Vec<Noted>>,
    own: (u32, u32),
    /// Until the filesystem has said that it has no clones.
    may_clone: AtomicBool,
}

/// A name in an open folder of a lower, where an empty one is the folder itself.
#[derive(Clone, Copy)]
pub(super) struct Original<'a> {
    /// The number of the lower.
    pub(super) lower: usize,
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

impl<'a> Copier<'a> {
    pub(super) fn new(flavour: Flavour, notes: &'a [Notes]) -> Copier<'a> {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Copier { flavour, notes, noted: Mutex::default(), own, may_clone: AtomicBool::new(true) }
    }

    /// Anything but a folder. A file with several names is not copied: that is its inode's number.
    pub(super) fn copy(
        &self,
        from: Original<'_>,
        to: BorrowedFd<'_>,
        kind: FileType,
    ) -> Result<Option<u64>, Errno> {
        let Original { folder, name, .. } = from;
        match kind {
            FileType::RegularFile => {
                let file = open(folder, name)?;
                let stat = rustix::fs::fstat(&file)?;
                if stat.st_nlink > 1 {
                    return Ok(Some(stat.st_ino));
                }
                self.fill(&file, from, &stat, to)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
                self.finish_at(from, to, kind)?;
            }
            FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
                let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                rustix::fs::mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev)?;
                self.finish_at(from, to, kind)?;
            }
            _ => {}
        }
        Ok(None)
    }

    pub(super) fn copy_file(&self, from: Original<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let file = open(from.folder, from.name)?;
        let stat = rustix::fs::fstat(&file)?;
        self.fill(&file, from, &stat, to)
    }

    /// What was noted of all inodes that were copied, of their copies.
    pub(super) fn noted(self) -> Vec<Noted> {
        self.noted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, file: &OwnedFd, from: Original<'_>, stat: &Stat, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(to, from.name, flags, Mode::RUSR | Mode::WUSR)?;
        let size = stat.st_size as u64;
        if size > 0 && !self.clone_content(file, &made)? {
            copy_content(file, &made, size)?;
        }
        self.finish_as(file.as_fd(), stat, made.as_fd())?;
        self.note(from.lower, stat, made.as_fd(), b"")
    }

    fn clone_content(&self, from: &OwnedFd, to: &OwnedFd) -> Result<bool, Errno> {
        if !self.may_clone.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(Errno::NOSPC) => Err(Errno::NOSPC),
            Err(_) => {
                self.may_clone.store(false, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    /// Gives an open folder what that of the lower has, in the one order that keeps it all (`Maker::finish`).
    pub(super) fn finish(&self, lower: usize, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
        let stat = rustix::fs::fstat(from)?;
        self.finish_as(from, &stat, to)?;
        self.note(lower, &stat, to, b"")
    }

    fn finish_as(&self, from: BorrowedFd<'_>, stat: &Stat, to: BorrowedFd<'_>) -> Result<(), Errno> {
        if (stat.st_uid, stat.st_gid) != self.own {
            rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        }
        for (name, value) in xattr::read(from, Some(self.flavour))?.kept {
            xattr::write(to, &name, &value, None)?;
        }
        rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        rustix::fs::futimens(to, &times(stat))
    }

    /// As `finish`, for what can't be opened for it.
    fn finish_at(&self, from: Original<'_>, to: BorrowedFd<'_>, kind: FileType) -> Result<(), Errno> {
        let Original { lower, folder, name } = from;
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (stat.st_uid, stat.st_gid) != self.own {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != FileType::Symlink {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
            rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
        }
        rustix::fs::utimensat(to, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
        self.note(lower, &stat, to, name)
    }

    /// What was noted of an inode holds for the one that was made of it.
    fn note(&self, lower: usize, stat: &Stat, to: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let Some(note) = self.notes.get(lower).and_then(|notes| notes.find(stat.st_ino)) else {
            return Ok(());
        };
        let noted = Noted { identity: Identity::of(to, name)?, note: *note };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
        Ok(())
    }
}

/// Whether a name of a snapshot says that a lower one is removed, in either form (overlayfs.rst, "whiteouts").
pub(super) fn is_whiteout(folder: BorrowedFd<'_>, name: &[u8], flavour: Flavour) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => Ok(stat.st_rdev == 0),
        FileType::RegularFile if stat.st_size == 0 => {
            let file = open(folder, name)?;
            Ok(xattr::read(file.as_fd(), Some(flavour))?.notes.contains_key(&b"whiteout"[..]))
        }
        _ => Ok(false),
    }
}

fn open(folder: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

fn copy_content(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<(), Errno> {
    if size > SMALL {
        match copy_in_kernel(from, to) {
            // Between some filesystems it can't, and some container hosts forbid it: both at the first call.
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
            copied => return copied,
        }
    }
    let (from, to) = (from.try_clone().map_err(errno)?, to.try_clone().map_err(errno)?);
    io::copy(&mut File::from(from), &mut File::from(to)).map(drop).map_err(errno)
}

fn copy_in_kernel(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    while rustix::fs::copy_file_range(from, None, to, None, 1 << 30)? > 0 {}
    Ok(())
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn times(stat: &Stat) -> Timestamps {
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
    Timestamps { last_access: time, last_modification: time }
}
