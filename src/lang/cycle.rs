//! Nodes that need each other: each ring is told once, with every edge.

use std::collections::{BTreeMap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef as _;

use crate::lang::code::Code;
use crate::lang::instances::InstanceId;
use crate::lang::mistake::{Findings, Mistake, Span};

/// More edges of one ring than anybody reads.
const DRAWN: usize = 50;

/// One node needs another, because of what stands at `span`.
#[derive(Debug)]
pub struct Need {
    pub from: InstanceId,
    pub to: InstanceId,
    pub span: Span,
}

pub fn report(needs: &[Need], name: &dyn Fn(InstanceId) -> String, findings: &mut Findings) {
    for ring in rings(needs.iter().map(|need| (need.from, need.to))) {
        let edges: Vec<&Need> = ring.iter().map(|&place| &needs[place]).collect();
        findings.add(cycle(&edges, name));
    }
}

/// Each ring once, as the places of its edges.
pub fn rings<N: Copy + Ord>(edges: impl Iterator<Item = (N, N)>) -> Vec<Vec<usize>> {
    let mut nodes = BTreeMap::new();
    let mut graph: DiGraph<(), usize> = DiGraph::new();
    let mut starts = Vec::new();
    for (place, (from, to)) in edges.enumerate() {
        let from = *nodes.entry(from).or_insert_with(|| graph.add_node(()));
        let to = *nodes.entry(to).or_insert_with(|| graph.add_node(()));
        graph.add_edge(from, to, place);
        starts.push(from);
    }
    // Not Tarjan's algorithm: petgraph's recurses, and a file may chain 100,000 nodes.
    let component_of = components(&graph);
    let mut found = vec![false; graph.node_count()];
    let mut rings = Vec::new();
    for start in starts {
        let component = component_of[start.index()];
        if !found[component]
            && let Some(ring) = ring(&graph, start, &component_of)
        {
            found[component] = true;
            rings.push(ring.iter().map(|&edge| graph[edge]).collect());
        }
    }
    rings
}

fn components(graph: &DiGraph<(), usize>) -> Vec<usize> {
    let mut component_of = vec![0; graph.node_count()];
    for (component, members) in kosaraju_scc(graph).iter().enumerate() {
        for member in members {
            component_of[member.index()] = component;
        }
    }
    component_of
}

/// The shortest way from a node back to itself, breadth first within its component.
fn ring(graph: &DiGraph<(), usize>, start: NodeIndex, component_of: &[usize]) -> Option<Vec<EdgeIndex>> {
    let mut reached_by: BTreeMap<NodeIndex, EdgeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges(node) {
            let target = edge.target();
            if component_of[target.index()] != component_of[start.index()] || reached_by.contains_key(&target)
            {
                continue;
            }
            reached_by.insert(target, edge.id());
            if target == start {
                return Some(way_back(graph, start, &reached_by));
            }
            queue.push_back(target);
        }
    }
    None
}

fn way_back(
    graph: &DiGraph<(), usize>,
    start: NodeIndex,
    reached_by: &BTreeMap<NodeIndex, EdgeIndex>,
) -> Vec<EdgeIndex> {
    let mut ring = Vec::new();
    let mut node = start;
    loop {
        let edge = reached_by[&node];
        ring.push(edge);
        node = graph.edge_endpoints(edge).map_or(start, |(from, _)| from);
        if node == start {
            ring.reverse();
            return ring;
        }
    }
}

fn cycle(edges: &[&Need], name: &dyn Fn(InstanceId) -> String) -> Mistake {
    let (message, help) = match edges {
        [need] => (format!("`{}` needs itself", name(need.from)), "name another node here".to_owned()),
        [_, _] => {
            ("these nodes need each other".to_owned(), "one of the two must not need the other".to_owned())
        }
        all => (
            format!("these {} nodes need each other in a ring", all.len()),
            "one of them must not need the next".to_owned(),
        ),
    };
    let mut mistake = Mistake::new(Code::GraphCycle, message, help);
    for (number, need) in edges.iter().take(DRAWN).enumerate() {
        let label = format!("{}: `{}` needs `{}`", number + 1, name(need.from), name(need.to));
        mistake = mistake.at(need.span.clone(), label);
    }
    mistake
}
