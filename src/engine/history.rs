//! What each node of a workspace last did: where `log` finds its text and `why` its comparison.
//! A convenience beside the memo: it may be lost at any time and nothing is rebuilt for it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::{ActionKey, BlobDigest};
use crate::base::durable;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    pub nodes: BTreeMap<String, Last>,
    /// What `-o` wrote and where (absolute paths): ours to replace, and no part of a scan.
    pub exported: BTreeMap<PathBuf, Identity>,
}

/// Device and inode: the same file or folder, not another one of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(u64, u64);

/// `None` where nothing is there.
pub fn identity(path: &Path) -> Option<Identity> {
    let metadata = path.symlink_metadata().ok()?;
    Some(Identity(metadata.dev(), metadata.ino()))
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    pub key: Option<ActionKey>,
    pub log: Option<BlobDigest>,
    /// Its last run failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl History {
    /// Empty where there is none, or none that can be read.
    pub fn load(memo: &Memo, workspace: &Path) -> History {
        let bytes = std::fs::read(place(memo, workspace)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    pub fn exports(&self) -> Vec<PathBuf> {
        self.exported.keys().cloned().collect()
    }

    /// Two builds at once may each lose the other's news of a node; neither loses a result.
    pub fn save(&self, memo: &Memo, workspace: &Path) -> Result<(), StoreError> {
        let path = place(memo, workspace);
        let folder = path.parent().expect("bug: a file in a folder");
        std::fs::create_dir_all(folder).map_err(StoreError::io("cannot create", folder))?;
        let json = serde_json::to_vec(self).expect("bug: history is always JSON");
        durable::write_atomically(&path, &json, 0o644).map_err(StoreError::io("cannot write", &path))
    }
}

fn place(memo: &Memo, workspace: &Path) -> PathBuf {
    let name = BlobDigest::of(workspace.as_os_str().as_bytes()).to_hex();
    memo.folder().join("history").join(name)
}
