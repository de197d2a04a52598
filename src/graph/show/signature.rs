//! What a node takes and gives, as types alone.

use crate::graph::graph::{Graph, Node};
use crate::graph::op::{Op, SecretTarget};

/// `build: (from rootfs, mount /src tree) -> rootfs, dist: tree`. The main output comes first and unnamed.
pub(super) fn line(graph: &Graph, node: &Node) -> String {
    let inputs = node.inputs.iter().map(|input| {
        let kind = graph.node(input.source.node).outputs.get(&input.source.output);
        format!("{} {}", input.slot, kind.map_or("nothing", |kind| kind.name()))
    });
    let takes: Vec<String> = inputs.chain(beside(&node.op)).collect();
    format!("{}: ({}) -> {}\n", node.name, takes.join(", "), gives(node))
}

/// What a run sees that is no part of any result.
fn beside(op: &Op) -> Vec<String> {
    let Op::Run(run) = op else { return Vec::new() };
    let caches = run.caches.iter().map(|cache| format!("{} cache", cache.at));
    let secrets = run.secrets.iter().map(|secret| match &secret.target {
        SecretTarget::File(path) => format!("{path} secret"),
        SecretTarget::Env(name) => format!("{name} secret"),
    });
    let agents =
        run.ssh.iter().map(|name| if name.is_empty() { "ssh".to_owned() } else { format!("{name} ssh") });
    caches.chain(secrets).chain(agents).collect()
}

pub(super) fn gives(node: &Node) -> String {
    let main = node.main.iter().filter_map(|main| Some(node.outputs.get(main)?.name().to_owned()));
    let others = node.outputs.iter().filter(|(name, _)| Some(*name) != node.main.as_ref());
    let others = others.map(|(name, kind)| format!("{name}: {}", kind.name()));
    main.chain(others).collect::<Vec<_>>().join(", ")
}
