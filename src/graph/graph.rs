//! The graph: nodes, typed edges, targets. Independent of KDL; positions are kept only to be shown.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::base::tree_path::TreePath;
use crate::graph::op::Op;
use crate::graph::value::Type;
use crate::oci::image::Platform;

/// A node's place in `Graph::nodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeId(pub usize);

#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// Names that a command line may ask for: a node's or an output's, a group's.
    pub targets: BTreeMap<String, Vec<OutputRef>>,
    /// What is built when nothing is asked for.
    pub default: Vec<OutputRef>,
}

#[derive(Debug, Clone)]
pub struct Node {
    /// As written; anonymous ones carry what they were written as (`./src`).
    pub name: String,
    /// The word it was declared with: `run`, `image`, …
    pub kind: &'static str,
    pub op: Op,
    pub inputs: Vec<Input>,
    /// What the result is for, and where its commands execute.
    pub platform: Platform,
    /// By name; the bare name of the node is its `main` output where it has one.
    pub outputs: BTreeMap<String, Type>,
    pub main: Option<String>,
    pub doc: Option<String>,
    /// `memobuild.kdl:12`, to be shown.
    pub place: String,
    /// Bytes of that file: the word that declares it, or the reference that made it.
    pub span: Range<usize>,
}

/// An edge: an output of another node in a slot of this one.
#[derive(Debug, Clone)]
pub struct Input {
    /// The slot, for people and for keys: `from`, `mount /src`, `copy /app`.
    pub slot: String,
    pub source: OutputRef,
    pub select: Select,
}

/// Which part of an input is used. The rest of it is no dependency: the action sees, and its key
/// holds, only the selected part. With a `path`, a rootfs or image may stand where a tree is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Select {
    pub path: Option<TreePath>,
    /// Globs as gitignore reads them, below `path`. Empty: all.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputRef {
    pub node: NodeId,
    pub output: String,
}

impl Graph {
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }
}
