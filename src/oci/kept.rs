//! Bytes that came from elsewhere under a SHA-256, and which blob of the store they are: what was fetched once is
//! not fetched again.

use std::time::Duration;

use crate::base::digest::{BlobDigest, OciDigest};
use crate::oci::derived::Question;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};

/// The blob, if the store has it. Whoever reads it has it verified.
pub fn kept(memo: &Memo, digest: OciDigest) -> Result<Option<BlobDigest>, StoreError> {
    question(digest).recall(memo)
}

/// `blob`, which is in the store, has that SHA-256.
pub fn keep(memo: &Memo, digest: OciDigest, blob: BlobDigest) -> Result<(), StoreError> {
    question(digest).remember(memo, &blob, vec![Object::Blob(blob)], Duration::ZERO)
}

fn question(digest: OciDigest) -> Question {
    Question {
        context: "memobuild 2026-11-28 fetched v1",
        output: "fetched",
        facts: vec![("sha256", digest.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::memo;

    #[test]
    fn what_is_kept_is_found_by_its_sha256() {
        let (_folder, memo) = memo();
        let blob = memo.write_blob(b"bytes").unwrap();
        let digest = OciDigest::of(b"bytes");
        assert_eq!(kept(&memo, digest).unwrap(), None);
        keep(&memo, digest, blob).unwrap();
        assert_eq!(kept(&memo, digest).unwrap(), Some(blob));
        assert_eq!(kept(&memo, OciDigest::of(b"others")).unwrap(), None);
    }
}
