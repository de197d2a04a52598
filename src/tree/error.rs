//! What can go wrong with trees, and between them and folders.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::tree_path::TreePath;
use crate::store::object::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error(transparent)]
    Store(StoreError),
    /// `path` is as much of the path as is known: inside a folder given by descriptor it begins at that folder.
    #[error("{action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} changed while it was read", path.display())]
    Changed { path: PathBuf },
    #[error("{} holds folders nested more than {limit} deep", path.display())]
    TooDeep { path: PathBuf, limit: usize },
    /// Another filesystem is mounted inside a folder that must be one.
    #[error("{} is a mount point", path.display())]
    MountPoint { path: PathBuf },
    /// Only a change holds whiteouts, and only an overlay understands them.
    #[error("{} is a removed name, which a plain folder cannot hold", path.display())]
    Whiteout { path: PathBuf },
    /// Our mounts switch these overlay features off, so the folder was made by something else.
    #[error("{} has the overlay attribute `{attribute}`, which cannot be read as a change", path.display())]
    OverlayFeature { path: PathBuf, attribute: String },
    #[error("`{0}` leads through more than 40 symbolic links")]
    Loop(TreePath),
    #[error("the symbolic link `{path}` leads to `{target}`, which cannot be a path: {reason}")]
    BadTarget { path: TreePath, target: String, reason: String },
    #[error("the symbolic link `{path}` leads to `{target}`, {why}")]
    BadLink { path: TreePath, target: String, why: BadLink },
    #[error("with its symbolic links followed, `{path}` holds more than {most} {what}")]
    FollowedTooFar { path: TreePath, most: u64, what: &'static str },
    /// Of a tree that is to be kept among sources.
    #[error("the symbolic link `{path}` leads to `{target}`, out of the workspace")]
    LeadsOut { path: TreePath, target: String },
    #[error("`{path}` is no file, folder or symbolic link")]
    Special { path: TreePath },
    #[error("something else is in the way at {}", path.display())]
    InTheWay { path: PathBuf },
    #[error("cancelled")]
    Cancelled,
}

/// Why a link cannot be replaced by what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    #[error("which is not there")]
    Dangling,
    #[error("outside of what is copied")]
    Outside,
    #[error("a folder that it lies in")]
    Above,
}

impl TreeError {
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TreeError {
        move |source| TreeError::Io { action, path: path.to_owned(), source }
    }
}

impl From<StoreError> for TreeError {
    fn from(error: StoreError) -> TreeError {
        match error {
            StoreError::Cancelled => TreeError::Cancelled,
            error => TreeError::Store(error),
        }
    }
}
