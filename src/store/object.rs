//! What the store keeps by digest, and what can go wrong with it.

use std::fmt;
use std::io;
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
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the store at {} has format {found}, this program reads format {wanted}", path.display())]
    OtherFormat { path: PathBuf, found: String, wanted: u32 },
    #[error("{} is not empty and not a store", path.display())]
    NotStore { path: PathBuf },
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
    /// For `map_err`. An error that went through an `io::Error`, as a reader's and a writer's must,
    /// comes out as it was.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| match source.downcast::<StoreError>() {
            Ok(error) => error,
            Err(source) => StoreError::Io { action, path: path.to_owned(), source },
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> io::Error {
        let kind = match &error {
            StoreError::Io { source, .. } => source.kind(),
            StoreError::Missing(_) => io::ErrorKind::NotFound,
            StoreError::Damaged(_) | StoreError::Changed { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_way_through_io() {
        let changed = StoreError::Changed { path: "there".into() };
        let back = StoreError::io("cannot read", Path::new("here"))(changed.into());
        assert!(matches!(back, StoreError::Changed { path } if path == Path::new("there")));

        let full = StoreError::io("cannot write", Path::new("here"))(io::ErrorKind::StorageFull.into());
        let full = io::Error::from(full);
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(full.to_string().contains("cannot write here"));
    }
}
