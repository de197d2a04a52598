//! The canonical form of a directory, and reading it back. Stored directories are loaded and saved here.

use crate::base::digest::TreeDigest;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::tree::tree::Directory;

pub fn encode(directory: &Directory) -> Vec<u8> {
    let entries: Vec<_> = directory.entries.iter().collect();
    serde_json::to_vec(&entries).expect("bug: a directory is always JSON")
}

/// `None` where the bytes are not the canonical form of any directory.
pub fn decode(bytes: &[u8]) -> Option<Directory> {
    let entries: Vec<(Vec<u8>, _)> = serde_json::from_slice(bytes).ok()?;
    Some(Directory { entries: entries.into_iter().collect() })
}

pub fn load(memo: &Memo, digest: TreeDigest) -> Result<Directory, StoreError> {
    let bytes = memo.read(Object::Tree(digest))?;
    decode(&bytes).ok_or(StoreError::Damaged(Object::Tree(digest)))
}

pub fn save(memo: &Memo, directory: &Directory) -> Result<TreeDigest, StoreError> {
    memo.write_tree(&encode(directory))
}
