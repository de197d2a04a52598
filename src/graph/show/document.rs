//! The graph as JSON, an interface: `schema/memobuild.schema.json` is made from these types, comments included.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::tree_path::TreePath;
use crate::graph::graph::{Export, ExportMode, Graph, Input, Node, OutputRef};
use crate::graph::op::Op;
use crate::graph::show::Shown;
use crate::graph::value::Type;

/// What `memobuild show --format json` prints: nodes with all values put in.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Document<'a> {
    /// Of this form. Within a version, fields are only added.
    version: Version,
    /// No name stands twice.
    nodes: Vec<ShownNode<'a>>,
    /// What a command line may ask for: nodes, NODE.OUTPUT, groups. Of `show NODE`, those that name nothing else.
    targets: BTreeMap<&'a str, Vec<ShownOutput<'a>>>,
    /// What is built when nothing is asked for.
    default: Vec<ShownOutput<'a>>,
    /// What `memobuild export` writes into the workspace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<ShownExport<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Version;

/// One node.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ShownNode<'a> {
    /// As written; `host`, or a path for files that are named in place.
    name: &'a str,
    /// The word that it was declared with.
    kind: &'a str,
    /// A value for each axis of a matrix that it stands in.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    coordinate: &'a BTreeMap<String, String>,
    /// What the result is for, and where its commands execute.
    platform: String,
    /// Words for people.
    doc: Option<&'a str>,
    /// File and line.
    place: &'a str,
    /// What the engine does. Numbers called `input`, `inputs` and `host` count the node's inputs from 0.
    op: &'a Op,
    inputs: Vec<ShownInput<'a>>,
    /// The type of each output.
    outputs: BTreeMap<&'a str, Type>,
    /// The output that the bare name stands for.
    main: Option<&'a str>,
}

/// An output of another node, or a part of it, in a slot of this one.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ShownInput<'a> {
    /// The line that names it: `from`, `mount /src`, `copy /app`.
    slot: &'a str,
    /// The name of the node; of `show NODE`, perhaps of one that is not shown.
    node: &'a str,
    output: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind_of_value: Option<Type>,
    /// The part of it that is used; null: all.
    path: Option<&'a TreePath>,
    /// Globs as gitignore reads them, below `path`; empty: all.
    include: &'a [String],
    exclude: &'a [String],
}

/// A node and one of its outputs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ShownOutput<'a> {
    node: &'a str,
    output: &'a str,
}

/// A result, and where it lands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ShownExport<'a> {
    name: &'a str,
    node: &'a str,
    output: &'a str,
    /// The part of it that is taken; null: all.
    path: Option<&'a TreePath>,
    /// A file or folder, from the workspace's root.
    to: &'a TreePath,
    mode: ExportMode,
    /// Words for people.
    doc: Option<&'a str>,
    /// File and line.
    place: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn of(shown: &Shown<'a>) -> Document<'a> {
        let graph = shown.graph;
        let is_shown = |outputs: &[OutputRef]| outputs.iter().all(|output| shown.has(output));
        let targets = graph.targets.iter().filter(|(_, outputs)| is_shown(outputs));
        Document {
            version: Version,
            nodes: shown.nodes.iter().map(|&id| ShownNode::of(graph, graph.node(id))).collect(),
            targets: targets
                .map(|(name, outputs)| {
                    (name.as_str(), outputs.iter().map(|output| ShownOutput::of(graph, output)).collect())
                })
                .collect(),
            default: graph
                .default
                .iter()
                .filter(|output| shown.has(output))
                .map(|output| ShownOutput::of(graph, output))
                .collect(),
            exports: graph
                .exports
                .iter()
                .filter(|export| shown.has(&export.output))
                .map(|export| ShownExport::of(graph, export))
                .collect(),
        }
    }
}

impl<'a> ShownNode<'a> {
    fn of(graph: &'a Graph, node: &'a Node) -> ShownNode<'a> {
        ShownNode {
            name: &node.name,
            kind: node.kind,
            coordinate: &node.coordinate,
            platform: node.platform.to_string(),
            doc: node.doc.as_deref(),
            place: &node.place,
            op: &node.op,
            inputs: node.inputs.iter().map(|input| ShownInput::of(graph, input)).collect(),
            outputs: node.outputs.iter().map(|(name, kind)| (name.as_str(), *kind)).collect(),
            main: node.main.as_deref(),
        }
    }
}

impl<'a> ShownInput<'a> {
    fn of(graph: &'a Graph, input: &'a Input) -> ShownInput<'a> {
        let source = graph.node(input.source.node);
        ShownInput {
            slot: &input.slot,
            node: &source.name,
            output: &input.source.output,
            kind_of_value: source.outputs.get(&input.source.output).copied(),
            path: input.select.path.as_ref(),
            include: &input.select.include,
            exclude: &input.select.exclude,
        }
    }
}

impl<'a> ShownOutput<'a> {
    fn of(graph: &'a Graph, output: &'a OutputRef) -> ShownOutput<'a> {
        ShownOutput { node: &graph.node(output.node).name, output: &output.output }
    }
}

impl<'a> ShownExport<'a> {
    fn of(graph: &'a Graph, export: &'a Export) -> ShownExport<'a> {
        ShownExport {
            name: &export.name,
            node: &graph.node(export.output.node).name,
            output: &export.output.output,
            path: export.path.as_ref(),
            to: &export.to,
            mode: export.mode,
            doc: export.doc.as_deref(),
            place: &export.place,
        }
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": 1 })
    }
}

/// As `base/tree_path.rs` writes it.
#[cfg(test)]
impl schemars::JsonSchema for TreePath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TreePath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A path in a tree, without `.` and `..`; as bytes where it is not UTF-8.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } },
            ],
        })
    }
}
