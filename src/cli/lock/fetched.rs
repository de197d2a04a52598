//! Images of registries, `http` and `git` sources: their servers are asked what is there now. A file is downloaded for
//! it, into the store, where the next build finds it; of an image only its name is looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::address::{holds_secret, shown};
use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::cli::lock::resolve::{LEFT, tell};
use crate::cli::{interrupt, place, settings};
use crate::exec::executor::ExecError;
use crate::exec::fetch::Fetching;
use crate::graph::graph::NodeId;
use crate::graph::op::{Fetch, Op, Pull};
use crate::lang::Loaded;
use crate::lang::lock::entry::{Entry, IMAGE, Key};
use crate::lang::lock::pin::reference;
use crate::oci::supply::Supply;

/// The entries of those of `open` that are such sources, each asked for once. What cannot be looked up is told all at once.
pub(super) fn entries(
    args: &Args,
    workspace: &Path,
    loaded: &Loaded,
    open: &BTreeSet<NodeId>,
) -> Result<Vec<Entry>, Failure> {
    let remote: Vec<NodeId> =
        open.iter().copied().filter(|&id| loaded.graph.node(id).op.is_remote()).collect();
    if remote.is_empty() {
        return Ok(Vec::new());
    }
    let memo = place::open_for(args, workspace, loaded)?;
    let supply = Supply::new(&memo, &settings::network(loaded), &interrupt::cancel());
    let fetching = Fetching::new(&supply, workspace);
    let mut entries: Vec<Entry> = Vec::new();
    let mut is_whole = true;
    for id in remote {
        let found = match &loaded.graph.node(id).op {
            Op::Fetch(fetch) => entry(&fetching, fetch),
            Op::Pull(pull) if entries.iter().any(|entry| entry.key() == key(pull)) => continue,
            Op::Pull(pull) => image(&supply, pull),
            _ => continue,
        };
        match found {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                is_whole = false;
                tell(loaded, id, error)?;
            }
        }
    }
    if is_whole { Ok(entries) } else { Err(Failure::Input { message: LEFT.to_owned(), help: None }) }
}

fn key(pull: &Pull) -> Key {
    Key::new(IMAGE, &reference(&pull.source), None)
}

/// One digest leads to the image on all platforms.
fn image(supply: &Supply, pull: &Pull) -> Result<Entry, ExecError> {
    let reference = reference(&pull.source);
    let found = supply.network().registries()?.resolve(&reference.parse()?, supply.cancel())?;
    Ok(Entry::Image { reference, digest: Some(found.digest.to_string()), platforms: BTreeMap::new() })
}

fn entry(fetching: &Fetching, fetch: &Fetch) -> Result<Entry, ExecError> {
    let (Fetch::Http { url, .. } | Fetch::Git { url, .. }) = fetch;
    if holds_secret(url) {
        return Err(with_login(fetch, url));
    }
    let url = url.clone();
    Ok(match fetch {
        Fetch::Http { .. } => {
            let file = fetching.file(&url)?;
            Entry::Http { url, sha256: file.oci.to_hex(), size: Some(file.size) }
        }
        Fetch::Git { reference, .. } => {
            let commit = fetching.commit(&url, reference.as_deref())?;
            Entry::Git { url, reference: reference.clone(), commit }
        }
    })
}

/// The lock file is kept with the sources, for everybody to read.
fn with_login(fetch: &Fetch, url: &str) -> ExecError {
    let help = match fetch {
        Fetch::Http { .. } => "give its sha256=\"…\" in its line; then it needs no entry",
        Fetch::Git { .. } => "give its commit=\"…\", or leave the login to a credential helper of git",
    };
    ExecError::Input {
        message: format!("{} holds a login, which memobuild.lock does not take", shown(url)),
        help: help.to_owned(),
    }
}
