//! The values of settled nodes, and those that follow from them: what a run made is remembered as a
//! change of its root, so that a root's labels or base blobs never decide whether it runs again.

use std::collections::BTreeMap;

use crate::base::digest::TreeDigest;
use crate::exec::executor::ExecError;
use crate::graph::graph::{Graph, Node, NodeId, OutputRef};
use crate::graph::op::{From, Op, free_output};
use crate::graph::value::Value;
use crate::oci::image::{Layer, Rootfs};
use crate::oci::supply::Supply;
use crate::store::object::Object;
use crate::tree::encode;
use crate::tree::flatten::flatten;
use crate::tree::tree::{Content, Directory, Entry};

/// Outputs by name, for each settled node.
pub type Outputs = BTreeMap<String, Value>;

pub struct Values(Vec<Option<Outputs>>);

impl Values {
    pub fn new(graph: &Graph) -> Values {
        Values(vec![None; graph.nodes.len()])
    }

    /// Keeps what a node made or recalled, with its root filesystem where it has one.
    pub fn set(&mut self, graph: &Graph, id: NodeId, mut outputs: Outputs) {
        let node = graph.node(id);
        if let Some(rootfs) = self.rootfs_after(node, &outputs) {
            outputs.insert(free_output::ROOTFS.to_owned(), Value::Rootfs(Box::new(rootfs)));
        }
        self.0[id.0] = Some(outputs);
    }

    /// The root that the run stood on, with its change on top.
    fn rootfs_after(&self, node: &Node, outputs: &Outputs) -> Option<Rootfs> {
        let Op::Run(run) = &node.op else { return None };
        let Some(Value::Tree(Entry { content: Content::Directory { tree, .. }, .. })) =
            outputs.get(free_output::CHANGE)
        else {
            return None;
        };
        let mut rootfs = match run.from {
            From::Input(index) => self.given(&node.inputs[index].source)?.rootfs()?.clone(),
            From::Scratch => Rootfs::default(),
            From::Host(_) | From::Nothing => return None,
        };
        let is_empty = *tree == TreeDigest::of(&encode::encode(&Directory::default()));
        if !is_empty {
            rootfs.layers.push(Layer::Made(*tree));
        }
        Some(rootfs)
    }

    fn given(&self, output: &OutputRef) -> Option<&Value> {
        self.0[output.node.0].as_ref()?.get(&output.output)
    }

    /// What a settled node's output is, as far as it is known without a look at files. An optional output that was
    /// not made is an error.
    pub fn held(&self, graph: &Graph, output: &OutputRef) -> Result<Held, ExecError> {
        if let Some(value) = self.given(output) {
            return Ok(Held::Value(value.clone()));
        }
        self.derived(output).map(Held::Files).ok_or_else(|| ExecError::Input {
            message: format!(
                "`{}` did not make its optional output `{}`",
                graph.node(output.node).name,
                output.output
            ),
            help: "make the output in every case, or do not use it here".to_owned(),
        })
    }

    /// The value itself. Waits where files of an image that was pulled are not there yet.
    pub fn output(&self, supply: &Supply, graph: &Graph, output: &OutputRef) -> Result<Value, ExecError> {
        self.held(graph, output)?.value(supply)
    }

    /// Layers that a free tree output is made from: all of the root for `tree`, the last change for `diff`.
    fn derived(&self, output: &OutputRef) -> Option<Vec<Layer>> {
        let outputs = self.0[output.node.0].as_ref()?;
        match output.output.as_str() {
            free_output::TREE => Some(outputs.values().find_map(Value::rootfs)?.layers.clone()),
            free_output::DIFF => match outputs.get(free_output::CHANGE)? {
                Value::Tree(Entry { content: Content::Directory { tree, .. }, .. }) => {
                    Some(vec![Layer::Made(*tree)])
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// An output of a settled node.
#[derive(Debug, Clone)]
pub enum Held {
    Value(Value),
    /// All that is in these layers, as one tree.
    Files(Vec<Layer>),
}

impl Held {
    pub fn value(self, supply: &Supply) -> Result<Value, ExecError> {
        match self {
            Held::Value(value) => Ok(value),
            Held::Files(layers) => {
                let tree = flatten(supply.memo(), &supply.trees(&layers)?)?;
                Ok(Value::Tree(Entry::directory(tree)))
            }
        }
    }

    /// Of which layers the files are wanted when a part of it is taken, or all where it is a tree of them.
    pub fn layers(&self) -> &[Layer] {
        match self {
            Held::Value(value) => value.rootfs().map(|rootfs| rootfs.layers.as_slice()).unwrap_or_default(),
            Held::Files(layers) => layers,
        }
    }
}

/// The objects that a value names directly.
pub fn objects(value: &Value) -> Vec<Object> {
    match value {
        Value::Tree(entry) => match entry.content {
            Content::File { blob, .. } => vec![Object::Blob(blob)],
            Content::Directory { tree, .. } => vec![Object::Tree(tree)],
            _ => Vec::new(),
        },
        Value::Rootfs(rootfs) => rootfs_objects(rootfs),
        Value::Image(image) => rootfs_objects(&image.rootfs),
        Value::Host(_) | Value::Text(_) => Vec::new(),
    }
}

/// Layers that were pulled are had when they are wanted, from where they lie.
fn rootfs_objects(rootfs: &Rootfs) -> Vec<Object> {
    let made = rootfs.layers.iter().filter_map(|layer| match layer {
        Layer::Made(tree) => Some(Object::Tree(*tree)),
        Layer::Pulled(_) => None,
    });
    made.collect()
}
