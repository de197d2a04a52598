//! Blobs that come and go as streams: hashed while they pass, never whole in memory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::Digest as _;

use crate::base::digest::{BlobDigest, OciDigest};
use crate::store::disk::{Disk, ObjectDraft};
use crate::store::object::{Object, StoreError};
use crate::store::tier::Tier as _;

/// Bytes hashed at once: enough for BLAKE3 to use the whole width of the processor.
const BUFFER: usize = 128 * 1024;

/// What a finished writer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub blob: BlobDigest,
    /// SHA-256 of the same bytes, from the same pass.
    pub oci: OciDigest,
    pub size: u64,
}

/// Takes a blob as a stream. Dropped before it is finished, it leaves nothing.
pub struct BlobWriter {
    disk: Arc<Disk>,
    /// Made when the buffer is first full: a small blob that exists touches no file.
    draft: Option<ObjectDraft>,
    buffer: Vec<u8>,
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
    /// Bytes hashed and written to the draft.
    passed: u64,
    /// A write failed, so nobody knows what the draft holds.
    broken: bool,
}

impl BlobWriter {
    pub(super) fn new(disk: Arc<Disk>) -> BlobWriter {
        BlobWriter {
            disk,
            draft: None,
            buffer: Vec::new(),
            blake3: blake3::Hasher::new(),
            sha256: sha2::Sha256::new(),
            passed: 0,
            broken: false,
        }
    }

    /// Fails if any write did.
    pub fn finish(mut self) -> Result<Written, StoreError> {
        self.refuse_if_broken()?;
        self.hash_buffer();
        let size = self.passed + self.buffer.len() as u64;
        let blob = BlobDigest::from_bytes(*self.blake3.finalize().as_bytes());
        let oci = OciDigest::from_bytes(self.sha256.finalize().into());
        let object = Object::Blob(blob);
        match self.draft {
            None => self.disk.write(object, &self.buffer)?,
            Some(_) if self.disk.size(object)? == Some(size) => {}
            Some(mut draft) => {
                let path = self.disk.place(object);
                let written = draft.file().write_all(&self.buffer);
                written.map_err(StoreError::io("cannot write", &path))?;
                draft.publish(&path)?;
            }
        }
        Ok(Written { blob, oci, size })
    }

    fn hash_buffer(&mut self) {
        self.blake3.update(&self.buffer);
        self.sha256.update(&self.buffer);
    }

    fn refuse_if_broken(&self) -> Result<(), StoreError> {
        match self.broken {
            true => Err(self.failure(io::Error::other("an earlier write failed"))),
            false => Ok(()),
        }
    }

    fn failure(&self, error: io::Error) -> StoreError {
        StoreError::io("cannot write a blob to", self.disk.folder())(error)
    }

    fn pass_buffer(&mut self) -> Result<(), StoreError> {
        self.refuse_if_broken()?;
        let draft = match &mut self.draft {
            Some(draft) => draft,
            none => none.insert(self.disk.draft()?),
        };
        if let Err(error) = draft.file().write_all(&self.buffer) {
            self.broken = true;
            return Err(self.failure(error));
        }
        self.hash_buffer();
        self.passed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for BlobWriter {
    /// Errors hold a `StoreError`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BUFFER {
            self.pass_buffer()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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
    /// `file` is the blob's own in the store.
    pub(super) fn of_store(disk: &Disk, blob: BlobDigest, file: File) -> Result<BlobReader, StoreError> {
        let path = disk.place(Object::Blob(blob));
        let size = file.metadata().map_err(StoreError::io("cannot look at", &path))?.len();
        Ok(BlobReader::new(file, size, Source::Store, path, blob))
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

    pub(super) fn size(&self) -> u64 {
        self.remaining
    }

    /// Reads to the end and gives nothing.
    pub(super) fn verify(&mut self) -> Result<(), StoreError> {
        while !self.verified {
            self.fill()?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        let wanted = self.remaining.min(BUFFER as u64);
        self.given = 0;
        self.buffer.clear();
        let got = (&self.file).take(wanted).read_to_end(&mut self.buffer);
        let got = got.map_err(StoreError::io("cannot read", &self.path))? as u64;
        self.hasher.update(&self.buffer);
        self.remaining -= got;
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
        io::copy(&mut reader, draft.file()).map_err(StoreError::io("cannot write", &to))?;
    }
    draft.publish(&to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Arc<Disk>) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::new(folder.path()));
        (folder, disk)
    }

    /// Sizes about the buffer's, where the bounds are.
    const SIZES: [usize; 6] = [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER];

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|place| (place % 251) as u8).collect()
    }

    fn open(disk: &Disk, blob: BlobDigest) -> BlobReader {
        BlobReader::of_store(disk, blob, disk.open_blob(blob).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn writes_and_reads_back() {
        for size in SIZES {
            let (_folder, disk) = store();
            let bytes = content(size);
            let mut writer = BlobWriter::new(disk.clone());
            bytes.chunks(1000).for_each(|chunk| writer.write_all(chunk).unwrap());
            let written = writer.finish().unwrap();
            let (blob, oci) = (BlobDigest::of(&bytes), OciDigest::of(&bytes));
            assert_eq!(written, Written { blob, oci, size: size as u64 });
            let mut back = Vec::new();
            open(&disk, blob).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{size} bytes");
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
    fn a_blob_that_exists_is_not_replaced() {
        use std::os::unix::fs::MetadataExt as _;
        for size in SIZES {
            let (_folder, disk) = store();
            let bytes = content(size);
            let object = Object::Blob(BlobDigest::of(&bytes));
            disk.write(object, &bytes).unwrap();
            let before = disk.place(object).metadata().unwrap().ino();
            let mut writer = BlobWriter::new(disk.clone());
            writer.write_all(&bytes).unwrap();
            writer.finish().unwrap();
            assert_eq!(disk.place(object).metadata().unwrap().ino(), before);
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
