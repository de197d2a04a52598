//! What a finished snapshot looks like, as one digest: each inode's number, mode, size and times.
//! No content is read, so that a look costs a `stat` a file.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Stat};

use crate::base::cancel::Cancel;
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::materialize::Owners;
use crate::tree::error::TreeError;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seal {
    digest: blake3::Hash,
    /// Inodes that are no folders.
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Which folders are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    All,
    /// Those that their owner may list: a user's process can't look into others, and to change anything in them
    /// their mode has to be changed first, which shows.
    Open,
}

impl Coverage {
    pub(super) fn of(owners: Owners) -> Coverage {
        match owners {
            Owners::Exact => Coverage::All,
            Owners::Single => Coverage::Open,
        }
    }

    pub(super) fn includes(self, mode: u32) -> bool {
        self == Coverage::All || mode & 0o500 == 0o500
    }
}

impl Seal {
    pub(super) fn take(root: &Path, coverage: Coverage, cancel: &Cancel) -> Result<Seal, TreeError> {
        let root = descent::open_path(root)?;
        let stat = rustix::fs::fstat(&root).map_err(|error| failed("cannot look at", b"", b"", error))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&row(&stat));
        let mut seal = Seal { digest: hasher.finalize(), files: 0, bytes: 0 };
        let mut folders = Folders::new();
        let mut level = if coverage.includes(stat.st_mode) { vec![Folders::ROOT] } else { Vec::new() };
        while !level.is_empty() {
            let read = descent::for_each(&level, false, cancel, |&id| {
                SealedFolder::read(&root, &folders, id, coverage)
            })?;
            let mut next = Vec::new();
            for (&id, folder) in level.iter().zip(read) {
                hasher.update(folder.digest.as_bytes());
                seal.files += folder.files;
                seal.bytes += folder.bytes;
                next.extend(folder.below.into_iter().map(|name| folders.add(id, name)));
            }
            level = next;
        }
        seal.digest = hasher.finalize();
        Ok(seal)
    }

    pub(super) fn to_text(&self) -> String {
        format!("{} {} {}\n", self.digest.to_hex(), self.files, self.bytes)
    }

    pub(super) fn from_text(text: &str) -> Option<Seal> {
        let mut words = text.split_whitespace();
        let digest = blake3::Hash::from_hex(words.next()?).ok()?;
        Some(Seal { digest, files: words.next()?.parse().ok()?, bytes: words.next()?.parse().ok()? })
    }
}

struct SealedFolder {
    digest: blake3::Hash,
    files: u64,
    bytes: u64,
    below: Vec<Vec<u8>>,
}

impl SealedFolder {
    fn read(
        root: &OwnedFd,
        folders: &Folders,
        id: usize,
        coverage: Coverage,
    ) -> Result<SealedFolder, TreeError> {
        let path = folders.path(id);
        let opened = folders.open(root.as_fd(), id)?;
        let mut names =
            descent::list(opened.as_fd()).map_err(|error| failed("cannot list", &path, b"", error))?;
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut hasher = blake3::Hasher::new();
        let (mut files, mut bytes, mut below) = (0, 0, Vec::new());
        for (name, _) in names {
            let stat = rustix::fs::statat(&opened, &*name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed("cannot look at", &path, &name, error))?;
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(&name);
            hasher.update(&row(&stat));
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                files += 1;
                bytes += stat.st_size as u64;
            } else if coverage.includes(stat.st_mode) {
                below.push(name);
            }
        }
        Ok(SealedFolder { digest: hasher.finalize(), files, bytes, below })
    }
}

/// What moves when anything about an inode does.
fn row(stat: &Stat) -> [u8; 56] {
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let numbers = [
        u64::from(stat.st_mode),
        stat.st_ino,
        // Filesystems differ in what the size of a folder is, and some change their mind.
        if is_folder { 0 } else { stat.st_size as u64 },
        stat.st_mtime as u64,
        stat.st_mtime_nsec,
        stat.st_ctime as u64,
        stat.st_ctime_nsec,
    ];
    let mut row = [0; 56];
    for (bytes, number) in row.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    row
}
