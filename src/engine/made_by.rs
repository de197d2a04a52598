//! What made each layer of an image, for its history. It is found in the graph when the image leaves, and stands
//! in no value: a node's name decides no key, and what is remembered must not hold it.

use crate::engine::values::Values;
use crate::exec::executor::ExecError;
use crate::graph::graph::{Graph, Node, OutputRef};
use crate::graph::op::{Composition, From, Op};
use crate::graph::select;
use crate::oci::supply::Supply;

/// For each layer of the rootfs or image, lowest first; `None` for those of a base that was pulled.
pub fn made_by(
    graph: &Graph,
    values: &Values,
    supply: &Supply,
    output: &OutputRef,
) -> Result<Vec<Option<String>>, ExecError> {
    // From the top down: how many layers there are after a node, and who it is.
    let mut stack = Vec::new();
    let mut at = Some(output.clone());
    while let Some(output) = at {
        let node = graph.node(output.node);
        let value = values.output(supply, graph, &output)?;
        let Some(rootfs) = value.rootfs() else { break };
        stack.push((rootfs.layers.len(), told(graph, node)));
        at = match node.op.stands_on() {
            _ if is_squashed(node) => None,
            From::Input(index) => Some(node.inputs[index].source.clone()),
            _ => None,
        };
    }
    let mut by = Vec::new();
    for (count, told) in stack.into_iter().rev() {
        by.resize(count, told);
    }
    Ok(by)
}

fn told(graph: &Graph, node: &Node) -> Option<String> {
    if matches!(node.op, Op::Pull(_)) {
        return None;
    }
    let name = select::target_of(graph, node).unwrap_or(&node.name);
    // The platform has a name only where it is not the machine's own, and it is in the configuration.
    let axes = node.coordinate.iter().filter(|(axis, _)| *axis != "platform");
    let axes: Vec<String> = axes.map(|(axis, value)| format!("{axis}={value}")).collect();
    let at = if axes.is_empty() { String::new() } else { format!("[{}]", axes.join(",")) };
    Some(format!("{} {name}{at} # memobuild", node.kind))
}

fn is_squashed(node: &Node) -> bool {
    matches!(&node.op, Op::Assemble(assemble)
        if matches!(&assemble.result, Composition::Image(settings) if settings.squash))
}
