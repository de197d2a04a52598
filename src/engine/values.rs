//! The values of settled nodes, and those that follow from them: what a run made is remembered as a
//! change of its root, so that a root's labels or base blobs never decide whether it runs again.

use std::collections::BTreeMap;

use crate::base::digest::TreeDigest;
use crate::exec::executor::ExecError;
use crate::graph::graph::{Graph, Node, NodeId, OutputRef};
use crate::graph::op::{From, Op, free_output};
use crate::graph::value::Value;
use crate::oci::image::{Layer, Rootfs};
use crate::store::memo::Memo;
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
            rootfs.layers.push(Layer { tree: *tree, pulled: None });
        }
        Some(rootfs)
    }

    fn given(&self, output: &OutputRef) -> Option<&Value> {
        self.0[output.node.0].as_ref()?.get(&output.output)
    }

    /// The value of a settled node's output. An optional output that was not made is an error.
    pub fn output(&self, memo: &Memo, graph: &Graph, output: &OutputRef) -> Result<Value, ExecError> {
        if let Some(value) = self.given(output) {
            return Ok(value.clone());
        }
        match self.derived(output) {
            Some(layers) => {
                let tree = flatten(memo, &layers)?;
                Ok(Value::Tree(Entry::directory(tree)))
            }
            None => Err(ExecError::Input {
                message: format!(
                    "`{}` did not make its optional output `{}`",
                    graph.node(output.node).name,
                    output.output
                ),
                help: "make the output in every case, or do not use it here".to_owned(),
            }),
        }
    }

    /// Layers that a free tree output is made from: all of the root for `tree`, the last change for `diff`.
    fn derived(&self, output: &OutputRef) -> Option<Vec<TreeDigest>> {
        let outputs = self.0[output.node.0].as_ref()?;
        match output.output.as_str() {
            free_output::TREE => {
                let rootfs = outputs.values().find_map(Value::rootfs)?;
                Some(rootfs.layers.iter().map(|layer| layer.tree).collect())
            }
            free_output::DIFF => match outputs.get(free_output::CHANGE)? {
                Value::Tree(Entry { content: Content::Directory { tree, .. }, .. }) => Some(vec![*tree]),
                _ => None,
            },
            _ => None,
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

fn rootfs_objects(rootfs: &Rootfs) -> Vec<Object> {
    let mut objects = Vec::new();
    for layer in &rootfs.layers {
        objects.push(Object::Tree(layer.tree));
        objects.extend(layer.pulled.as_ref().map(|pulled| Object::Blob(pulled.blob)));
    }
    objects
}
