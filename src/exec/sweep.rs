//! What runs of dead processes left in the store.

use std::io;
use std::path::PathBuf;

use crate::exec::identity::Identity;
use crate::exec::probe::Isolation;
use crate::exec::{cgroup, helper};
use crate::store::memo::Memo;
use crate::store::object::StoreError;

/// Removes the control groups of dead builds, and the work folders that opening the store could not: their files belong to users that exist only in
/// the user namespace they were made in. Gives the folders that are still there. Where there is nothing to be
/// removed no process is started.
pub fn sweep(memo: &Memo, isolation: &Isolation) -> Result<Vec<PathBuf>, StoreError> {
    // One that cannot be removed now is tried again next time.
    let _ = cgroup::sweep(memo.folder());
    let Some(granted) = &isolation.granted else { return memo.stale_work_folders() };
    if !matches!(granted.identity, Identity::Ranges { .. }) || memo.stale_work_folders()?.is_empty() {
        return memo.stale_work_folders();
    }
    memo.sweep(&|folder| {
        helper::remove(&isolation.zygote, memo, &granted.identity, folder).map_err(io::Error::other)
    })
}
