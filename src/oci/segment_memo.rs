//! Which segments were packed before, and where the store keeps their bytes: each is a blob of its own, so that layers
//! that differ in one segment share the others.

use std::time::Duration;

use crate::base::digest::{ActionKey, BlobDigest};
use crate::oci::derived::Question;
use crate::oci::image::Compression;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Packed(BlobDigest),
    /// No compression made it smaller, so nothing of it is kept.
    Framed,
}

pub(crate) fn recall(
    memo: &Memo,
    segment: ActionKey,
    compression: Compression,
) -> Result<Option<Known>, StoreError> {
    if compression == Compression::None {
        return Ok(Some(Known::Framed));
    }
    let blob: Option<Option<BlobDigest>> = question(segment).recall(memo)?;
    Ok(blob.map(|blob| blob.map_or(Known::Framed, Known::Packed)))
}

/// Only for segments of files that were all read to their end: until then, nobody knows their bytes.
pub(crate) fn remember(memo: &Memo, segment: ActionKey, known: Known) -> Result<(), StoreError> {
    let blob = match known {
        Known::Packed(blob) => Some(blob),
        Known::Framed => None,
    };
    let objects = blob.map(Object::Blob).into_iter().collect();
    question(segment).remember(memo, &blob, objects, Duration::ZERO)
}

/// The segment's key says how it is compressed, too.
fn question(segment: ActionKey) -> Question {
    Question {
        context: "memobuild 2026-11-28 packed segment v1",
        output: "segment",
        facts: vec![("segment", segment.to_string())],
    }
}
