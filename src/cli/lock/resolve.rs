//! What the nodes of a graph leave to the lock file, and what of it this machine alone can tell: image layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cli::build::end_of;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::exec::executor::ExecError;
use crate::exec::pulling;
use crate::graph::graph::{Graph, NodeId};
use crate::graph::op::{ImageSource, Network, Op};
use crate::lang::Loaded;
use crate::lang::lock::entry::{Entry, Key};
use crate::lang::lock::pin::{missing, output_key, reference};
use crate::lang::mistake::Mistake;
use crate::oci::error::OciError;
use crate::oci::image::Platform;
use crate::oci::pull;
use crate::oci::source::Source;

#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) node: NodeId,
    pub(super) key: Key,
    /// It need not be there.
    pub(super) optional: bool,
}

/// Of an unpinned graph.
pub(super) fn wanted(graph: &Graph) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for node in graph.ids() {
        let keys = missing(graph.node(node));
        wanted.extend(keys.into_iter().map(|key| Wanted { node, key, optional: false }));
        if let Op::Run(run) = &graph.node(node).op
            && run.network == Network::Locked
        {
            let optional = run.outputs.iter().filter(|output| output.optional);
            let keys = optional.map(|output| output_key(graph.node(node), &output.name));
            wanted.extend(keys.map(|key| Wanted { node, key, optional: true }));
        }
    }
    wanted
}

/// The entries of those that name layouts, each once. Layouts that cannot be read are told all at once.
pub(super) fn layouts(workspace: &Path, loaded: &Loaded, chosen: &[&Wanted]) -> Result<Vec<Entry>, Failure> {
    let mut platforms: BTreeMap<String, BTreeSet<NodeId>> = BTreeMap::new();
    for wanted in chosen {
        if let Op::Pull(op) = &loaded.graph.node(wanted.node).op
            && matches!(op.source, ImageSource::Layout { .. })
        {
            platforms.entry(reference(&op.source)).or_default().insert(wanted.node);
        }
    }
    let mut entries = Vec::new();
    let mut failed = 0;
    for (reference, nodes) in platforms {
        match layout(workspace, &loaded.graph, reference, &nodes) {
            Ok(entry) => entries.push(entry),
            Err((node, error)) => {
                failed += 1;
                tell(loaded, node, error.into())?;
            }
        }
    }
    match failed {
        0 => Ok(entries),
        _ => Err(Failure::Input { message: LEFT.to_owned(), help: None }),
    }
}

pub(super) const LEFT: &str = "memobuild.lock is left as it is";

/// `nodes` all pull `reference`, each for its platform.
fn layout(
    workspace: &Path,
    graph: &Graph,
    reference: String,
    nodes: &BTreeSet<NodeId>,
) -> Result<Entry, (NodeId, OciError)> {
    let mut platforms = BTreeMap::new();
    for &id in nodes {
        let node = graph.node(id);
        let Op::Pull(op) = &node.op else { continue };
        let ImageSource::Layout { path, reference: tag, form } = &op.source else { continue };
        let source = pulling::open(&workspace.join(path), *form);
        let digest = source.and_then(|source| digest(&source, tag.as_deref(), &node.platform));
        match digest.map_err(|error| (id, error))? {
            Pinned::Whole(digest) => {
                return Ok(Entry::Image { reference, digest: Some(digest), platforms: BTreeMap::new() });
            }
            Pinned::Platform(digest) => drop(platforms.insert(node.platform.to_string(), digest)),
        }
    }
    Ok(Entry::Image { reference, digest: None, platforms })
}

enum Pinned {
    /// One digest leads to all platforms.
    Whole(String),
    Platform(String),
}

fn digest(source: &Source, tag: Option<&str>, platform: &Platform) -> Result<Pinned, OciError> {
    Ok(match pull::pinning(source, tag)? {
        Some(digest) => Pinned::Whole(digest.to_string()),
        None => Pinned::Platform(pull::resolve(source, tag, None, platform)?.to_string()),
    })
}

/// In the build file's text, where the user can do something about it.
pub(super) fn tell(loaded: &Loaded, node: NodeId, error: ExecError) -> Result<(), Failure> {
    match error {
        ExecError::Input { message, help } => {
            let node = loaded.graph.node(node);
            let until = end_of(node, loaded);
            print::mistake(&Mistake::in_node(&loaded.sources, node, until, &message, &help));
            Ok(())
        }
        other => Err(other.into()),
    }
}
