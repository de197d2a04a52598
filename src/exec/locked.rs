//! `network locked`: a run that may use the network because what leaves it is known beforehand.

use crate::graph::value::Value;
use crate::tree::tree::Content;

/// How the lock file holds an output, as `memobuild hash` prints it: hexadecimal digest of a file's content, or
/// of a folder's tree. `None` for what is neither.
pub fn digest(value: &Value) -> Option<String> {
    let Value::Tree(entry) = value else { return None };
    match &entry.content {
        Content::File { blob, .. } => Some(blob.to_hex()),
        Content::Directory { tree, .. } => Some(tree.to_hex()),
        _ => None,
    }
}
