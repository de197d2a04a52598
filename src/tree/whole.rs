//! Whether all of a tree can be had: records name its top only, and what was found damaged below it was put aside.

use std::io;

use crate::base::digest::TreeDigest;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::tree::encode::load;
use crate::tree::tree::Content;

/// Reads directories, and only asks for files.
pub fn is_there(memo: &Memo, tree: TreeDigest) -> Result<bool, StoreError> {
    all(memo, Object::Tree(tree), &|blob| Ok(memo.has(blob)))
}

/// Reads and verifies the object and all below it.
pub fn is_whole(memo: &Memo, object: Object) -> Result<bool, StoreError> {
    all(memo, object, &|blob| found(read(memo, blob)))
}

fn all(
    memo: &Memo,
    top: Object,
    is_blob_there: &dyn Fn(Object) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let mut objects = vec![top];
    while let Some(object) = objects.pop() {
        let there = match object {
            Object::Blob(_) => is_blob_there(object)?,
            Object::Tree(tree) => found(load(memo, tree).map(|directory| {
                objects.extend(directory.entries.into_values().filter_map(|entry| below(&entry.content)));
            }))?,
        };
        if !there {
            return Ok(false);
        }
    }
    Ok(true)
}

fn below(content: &Content) -> Option<Object> {
    match content {
        Content::File { blob, .. } => Some(Object::Blob(*blob)),
        Content::Directory { tree, .. } => Some(Object::Tree(*tree)),
        _ => None,
    }
}

fn read(memo: &Memo, object: Object) -> Result<(), StoreError> {
    let Object::Blob(blob) = object else { return Ok(()) };
    let copied = io::copy(&mut memo.open_blob(blob)?, &mut io::sink());
    copied.map(drop).map_err(|_| StoreError::Damaged(object))
}

fn found(result: Result<(), StoreError>) -> Result<bool, StoreError> {
    match result {
        Ok(()) => Ok(true),
        Err(StoreError::Damaged(_) | StoreError::Missing(_) | StoreError::Changed { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
