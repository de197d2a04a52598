//! What the store holds, as data to be shown. Counts files as they lie there; verifies records only.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use crate::base::digest::{ActionKey, Digest};
use crate::store::disk::{self, Disk};
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::store::record::{self, Record};

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    pub key: ActionKey,
    /// The node it was last made for.
    pub node: String,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Bytes of the record itself.
    pub record_bytes: u64,
    /// Bytes of the objects that it names directly, its log included, as far as the store has them.
    pub object_bytes: u64,
    /// How long it took to make.
    pub seconds: f64,
    pub shareable: bool,
}

/// Everything in one folder of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    pub class: String,
    pub files: u64,
    /// Lengths of the files.
    pub bytes: u64,
    /// What they take on the disk.
    pub disk_bytes: u64,
}

/// Every intact record, by node, then by key.
pub fn records(memo: &Memo) -> Result<Vec<Listed>, StoreError> {
    let files = memo.disk().files(disk::RECORDS)?;
    let listed = files.par_iter().map(|path| list(memo.disk(), path));
    let mut listed: Vec<_> = listed.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    listed.sort_by(|one: &Listed, other| (&one.node, one.key).cmp(&(&other.node, other.key)));
    Ok(listed)
}

/// Totals of each folder of the store, by name: this floor's and those that others keep there.
pub fn totals(memo: &Memo) -> Result<Vec<Total>, StoreError> {
    let mut totals = Vec::new();
    for path in disk::list(memo.folder())? {
        if path.is_dir() {
            let class = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            totals.push(total(class, path)?);
        }
    }
    totals.sort_by(|one, other| one.class.cmp(&other.class));
    Ok(totals)
}

fn list(disk: &Disk, path: &Path) -> Result<Option<Listed>, StoreError> {
    let Some(key) = digest_of(path).map(ActionKey) else {
        return Ok(None);
    };
    let Some(text) = disk::existing(fs::read(path), path)? else {
        return Ok(None);
    };
    let Some(record) = record::parse(key, &text) else {
        return Ok(None);
    };
    Ok(Some(Listed {
        key,
        record_bytes: text.len() as u64,
        object_bytes: object_bytes(disk, &record)?,
        outputs: record.outputs.into_keys().collect(),
        node: record.node,
        seconds: record.seconds,
        shareable: record.shareable,
    }))
}

fn object_bytes(disk: &Disk, record: &Record) -> Result<u64, StoreError> {
    let log = record.log.map(Object::Blob);
    let sizes = record.objects.iter().copied().chain(log).map(|object| disk.size(object));
    sizes.map(|size| Ok(size?.unwrap_or(0))).sum()
}

/// The digest that a file of the store is named by.
pub(super) fn digest_of(path: &Path) -> Option<Digest> {
    let digest = Digest::from_hex(path.file_name()?.to_str()?).ok()?;
    let shard = path.parent()?.file_name()?.to_str()?;
    digest.to_hex().starts_with(shard).then_some(digest)
}

/// Everything in one folder. Files that go while they are counted, and folders that may not be entered, count as nothing.
pub fn total(class: String, folder: PathBuf) -> Result<Total, StoreError> {
    let mut total = Total { class, files: 0, bytes: 0, disk_bytes: 0 };
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for path in passable(disk::list(&folder))?.unwrap_or_default() {
            let looked = fs::symlink_metadata(&path).map_err(StoreError::io("cannot look at", &path));
            match passable(looked)? {
                Some(metadata) if metadata.is_dir() => folders.push(path),
                Some(metadata) => {
                    total.files += 1;
                    total.bytes += metadata.len();
                    total.disk_bytes += metadata.blocks() * 512;
                }
                None => {}
            }
        }
    }
    Ok(total)
}

fn passable<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::memo;
    use crate::store::record::tests::{key, sample};

    #[test]
    fn lists_records_and_totals() {
        let (_folder, memo) = memo();
        let blob = Object::Blob(memo.write_blob(b"12345").unwrap());
        let tree = Object::Tree(memo.write_tree(b"1234567").unwrap());
        memo.remember(key(1), &sample("b", &[blob, tree])).unwrap();
        memo.remember(key(2), &sample("a", &[])).unwrap();

        let listed = records(&memo).unwrap();
        let shown: Vec<_> = listed.iter().map(|one| (one.node.as_str(), one.key, one.object_bytes)).collect();
        assert_eq!(shown, [("a", key(2), 0), ("b", key(1), 12)]);
        assert_eq!(listed[0].outputs, ["tree"]);

        let totals = totals(&memo).unwrap();
        let shown: Vec<_> = totals.iter().map(|total| (total.class.as_str(), total.files)).collect();
        assert_eq!(shown, [("blobs", 1), ("records", 2), ("trees", 1), ("work", 1)]);
        assert_eq!(totals[0].bytes, 5);
        assert_eq!(totals[1].bytes, listed.iter().map(|one| one.record_bytes).sum::<u64>());
    }
}
