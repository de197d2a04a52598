//! The snapshots that only a sandbox's own process can make: those whose files belong to users of its
//! user namespace.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::exec::sandbox::ask;
use crate::exec::sandbox::spec::{Reply, Snapshot, Spec, Trouble};
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::materialize::Owners;
use crate::tree::disk::snapshot::{Age, SnapshotForm, snapshot};
use crate::tree::error::TreeError;

/// Where each of the spec's snapshots is.
pub(super) fn folders(spec: &Spec, main: &mut UnixStream) -> Result<Vec<PathBuf>, Trouble> {
    let mut memo = None;
    let mut folders = Vec::with_capacity(spec.snapshots.len());
    for wanted in &spec.snapshots {
        folders.push(match wanted {
            Snapshot::At(folder) => folder.clone(),
            Snapshot::ToBeMade { tree, age } => {
                let memo = match &memo {
                    Some(memo) => memo,
                    None => memo.insert(Memo::open(&spec.store)?),
                };
                make(memo, *tree, *age, &form(spec), main)?
            }
        });
    }
    Ok(folders)
}

fn make(
    memo: &Memo,
    tree: TreeDigest,
    age: Age,
    form: &SnapshotForm,
    main: &mut UnixStream,
) -> Result<PathBuf, Trouble> {
    let never = Cancel::default();
    match snapshot(memo, tree, age, form, &never) {
        Err(TreeError::Store(StoreError::Missing(_))) => {
            ask(main, &Reply::WantsTree(tree))?;
            Ok(snapshot(memo, tree, age, form, &never)?)
        }
        made => Ok(made?),
    }
}

fn form(spec: &Spec) -> SnapshotForm {
    SnapshotForm { owners: Owners::Exact, flavour: spec.flavour(), class: spec.identity.class() }
}
