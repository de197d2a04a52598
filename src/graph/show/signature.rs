//! What a node takes and gives, as types alone.

use crate::graph::graph::{Graph, Node};

/// `build: (from rootfs, mount /src tree) -> rootfs, dist: tree`. The main output comes first and unnamed.
pub(super) fn line(graph: &Graph, node: &Node) -> String {
    let takes: Vec<String> = node
        .inputs
        .iter()
        .map(|input| {
            let kind = graph.node(input.source.node).outputs.get(&input.source.output);
            format!("{} {}", input.slot, kind.map_or("nothing", |kind| kind.name()))
        })
        .collect();
    format!("{}: ({}) -> {}\n", node.name, takes.join(", "), gives(node))
}

pub(super) fn gives(node: &Node) -> String {
    let main = node.main.iter().filter_map(|main| Some(node.outputs.get(main)?.name().to_owned()));
    let others = node.outputs.iter().filter(|(name, _)| Some(*name) != node.main.as_ref());
    let others = others.map(|(name, kind)| format!("{name}: {}", kind.name()));
    main.chain(others).collect::<Vec<_>>().join(", ")
}
