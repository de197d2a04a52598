//! What each node of a workspace last did: where `log` finds its text and `why` its comparison.
//! A convenience beside the memo: it may be lost at any time and nothing is rebuilt for it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::digest::{ActionKey, BlobDigest};
use crate::base::durable;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    pub nodes: BTreeMap<String, Last>,
    /// What `-o` wrote and where (absolute paths): ours to replace, and no part of a scan.
    #[serde(with = "by_path")]
    pub exported: BTreeMap<PathBuf, Identity>,
}

/// Device, inode and birth (where the filesystem knows it): the same file or folder, neither another one
/// of the same name nor one that was given the inode of one removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity(u64, u64, Option<SystemTime>);

/// `None` where nothing is there.
pub fn identity(path: &Path) -> Option<Identity> {
    let metadata = path.symlink_metadata().ok()?;
    Some(Identity(metadata.dev(), metadata.ino(), metadata.created().ok()))
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

    /// What `-o` wrote and nobody replaced since.
    pub fn exports(&self) -> Vec<PathBuf> {
        self.exported.keys().filter(|path| self.is_exported(path)).cloned().collect()
    }

    /// What is there now is what `-o` wrote there.
    pub fn is_exported(&self, path: &Path) -> bool {
        self.exported.get(path).is_some_and(|written| identity(path) == Some(*written))
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

/// A list of pairs, the paths as bytes: texts and keys of JSON are UTF-8, and a path need not be.
mod by_path {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::PathBuf;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Identity;

    pub(super) fn serialize<S: Serializer>(
        exported: &BTreeMap<PathBuf, Identity>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(exported.iter().map(|(path, identity)| (path.as_os_str().as_bytes(), identity)))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<BTreeMap<PathBuf, Identity>, D::Error> {
        let pairs = Vec::<(Vec<u8>, Identity)>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(path, identity)| (OsString::from_vec(path).into(), identity)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"non\xffutf"));
        std::fs::create_dir(&path).unwrap();
        let exported = BTreeMap::from([(path.clone(), identity(&path).unwrap())]);
        let history = History { exported, ..History::default() };
        let json = serde_json::to_vec(&history).unwrap();
        assert_eq!(serde_json::from_slice::<History>(&json).unwrap(), history);
        assert_eq!(history.exports(), [path]);
    }

    #[test]
    fn what_was_replaced_is_no_export() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::create_dir(&path).unwrap();
        let exported = BTreeMap::from([(path.clone(), identity(&path).unwrap())]);
        let history = History { exported, ..History::default() };
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(!history.is_exported(&path));
        assert_eq!(history.exports(), Vec::<PathBuf>::new());
    }
}
