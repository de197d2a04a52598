//! What of a graph the lock file can hold, and the lock file's digests put into the graph. A digest that the
//! build file itself gives wins; then the lock file is not asked.

use crate::base::address::shown;
use crate::graph::graph::{Graph, Node};
use crate::graph::op::{Fetch, ImageSource, Network, Op};
use crate::lang::lock::Lock;
use crate::lang::lock::entry::{FETCH, GIT, HTTP, IMAGE, Key, RUN};

/// Fills in what is pinned nowhere but in the lock file.
pub fn pin(graph: &mut Graph, lock: &Lock) {
    for node in &mut graph.nodes {
        let label = label(node);
        match &mut node.op {
            Op::Pull(pull) if pull.digest.is_none() => {
                let platform = node.platform.to_string();
                pull.digest = lock.image(&reference(&pull.source), &platform).map(str::to_owned);
            }
            Op::Fetch(Fetch::Http { url, sha256, .. }) if sha256.is_none() => {
                *sha256 = lock.http(url).map(str::to_owned);
            }
            Op::Fetch(Fetch::Git { url, commit, reference, .. }) if commit.is_none() => {
                *commit = lock.git(url, reference.as_deref()).map(str::to_owned);
            }
            Op::Run(run) if run.network == Network::Intercept => run.pins = lock.fetches(&label),
            Op::Run(run) if run.network == Network::Locked => {
                for output in &mut run.outputs {
                    output.locked = lock.run(&label, &output.name).map(str::to_owned);
                }
            }
            _ => {}
        }
    }
}

/// The keys of all that the node leaves to the lock file. In a pinned graph: what the lock file lacks.
/// An output that may be missing need not be known; an address with a login in it is never in the lock file.
pub fn missing(node: &Node) -> Vec<Key> {
    match &node.op {
        Op::Pull(pull) if pull.digest.is_none() => vec![Key::new(IMAGE, &reference(&pull.source), None)],
        Op::Fetch(Fetch::Http { url, sha256: None, .. }) => vec![Key::new(HTTP, &shown(url), None)],
        Op::Fetch(Fetch::Git { url, commit: None, reference, .. }) => {
            vec![Key::new(GIT, &shown(url), reference.as_deref())]
        }
        Op::Run(run) if run.network == Network::Locked => {
            let open = run.outputs.iter().filter(|output| output.locked.is_none() && !output.optional);
            open.map(|output| output_key(node, &output.name)).collect()
        }
        Op::Run(run) if run.network == Network::Intercept && run.pins.is_empty() => vec![fetches_key(node)],
        _ => Vec::new(),
    }
}

/// Stands for all that the run fetches.
pub fn fetches_key(node: &Node) -> Key {
    Key::new(FETCH, &label(node), None)
}

pub fn output_key(node: &Node, output: &str) -> Key {
    Key::new(RUN, &label(node), Some(output))
}

/// As the build file writes it, and so as the lock file does.
pub fn reference(source: &ImageSource) -> String {
    match source {
        ImageSource::Layout { path, reference: None, form } => format!("{}:{path}", form.word()),
        ImageSource::Layout { path, reference: Some(tag), form } => format!("{}:{path}:{tag}", form.word()),
        ImageSource::Registry(name) => name.clone(),
    }
}

/// `//package:name`; nodes of the root file are called by their bare name.
pub fn label(node: &Node) -> String {
    if node.name.starts_with("//") { node.name.clone() } else { format!("//:{}", node.name) }
}

#[cfg(test)]
mod tests;
