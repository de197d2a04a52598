//! What an action key produced.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::BlobDigest;
use crate::store::object::Object;

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
}
