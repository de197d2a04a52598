//! Which mounts hold what runs made, and how old they must look: results that are kept, to be brought up to
//! date, are older than the sources they are made from, wherever these come from. Decided by the graph alone,
//! so that it is part of a run's facts like everything else that a command can see.

use crate::graph::graph::{Graph, NodeId};
use crate::graph::op::{Assemble, Composition, From, Op, Run};

/// Fills in `Mount::older_than`. The graph has no cycle.
pub fn set_ages(graph: &mut Graph) {
    for id in graph.ids() {
        let Op::Run(run) = &graph.node(id).op else { continue };
        let copied = layers_since_run(graph, id, run.from);
        let ages: Vec<Option<usize>> = run
            .mounts
            .iter()
            .map(|mount| is_made(graph, source(graph, id, mount.input)).then_some(copied))
            .collect();
        if let Op::Run(run) = &mut graph.nodes[id.0].op {
            set(run, &ages);
        }
    }
}

fn set(run: &mut Run, ages: &[Option<usize>]) {
    for (mount, age) in run.mounts.iter_mut().zip(ages) {
        mount.older_than = *age;
    }
}

fn source(graph: &Graph, id: NodeId, input: usize) -> NodeId {
    graph.node(id).inputs[input].source.node
}

/// Whether all of it comes from runs.
fn is_made(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match &node.op {
        Op::Run(_) => true,
        Op::Assemble(_) => {
            !node.inputs.is_empty() && node.inputs.iter().all(|input| is_made(graph, input.source.node))
        }
        Op::Scan(_) | Op::Host | Op::Pull(_) => false,
    }
}

/// How many of a root's topmost layers hold nothing that a run can have made there.
fn layers_since_run(graph: &Graph, id: NodeId, from: From) -> usize {
    let From::Input(input) = from else { return 0 };
    let below = source(graph, id, input);
    match &graph.node(below).op {
        Op::Assemble(assemble) if !is_squashed(assemble) => {
            assemble.layers.len() + layers_since_run(graph, below, assemble.from)
        }
        _ => 0,
    }
}

fn is_squashed(assemble: &Assemble) -> bool {
    matches!(&assemble.result, Composition::Image(settings) if settings.squash)
}
