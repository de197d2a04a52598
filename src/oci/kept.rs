//! Bytes that came from outside, found again by their SHA-256: layers of registries and files of URLs. The store
//! names bytes by BLAKE3; a small record leads from one digest to the other, and is written only by whoever hashed
//! both in one pass. Reading the blob verifies it, so what is found here need not be hashed again.

use std::time::Duration;

use crate::base::digest::{BlobDigest, OciDigest};
use crate::oci::derived::Question;
use crate::store::memo::{Memo, Written};
use crate::store::object::{Object, StoreError};

/// The blob with these bytes, where the store has them. Does not read it.
pub fn kept(memo: &Memo, digest: OciDigest) -> Result<Option<Written>, StoreError> {
    let found: Option<(BlobDigest, u64)> = question(digest).recall(memo)?;
    Ok(found.map(|(blob, size)| Written { blob, oci: digest, size }))
}

/// Remembers what was written to the store by its SHA-256.
pub fn keep(memo: &Memo, written: &Written) -> Result<(), StoreError> {
    let answer = (written.blob, written.size);
    question(written.oci).remember(memo, &answer, vec![Object::Blob(written.blob)], Duration::ZERO)
}

fn question(digest: OciDigest) -> Question {
    Question {
        context: "memobuild 2026-11-28 kept bytes v1",
        output: "kept",
        facts: vec![("sha256", digest.to_string())],
    }
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
        let (blob, oci) = (BlobDigest::of(b"x"), OciDigest::of(b"x"));
        assert!(matches!(keep(&memo, &Written { blob, oci, size: 1 }), Err(StoreError::Missing(_))));
    }
}
