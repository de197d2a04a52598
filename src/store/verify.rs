//! Reads everything the store holds, in parallel, and says what is damaged. What it finds damaged it puts
//! aside, as any other read would, so that the next build makes it again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, BlobDigest, Digest, TreeDigest};
use crate::store::disk::{self, Disk};
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::store::reader::BlobReader;
use crate::store::record;
use crate::store::tier::Tier as _;
use crate::store::usage::digest_of;

/// What was looked at and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// How many of each, damaged ones included.
    pub blobs: usize,
    pub trees: usize,
    pub records: usize,
    pub damaged: Vec<Damage>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    Object(Object),
    Record(ActionKey),
    /// A file whose name is not that of anything the store keeps. It is left where it is.
    Stray(PathBuf),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Object(object) => write!(f, "{object}"),
            Damage::Record(key) => write!(f, "record {key}"),
            Damage::Stray(path) => write!(f, "stray file {}", path.display()),
        }
    }
}

/// Snapshots and other things that upper floors keep in the store's folder are theirs to verify.
pub fn verify(memo: &Memo, cancel: &Cancel) -> Result<Verified, StoreError> {
    let disk = memo.disk();
    let mut verified = Verified::default();
    verified.blobs = verified.look(disk, disk::BLOBS, cancel, blob_damage)?;
    verified.trees = verified.look(disk, disk::TREES, cancel, tree_damage)?;
    verified.records = verified.look(disk, disk::RECORDS, cancel, record_damage)?;
    verified.damaged.sort();
    Ok(verified)
}

type Look = fn(&Disk, Digest) -> Result<Option<Damage>, StoreError>;

impl Verified {
    /// Gives how many files the class has.
    fn look(&mut self, disk: &Disk, class: &str, cancel: &Cancel, look: Look) -> Result<usize, StoreError> {
        let files = disk.files(class)?;
        let looked = files.par_iter().map(|path: &PathBuf| match digest_of(path) {
            _ if cancel.is_raised() => Err(StoreError::Cancelled),
            Some(digest) => look(disk, digest),
            None => Ok(stray(path)),
        });
        let damaged: Vec<_> = looked.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        self.damaged.extend(damaged);
        Ok(files.len())
    }
}

fn stray(path: &Path) -> Option<Damage> {
    Some(Damage::Stray(path.to_owned()))
}

/// `None` also for a blob that went meanwhile.
fn blob_damage(disk: &Disk, digest: Digest) -> Result<Option<Damage>, StoreError> {
    match BlobReader::of_store(disk, BlobDigest(digest))? {
        Some(mut reader) => damage(reader.verify()),
        None => Ok(None),
    }
}

fn tree_damage(disk: &Disk, digest: Digest) -> Result<Option<Damage>, StoreError> {
    damage(disk.read(Object::Tree(TreeDigest(digest))).map(|_| ()))
}

fn damage(result: Result<(), StoreError>) -> Result<Option<Damage>, StoreError> {
    match result {
        Ok(()) => Ok(None),
        Err(StoreError::Damaged(object)) => Ok(Some(Damage::Object(object))),
        Err(error) => Err(error),
    }
}

fn record_damage(disk: &Disk, digest: Digest) -> Result<Option<Damage>, StoreError> {
    let key = ActionKey(digest);
    let path = disk.record_place(key);
    match disk::existing(fs::read(&path), &path)? {
        Some(text) if record::parse(key, &text).is_none() => {
            disk.forget(key)?;
            Ok(Some(Damage::Record(key)))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::memo;
    use crate::store::record::tests::{key, sample};

    fn overwrite(path: &Path, bytes: &[u8]) {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn finds_every_flipped_byte_of_every_class_once() {
        let (_folder, memo) = memo();
        let (disk, cancel) = (memo.disk(), Cancel::default());
        let make = || {
            let blob = Object::Blob(memo.write_blob(b"blob").unwrap());
            let tree = Object::Tree(memo.write_tree(b"tree").unwrap());
            memo.remember(key(1), &sample("node", &[blob])).unwrap();
            [
                (disk.place(blob), Damage::Object(blob)),
                (disk.place(tree), Damage::Object(tree)),
                (disk.record_place(key(1)), Damage::Record(key(1))),
            ]
        };
        let clean = Verified { blobs: 1, trees: 1, records: 1, damaged: vec![] };
        for (path, damage) in make() {
            let bytes = fs::read(&path).unwrap();
            for place in 0..bytes.len() {
                make();
                assert_eq!(verify(&memo, &cancel).unwrap(), clean);
                let mut damaged = bytes.clone();
                damaged[place] ^= 0x10;
                overwrite(&path, &damaged);
                assert_eq!(verify(&memo, &cancel).unwrap().damaged, std::slice::from_ref(&damage));
                assert!(!path.exists());
                assert!(verify(&memo, &cancel).unwrap().damaged.is_empty());
            }
        }
    }

    #[test]
    fn finds_files_that_do_not_belong_and_leaves_them() {
        let (_folder, memo) = memo();
        let blob = Object::Blob(memo.write_blob(b"blob").unwrap());
        let place = memo.disk().place(blob);
        let stray = [place.with_file_name("letter"), memo.folder().join("blobs/letter")];
        stray.iter().for_each(|path| fs::write(path, "dear").unwrap());
        let damaged = verify(&memo, &Cancel::default()).unwrap().damaged;
        assert_eq!(damaged.len(), 2);
        assert!(stray.iter().all(|path| damaged.contains(&Damage::Stray(path.clone())) && path.exists()));
    }

    #[test]
    fn stops_when_told() {
        let (_folder, memo) = memo();
        memo.write_blob(b"blob").unwrap();
        let cancel = Cancel::default();
        cancel.raise();
        assert!(matches!(verify(&memo, &cancel), Err(StoreError::Cancelled)));
    }
}
