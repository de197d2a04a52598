//! `http` and `git` sources: their servers are asked what is there now. A file is downloaded for it, into the store,
//! where the next build finds it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::address::{holds_secret, shown};
use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::cli::lock::resolve::{LEFT, tell};
use crate::cli::{interrupt, place, settings};
use crate::exec::executor::ExecError;
use crate::exec::fetch::Fetching;
use crate::graph::graph::NodeId;
use crate::graph::op::{Fetch, Op};
use crate::lang::Loaded;
use crate::lang::lock::entry::Entry;

/// The entries of those of `open` that are such sources. What cannot be looked up is told all at once.
pub(super) fn entries(
    args: &Args,
    workspace: &Path,
    loaded: &Loaded,
    open: &BTreeSet<NodeId>,
) -> Result<Vec<Entry>, Failure> {
    let fetches = open.iter().filter_map(|&id| match &loaded.graph.node(id).op {
        Op::Fetch(fetch) => Some((id, fetch)),
        _ => None,
    });
    let fetches: Vec<(NodeId, &Fetch)> = fetches.collect();
    if fetches.is_empty() {
        return Ok(Vec::new());
    }
    let memo = place::open_for(args, workspace, loaded)?;
    let fetching = Fetching::new(&memo, &settings::network(loaded), workspace, &interrupt::cancel());
    let mut entries = Vec::new();
    let mut is_whole = true;
    for (id, fetch) in fetches {
        match entry(&fetching, fetch) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                is_whole = false;
                tell(loaded, id, error)?;
            }
        }
    }
    if is_whole { Ok(entries) } else { Err(Failure::Input { message: LEFT.to_owned(), help: None }) }
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
