//! What a command line asks for, and all that it needs, in an order in which it can be made.

use std::collections::BTreeSet;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::DfsPostOrder;

use crate::base::suggest;
use crate::graph::graph::{Graph, Node, NodeId, OutputRef};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("there is no target `{name}`")]
    Unknown {
        name: String,
        /// The nearest of the targets there are.
        suggestion: Option<String>,
    },
    #[error("`{written}` is not at that coordinate")]
    NoCoordinate {
        written: String,
        /// Where it is: `[python=3.12]`.
        there: Vec<String>,
    },
    #[error("`{0}` is not a target")]
    Form(String),
    #[error("there is nothing to build: the build file has neither a `default` nor an image")]
    Nothing,
}

impl SelectError {
    /// One action to take.
    pub fn help(&self) -> String {
        match self {
            SelectError::Unknown { suggestion: Some(near), .. } => format!("did you mean `{near}`?"),
            SelectError::Unknown { suggestion: None, .. } => "`memobuild list` tells the targets".to_owned(),
            SelectError::NoCoordinate { there, .. } if there.is_empty() => {
                "it stands in no matrix: leave the brackets out".to_owned()
            }
            SelectError::NoCoordinate { there, .. } => format!("it is there at {}", there.join(" ")),
            SelectError::Form(_) => {
                "a target is NAME, NAME.OUTPUT, 'NAME[AXIS=VALUE]', //PACKAGE:NAME, //PACKAGE or //FOLDER/..."
                    .to_owned()
            }
            SelectError::Nothing => "name a target, or write a line `default NODE`".to_owned(),
        }
    }
}

/// The outputs that `names` stand for, each once; the default when there are none.
pub fn targets(graph: &Graph, names: &[String]) -> Result<Vec<OutputRef>, SelectError> {
    if names.is_empty() {
        return if graph.default.is_empty() { Err(SelectError::Nothing) } else { Ok(graph.default.clone()) };
    }
    let mut seen = BTreeSet::new();
    let mut chosen: Vec<OutputRef> = Vec::new();
    for name in names {
        let outputs = target(graph, name)?.into_iter();
        chosen.extend(outputs.filter(|output| seen.insert(output.clone())));
    }
    Ok(chosen)
}

/// What a node is called without its coordinate: `app` of `app[python=3.12]`. `None` for what nobody declared.
pub fn target_of<'g>(graph: &'g Graph, node: &Node) -> Option<&'g str> {
    let label = match node.name.strip_suffix(']') {
        Some(name) => name.split('[').next()?,
        None => node.name.as_str(),
    };
    graph.targets.get_key_value(label).map(|(name, _)| name.as_str())
}

/// `services` of `//services/...`: all packages below a folder.
pub fn wildcard(target: &str) -> Option<&str> {
    target.strip_prefix("//")?.strip_suffix("...").map(|folder| folder.trim_end_matches('/'))
}

fn target(graph: &Graph, written: &str) -> Result<Vec<OutputRef>, SelectError> {
    if let Some(folder) = wildcard(written) {
        return below(graph, folder).ok_or_else(|| unknown(graph, written));
    }
    let (name, at) = match written.split_once('[') {
        None => (written, None),
        Some((name, rest)) => match rest.strip_suffix(']').and_then(pairs) {
            Some(at) => (name, Some(at)),
            None => return Err(SelectError::Form(written.to_owned())),
        },
    };
    let outputs = named(graph, name).ok_or_else(|| unknown(graph, name))?;
    let Some(at) = at else { return Ok(outputs.clone()) };
    let found: Vec<OutputRef> =
        outputs.iter().filter(|output| stands_at(graph.node(output.node), &at)).cloned().collect();
    if found.is_empty() {
        return Err(SelectError::NoCoordinate {
            written: written.to_owned(),
            there: coordinates(graph, outputs),
        });
    }
    Ok(found)
}

/// A name of the package that one stands in, or one in full.
fn named<'g>(graph: &'g Graph, name: &str) -> Option<&'g Vec<OutputRef>> {
    match name.strip_prefix("//:") {
        Some(of_root) => graph.targets.get(of_root),
        None if name.starts_with("//") => graph.targets.get(name),
        None => graph.targets.get(&format!("{}{name}", graph.prefix)),
    }
}

/// Every node that the files of these packages declare.
fn below(graph: &Graph, folder: &str) -> Option<Vec<OutputRef>> {
    let is_below = |node: &Node| match node.name.strip_prefix("//") {
        _ if target_of(graph, node).is_none() => false,
        None => folder.is_empty(),
        Some(label) => {
            let rest = label.strip_prefix(folder);
            folder.is_empty() || rest.is_some_and(|rest| rest.starts_with(['/', ':']))
        }
    };
    let ids = graph.ids().filter(|id| is_below(graph.node(*id)));
    let outputs: Vec<OutputRef> = ids.flat_map(|id| graph.whole(id)).collect();
    (!outputs.is_empty()).then_some(outputs)
}

fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    text.split(',').map(|pair| pair.trim().split_once('=')).collect()
}

fn stands_at(node: &Node, at: &[(&str, &str)]) -> bool {
    at.iter().all(|(axis, value)| match node.coordinate.get(*axis) {
        Some(own) => own == value,
        None => *axis == "platform" && is_platform(node, value),
    })
}

/// With or without the variant.
fn is_platform(node: &Node, written: &str) -> bool {
    let full = node.platform.to_string();
    let short = format!("{}/{}", node.platform.os, node.platform.architecture);
    written == full || written == short
}

fn coordinates(graph: &Graph, outputs: &[OutputRef]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for output in outputs {
        let coordinate = graph.node(output.node).coordinate.iter();
        let pairs: Vec<String> = coordinate.map(|(axis, value)| format!("{axis}={value}")).collect();
        let shown = format!("[{}]", pairs.join(","));
        if !pairs.is_empty() && !all.contains(&shown) {
            all.push(shown);
        }
    }
    all
}

/// The nodes that `targets` need, themselves included; every node comes after its inputs.
pub fn needed(graph: &Graph, targets: &[OutputRef]) -> Vec<NodeId> {
    let mut edges: DiGraph<(), ()> = DiGraph::with_capacity(graph.nodes.len(), graph.nodes.len());
    for _ in &graph.nodes {
        edges.add_node(());
    }
    for (place, node) in graph.nodes.iter().enumerate() {
        for input in &node.inputs {
            edges.add_edge(NodeIndex::new(place), NodeIndex::new(input.source.node.0), ());
        }
    }
    let mut order = DfsPostOrder::empty(&edges);
    let mut needed = Vec::new();
    for target in targets {
        order.move_to(NodeIndex::new(target.node.0));
        while let Some(node) = order.next(&edges) {
            needed.push(NodeId(node.index()));
        }
    }
    needed
}

fn unknown(graph: &Graph, name: &str) -> SelectError {
    let known = graph.targets.keys().map(|known| known.strip_prefix(&graph.prefix).unwrap_or(known));
    let suggestion = suggest::nearest(name, known).map(str::to_owned);
    SelectError::Unknown { name: name.to_owned(), suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph::{Input, Select};
    use crate::graph::op::{Host, Op};

    /// Node `i` needs the nodes of `inputs[i]`.
    fn graph(inputs: &[&[usize]]) -> Graph {
        let node = |(place, inputs): (usize, &&[usize])| Node {
            name: format!("n{place}"),
            kind: "host",
            op: Op::Host(Host::default()),
            inputs: inputs
                .iter()
                .map(|&input| Input { slot: "s".into(), source: output(input), select: Select::default() })
                .collect(),
            outputs: [("out".to_owned(), crate::graph::value::Type::Tree)].into(),
            main: Some("out".into()),
            doc: None,
            coordinate: std::collections::BTreeMap::new(),
            platform: crate::oci::image::Platform::current(),
            place: String::new(),
            span: 0..0,
        };
        let nodes: Vec<Node> = inputs.iter().enumerate().map(node).collect();
        let targets =
            nodes.iter().enumerate().map(|(place, node)| (node.name.clone(), vec![output(place)])).collect();
        Graph { nodes, targets, ..Graph::default() }
    }

    fn output(node: usize) -> OutputRef {
        OutputRef { node: NodeId(node), output: "out".into() }
    }

    #[test]
    fn only_what_is_needed_inputs_first() {
        let graph = graph(&[&[1, 2], &[3], &[3], &[], &[0]]);
        let order: Vec<usize> = needed(&graph, &[output(0)]).iter().map(|id| id.0).collect();
        assert_eq!(order.len(), 4);
        let at = |id: usize| order.iter().position(|&other| other == id).unwrap();
        assert!(at(3) < at(1) && at(3) < at(2) && at(1) < at(0) && at(2) < at(0), "{order:?}");
        assert_eq!(needed(&graph, &[output(3), output(3)]), [NodeId(3)]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let inputs: Vec<Vec<usize>> =
            (0..200_000).map(|place| if place == 0 { vec![] } else { vec![place - 1] }).collect();
        let inputs: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
        let order = needed(&graph(&inputs), &[output(199_999)]);
        assert!(order.iter().enumerate().all(|(place, id)| id.0 == place));
    }

    #[test]
    fn names_on_a_command_line() {
        let graph = graph(&[&[], &[]]);
        let names = |names: &[&str]| {
            targets(&graph, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["n1", "n0", "n1"]).unwrap(), [output(1), output(0)]);
        let error = names(&["m1"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no target `m1`");
        assert_eq!(error.help(), "did you mean `n1`?");
        assert_eq!(names(&["something"]).unwrap_err().help(), "`memobuild list` tells the targets");
        assert_eq!(names(&[]).unwrap_err(), SelectError::Nothing);
    }

    /// Two packages; `app` of the root stands at two coordinates, one of them for another platform.
    fn packages(prefix: &str) -> Graph {
        let mut graph = graph(&[&[], &[], &[], &[], &[]]);
        let names =
            ["app[python=3.12]", "app[python=3.13]", "//services/api:app", "//services/api:lib", "./src"];
        for (node, name) in graph.nodes.iter_mut().zip(names) {
            node.name = name.into();
            if let Some((_, value)) = name.trim_end_matches(']').split_once("python=") {
                node.coordinate.insert("python".into(), value.into());
            }
        }
        graph.nodes[1].platform = crate::oci::image::Platform {
            os: "linux".into(),
            architecture: "arm".into(),
            variant: Some("v7".into()),
        };
        graph.targets = [
            ("app", vec![0, 1]),
            ("app.out", vec![0, 1]),
            ("//", vec![0]),
            ("//services/api:app", vec![2]),
            ("//services/api:lib", vec![3]),
            ("//services/api", vec![2]),
        ]
        .into_iter()
        .map(|(name, nodes)| (name.to_owned(), nodes.into_iter().map(output).collect()))
        .collect();
        graph.prefix = prefix.into();
        graph
    }

    fn chosen(graph: &Graph, name: &str) -> Result<Vec<usize>, SelectError> {
        targets(graph, &[name.to_owned()]).map(|outputs| outputs.iter().map(|output| output.node.0).collect())
    }

    #[test]
    fn coordinates_packages_and_folders() {
        let root = packages("");
        for (name, expected) in [
            ("app", vec![0, 1]),
            ("//:app", vec![0, 1]),
            ("app[python=3.12]", vec![0]),
            ("app.out[python=3.13]", vec![1]),
            ("app[platform=linux/arm]", vec![1]),
            ("app[platform=linux/arm/v7]", vec![1]),
            ("app[python=3.13, platform=linux/arm]", vec![1]),
            ("//services/api", vec![2]),
            ("//services/api:lib", vec![3]),
            ("//services/...", vec![2, 3]),
            ("//services/api/...", vec![2, 3]),
            ("//...", vec![0, 1, 2, 3]),
        ] {
            assert_eq!(chosen(&root, name).as_deref(), Ok(expected.as_slice()), "{name}");
        }
        let package = packages("//services/api:");
        assert_eq!(chosen(&package, "app"), Ok(vec![2]));
        assert_eq!(chosen(&package, "//:app[python=3.12]"), Ok(vec![0]));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let root = packages("");
        let help = |name: &str| {
            let error = chosen(&root, name).unwrap_err();
            (error.to_string(), error.help())
        };
        let (message, there) = help("app[python=3.11]");
        assert_eq!(message, "`app[python=3.11]` is not at that coordinate");
        assert_eq!(there, "it is there at [python=3.12] [python=3.13]");
        assert_eq!(help("app[platform=linux/arm,python=3.12]").1, there);
        assert_eq!(
            help("//services/api:lib[python=3.12]").1,
            "it stands in no matrix: leave the brackets out"
        );
        assert!(matches!(chosen(&root, "app[python]"), Err(SelectError::Form(_))));
        assert!(matches!(chosen(&root, "app[python=3.12"), Err(SelectError::Form(_))));
        assert_eq!(help("//serv/...").0, "there is no target `//serv/...`");
        assert_eq!(help("//services/api:ap").1, "did you mean `//services/api:app`?");
        assert_eq!(help("lib").0, "there is no target `lib`");
        let package = packages("//services/api:");
        assert_eq!(chosen(&package, "lob").unwrap_err().help(), "did you mean `lib`?");
    }

    #[test]
    fn what_nobody_declared_is_no_target() {
        let graph = packages("");
        let of = |node: usize| target_of(&graph, graph.node(NodeId(node)));
        assert_eq!([of(0), of(2), of(4)], [Some("app"), Some("//services/api:app"), None]);
    }
}
