//! What an action key produced, and its text form: a version line, the key, one line of JSON, and a
//! BLAKE3 checksum over all before it, so that no damage, nor a record under another's key, is read as a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::{ActionKey, BlobDigest};
use crate::store::object::Object;
use crate::store::traffic::Traffic;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Values by output name; the store does not know their form.
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// Objects that the outputs name directly; trees imply what lies below them.
    pub objects: Vec<Object>,
    /// The facts that made the key, to explain a later miss.
    pub facts: Vec<(String, String)>,
    /// Everything the command wrote to its two streams.
    pub log: Option<BlobDigest>,
    /// How long it took to make.
    pub seconds: f64,
    /// Isolation rung it was made on; `None` where no process ran.
    pub rung: Option<String>,
    /// Whether other machines may use it.
    pub shareable: bool,
    /// The node it was made for, to be shown.
    pub node: String,
    /// What the run wrote and nobody has. Records of before know nothing of it.
    #[serde(default, skip_serializing_if = "Lost::is_empty")]
    pub lost: Lost,
    /// What the run reached through its proxy.
    #[serde(default, skip_serializing_if = "Traffic::is_empty")]
    pub traffic: Traffic,
    /// How often it was tried until it did not fail. Records of before knew of one attempt only.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: u32,
}

const fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_once(attempts: &u32) -> bool {
    *attempts == 1
}

/// Files that a run wrote where nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lost {
    /// Paths of the first ones in the sandbox.
    pub paths: Vec<String>,
    /// Of all.
    pub count: u64,
}

impl Lost {
    const MOST_PATHS: usize = 5;

    pub fn add(&mut self, path: String) {
        self.count += 1;
        if self.paths.len() < Lost::MOST_PATHS {
            self.paths.push(path);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

const VERSION: &str = "memobuild record 1";

/// The text form of the key's record.
pub fn format(key: ActionKey, record: &Record) -> Vec<u8> {
    let json = serde_json::to_string(record).expect("bug: a record is always JSON");
    let body = format!("{VERSION}\nkey {key}\n{json}\n");
    format!("{body}checksum {}\n", BlobDigest::of(body.as_bytes())).into_bytes()
}

/// `None` where the text is not exactly what `format` made for this key.
pub fn parse(key: ActionKey, text: &[u8]) -> Option<Record> {
    // "checksum ", the digits and the newline.
    let (body, last) = text.split_at_checked(text.len().checked_sub(9 + 64 + 1)?)?;
    if last != format!("checksum {}\n", BlobDigest::of(body)).as_bytes() {
        return None;
    }
    let json = body.strip_prefix(format!("{VERSION}\nkey {key}\n").as_bytes())?;
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::digest::TreeDigest;

    pub(crate) fn sample(node: &str, objects: &[Object]) -> Record {
        Record {
            outputs: BTreeMap::from([("tree".into(), serde_json::json!({ "tree": TreeDigest::of(b"t") }))]),
            objects: objects.to_vec(),
            facts: vec![("op".into(), "run".into())],
            log: None,
            seconds: 1.5,
            rung: Some("A".into()),
            shareable: true,
            node: node.into(),
            lost: Lost::default(),
            traffic: Traffic::default(),
            attempts: 1,
        }
    }

    pub(crate) fn key(number: u8) -> ActionKey {
        ActionKey::from_bytes([number; 32])
    }

    #[test]
    fn reads_back() {
        let record = sample("compile é\n", &[Object::Blob(BlobDigest::of(b"x"))]);
        assert_eq!(parse(key(1), &format(key(1), &record)), Some(record));
    }

    #[test]
    fn a_record_that_knows_of_nothing_lost_is_read() {
        let record = sample("compile", &[]);
        assert!(!String::from_utf8(format(key(1), &record)).unwrap().contains("lost"));
        let mut with = record.clone();
        (0..7).for_each(|number| with.lost.add(format!("/src/{number}")));
        assert_eq!((with.lost.paths.len(), with.lost.count), (5, 7));
        assert_eq!(parse(key(1), &format(key(1), &with)), Some(with));
    }

    #[test]
    fn any_flipped_bit_any_cut_and_another_key_are_noticed() {
        let record = sample("compile", &[]);
        let text = format(key(1), &record);
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut text = text.clone();
                text[place] ^= 1 << bit;
                assert_eq!(parse(key(1), &text), None, "bit {bit} of byte {place}");
            }
            assert_eq!(parse(key(1), &text[..place]), None, "cut at {place}");
        }
        assert_eq!(parse(key(2), &text), None);
        assert_eq!(parse(key(1), &[&text[..], b"\n"].concat()), None);
    }
}
