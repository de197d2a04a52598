//! Which node a reference means. Filled by `resolve.rs` before anything is lowered.

use std::collections::BTreeMap;

use crate::base::tree_path::TreePath;
use crate::graph::graph::{NodeId, OutputRef};
use crate::lang::item::{Reference, Target};

/// The output of the node that stands for this machine, and its name.
pub const HOST: &str = "host";

/// The output of a tree of files.
pub const TREE: &str = "tree";

#[derive(Debug, Default)]
pub struct Names {
    /// With the output that the bare name stands for.
    pub nodes: BTreeMap<String, (NodeId, Option<String>)>,
    /// Files and folders that are named by path.
    pub locals: BTreeMap<TreePath, NodeId>,
    pub host: Option<NodeId>,
    /// Where runs put their outputs, by the node's name and the output's.
    pub outputs: BTreeMap<(String, String), TreePath>,
}

impl Names {
    /// The last name of where a single file is found: what it is called when it lands inside a folder.
    pub fn file_name(&self, reference: &Reference) -> Option<String> {
        let path = match &reference.target {
            Target::Local(path) => path,
            Target::Node { name, output } => self.outputs.get(&(name.clone(), output.clone()?))?,
            Target::Host | Target::Scratch => return None,
        };
        last_name(path)
    }

    /// The reference must have been checked; `scratch` is no node.
    pub fn output(&self, reference: &Reference) -> OutputRef {
        match &reference.target {
            Target::Node { name, output } => {
                let (node, main) = self.nodes.get(name).expect("bug: an unresolved reference");
                let output = output.as_ref().or(main.as_ref()).expect("bug: a bare name without a value");
                OutputRef { node: *node, output: output.clone() }
            }
            Target::Local(path) => {
                let node = self.locals.get(path).expect("bug: an unresolved path");
                OutputRef { node: *node, output: TREE.to_owned() }
            }
            Target::Host | Target::Scratch => {
                let node = self.host.expect("bug: a graph without its host");
                OutputRef { node, output: HOST.to_owned() }
            }
        }
    }
}

/// `None` for the root.
pub fn last_name(path: &TreePath) -> Option<String> {
    path.name().map(|name| String::from_utf8_lossy(name).into_owned())
}
