//! Instances → graph: instances become nodes, references edges, names targets. Only a build without any
//! mistake is lowered.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::base::tree_path::TreePath;
use crate::graph::age;
use crate::graph::graph::{Graph, Input, Node, NodeId, OutputRef};
use crate::graph::op::{Host, Op};
use crate::graph::value::Type;
use crate::lang::alike;
use crate::lang::decl::{Edges, Outputs, files, git, http};
use crate::lang::instances::{Instance, InstanceId, Instances, Resolved};
use crate::lang::item::Reference;
use crate::lang::mistake::{Findings, Span};
use crate::lang::{declared, exports, targets};
use crate::oci::image::Platform;

/// The output of the node that stands for this machine, and its name.
pub const HOST: &str = "host";

/// The output of a tree of files.
pub const TREE: &str = "tree";

/// Gives what references mean. Nodes of instances come first, then what they use without declaring it.
pub struct Lowering<'l> {
    pub instances: &'l Instances<'l>,
    /// Of each instance; `None` of those that are absent.
    ids: Vec<Option<NodeId>>,
    count: usize,
    /// Of the root of each instance.
    platforms: Vec<Platform>,
    host_folders: &'l Host,
    grown: RefCell<Grown>,
}

/// Nodes that nobody declared, in the order of their first use.
#[derive(Default)]
struct Grown {
    nodes: Vec<Node>,
    locals: BTreeMap<TreePath, NodeId>,
    host: Option<NodeId>,
}

pub fn lower(instances: &Instances<'_>, host: &Host, findings: &mut Findings) -> Option<Graph> {
    let standing = alike::standing(instances);
    let mut ids: Vec<Option<NodeId>> = Vec::with_capacity(standing.len());
    let mut nodes = Vec::new();
    for (place, instance) in instances.all.iter().enumerate() {
        let id = match standing[place].0 {
            other if other < place => ids[other],
            _ => (!instance.is_absent).then(|| {
                nodes.push((InstanceId(place), instance));
                NodeId(nodes.len() - 1)
            }),
        };
        ids.push(id);
    }
    let count = nodes.len();
    let platforms = instances.platforms_of_roots();
    let lowering =
        Lowering { instances, ids, count, platforms, host_folders: host, grown: RefCell::default() };
    let mut graph = Graph::default();
    graph.nodes.extend(nodes.into_iter().map(|(id, instance)| lowering.node(id, instance)));
    graph.exports = exports::lower(&lowering);
    graph.nodes.append(&mut lowering.grown.borrow_mut().nodes);
    age::set_ages(&mut graph);
    targets::add(&lowering, &mut graph, findings)?;
    declared::add(instances.world, &mut graph);
    Some(graph)
}

impl Lowering<'_> {
    pub fn id(&self, instance: InstanceId) -> Option<NodeId> {
        self.ids[instance.0]
    }

    fn node(&self, id: InstanceId, instance: &Instance) -> Node {
        let world = self.instances.world;
        let decl = world.decl(instance.decl);
        let name = self.instances.name(id);
        let mut edges = Edges::new(self, id);
        let op = (decl.declaration.lower)(&instance.item, &mut edges);
        Node {
            name,
            kind: decl.declaration.line.word,
            op,
            inputs: edges.inputs,
            coordinate: (*instance.coordinate).clone(),
            platform: self.platforms[id.0].clone(),
            outputs: instance.outputs.types.clone(),
            main: instance.outputs.main.clone(),
            doc: instance.item.text_of("doc"),
            place: world.files.sources.place(&instance.item.word),
            span: instance.item.word.clone(),
        }
    }

    /// The output that a reference names. `scratch` is no node.
    pub fn output(&self, from: InstanceId, reference: &Reference) -> OutputRef {
        let resolved = self.instances.get(from).resolved.get(&reference.place);
        self.output_of(resolved.expect("bug: a reference that was not looked at"), &reference.span)
    }

    /// `span` is where it is named.
    pub fn output_of(&self, resolved: &Resolved, span: &Span) -> OutputRef {
        match resolved {
            Resolved::Output { instance, output } => {
                let node = self.id(*instance).expect("bug: a reference to what does not exist");
                OutputRef { node, output: output.clone() }
            }
            Resolved::Local(path) => OutputRef { node: self.local(path, span), output: TREE.to_owned() },
            Resolved::Host => OutputRef { node: self.host(span), output: HOST.to_owned() },
            Resolved::Scratch | Resolved::Poisoned => {
                unreachable!("bug: a reference that was not resolved")
            }
        }
    }

    pub fn is(&self, from: InstanceId, reference: &Reference, resolved: &Resolved) -> bool {
        self.instances.get(from).resolved.get(&reference.place) == Some(resolved)
    }

    /// What a single file that the reference means is called, where that is known.
    pub fn file_name(&self, from: InstanceId, reference: &Reference) -> Option<String> {
        self.name_of_file(self.instances.get(from).resolved.get(&reference.place)?)
    }

    pub fn name_of_file(&self, resolved: &Resolved) -> Option<String> {
        match resolved {
            Resolved::Local(path) => last_name(path),
            Resolved::Output { instance, output } => {
                let item = &self.instances.get(*instance).item;
                if item.line.word == http::LINE.word {
                    return http::file_name(item);
                }
                if item.line.word == git::LINE.word {
                    return last_name(item.property("path")?.path()?);
                }
                let line = item.each("output").find(|line| line.text() == Some(output))?;
                last_name(line.argument(1)?.path()?)
            }
            _ => None,
        }
    }

    fn local(&self, path: &TreePath, span: &Span) -> NodeId {
        if let Some(known) = self.grown.borrow().locals.get(path) {
            return *known;
        }
        let outputs = Outputs::only(TREE, Type::Tree);
        let op = files::anonymous(path);
        let id = self.add(format!(".{path}"), files::LINE.word, op, Vec::new(), outputs, span);
        self.grown.borrow_mut().locals.insert(path.clone(), id);
        id
    }

    fn host(&self, span: &Span) -> NodeId {
        if let Some(known) = self.grown.borrow().host {
            return known;
        }
        let op = Op::Host(self.host_folders.clone());
        let id = self.add(HOST.to_owned(), HOST, op, Vec::new(), Outputs::only(HOST, Type::Host), span);
        self.grown.borrow_mut().host = Some(id);
        id
    }

    /// A node that nobody declared.
    pub fn add(
        &self,
        name: String,
        kind: &'static str,
        op: Op,
        inputs: Vec<Input>,
        outputs: Outputs,
        span: &Span,
    ) -> NodeId {
        let world = self.instances.world;
        let mut grown = self.grown.borrow_mut();
        grown.nodes.push(Node {
            name,
            kind,
            op,
            inputs,
            coordinate: BTreeMap::new(),
            platform: world.request.platform.clone(),
            outputs: outputs.types,
            main: outputs.main,
            doc: None,
            place: world.files.sources.place(span),
            span: span.clone(),
        });
        NodeId(self.count + grown.nodes.len() - 1)
    }
}

/// `None` for the root.
pub fn last_name(path: &TreePath) -> Option<String> {
    path.name().map(|name| String::from_utf8_lossy(name).into_owned())
}
