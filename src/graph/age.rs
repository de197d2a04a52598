//! Which mounts hold what runs made, and how old they must look: results that are kept, to be brought up to
//! date, are older than the sources they are made from, wherever these come from. Decided by the graph alone,
//! so that it is part of a run's facts like everything else that a command can see.

use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{Assemble, Composition, From, Op};
use crate::graph::select::needed;

/// Fills in `Mount::older_than`. The graph has no cycle.
pub fn set_ages(graph: &mut Graph) {
    let mut ages = Ages { is_made: vec![false; graph.nodes.len()], copied: vec![0; graph.nodes.len()] };
    for id in inputs_first(graph) {
        ages.is_made[id.0] = ages.is_made(graph, id);
        ages.copied[id.0] = ages.copied(graph, id);
    }
    for id in graph.ids() {
        let sources: Vec<NodeId> = graph.node(id).inputs.iter().map(|input| input.source.node).collect();
        let Op::Run(run) = &mut graph.nodes[id.0].op else { continue };
        let copied = match run.from {
            From::Input(input) => ages.copied[sources[input].0],
            _ => 0,
        };
        for mount in &mut run.mounts {
            mount.older_than = ages.is_made[sources[mount.input].0].then_some(copied);
        }
    }
}

fn inputs_first(graph: &Graph) -> Vec<NodeId> {
    let all = graph.ids().map(|node| OutputRef { node, output: String::new() });
    needed(graph, &all.collect::<Vec<_>>())
}

/// By node; known for all inputs of the one that is asked for.
struct Ages {
    /// All of it comes from runs.
    is_made: Vec<bool>,
    /// How many of its topmost layers hold nothing that a run can have made there.
    copied: Vec<usize>,
}

impl Ages {
    fn is_made(&self, graph: &Graph, id: NodeId) -> bool {
        let node = graph.node(id);
        match &node.op {
            Op::Run(_) => true,
            Op::Assemble(_) => {
                !node.inputs.is_empty() && node.inputs.iter().all(|input| self.is_made[input.source.node.0])
            }
            Op::Scan(_) | Op::Host(_) | Op::Fetch(_) | Op::Pull(_) | Op::Check(_) => false,
        }
    }

    fn copied(&self, graph: &Graph, id: NodeId) -> usize {
        let node = graph.node(id);
        match &node.op {
            Op::Assemble(assemble) if !is_squashed(assemble) => {
                let below = match assemble.from {
                    From::Input(input) => self.copied[node.inputs[input].source.node.0],
                    _ => 0,
                };
                assemble.layers.len() + below
            }
            _ => 0,
        }
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
    use crate::graph::graph::{Input, Node, Select};
    use crate::graph::op::{Access, Mount, Run};

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
            coordinate: BTreeMap::new(),
            platform: crate::oci::image::Platform::current(),
            place: String::new(),
            span: 0..0,
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

    /// Each node stands twice on the one before: as many ways as there are subsets.
    #[test]
    fn shared_inputs_are_looked_at_once() {
        let mut nodes = vec![composed(From::Scratch, &[]), run(&[0])];
        nodes.extend((1..5_000).map(|below| composed(From::Nothing, &[below, below])));
        nodes.push(run(&[0, 5_000]));
        let mut graph = Graph { nodes, ..Graph::default() };
        set_ages(&mut graph);
        let Op::Run(run) = &graph.nodes[5_001].op else { panic!("a run") };
        assert_eq!(run.mounts[0].older_than, Some(2));
    }
}
