//! A part of a graph, as a graph: the chosen nodes and the edges among them, numbered anew.

use crate::graph::graph::{Export, Graph, NodeId, OutputRef};

/// The nodes of `kept` in the order of `graph`, with the targets and defaults that name nothing else.
/// All that they need must be among them (`select::needed`).
pub fn restricted(graph: &Graph, kept: &[NodeId]) -> Graph {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    kept.dedup();
    let moved = |output: &OutputRef| {
        let node = NodeId(kept.binary_search(&output.node).ok()?);
        Some(OutputRef { node, output: output.output.clone() })
    };
    let mut nodes: Vec<_> = kept.iter().map(|&id| graph.node(id).clone()).collect();
    for input in nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        input.source = moved(&input.source).expect("bug: what a kept node needs is kept");
    }
    let whole = |outputs: &[OutputRef]| outputs.iter().map(moved).collect::<Option<Vec<_>>>();
    let targets = graph.targets.iter().filter_map(|(name, outputs)| Some((name.clone(), whole(outputs)?)));
    let mut part = Graph {
        nodes,
        targets: targets.collect(),
        default: graph.default.iter().filter_map(moved).collect(),
        groups: graph.groups.clone(),
        params: graph.params.clone(),
        axes: graph.axes.clone(),
        prefix: graph.prefix.clone(),
        exports: graph
            .exports
            .iter()
            .filter_map(|export| Some(Export { output: moved(&export.output)?, ..export.clone() }))
            .collect(),
    };
    part.groups.retain(|group| part.targets.contains_key(&group.name));
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph::{GroupInfo, Input, Node, Select};
    use crate::graph::op::Op;

    fn output(node: usize) -> OutputRef {
        OutputRef { node: NodeId(node), output: "out".into() }
    }

    fn node(name: &str, sources: &[usize]) -> Node {
        let input = |&source: &usize| Input {
            slot: "from".into(),
            source: output(source),
            select: Select::default(),
        };
        Node {
            name: name.into(),
            kind: "run",
            op: Op::Host(crate::graph::op::Host::default()),
            inputs: sources.iter().map(input).collect(),
            outputs: [].into(),
            main: None,
            doc: None,
            coordinate: std::collections::BTreeMap::new(),
            platform: crate::oci::image::Platform::current(),
            place: String::new(),
            span: 0..0,
        }
    }

    #[test]
    fn what_is_left_names_only_what_is_left() {
        let group = |name: &str| GroupInfo { name: name.into(), doc: None };
        let graph = Graph {
            nodes: vec![node("a", &[]), node("b", &[]), node("c", &[0]), node("d", &[2, 1])],
            targets: [
                ("a".into(), vec![output(0)]),
                ("b".into(), vec![output(1)]),
                ("some".into(), vec![output(2), output(0)]),
                ("all".into(), vec![output(0), output(3)]),
            ]
            .into(),
            default: vec![output(3), output(2)],
            groups: vec![group("some"), group("all")],
            ..Graph::default()
        };
        let part = restricted(&graph, &[NodeId(2), NodeId(0)]);
        let names: Vec<&str> = part.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(part.nodes[1].inputs[0].source, output(0));
        assert_eq!(part.targets.keys().collect::<Vec<_>>(), ["a", "some"]);
        assert_eq!(part.targets["some"], [output(1), output(0)]);
        assert_eq!(part.default, [output(1)]);
        assert_eq!(part.groups, [group("some")]);
    }
}
