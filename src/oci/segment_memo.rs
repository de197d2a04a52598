//! Which segments were packed before, and where the store keeps their bytes: each is a blob of its own, so that layers
//! that differ in one segment share the others.

use std::collections::BTreeMap;

use crate::base::digest::{ActionKey, BlobDigest};
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::store::record::{Lost, Record};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Packed(BlobDigest),
    /// No compression made it smaller, so nothing of it is kept.
    Framed,
}

const OUTPUT: &str = "segment";

pub(crate) fn recall(
    memo: &Memo,
    key: ActionKey,
    compression: Compression,
) -> Result<Option<Known>, OciError> {
    if compression == Compression::None {
        return Ok(Some(Known::Framed));
    }
    let Some(record) = memo.recall(key)? else { return Ok(None) };
    let blob: Option<Option<BlobDigest>> =
        record.outputs.get(OUTPUT).and_then(|value| serde_json::from_value(value.clone()).ok());
    Ok(blob.map(|blob| blob.map_or(Known::Framed, Known::Packed)))
}

/// Only for segments of files that were all read to their end: until then, nobody knows their bytes.
pub(crate) fn remember(memo: &Memo, key: ActionKey, known: Known) -> Result<(), OciError> {
    let blob = match known {
        Known::Packed(blob) => Some(blob),
        Known::Framed => None,
    };
    let record = Record {
        outputs: BTreeMap::from([(OUTPUT.to_owned(), serde_json::json!(blob))]),
        objects: blob.map(Object::Blob).into_iter().collect(),
        facts: Vec::new(),
        log: None,
        seconds: 0.0,
        rung: None,
        shareable: false,
        node: "layer segment".to_owned(),
        lost: Lost::default(),
    };
    Ok(memo.remember(key, &record)?)
}
