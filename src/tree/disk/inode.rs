//! One name of a folder read as an entry of a tree, by descriptor: what it is, its metadata, its content
//! into the store. Never follows a link, and never writes but where the options say that the folder is ours.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::RwLock;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::store::memo::Memo;
use crate::tree::disk::capture::{CaptureOptions, Ids};
use crate::tree::disk::descent::{failed, open_below, shown, unlock};
use crate::tree::disk::owned::{Device, Owned};
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, Metadata};
use crate::tree::xattr::{self, Attributes, Flavour};

/// Files up to this many bytes are read at once, larger ones as a stream.
const SMALL: u64 = 1 << 20;

/// What reading needs beside the name.
pub(crate) struct Reader<'a> {
    pub(crate) memo: &'a Memo,
    pub(crate) options: &'a CaptureOptions<'a>,
    /// The flavour of the overlay whose upper side is read, if it is one.
    pub(crate) upper: Option<Flavour>,
    pub(crate) cancel: &'a Cancel,
    /// Written to while a file's mode is not its own.
    pub(crate) unlocking: RwLock<()>,
}

/// What a name is.
pub(crate) enum Found {
    /// To be opened and walked.
    Folder,
    Other(Entry),
    /// A file with several names: the inode that they share.
    Linked(Entry, Inode),
    /// Something that is no content: a socket.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

/// The metadata of a folder, and whether it hides what lies under it.
pub(crate) struct FolderFacts {
    pub(crate) metadata: Metadata,
    pub(crate) opaque: bool,
}

impl Reader<'_> {
    /// Reads `name` in the open folder at `path`.
    pub(crate) fn read(
        &self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
        kind: FileType,
    ) -> Result<Found, TreeError> {
        let failed = |error| failed("cannot read", path, name, error);
        match kind {
            FileType::Directory => Ok(Found::Folder),
            FileType::Socket => Ok(Found::Nothing),
            FileType::RegularFile => self.read_file(folder, path, name),
            FileType::Symlink => self.read_symlink(folder, path, name).map(Found::Other).map_err(failed),
            _ => self.read_special(folder, path, name).map(Found::Other).map_err(failed),
        }
    }

    /// Opens a folder for its names, and reads its facts as they were before any unlocking.
    pub(crate) fn open_folder(
        &self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
    ) -> Result<(OwnedFd, FolderFacts), TreeError> {
        let failed = |error| failed("cannot open", path, name, error);
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let needs = Mode::RUSR | Mode::XUSR;
        if self.options.unlock && !Mode::from_raw_mode(stat.st_mode).contains(needs) {
            unlock(parent, name, needs).map_err(failed)?;
        }
        let folder = open_below(parent, name).map_err(failed)?;
        let facts = self.facts(folder.as_fd(), &stat, path, name)?;
        Ok((folder, facts))
    }

    /// As `open_folder`, for the root of a walk, which has no name to unlock it by.
    pub(crate) fn open_root(&self, root: BorrowedFd<'_>) -> Result<(OwnedFd, FolderFacts), TreeError> {
        let failed = |error| failed("cannot open", b"", b"", error);
        let folder = open_below(root, b"").map_err(failed)?;
        let stat = rustix::fs::fstat(&folder).map_err(failed)?;
        let facts = self.facts(folder.as_fd(), &stat, b"", b"")?;
        Ok((folder, facts))
    }

    fn facts(
        &self,
        folder: BorrowedFd<'_>,
        stat: &Stat,
        path: &[u8],
        name: &[u8],
    ) -> Result<FolderFacts, TreeError> {
        let attributes = self.attributes(folder, path, name)?;
        let opaque = attributes.notes.get(&b"opaque"[..]).is_some_and(|value| value == b"y");
        let failed = |error| failed("cannot look at", path, name, error);
        let owned = self.owned(path, name, stat, &attributes).map_err(failed)?;
        Ok(FolderFacts { metadata: metadata(stat, owned, attributes), opaque })
    }

    fn read_file(&self, folder: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Found, TreeError> {
        let failed = |error| failed("cannot read", path, name, error);
        let (file, stat, attributes) = self.open_file(folder, path, name)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(TreeError::Changed { path: shown(path, name) });
        }
        if stat.st_size == 0 && attributes.notes.contains_key(&b"whiteout"[..]) {
            return Ok(Found::Other(Entry::whiteout()));
        }
        let owned = self.owned(path, name, &stat, &attributes).map_err(failed)?;
        if let Some(Device { block, major, minor }) = owned.device {
            let metadata = metadata(&stat, owned, Attributes::default());
            return Ok(Found::Other(Entry { metadata, content: Content::Device { block, major, minor } }));
        }
        let size = stat.st_size as u64;
        let file = File::from(file);
        let blob = self.store(&file, size, path, name)?;
        let now = rustix::fs::fstat(&file).map_err(failed)?;
        if mark(&stat) != mark(&now) {
            return Err(TreeError::Changed { path: shown(path, name) });
        }
        let content = Content::File { blob, size, link: None };
        let entry = Entry { metadata: metadata(&stat, owned, attributes), content };
        Ok(if stat.st_nlink > 1 { Found::Linked(entry, inode(&stat)) } else { Found::Other(entry) })
    }

    fn store(&self, mut file: &File, size: u64, path: &[u8], name: &[u8]) -> Result<BlobDigest, TreeError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => TreeError::Changed { path: shown(path, name) },
            _ => TreeError::Io { action: "cannot read", path: shown(path, name), source },
        };
        if size <= SMALL {
            let mut bytes = vec![0; size as usize];
            file.read_exact(&mut bytes).map_err(unreadable)?;
            return Ok(self.memo.write_blob(&bytes)?);
        }
        let mut writer = self.memo.blob_writer()?;
        let mut buffer = vec![0; SMALL as usize];
        loop {
            if self.cancel.is_raised() {
                return Err(TreeError::Cancelled);
            }
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                length => writer
                    .write_all(&buffer[..length])
                    .map_err(TreeError::io("cannot store", &shown(path, name)))?,
            }
        }
        Ok(writer.finish()?.blob)
    }

    fn read_symlink(&self, folder: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Entry, Errno> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let target = rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes();
        let owned = self.owned(path, name, &stat, &Attributes::default())?;
        let metadata = metadata(&stat, owned, Attributes::default());
        Ok(Entry { metadata, content: Content::Symlink { target } })
    }

    fn read_special(&self, folder: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Entry, Errno> {
        let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let content = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo => Content::Fifo,
            FileType::CharacterDevice if self.upper.is_some() && (major, minor) == (0, 0) => {
                return Ok(Entry::whiteout());
            }
            FileType::CharacterDevice => Content::Device { block: false, major, minor },
            FileType::BlockDevice => Content::Device { block: true, major, minor },
            // Another thing than was listed a moment ago.
            _ => return Err(Errno::STALE),
        };
        let owned = self.owned(path, name, &stat, &Attributes::default())?;
        Ok(Entry { metadata: metadata(&stat, owned, Attributes::default()), content })
    }

    /// Opens a file for reading, and says what it was before any unlocking. That is undone as soon as it may:
    /// the same file may have another name, whose reader waits meanwhile.
    fn open_file(
        &self,
        folder: BorrowedFd<'_>,
        path: &[u8],
        name: &[u8],
    ) -> Result<(OwnedFd, Stat, Attributes), TreeError> {
        let failed = |error| failed("cannot read", path, name, error);
        let open = || {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            rustix::fs::openat(folder, name, flags, Mode::empty())
        };
        let reading = self.unlocking.read();
        match open() {
            Err(Errno::ACCESS) if self.options.unlock => {
                drop(reading);
                let _writing = self.unlocking.write();
                let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
                unlock(folder, name, Mode::RUSR).map_err(failed)?;
                let file = open().map_err(failed)?;
                // Who may not read a file may not read its attributes either.
                let attributes = self.attributes(file.as_fd(), path, name)?;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode)).map_err(failed)?;
                Ok((file, stat, attributes))
            }
            opened => {
                let file = opened.map_err(failed)?;
                let stat = rustix::fs::fstat(&file).map_err(failed)?;
                let attributes = self.attributes(file.as_fd(), path, name)?;
                Ok((file, stat, attributes))
            }
        }
    }

    fn attributes(&self, file: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Result<Attributes, TreeError> {
        let attributes = xattr::read(file, self.upper)
            .map_err(|error| failed("cannot read the attributes of", path, name, error))?;
        for note in [&b"redirect"[..], b"metacopy"] {
            if attributes.notes.contains_key(note) {
                let attribute = String::from_utf8_lossy(note).into_owned();
                return Err(TreeError::OverlayFeature { path: shown(path, name), attribute });
            }
        }
        Ok(attributes)
    }

    fn owned(&self, path: &[u8], name: &[u8], stat: &Stat, attributes: &Attributes) -> Result<Owned, Errno> {
        match self.options.ids {
            Ids::Exact => Ok(Owned { uid: stat.st_uid, gid: stat.st_gid, device: None }),
            Ids::AllRoot => Ok(Owned::default()),
            Ids::Told(whose) => whose.whose(path, name, attributes.notes.contains_key(&b"origin"[..])),
        }
    }
}

fn metadata(stat: &Stat, owned: Owned, attributes: Attributes) -> Metadata {
    Metadata { mode: stat.st_mode & 0o7777, uid: owned.uid, gid: owned.gid, xattrs: attributes.kept }
}

fn inode(stat: &Stat) -> Inode {
    Inode { device: stat.st_dev, number: stat.st_ino }
}

/// What moves when content does.
fn mark(stat: &Stat) -> (i64, i64, u64, u64) {
    (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, inode(stat).number)
}
