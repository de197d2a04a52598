//! Gives blobs as streams, out of the store or out of the file of an origin, and copies the one to the
//! other. Nobody gets the last bytes of a blob that is not what its digest says.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::digest::BlobDigest;
use crate::store::disk::{self, Disk};
use crate::store::object::{Object, StoreError};
use crate::store::writer::BUFFER;

/// Where the bytes of a blob come from, and so what it means when they are others.
enum Source {
    Store,
    Origin,
}

/// Reads a blob, and hands over its last bytes only when all were what the digest says.
pub(super) struct BlobReader {
    file: File,
    source: Source,
    path: PathBuf,
    blob: BlobDigest,
    hasher: blake3::Hasher,
    /// Bytes of the file not yet in the buffer.
    remaining: u64,
    verified: bool,
    buffer: Vec<u8>,
    /// How much of the buffer was handed over.
    given: usize,
}

impl BlobReader {
    /// `None` where the store has it not.
    pub(super) fn of_store(disk: &Disk, blob: BlobDigest) -> Result<Option<BlobReader>, StoreError> {
        let path = disk.place(Object::Blob(blob));
        let Some(file) = disk::existing(File::open(&path), &path)? else {
            return Ok(None);
        };
        let size = file.metadata().map_err(StoreError::io("cannot look at", &path))?.len();
        Ok(Some(BlobReader::new(file, size, Source::Store, path, blob)))
    }

    /// Fails at once where the path is no longer a file.
    pub(super) fn of_origin(path: &Path, blob: BlobDigest) -> Result<BlobReader, StoreError> {
        let (file, size) = open_origin(path)?;
        Ok(BlobReader::new(file, size, Source::Origin, path.to_owned(), blob))
    }

    fn new(file: File, size: u64, source: Source, path: PathBuf, blob: BlobDigest) -> BlobReader {
        BlobReader {
            file,
            source,
            path,
            blob,
            hasher: blake3::Hasher::new(),
            remaining: size,
            verified: false,
            buffer: Vec::new(),
            given: 0,
        }
    }

    /// Bytes not read yet: of a new reader, all.
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Hands all of it to `to`, in larger pieces than `io::copy` does. Errors of reading hold a `StoreError`.
    pub(super) fn copy(&mut self, to: &mut dyn Write) -> io::Result<u64> {
        let mut copied = 0;
        while !self.verified {
            self.fill()?;
            to.write_all(&self.buffer)?;
            copied += self.buffer.len() as u64;
        }
        Ok(copied)
    }

    /// Adds all of it to `into`, or nothing where it fails; gives its size. For blobs that fit into memory: there is
    /// no buffer between.
    pub(super) fn append(mut self, into: &mut Vec<u8>) -> Result<u64, StoreError> {
        let (start, wanted) = (into.len(), self.remaining as usize);
        into.resize(start + wanted, 0);
        let got = read_full(&mut self.file, &mut into[start..]);
        let got = got.map_err(StoreError::io("cannot read", &self.path));
        let is_right = |got: &usize| *got == wanted && blake3::hash(&into[start..]) == *self.blob.as_bytes();
        let result = match got {
            Ok(got) if is_right(&got) => return Ok(wanted as u64),
            Ok(_) => Err(self.mismatch()),
            Err(error) => Err(error),
        };
        into.truncate(start);
        result
    }

    /// Reads to the end and gives nothing.
    pub(super) fn verify(&mut self) -> Result<(), StoreError> {
        while !self.verified {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        let wanted = self.remaining.min(BUFFER as u64) as usize;
        self.given = 0;
        self.buffer.resize(wanted, 0);
        let got = read_full(&mut self.file, &mut self.buffer);
        let got = got.inspect_err(|_| self.buffer.clear());
        let got = got.map_err(StoreError::io("cannot read", &self.path))?;
        self.hasher.update(&self.buffer[..got]);
        self.remaining -= got as u64;
        if got < wanted || (self.remaining == 0 && self.hasher.finalize() != *self.blob.as_bytes()) {
            self.buffer.clear();
            return Err(self.mismatch());
        }
        self.verified = self.remaining == 0;
        Ok(())
    }

    fn mismatch(&self) -> StoreError {
        match self.source {
            Source::Store => {
                let _ = fs::remove_file(&self.path);
                StoreError::Damaged(Object::Blob(self.blob))
            }
            Source::Origin => StoreError::Changed { path: self.path.clone() },
        }
    }
}

impl Read for BlobReader {
    /// Errors hold a `StoreError`.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.buffer.len() && !self.verified {
            self.fill()?;
        }
        let rest = &self.buffer[self.given..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Fills `into`, but for what lies beyond the end of the file.
fn read_full(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read(&mut into[got..]) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// The origin's file and its size. It was a file when it was hashed: anything else has changed.
fn open_origin(path: &Path) -> Result<(File, u64), StoreError> {
    let changed = || StoreError::Changed { path: path.to_owned() };
    // Nonblocking, lest a fifo that took the file's place be waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if is_gone(&error) => return Err(changed()),
        result => result.map_err(StoreError::io("cannot read", path))?,
    };
    let metadata = file.metadata().map_err(StoreError::io("cannot look at", path))?;
    if !metadata.is_file() {
        return Err(changed());
    }
    Ok((file, metadata.len()))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO))
}

/// Copies the file at `path`, which must hold `blob`, into the store, unless the store has it.
pub(super) fn adopt(disk: &Disk, path: &Path, blob: BlobDigest) -> Result<(), StoreError> {
    let object = Object::Blob(blob);
    if disk.size(object)?.is_some() {
        return Ok(());
    }
    let to = disk.place(object);
    let mut draft = disk.draft()?;
    let mut reader = BlobReader::of_origin(path, blob)?;
    if rustix::fs::ioctl_ficlone(draft.file(), &reader.file).is_ok() {
        // What is kept is what must be verified: the clone, at the length it has.
        reader.file = draft.file().try_clone().map_err(StoreError::io("cannot copy", path))?;
        reader.remaining = reader.file.metadata().map_err(StoreError::io("cannot copy", path))?.len();
        reader.verify()?;
    } else {
        reader.copy(draft.file()).map_err(StoreError::io("cannot write", &to))?;
    }
    draft.publish(&to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tier::Tier as _;

    fn store() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        (folder, disk)
    }

    /// Sizes about the buffer's, where the bounds are.
    const SIZES: [usize; 6] = [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER];

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|place| (place % 251) as u8).collect()
    }

    fn open(disk: &Disk, blob: BlobDigest) -> BlobReader {
        BlobReader::of_store(disk, blob).unwrap().unwrap()
    }

    #[test]
    fn reads_and_copies() {
        for size in SIZES {
            let (_folder, disk) = store();
            let bytes = content(size);
            let blob = BlobDigest::of(&bytes);
            disk.write(Object::Blob(blob), &bytes).unwrap();
            let mut back = Vec::new();
            open(&disk, blob).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{size} bytes");
            back.clear();
            assert_eq!(open(&disk, blob).copy(&mut back).unwrap(), size as u64);
            assert!(back == bytes, "{size} bytes copied");
        }
    }

    /// A reader that takes exactly the bytes it expects, and never looks for the end, must see the error too.
    #[test]
    fn the_last_bytes_of_wrong_content_never_come() {
        for size in SIZES.into_iter().filter(|size| *size > 0) {
            for place in [0, size / 2, size - 1] {
                let (_folder, disk) = store();
                let mut bytes = content(size);
                let blob = BlobDigest::of(&bytes);
                let object = Object::Blob(blob);
                disk.write(object, &bytes).unwrap();
                bytes[place] ^= 1;
                fs::remove_file(disk.place(object)).unwrap();
                fs::write(disk.place(object), &bytes).unwrap();
                let error = open(&disk, blob).read_exact(&mut vec![0; size]).unwrap_err();
                assert!(matches!(StoreError::io("", Path::new(""))(error), StoreError::Damaged(_)));
                assert!(!disk.place(object).exists());
            }
        }
    }

    #[test]
    fn adopting_verifies() {
        let (folder, disk) = store();
        let path = folder.path().join("file");
        for size in SIZES {
            let bytes = content(size);
            fs::write(&path, &bytes).unwrap();
            let blob = BlobDigest::of(&bytes);
            adopt(&disk, &path, blob).unwrap();
            open(&disk, blob).verify().unwrap();
            let other = BlobDigest::of(b"other");
            assert!(matches!(adopt(&disk, &path, other), Err(StoreError::Changed { .. })));
            assert_eq!(disk.size(Object::Blob(other)).unwrap(), None);
        }
    }

    #[test]
    fn an_origin_that_is_no_longer_a_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let changed = || matches!(open_origin(&path), Err(StoreError::Changed { .. }));
        assert!(changed(), "absent");
        fs::create_dir(&path).unwrap();
        assert!(changed(), "a folder");
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(changed(), "a link");
        fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert!(changed(), "a fifo");
        assert!(matches!(open_origin(&path.join("below")), Err(StoreError::Changed { .. })), "below a file");
    }
}
