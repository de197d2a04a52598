//! Bytes that came from outside, found again by their SHA-256: layers of registries and files of URLs. The store
//! names bytes by BLAKE3; a small record leads from one digest to the other, and is written only by whoever hashed
//! both in one pass. Reading the blob verifies it, so what is found here need not be hashed again.

use std::collections::BTreeMap;

use crate::base::digest::{ActionKey, OciDigest};
use crate::base::facts::{FactSink as _, HashSink};
use crate::store::memo::{Memo, Written};
use crate::store::object::{Object, StoreError};
use crate::store::record::{Lost, Record};

/// The blob with these bytes, where the store has them. Does not read it.
pub fn kept(memo: &Memo, digest: OciDigest) -> Result<Option<Written>, StoreError> {
    let Some(record) = memo.recall(key(digest))? else { return Ok(None) };
    let blob = record.objects.iter().find_map(|object| match object {
        Object::Blob(blob) => Some(*blob),
        Object::Tree(_) => None,
    });
    let size = record.outputs.get(SIZE).and_then(serde_json::Value::as_u64);
    Ok(blob.zip(size).map(|(blob, size)| Written { blob, oci: digest, size }))
}

/// Remembers what was written to the store by its SHA-256.
pub fn keep(memo: &Memo, written: &Written) -> Result<(), StoreError> {
    let record = Record {
        outputs: BTreeMap::from([(SIZE.to_owned(), serde_json::json!(written.size))]),
        objects: vec![Object::Blob(written.blob)],
        facts: vec![(FACT.to_owned(), written.oci.to_string())],
        log: None,
        seconds: 0.0,
        rung: None,
        shareable: true,
        node: FACT.to_owned(),
        lost: Lost::default(),
    };
    memo.remember(key(written.oci), &record)
}

const SIZE: &str = "size";
const FACT: &str = "sha256";

fn key(digest: OciDigest) -> ActionKey {
    let mut hash = HashSink::new("memobuild 2026-11-28 kept bytes v1");
    hash.fact(FACT, digest.as_bytes());
    ActionKey(hash.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::store::fixture::memo;

    #[test]
    fn bytes_are_found_by_their_sha256_while_the_store_has_them() {
        let (folder, memo) = memo();
        let mut writer = memo.blob_writer().unwrap();
        writer.write_all(b"content").unwrap();
        let written = writer.finish().unwrap();
        assert_eq!(kept(&memo, written.oci).unwrap(), None);
        keep(&memo, &written).unwrap();
        assert_eq!(kept(&memo, written.oci).unwrap(), Some(written));
        assert_eq!(kept(&memo, OciDigest::of(b"other")).unwrap(), None);
        let hex = written.blob.to_hex();
        std::fs::remove_file(folder.path().join("store/blobs").join(&hex[..2]).join(&hex)).unwrap();
        assert_eq!(kept(&memo, written.oci).unwrap(), None, "a record without its bytes is no find");
    }

    #[test]
    fn only_what_the_store_holds_is_kept() {
        let (_folder, memo) = memo();
        let (blob, oci) = (crate::base::digest::BlobDigest::of(b"x"), OciDigest::of(b"x"));
        assert!(matches!(keep(&memo, &Written { blob, oci, size: 1 }), Err(StoreError::Missing(_))));
    }
}
