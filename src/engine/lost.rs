//! Which runs are to be warned of: those that wrote where nothing is kept, and whose root another node stands on.

use std::collections::HashSet;

use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{From, Op, free_output};

/// The runs whose root one of the needed nodes has in its `from`.
pub fn stood_on(graph: &Graph, needed: &[NodeId]) -> HashSet<NodeId> {
    let from = |&id: &NodeId| {
        let node = graph.node(id);
        let from = match &node.op {
            Op::Run(run) => run.from,
            Op::Assemble(assemble) => assemble.from,
            _ => From::Nothing,
        };
        let From::Input(index) = from else { return None };
        let OutputRef { node, output } = &node.inputs[index].source;
        (output == free_output::ROOTFS).then_some(*node)
    };
    needed.iter().filter_map(from).collect()
}
