//! What tests of this floor and of those above need.

use crate::store::memo::Memo;

/// A new store, `store` in a folder that may hold other things too.
pub(crate) fn memo() -> (tempfile::TempDir, Memo) {
    let folder = tempfile::tempdir().unwrap();
    let memo = Memo::open(&folder.path().join("store")).unwrap();
    (folder, memo)
}
