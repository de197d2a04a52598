//! `Memo`: the store as everything above sees it: the tiers in order, nearest first. The one place that
//! knows the write order: blobs, then trees, then the record, each by rename.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, BlobDigest, TreeDigest};
use crate::base::durable::FileLock;
use crate::base::remove::remove;
use crate::store::collect::{self, Lease};
use crate::store::disk::{self, Disk};
use crate::store::format;
use crate::store::memory::Memory;
use crate::store::object::{Object, StoreError};
use crate::store::reader::{self, BlobReader};
use crate::store::record::Record;
use crate::store::tier::Tier;
use crate::store::work;

pub use crate::store::work::WorkFolder;
pub use crate::store::writer::{BlobWriter, Written};

/// Bytes that the memory tier keeps at most.
const MEMORY_BOUND: usize = 64 << 20;

/// Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Memo(Arc<Inner>);

struct Inner {
    memory: Memory,
    disk: Arc<Disk>,
    origins: RwLock<Vec<Arc<dyn Origin>>>,
    aside: Mutex<Vec<WorkFolder>>,
    _lease: Lease,
}

/// Knows files outside the store that hold blobs, so that content is copied only when it is needed.
pub trait Origin: Send + Sync {
    /// A file that held the blob when it was last looked at; whoever reads it verifies.
    fn locate(&self, blob: &BlobDigest) -> Option<PathBuf>;
}

impl Memo {
    /// Makes the store where there is none, and sweeps what dead processes left in it.
    pub fn open(folder: &Path) -> Result<Memo, StoreError> {
        format::open_or_create(folder)?;
        let memo = Memo(Arc::new(Inner {
            memory: Memory::new(MEMORY_BOUND),
            disk: Arc::new(Disk::new(folder)),
            origins: RwLock::default(),
            aside: Mutex::default(),
            _lease: Lease::shared(folder)?,
        }));
        // What this process may not remove, another may: no reason not to open.
        let _ = memo.sweep(&remove);
        Ok(memo)
    }

    /// Where the store is, as it was given to `open`.
    pub fn folder(&self) -> &Path {
        self.0.disk.folder()
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.0.disk
    }

    /// Whether the object can be had, from the store or an origin. Does not read it.
    pub fn has(&self, object: Object) -> bool {
        matches!(self.0.disk.size(object), Ok(Some(_))) || self.locate(object).is_some()
    }

    /// The whole object, verified. Where the store's own is damaged, an origin may still have it.
    pub fn read(&self, object: Object) -> Result<Arc<[u8]>, StoreError> {
        if let Some(bytes) = self.0.memory.read(object)? {
            return Ok(bytes);
        }
        let bytes = match (self.0.disk.read(object), object) {
            (Ok(Some(bytes)), _) => bytes,
            (Ok(None), Object::Blob(blob)) => self.read_origin(blob)?,
            (Err(StoreError::Damaged(_)), Object::Blob(blob)) if self.locate(object).is_some() => {
                self.read_origin(blob)?
            }
            (Ok(None), Object::Tree(_)) => return Err(StoreError::Missing(object)),
            (Err(error), _) => return Err(error),
        };
        self.0.memory.keep(object, bytes.clone());
        Ok(bytes)
    }

    fn read_origin(&self, blob: BlobDigest) -> Result<Arc<[u8]>, StoreError> {
        let mut bytes = Vec::new();
        let copied = self.origin_reader(blob)?.copy(&mut bytes);
        copied.map_err(StoreError::io("cannot read a blob for", self.folder()))?;
        Ok(bytes.into())
    }

    /// A stream of a blob's bytes, from the store or an origin. It fails before its last bytes if they
    /// were not what the digest says; its errors hold a `StoreError`, which `StoreError::io` takes out.
    pub fn open_blob(&self, blob: BlobDigest) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(self.blob_reader(blob)?))
    }

    /// Adds the whole blob, verified, to `into`, and gives its size. Keeps nothing in memory, unlike `read`: for many
    /// blobs that are each wanted once.
    pub fn append_blob(&self, blob: BlobDigest, into: &mut Vec<u8>) -> Result<u64, StoreError> {
        match self.blob_reader(blob)?.append(into) {
            Err(StoreError::Damaged(_)) if self.locate(Object::Blob(blob)).is_some() => {
                self.origin_reader(blob)?.append(into)
            }
            result => result,
        }
    }

    /// An empty file that should not be empty yields to an origin, as in `has`.
    fn blob_reader(&self, blob: BlobDigest) -> Result<BlobReader, StoreError> {
        let object = Object::Blob(blob);
        match BlobReader::of_store(&self.0.disk, blob)? {
            Some(reader) if reader.remaining() > 0 || object.matches(b"") => Ok(reader),
            _ => self.origin_reader(blob),
        }
    }

    fn origin_reader(&self, blob: BlobDigest) -> Result<BlobReader, StoreError> {
        let object = Object::Blob(blob);
        BlobReader::of_origin(&self.locate(object).ok_or(StoreError::Missing(object))?, blob)
    }

    fn locate(&self, object: Object) -> Option<PathBuf> {
        let Object::Blob(blob) = object else {
            return None;
        };
        let origins = self.0.origins.read().expect("bug: poisoned");
        origins.iter().find_map(|origin| origin.locate(&blob))
    }

    /// Writes nothing where the blob is there.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(bytes);
        self.write(Object::Blob(digest), bytes)?;
        Ok(digest)
    }

    /// `encoding` is the canonical form of one directory.
    pub fn write_tree(&self, encoding: &[u8]) -> Result<TreeDigest, StoreError> {
        let digest = TreeDigest::of(encoding);
        self.write(Object::Tree(digest), encoding)?;
        Ok(digest)
    }

    fn write(&self, object: Object, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.disk.write(object, bytes)?;
        self.0.memory.write(object, bytes)
    }

    /// For bytes that come as a stream.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter::new(self.0.disk.clone()))
    }

    /// Copies a file from anywhere into the store, sharing its disk blocks where the filesystem can.
    /// `Changed` where the file does not hold the blob.
    pub fn adopt(&self, path: &Path, blob: BlobDigest) -> Result<(), StoreError> {
        reader::adopt(&self.0.disk, path, blob)
    }

    /// The record, if any tier has it and its objects can be had.
    pub fn recall(&self, key: ActionKey) -> Result<Option<Record>, StoreError> {
        Ok(self.recall_from(key)?.map(|(record, _)| record))
    }

    /// The record with the name of the tier it was found in; nearer tiers then have it too.
    /// One that names an object which can no longer be had is no find.
    pub fn recall_from(&self, key: ActionKey) -> Result<Option<(Record, &'static str)>, StoreError> {
        let inner = &*self.0;
        let tiers: [&dyn Tier; 2] = [&inner.memory, &*inner.disk];
        for (place, tier) in tiers.iter().enumerate() {
            let Some(record) = tier.load(key)? else {
                continue;
            };
            if !record.objects.iter().all(|object| self.has(*object)) {
                break;
            }
            for nearer in &tiers[..place] {
                nearer.save(key, &record)?;
            }
            return Ok(Some((record, tier.name())));
        }
        Ok(None)
    }

    /// The record's objects must be in the store already, or with an origin.
    pub fn remember(&self, key: ActionKey, record: &Record) -> Result<(), StoreError> {
        if let Some(object) = record.objects.iter().find(|object| !self.has(**object)) {
            return Err(StoreError::Missing(*object));
        }
        self.0.disk.save(key, record)?;
        self.0.memory.save(key, record)
    }

    /// Makes the key a miss, for when something below its objects turned out to be damaged or gone.
    pub fn forget(&self, key: ActionKey) -> Result<(), StoreError> {
        self.0.memory.forget(key);
        self.0.disk.forget(key)
    }

    /// Blobs that the store lacks are looked for there from now on.
    pub fn offer(&self, origin: Arc<dyn Origin>) {
        self.0.origins.write().expect("bug: poisoned").push(origin);
    }

    /// A folder of this process's own, on the store's filesystem, removed when dropped or,
    /// after a crash, by the next process.
    pub fn work_folder(&self) -> Result<WorkFolder, StoreError> {
        WorkFolder::create(&self.folder().join(disk::WORK))
    }

    /// A work folder that was laid aside, with what is in it, or else a fresh one: making a file and removing it
    /// costs more than all else about a folder.
    pub fn used_work_folder(&self) -> Result<WorkFolder, StoreError> {
        let used = self.0.aside.lock().expect("bug: poisoned").pop();
        used.map_or_else(|| self.work_folder(), Ok)
    }

    /// Keeps a work folder for whoever wants a used one next, until the store is closed.
    pub fn lay_aside(&self, folder: WorkFolder) {
        self.0.aside.lock().expect("bug: poisoned").push(folder);
    }

    /// Work folders of dead processes that this one could not remove: other users' files, as a rule.
    pub fn stale_work_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let above = self.folder().join(disk::WORK);
        work::stale(&above).map_err(StoreError::io("cannot list", &above))
    }

    /// Removes what dead processes left, their work folders by `with`; gives the folders still there.
    pub fn sweep(&self, with: &dyn Fn(&Path) -> io::Result<()>) -> Result<Vec<PathBuf>, StoreError> {
        let locks = self.folder().join(LOCKS);
        collect::sweep_locks(&locks).map_err(StoreError::io("cannot sweep", &locks))?;
        let above = self.folder().join(disk::WORK);
        work::sweep(&above, with).map_err(StoreError::io("cannot sweep", &above))
    }

    /// Waits until no one else, in this process or another, makes this key's record.
    pub fn lock_key(&self, key: ActionKey, cancel: &Cancel) -> Result<KeyLock, StoreError> {
        let path = self.folder().join(LOCKS).join(key.to_hex());
        let mut pause = Duration::from_millis(1);
        loop {
            if cancel.is_raised() {
                return Err(StoreError::Cancelled);
            }
            if let Some(lock) =
                FileLock::try_exclusive(&path).map_err(StoreError::io("cannot lock", &path))?
            {
                return Ok(KeyLock(Some(lock)));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// A lock a file: a lock for several keys could make two builds wait for each other.
const LOCKS: &str = "locks";

/// Given up when dropped.
pub struct KeyLock(Option<FileLock>);

impl Drop for KeyLock {
    fn drop(&mut self) {
        let _ = self.0.take().map(FileLock::remove);
    }
}

#[cfg(test)]
mod tests;
