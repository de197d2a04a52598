//! SHA-256 can't be taken apart: a layer's digests need all its bytes, but for those before a place where the same
//! bytes were hashed before. Such places are remembered every few megabytes, by all that stands before them.

use std::collections::{BTreeMap, VecDeque};

use sha2::Sha256;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};

use crate::base::digest::{ActionKey, Digest};
use crate::base::facts::{FactSink as _, HashSink};
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::oci::segment::{Segment, Segments};
use crate::store::memo::Memo;
use crate::store::record::{Lost, Record};

/// Bytes of tar from one to the next, at least: a few milliseconds of hashing, against one record.
const APART: u64 = 8 << 20;

/// Both hashes, and the packed bytes so far.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub tar: Sha256,
    pub packed: Sha256,
    pub size: u64,
}

pub(crate) enum Step {
    /// Its bytes are still to be hashed, unless a `Resume` follows.
    Segment { segment: Segment, is_hashed: bool },
    /// All before this was hashed in an earlier run.
    Resume(Box<State>),
    /// What was hashed so far is to be remembered.
    Save(ActionKey),
}

/// The segments of a layer and the checkpoints between them.
pub(crate) struct Steps<'a> {
    memo: &'a Memo,
    segments: Segments<'a>,
    ready: VecDeque<Step>,
    /// The key of all before.
    before: Digest,
    /// Whether all before is hashed already.
    is_known: bool,
    /// Whether segments are wanted that need no hashing.
    is_all: bool,
}

impl<'a> Steps<'a> {
    /// Without those that need neither hashing nor, unless `is_all`, writing.
    pub(crate) fn hashed(
        memo: &'a Memo,
        segments: Segments<'a>,
        compression: Compression,
        is_all: bool,
    ) -> Steps<'a> {
        let mut facts = HashSink::new("memobuild 2026-11-28 layer checkpoint v1");
        compression.write_facts(&mut facts);
        let before = facts.finish();
        Steps { memo, segments, ready: VecDeque::new(), before, is_known: true, is_all }
    }

    /// As many segments as lie between two checkpoints, or are left.
    fn advance(&mut self) -> Result<(), OciError> {
        let mut facts = HashSink::new("memobuild 2026-11-28 layer checkpoint v1");
        facts.fact("before", self.before.as_bytes());
        let (mut group, mut size) = (Vec::new(), 0);
        while size < APART {
            let Some(segment) = self.segments.next().transpose()? else { break };
            facts.fact("segment", segment.key.as_bytes());
            size += segment.size;
            group.push(segment);
        }
        if group.is_empty() {
            return Ok(());
        }
        self.before = facts.finish();
        let key = ActionKey(self.before);
        let state = if self.is_known { recall(self.memo, key)? } else { None };
        self.is_known = state.is_some();
        let is_hashed = !self.is_known;
        if is_hashed || self.is_all {
            self.ready.extend(group.into_iter().map(|segment| Step::Segment { segment, is_hashed }));
        }
        self.ready.push_back(state.map_or(Step::Save(key), |state| Step::Resume(Box::new(state))));
        Ok(())
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step, OciError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && let Err(error) = self.advance()
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

/// Never shared: a digest that is wrong would be noticed by whoever reads the layer, and not before.
pub(crate) fn remember(memo: &Memo, key: ActionKey, state: &State) -> Result<(), OciError> {
    let hex = |hash: &Sha256| hash.serialize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let outputs = BTreeMap::from([
        ("tar".to_owned(), serde_json::json!(hex(&state.tar))),
        ("packed".to_owned(), serde_json::json!(hex(&state.packed))),
        ("size".to_owned(), serde_json::json!(state.size)),
    ]);
    let record = Record {
        outputs,
        objects: Vec::new(),
        facts: Vec::new(),
        log: None,
        seconds: 0.0,
        rung: None,
        shareable: false,
        node: "layer checkpoint".to_owned(),
        lost: Lost::default(),
    };
    Ok(memo.remember(key, &record)?)
}

fn recall(memo: &Memo, key: ActionKey) -> Result<Option<State>, OciError> {
    let Some(record) = memo.recall(key)? else { return Ok(None) };
    let hash = |name: &str| {
        let hex = record.outputs.get(name)?.as_str()?;
        let digits = hex.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> =
            digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
        Sha256::deserialize(&SerializedState::<Sha256>::try_from(bytes?.as_slice()).ok()?).ok()
    };
    let size = record.outputs.get("size").and_then(serde_json::Value::as_u64);
    Ok(match (hash("tar"), hash("packed"), size) {
        (Some(tar), Some(packed), Some(size)) => Some(State { tar, packed, size }),
        _ => None,
    })
}
