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
    /// Begins the names of the package that is meant where none is said: `//services/api:`, or nothing.
    pub prefix: String,
    /// Those of `targets` that were declared as groups.
    pub groups: Vec<GroupInfo>,
    /// In the order of their files; the graph itself has their values already.
    pub params: Vec<ParamInfo>,
    pub axes: Vec<AxisInfo>,
    pub exports: Vec<Export>,
}

/// What `memobuild export` writes into the workspace. No target: a build makes none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// In full: `//services/api:generated`; of the root package, `generated`.
    pub name: String,
    /// The folder of its package, which `to` lies in.
    pub package: TreePath,
    pub output: OutputRef,
    /// The part of the output that is taken.
    pub path: Option<TreePath>,
    /// A file or folder, from the workspace's root.
    pub to: TreePath,
    /// What a single file is called in `to`; without, it lands as `to`.
    pub file_name: Option<String>,
    pub mode: ExportMode,
    pub doc: Option<String>,
    /// `memobuild.kdl:12`, to be shown.
    pub place: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ExportMode {
    /// What else is in the folder goes.
    #[default]
    Replace,
    /// What else is in the folder stays.
    Merge,
}

impl ExportMode {
    /// As a build file says it.
    pub const fn word(self) -> &'static str {
        match self {
            ExportMode::Replace => "replace",
            ExportMode::Merge => "merge",
        }
    }
}

/// A group as it was declared, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupInfo {
    /// Its name in `Graph::targets`.
    pub name: String,
    pub doc: Option<String>,
}

/// A parameter as it was declared, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ParamInfo {
    pub name: String,
    /// The word of its type: `text`, `int`, `bool`, …
    #[serde(rename = "type")]
    pub kind_of_value: String,
    /// As `--param` takes them: one, or of a list any number. Without, the parameter must be set.
    pub default: Option<Vec<String>>,
    /// The only ones that are allowed; empty: all of its type.
    pub values: Vec<String>,
    /// The environment variable that may set it.
    pub env: Option<String>,
    pub doc: Option<String>,
    /// `//services/api`; empty for the root package.
    pub package: String,
}

/// A dimension of matrices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AxisInfo {
    pub name: String,
    /// In the order in which they were declared.
    pub values: Vec<String>,
    pub doc: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Node {
    /// As written; anonymous ones carry what they were written as (`./src`).
    pub name: String,
    /// The word it was declared with: `run`, `image`, …
    pub kind: &'static str,
    pub op: Op,
    pub inputs: Vec<Input>,
    /// A value for each axis of a matrix that it stands in.
    pub coordinate: BTreeMap<String, String>,
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

    /// What the bare name of a node asks for.
    pub fn whole(&self, id: NodeId) -> Vec<OutputRef> {
        let node = self.node(id);
        match &node.main {
            Some(main) => vec![OutputRef { node: id, output: main.clone() }],
            None => {
                node.outputs.keys().map(|output| OutputRef { node: id, output: output.clone() }).collect()
            }
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }
}
