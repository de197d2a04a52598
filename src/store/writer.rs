//! Takes a blob as a stream: hashed while it passes, never whole in memory.

use std::io::{self, Write};
use std::sync::Arc;

use sha2::Digest as _;

use crate::base::digest::{BlobDigest, OciDigest};
use crate::store::disk::{Disk, ObjectDraft};
use crate::store::object::{Object, StoreError};
use crate::store::tier::Tier as _;

/// Bytes hashed at once: enough for BLAKE3 to use the whole width of the processor.
pub(super) const BUFFER: usize = 128 * 1024;

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
    /// A write failed, so nobody knows what was taken.
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
        let written = draft.file().write_all(&self.buffer);
        written.map_err(|error| self.failure(error))?;
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
            let passed = self.pass_buffer();
            self.broken = passed.is_err();
            passed?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Sizes about the buffer's, where the bounds are.
    const SIZES: [usize; 6] = [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER];

    fn write(disk: &Arc<Disk>, bytes: &[u8]) -> Written {
        let mut writer = BlobWriter::new(disk.clone());
        bytes.chunks(1000).for_each(|chunk| writer.write_all(chunk).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn names_and_keeps_what_passed() {
        for size in SIZES {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(Disk::new(folder.path()));
            let bytes: Vec<_> = (0..size).map(|place| (place % 251) as u8).collect();
            let written = write(&disk, &bytes);
            let (blob, oci) = (BlobDigest::of(&bytes), OciDigest::of(&bytes));
            assert_eq!(written, Written { blob, oci, size: size as u64 });
            assert!(disk.read(Object::Blob(blob)).unwrap().as_deref() == Some(&bytes), "{size} bytes");
        }
    }

    #[test]
    fn a_blob_that_exists_is_not_replaced() {
        for size in SIZES {
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(Disk::new(folder.path()));
            let inode = |written: Written| disk.place(Object::Blob(written.blob)).metadata().unwrap().ino();
            let bytes = vec![7; size];
            assert_eq!(inode(write(&disk, &bytes)), inode(write(&disk, &bytes)));
        }
    }
}
