//! The shapes of a tree: directories, their entries and what an entry holds.
//! Times are no part of a tree. Owner, mode and xattrs live here, never on a stored file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::{BlobDigest, TreeDigest};

/// One directory: names (bytes, no `/`) to entries, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

/// What a name stands for. Also the value of a tree as a whole: a directory, or a single file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub metadata: Metadata,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most, never the file type.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    File {
        blob: BlobDigest,
        /// Bytes.
        size: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<LinkGroup>,
    },
    Directory {
        tree: TreeDigest,
        /// In a change: what lies below this directory in the root under it does not show through.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        opaque: bool,
    },
    Symlink {
        target: Vec<u8>,
    },
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    /// In a change only: the name is removed from the root under it.
    Whiteout,
}

/// Files of one tree that carry the same group, blob and metadata are hard links of each other.
/// The number is made from the paths and content of the group, so that equal trees have equal groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkGroup(pub u64);

impl Metadata {
    /// Owner 0:0, no xattrs.
    pub fn plain(mode: u32) -> Metadata {
        Metadata { mode, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }
}

impl Entry {
    /// A directory of mode 0755 owned by 0:0.
    pub fn directory(tree: TreeDigest) -> Entry {
        Entry { metadata: Metadata::plain(0o755), content: Content::Directory { tree, opaque: false } }
    }

    pub fn file(blob: BlobDigest, size: u64, mode: u32) -> Entry {
        Entry { metadata: Metadata::plain(mode), content: Content::File { blob, size, link: None } }
    }

    /// The one form of a whiteout: no mode, owner 0:0.
    pub fn whiteout() -> Entry {
        Entry { metadata: Metadata::plain(0), content: Content::Whiteout }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory { .. })
    }

    /// Of a directory.
    pub fn tree(&self) -> Option<TreeDigest> {
        match self.content {
            Content::Directory { tree, .. } => Some(tree),
            _ => None,
        }
    }
}

/// JSON has no keys but texts.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

    pub(super) fn serialize<S: Serializer>(these: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
        these.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Attributes, D::Error> {
        Ok(Vec::<(Vec<u8>, Vec<u8>)>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_says_of_itself_is_read_back() {
        let mut entry = Entry::file(BlobDigest::of(b"x"), 1, 0o755);
        // Names need not be text.
        entry.metadata.xattrs.insert(b"user.\xff".to_vec(), b"\0value".to_vec());
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    }
}
