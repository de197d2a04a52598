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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::tree_path::TreePath;
    use crate::graph::graph::{Input, Node, OutputRef, Select};
    use crate::graph::op::{Access, Mount};

    fn node(op: Op, inputs: &[usize]) -> Node {
        let input = |&source: &usize| Input {
            slot: String::new(),
            source: OutputRef { node: NodeId(source), output: String::new() },
            select: Select::default(),
        };
        Node {
            name: String::new(),
            kind: "run",
            op,
            inputs: inputs.iter().map(input).collect(),
            outputs: BTreeMap::new(),
            main: None,
            doc: None,
            place: String::new(),
        }
    }

    fn composed(from: From, inputs: &[usize]) -> Node {
        node(
            Op::Assemble(Assemble { from, layers: vec![vec![], vec![]], result: Composition::Rootfs }),
            inputs,
        )
    }

    /// On input 0, with all others mounted.
    fn run(inputs: &[usize]) -> Node {
        let mount = |input| Mount {
            input,
            at: TreePath::parse("/in").expect("a path"),
            access: Access::Cow,
            older_than: None,
        };
        let mounts = (1..inputs.len()).map(mount).collect();
        node(Op::Run(Box::new(Run { from: From::Input(0), mounts, ..Run::default() })), inputs)
    }

    #[test]
    fn what_runs_made_is_older_than_what_was_copied_since() {
        let nodes = vec![
            composed(From::Scratch, &[]),     // 0: two layers on nothing
            run(&[0]),                        // 1
            composed(From::Input(0), &[1]),   // 2: two layers on a run
            composed(From::Nothing, &[1, 1]), // 3: of what runs made only
            composed(From::Nothing, &[0, 1]), // 4: of other things too
            run(&[0, 1, 2, 3, 4]),            // on two copied layers
            run(&[1, 1]),                     // on a run
            run(&[2, 1]),                     // on two copied layers, on a run
        ];
        let mut graph = Graph { nodes, ..Graph::default() };
        set_ages(&mut graph);
        let ages = |id: usize| -> Vec<Option<usize>> {
            let Op::Run(run) = &graph.nodes[id].op else { panic!("a run") };
            run.mounts.iter().map(|mount| mount.older_than).collect()
        };
        assert_eq!(ages(5), [Some(2), Some(2), Some(2), None]);
        assert_eq!(ages(6), [Some(0)]);
        assert_eq!(ages(7), [Some(2)]);
    }
}
