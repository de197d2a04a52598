//! One inode made from an entry, in a folder that nobody else can reach yet.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::tree::disk::descent::{failed, shown};
use crate::tree::disk::materialize::{Materialize, Owners, SECOND, Whiteouts};
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, Metadata};
use crate::tree::xattr::{self, Flavour};

/// Files up to this many bytes are read at once, larger ones as a stream.
const SMALL: u64 = 1 << 20;

/// What making needs beside the entry.
pub(crate) struct Maker<'a> {
    pub(crate) memo: &'a Memo,
    pub(crate) options: &'a Materialize,
    pub(crate) cancel: &'a Cancel,
}

impl Maker<'_> {
    /// Makes `name` in the open folder at `path`: anything but a directory.
    pub(crate) fn make(
        &self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), TreeError> {
        let failed = |error| failed("cannot make", path, name, error);
        let metadata = &entry.metadata;
        match &entry.content {
            Content::File { blob, size, .. } => self.make_file(folder, path, name, metadata, blob, *size),
            Content::Directory { .. } => Err(failed(Errno::ISDIR)),
            Content::Symlink { target } => rustix::fs::symlinkat(&**target, folder, name)
                .and_then(|()| self.finish_at(folder, name, metadata, FileType::Symlink))
                .map_err(failed),
            Content::Fifo => self.make_special(folder, name, metadata, FileType::Fifo, 0).map_err(failed),
            // An empty file stands for it: what it is, a snapshot's notes say.
            Content::Device { .. } if self.may_leave_out() => {
                self.make_special(folder, name, metadata, FileType::RegularFile, 0).map_err(failed)
            }
            Content::Device { block, major, minor } => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                let device = rustix::fs::makedev(*major, *minor);
                self.make_special(folder, name, metadata, kind, device).map_err(failed)
            }
            Content::Whiteout => match self.options.whiteouts {
                Whiteouts::Refuse => Err(TreeError::Whiteout { path: shown(path, name) }),
                Whiteouts::Overlay(flavour) => make_whiteout(folder, name, flavour).map_err(failed),
            },
        }
    }

    fn make_file(
        &self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        metadata: &Metadata,
        blob: &BlobDigest,
        size: u64,
    ) -> Result<(), TreeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed("cannot make", path, name, error))?;
        let mut file = File::from(file);
        self.write(&mut file, blob, size, &|source| TreeError::Io {
            action: "cannot write",
            path: shown(path, name),
            source,
        })?;
        self.finish(file.as_fd(), metadata)
            .map_err(|error| failed("cannot set the attributes of", path, name, error))
    }

    fn write(
        &self,
        file: &mut File,
        blob: &BlobDigest,
        size: u64,
        unwritable: &dyn Fn(io::Error) -> TreeError,
    ) -> Result<(), TreeError> {
        if size <= SMALL {
            let bytes = self.memo.read(Object::Blob(*blob))?;
            return file.write_all(&bytes).map_err(unwritable);
        }
        let mut content = self.memo.open_blob(*blob)?;
        let mut buffer = vec![0; SMALL as usize];
        loop {
            if self.cancel.is_raised() {
                return Err(TreeError::Cancelled);
            }
            match content
                .read(&mut buffer)
                .map_err(StoreError::io("cannot read", Path::new(&blob.to_hex())))?
            {
                0 => return Ok(()),
                length => file.write_all(&buffer[..length]).map_err(unwritable)?,
            }
        }
    }

    fn make_special(
        &self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
        kind: FileType,
        device: u64,
    ) -> Result<(), Errno> {
        rustix::fs::mknodat(folder, name, kind, Mode::RUSR | Mode::WUSR, device)?;
        self.finish_at(folder, name, metadata, kind)
    }

    /// Gives an open file or folder its owner, attributes, mode and time, in the one order that keeps them all:
    /// a change of owner drops capabilities and set-id bits, and a mode may deny the attributes.
    pub(crate) fn finish(&self, file: BorrowedFd<'_>, metadata: &Metadata) -> Result<(), Errno> {
        if self.options.owners == Owners::Exact {
            let (uid, gid) = owner(metadata);
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        let lower = match self.options.whiteouts {
            Whiteouts::Refuse => None,
            Whiteouts::Overlay(flavour) => Some(flavour),
        };
        for (name, value) in &metadata.xattrs {
            match xattr::write(file, name, value, lower) {
                Err(Errno::PERM) if xattr::is_privileged(name) && self.may_leave_out() => {}
                written => written?,
            }
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(metadata.mode))?;
        rustix::fs::futimens(file, &self.times())
    }

    /// As `finish`, for what can't be opened for it.
    fn finish_at(
        &self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
        kind: FileType,
    ) -> Result<(), Errno> {
        if self.options.owners == Owners::Exact {
            let (uid, gid) = owner(metadata);
            rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != FileType::Symlink {
            rustix::fs::chmodat(folder, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())?;
        }
        rustix::fs::utimensat(folder, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What a user in a sandbox may not have is left out there, but never from what is written for keeps.
    fn may_leave_out(&self) -> bool {
        self.options.owners == Owners::Single && self.options.whiteouts != Whiteouts::Refuse
    }

    fn times(&self) -> Timestamps {
        let (seconds, rest) = (self.options.time.div_euclid(SECOND), self.options.time.rem_euclid(SECOND));
        let time = Timespec { tv_sec: seconds, tv_nsec: rest };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// A removed name as a device 0:0, which any user may make; where even that is forbidden (kernels before 5.8),
/// as an empty file with an attribute in a folder with another, which kernels read from 6.7 on.
fn make_whiteout(folder: BorrowedFd<'_>, name: &[u8], flavour: Flavour) -> Result<(), Errno> {
    match rustix::fs::mknodat(folder, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::PERM) => make_marked_whiteout(folder, name, flavour),
        made => made,
    }
}

pub(crate) fn make_marked_whiteout(
    folder: BorrowedFd<'_>,
    name: &[u8],
    flavour: Flavour,
) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::fsetxattr(&file, flavour.name(b"whiteout"), b"y", XattrFlags::empty())?;
    write_opaque(folder, flavour, b"x")
}

/// `y`: nothing shows through the folder; `x`: names in it may be whiteouts by attribute.
pub(crate) fn write_opaque(folder: BorrowedFd<'_>, flavour: Flavour, value: &[u8]) -> Result<(), Errno> {
    rustix::fs::fsetxattr(folder, flavour.name(b"opaque"), value, XattrFlags::empty())
}

fn owner(metadata: &Metadata) -> (Uid, Gid) {
    (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid))
}
