//! A graph as text for people, as Graphviz's dot, and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::graph::graph::{Graph, Input, Node, OutputRef, Select};

/// Each node with its kind, what it gives and what it takes.
pub fn text(graph: &Graph) -> String {
    let mut page = String::new();
    for node in &graph.nodes {
        let _ = write!(page, "{} {}", node.kind, node.name);
        let gives: Vec<String> = outputs(node).collect();
        let _ = writeln!(page, " -> {}  ({})", gives.join(", "), node.place);
        if let Some(doc) = &node.doc {
            let _ = writeln!(page, "    \"{}\"", one_line(doc));
        }
        let width = node.inputs.iter().map(|input| input.slot.chars().count()).max().unwrap_or(0);
        for input in &node.inputs {
            let source = source(graph, input);
            let _ = writeln!(page, "    {:width$}  {source}{}", input.slot, selected(&input.select));
        }
    }
    let default: Vec<String> = graph.default.iter().map(|output| shown(graph, output)).collect();
    if !default.is_empty() {
        let _ = writeln!(page, "default: {}", default.join(", "));
    }
    page
}

/// Graphviz: an arrow leads from what is needed to what needs it, and carries slot and type.
pub fn dot(graph: &Graph) -> String {
    let mut page = String::from("digraph memobuild {\n    rankdir=LR;\n    node [shape=box];\n");
    for id in graph.ids() {
        let node = graph.node(id);
        let label = quoted(&format!("{}\n{}", node.name, node.kind));
        let _ = writeln!(page, "    n{} [label={label}];", id.0);
    }
    for id in graph.ids() {
        for input in &graph.node(id).inputs {
            let label = quoted(&format!("{}\n{}", input.slot, type_name(graph, &input.source)));
            let _ = writeln!(page, "    n{} -> n{} [label={label}];", input.source.node.0, id.0);
        }
    }
    page.push_str("}\n");
    page
}

/// An interface. Version 1: `{"version": 1, "nodes": […], "targets": {NAME: [OUTPUT…]}, "default": [OUTPUT…]}`.
///
/// An OUTPUT is `{"node": INDEX, "output": NAME}`, INDEX being a place in `nodes`. A node is `name`, `kind`,
/// `op`, `place`, `doc` (or null), `outputs` (name to type), `main` (or null) and `inputs`, each of them
/// `slot`, `source` (an OUTPUT), `type`, `path` (or null), `include` and `exclude`.
pub fn json(graph: &Graph) -> String {
    let targets: serde_json::Map<String, Json> =
        graph.targets.iter().map(|(name, outputs)| (name.clone(), json_outputs(outputs))).collect();
    let nodes: Vec<Json> = graph.nodes.iter().map(|node| json_node(graph, node)).collect();
    let page = json!({
        "version": 1,
        "nodes": nodes,
        "targets": targets,
        "default": json_outputs(&graph.default),
    });
    format!("{page:#}\n")
}

fn json_node(graph: &Graph, node: &Node) -> Json {
    let outputs: serde_json::Map<String, Json> =
        node.outputs.iter().map(|(name, kind)| (name.clone(), Json::from(kind.name()))).collect();
    let inputs: Vec<Json> = node.inputs.iter().map(|input| json_input(graph, input)).collect();
    json!({
        "name": node.name,
        "kind": node.kind,
        "op": node.op.kind(),
        "place": node.place,
        "doc": node.doc,
        "outputs": outputs,
        "main": node.main,
        "inputs": inputs,
    })
}

fn json_input(graph: &Graph, input: &Input) -> Json {
    json!({
        "slot": input.slot,
        "source": json_output(&input.source),
        "type": type_name(graph, &input.source),
        "path": input.select.path.as_ref().map(ToString::to_string),
        "include": input.select.include,
        "exclude": input.select.exclude,
    })
}

fn json_outputs(outputs: &[OutputRef]) -> Json {
    outputs.iter().map(json_output).collect()
}

fn json_output(output: &OutputRef) -> Json {
    json!({ "node": output.node.0, "output": output.output })
}

/// The output that the bare name stands for comes without a name.
fn outputs(node: &Node) -> impl Iterator<Item = String> {
    let main = node.main.iter().filter_map(|main| Some(node.outputs.get(main)?.name().to_owned()));
    let others = node.outputs.iter().filter(|(name, _)| Some(*name) != node.main.as_ref());
    main.chain(others.map(|(name, kind)| format!("{name}: {}", kind.name())))
}

fn source(graph: &Graph, input: &Input) -> String {
    format!("{}: {}", shown(graph, &input.source), type_name(graph, &input.source))
}

fn shown(graph: &Graph, output: &OutputRef) -> String {
    let node = graph.node(output.node);
    if node.main.as_ref() == Some(&output.output) {
        node.name.clone()
    } else {
        format!("{}.{}", node.name, output.output)
    }
}

fn type_name(graph: &Graph, output: &OutputRef) -> &'static str {
    graph.node(output.node).outputs.get(&output.output).map_or("nothing", |kind| kind.name())
}

fn selected(select: &Select) -> String {
    let path = select.path.iter().map(|path| format!(" path={path}"));
    let include = select.include.iter().map(|glob| format!(" +{glob}"));
    let exclude = select.exclude.iter().map(|glob| format!(" -{glob}"));
    path.chain(include).chain(exclude).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}
