//! What a run is lent beside its inputs, as its spec tells it: nothing of it is kept with the run's results.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lent {
    pub caches: Vec<CacheFolder>,
    /// How many descriptors follow the spec: the locks of the caches, held by the sandbox as well, so that nobody
    /// else has them while anything in it lives.
    pub locks: usize,
}

/// A folder of the store's that runs may write to, and find again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CacheFolder {
    pub at: TreePath,
    /// Where it is, or is to be made. Whoever made the spec holds its lock.
    pub folder: PathBuf,
    /// Whose a new one is, `user` or `user:group`; the run's user's where nothing is said.
    pub owner: Option<String>,
    pub mode: u32,
    /// What a new one begins with.
    pub seed: Option<TreeDigest>,
}
