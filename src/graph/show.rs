//! The expanded graph as people and programs read it: what each node takes, does and gives, with all values
//! put in. `render` and `drawing` show how nodes hang together; this shows what is in them.

mod document;
mod kdl;
pub(crate) mod kdl_text;
mod overview;
mod signature;
mod list;

use std::collections::BTreeSet;

use crate::base::suggest;
use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::select::{self, SelectError};

pub use document::Document;
pub use list::Listing;

/// Nodes in the order in which they are shown.
#[derive(Debug, Clone)]
pub struct Shown<'a> {
    pub graph: &'a Graph,
    pub nodes: Vec<NodeId>,
}

impl<'a> Shown<'a> {
    pub fn all(graph: &'a Graph) -> Shown<'a> {
        Shown { graph, nodes: graph.ids().collect() }
    }

    /// The nodes that a target names, or the node of that name where it is no target (`host`, `./src`).
    pub fn named(graph: &'a Graph, name: &str) -> Result<Shown<'a>, SelectError> {
        if let Some(id) = graph.ids().find(|&id| graph.node(id).name == name) {
            return Ok(Shown { graph, nodes: vec![id] });
        }
        match select::targets(graph, &[name.to_owned()]) {
            Ok(outputs) => {
                let nodes: BTreeSet<NodeId> = outputs.iter().map(|output| output.node).collect();
                Ok(Shown { graph, nodes: nodes.into_iter().collect() })
            }
            Err(SelectError::Unknown { name, suggestion }) => {
                let known = graph.nodes.iter().map(|node| node.name.as_str());
                let suggestion = suggestion.or_else(|| suggest::nearest(&name, known).map(str::to_owned));
                Err(SelectError::Unknown { name, suggestion })
            }
            Err(error) => Err(error),
        }
    }

    /// For people: place, words, inputs and what it does, shortened.
    pub fn text(&self) -> String {
        let pages = self.nodes.iter().map(|&id| overview::node(self.graph, self.graph.node(id)));
        pages.collect::<Vec<_>>().join("\n")
    }

    /// One line a node: `build: (from rootfs, mount /src tree) -> dist: tree`.
    pub fn types(&self) -> String {
        self.nodes.iter().map(|&id| signature::line(self.graph, self.graph.node(id))).collect()
    }

    /// Flat KDL 2, for people and for comparing two graphs line by line.
    pub fn kdl(&self) -> String {
        kdl::document(self)
    }

    /// For programs; `schema/memobuild.schema.json` describes it.
    pub fn json(&self) -> Document<'a> {
        Document::of(self)
    }

    fn has(&self, output: &OutputRef) -> bool {
        self.nodes.binary_search(&output.node).is_ok()
    }
}

/// As it is written in a build file: the bare name for the main output.
fn reference(graph: &Graph, output: &OutputRef) -> String {
    let node = graph.node(output.node);
    match &node.main {
        Some(main) if *main == output.output => node.name.clone(),
        _ => format!("{}.{}", node.name, output.output),
    }
}

#[cfg(test)]
mod tests;
