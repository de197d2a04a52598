//! Where the workspace holds which content, so that the store need not copy what it can read in place.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::digest::BlobDigest;
use crate::store::memo::Origin;
use crate::tree::scan::Workspace;
use crate::tree::scan::folder::{Folder, Kind, Seen};
use crate::tree::scan::index::Index;

/// All files that scans of this build have taken. The map is made when it is first asked, and again
/// after further scans.
pub(crate) struct LocalFiles {
    workspace: Arc<Workspace>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    scans: u64,
    files: HashMap<BlobDigest, PathBuf>,
}

impl LocalFiles {
    pub(crate) fn new(workspace: Arc<Workspace>) -> LocalFiles {
        LocalFiles { workspace, known: Mutex::default() }
    }
}

impl Origin for LocalFiles {
    fn locate(&self, blob: &BlobDigest) -> Option<PathBuf> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.workspace.state();
        if known.scans != state.scans {
            known.files.clear();
            collect(&state.root, state.index.as_ref(), &self.workspace.path, &mut known.files);
            known.scans = state.scans;
        }
        known.files.get(blob).cloned()
    }
}

fn collect(folder: &Folder, index: Option<&Index>, path: &Path, files: &mut HashMap<BlobDigest, PathBuf>) {
    let record = index.zip(folder.indexed).and_then(|(index, offset)| index.record(offset));
    let Some(listing) = &folder.listing else { return };
    for slot in &listing.slots {
        let path = || path.join(OsStr::from_bytes(listing.name(slot).to_bytes()));
        if let Some(child) = &slot.child {
            collect(child, index, &path(), files);
        } else if slot.kind == Kind::File
            && !matches!(slot.seen, Seen::NotYet)
            && let Some(sight) = slot.sight(record)
        {
            files.entry(BlobDigest::from_bytes(sight.digest)).or_insert_with(path);
        }
    }
}
