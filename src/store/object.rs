//! What the store keeps by digest, and what can go wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::digest::{BlobDigest, TreeDigest};

/// Bytes with a name made from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    Blob(BlobDigest),
    /// The canonical encoding of one directory.
    Tree(TreeDigest),
}

impl Object {
    /// Whether `bytes` are what the digest says.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Object::Blob(digest) => BlobDigest::of(bytes) == *digest,
            Object::Tree(digest) => TreeDigest::of(bytes) == *digest,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Blob(digest) => write!(f, "blob {digest}"),
            Object::Tree(digest) => write!(f, "tree {digest}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the store at {} has format {found}, this program reads format {wanted}", path.display())]
    OtherFormat { path: PathBuf, found: String, wanted: u32 },
    /// Found damaged and put aside, so that the next look misses.
    #[error("{0} in the store is damaged")]
    Damaged(Object),
    #[error("{0} is not in the store")]
    Missing(Object),
    /// The file a scan found these bytes in no longer holds them.
    #[error("{} changed while the build was using it", path.display())]
    Changed { path: PathBuf },
    #[error("cancelled")]
    Cancelled,
}

impl StoreError {
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }
}
