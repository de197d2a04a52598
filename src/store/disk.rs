//! L2: the store on disk, the truth that other tiers only mirror. Every file is written under a private
//! name and renamed, so that any number of processes may use it and be killed.
//!
//! Nothing is synced. A rename makes a file whole for every process that lives on, and a power cut may
//! at worst leave an empty or partial file under a right name; since every read verifies, that reads as
//! damage, is put aside and made again: slower once, never wrong. Syncing before each record would save
//! only that second making, and costs every run 0.3 to 100 ms (`syncfs`, by what else the disk has to do).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::digest::{ActionKey, Digest};
use crate::base::durable::Draft;
use crate::store::object::{Object, StoreError};
use crate::store::record::{self, Record};
use crate::store::tier::Tier;
use crate::store::work::WorkFolder;

/// Nobody changes an object.
const OBJECT_MODE: u32 = 0o444;

/// Folders of the store, each made when it is first needed.
pub const BLOBS: &str = "blobs";
pub const TREES: &str = "trees";
pub const RECORDS: &str = "records";
pub const WORK: &str = "work";

pub struct Disk {
    folder: PathBuf,
    drafts: Mutex<Option<Arc<WorkFolder>>>,
}

/// A file being written that will be an object or a record.
pub(super) struct ObjectDraft {
    draft: Draft,
    /// Keeps the folder that the draft is in.
    _folder: Arc<WorkFolder>,
}

impl Disk {
    /// `folder` must be a store already.
    pub fn new(folder: &Path) -> Disk {
        Disk { folder: folder.to_owned(), drafts: Mutex::default() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the object is, if it is.
    pub fn place(&self, object: Object) -> PathBuf {
        match object {
            Object::Blob(digest) => place(&self.folder, BLOBS, digest.0),
            Object::Tree(digest) => place(&self.folder, TREES, digest.0),
        }
    }

    pub fn record_place(&self, key: ActionKey) -> PathBuf {
        place(&self.folder, RECORDS, key.0)
    }

    /// Bytes of the object; `None` where it is not there. Does not read it, but sees through an empty
    /// file, which is what a power cut leaves most often.
    pub fn size(&self, object: Object) -> Result<Option<u64>, StoreError> {
        let path = self.place(object);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len()).filter(|size| *size > 0 || object.matches(b""))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("cannot look at", &path)(error)),
        }
    }

    /// Removes the record, for one that turned out to be of no use.
    pub fn forget(&self, key: ActionKey) -> Result<(), StoreError> {
        let path = self.record_place(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("cannot remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Every file of a class, in no order.
    pub(super) fn files(&self, class: &str) -> Result<Vec<PathBuf>, StoreError> {
        let above = self.folder.join(class);
        let mut files = Vec::new();
        for shard in list(&above)? {
            if shard.is_dir() {
                files.extend(list(&shard)?);
            } else {
                files.push(shard);
            }
        }
        Ok(files)
    }

    pub(super) fn draft(&self) -> Result<ObjectDraft, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = self.draft_folder()?;
        let path = folder.path().join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        let draft =
            Draft::create(path.clone(), OBJECT_MODE).map_err(StoreError::io("cannot create", &path))?;
        Ok(ObjectDraft { draft, _folder: folder })
    }

    /// One for the process, from its first write to its end.
    fn draft_folder(&self) -> Result<Arc<WorkFolder>, StoreError> {
        let mut drafts = self.drafts.lock().expect("bug: poisoned");
        if let Some(folder) = &*drafts {
            return Ok(folder.clone());
        }
        let folder = Arc::new(WorkFolder::create(&self.folder.join(WORK))?);
        *drafts = Some(folder.clone());
        Ok(folder)
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut draft = self.draft()?;
        draft.file().write_all(bytes).map_err(StoreError::io("cannot write", path))?;
        draft.publish(path)
    }
}

impl ObjectDraft {
    pub(super) fn file(&mut self) -> &mut File {
        self.draft.file()
    }

    pub(super) fn publish(self, path: &Path) -> Result<(), StoreError> {
        self.draft.publish(path, OBJECT_MODE).map_err(StoreError::io("cannot write", path))
    }
}

impl Tier for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn load(&self, key: ActionKey) -> Result<Option<Record>, StoreError> {
        let path = self.record_place(key);
        let Some(text) = existing(fs::read(&path), &path)? else {
            return Ok(None);
        };
        let record = record::parse(key, &text);
        if record.is_none() {
            let _ = fs::remove_file(&path);
        }
        Ok(record)
    }

    fn save(&self, key: ActionKey, record: &Record) -> Result<(), StoreError> {
        self.write_file(&self.record_place(key), &record::format(key, record))
    }

    fn read(&self, object: Object) -> Result<Option<Arc<[u8]>>, StoreError> {
        let path = self.place(object);
        let Some(bytes) = existing(fs::read(&path), &path)? else {
            return Ok(None);
        };
        if !object.matches(&bytes) {
            let _ = fs::remove_file(&path);
            return Err(StoreError::Damaged(object));
        }
        Ok(Some(bytes.into()))
    }

    /// Writes nothing where a file of the right size is there.
    fn write(&self, object: Object, bytes: &[u8]) -> Result<(), StoreError> {
        debug_assert!(object.matches(bytes), "{object} from other bytes");
        if self.size(object)? == Some(bytes.len() as u64) {
            return Ok(());
        }
        self.write_file(&self.place(object), bytes)
    }

    fn missing(&self, objects: &[Object]) -> Result<Vec<Object>, StoreError> {
        let mut missing = Vec::new();
        for object in objects {
            if self.size(*object)?.is_none() {
                missing.push(*object);
            }
        }
        Ok(missing)
    }
}

/// `class/ab/ab…`: a file by its whole digest, so that `b3sum` agrees with the names of blobs.
fn place(folder: &Path, class: &str, digest: Digest) -> PathBuf {
    let hex = digest.to_hex();
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + class.len() + 70);
    path.extend([folder, class.as_ref(), hex[..2].as_ref(), hex.as_ref()]);
    path
}

/// Nothing where the folder is absent.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = existing(fs::read_dir(folder), folder)?.into_iter().flatten();
    let paths: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(StoreError::io("cannot list", folder))
}

pub(super) fn existing<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("cannot read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::base::digest::{BlobDigest, TreeDigest};
    use crate::store::record::tests::{key, sample};

    fn disk() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        (folder, disk)
    }

    #[test]
    fn every_flipped_bit_of_an_object_is_noticed_and_put_aside() {
        let (_folder, disk) = disk();
        let bytes = b"some content";
        for object in [Object::Blob(BlobDigest::of(bytes)), Object::Tree(TreeDigest::of(bytes))] {
            for place in 0..bytes.len() {
                let mut damaged = bytes.to_vec();
                damaged[place] ^= 1;
                disk.write(object, bytes).unwrap();
                fs::remove_file(disk.place(object)).unwrap();
                fs::write(disk.place(object), &damaged).unwrap();
                assert!(matches!(disk.read(object), Err(StoreError::Damaged(found)) if found == object));
                assert_eq!(disk.read(object).unwrap(), None);
            }
        }
    }

    #[test]
    fn a_damaged_record_is_a_miss_and_put_aside() {
        let (_folder, disk) = disk();
        disk.save(key(1), &sample("node", &[])).unwrap();
        let path = disk.record_place(key(1));
        let mut text = fs::read(&path).unwrap();
        text[40] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
        assert_eq!(disk.load(key(1)).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_power_cut_leaves_is_made_again() {
        let (_folder, disk) = disk();
        let object = Object::Blob(BlobDigest::of(b"content"));
        for left in [&b""[..], b"cont"] {
            disk.write(object, b"content").unwrap();
            fs::remove_file(disk.place(object)).unwrap();
            fs::write(disk.place(object), left).unwrap();
            disk.write(object, b"content").unwrap();
            assert_eq!(disk.read(object).unwrap().as_deref(), Some(&b"content"[..]));
        }
        fs::remove_file(disk.place(object)).unwrap();
        fs::write(disk.place(object), "").unwrap();
        assert_eq!(disk.missing(&[object]).unwrap(), [object]);
    }

    #[test]
    fn an_object_that_is_there_is_not_written_again() {
        let (_folder, disk) = disk();
        let object = Object::Blob(BlobDigest::of(b""));
        disk.write(object, b"").unwrap();
        let before = disk.place(object).metadata().unwrap();
        disk.write(object, b"").unwrap();
        assert_eq!(disk.place(object).metadata().unwrap().ino(), before.ino());
        assert_eq!(before.permissions().mode() & 0o7777, 0o444);
        assert_eq!(disk.size(object).unwrap(), Some(0));
    }
}
