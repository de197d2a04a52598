//! SHA-256 can't be taken apart: a layer's digests need all its bytes, but for those before a place where the same
//! bytes were hashed before. Such places are remembered every few megabytes, by all that stands before them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sha2::digest::common::hazmat::{SerializableState as _, SerializedState};

use crate::base::digest::{ActionKey, Digest};
use crate::base::facts::{FactSink as _, HashSink};
use crate::oci::derived::Question;
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::oci::segment::{Segment, Segments};
use crate::store::memo::Memo;

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
        let mut facts = HashSink::new("memobuild 2026-11-28 layer before v1");
        compression.write_facts(&mut facts);
        let before = facts.finish();
        Steps { memo, segments, ready: VecDeque::new(), before, is_known: true, is_all }
    }

    /// As many segments as lie between two checkpoints, or are left.
    fn advance(&mut self) -> Result<(), OciError> {
        let mut facts = HashSink::new("memobuild 2026-11-28 layer before v1");
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

pub(crate) fn remember(memo: &Memo, before: ActionKey, state: &State) -> Result<(), OciError> {
    let saved = Saved { tar: hex(&state.tar), packed: hex(&state.packed), size: state.size };
    Ok(question(before).remember(memo, &saved, Vec::new(), Duration::ZERO)?)
}

fn recall(memo: &Memo, before: ActionKey) -> Result<Option<State>, OciError> {
    let Some(saved) = question(before).recall::<Saved>(memo)? else { return Ok(None) };
    let hashes = (from_hex(&saved.tar), from_hex(&saved.packed));
    Ok(match hashes {
        (Some(tar), Some(packed)) => Some(State { tar, packed, size: saved.size }),
        _ => None,
    })
}

/// The hashes in the serialised form of their crate, which refuses another version's.
#[derive(Serialize, Deserialize)]
struct Saved {
    tar: String,
    packed: String,
    size: u64,
}

fn question(before: ActionKey) -> Question {
    Question {
        context: "memobuild 2026-11-28 layer checkpoint v1",
        output: "checkpoint",
        facts: vec![("before", before.to_string())],
    }
}

fn hex(hash: &Sha256) -> String {
    hash.serialize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Option<Sha256> {
    let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    Sha256::deserialize(&SerializedState::<Sha256>::try_from(bytes?.as_slice()).ok()?).ok()
}
