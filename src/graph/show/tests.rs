//! What the language cannot make yet; how whole files are shown is tested with the language (`lang/shown.rs`).

use super::*;
use crate::base::tree_path::TreePath;
use crate::graph::graph::{AxisInfo, Export, ExportMode, GroupInfo, Node, ParamInfo};
use crate::graph::op::Op;
use crate::graph::value::Type;

fn graph() -> Graph {
    let node = |name: &str, kind, doc: Option<&str>| Node {
        coordinate: match name.trim_end_matches(']').split_once("os=") {
            Some((_, value)) => [("os".to_owned(), value.to_owned())].into(),
            None => std::collections::BTreeMap::new(),
        },
        name: name.into(),
        kind,
        op: Op::Host(crate::graph::op::Host::default()),
        inputs: Vec::new(),
        outputs: [("image".into(), Type::Image), ("tree".into(), Type::Tree)].into(),
        main: Some("image".into()),
        doc: doc.map(Into::into),
        platform: crate::oci::image::Platform::current(),
        place: "memobuild.kdl:1".into(),
        span: 0..0,
    };
    let output = |node: usize, output: &str| OutputRef { node: NodeId(node), output: output.into() };
    let param = |name: &str, kind: &str| ParamInfo {
        name: name.into(),
        kind_of_value: kind.into(),
        ..ParamInfo::default()
    };
    Graph {
        prefix: String::new(),
        exports: vec![Export {
            name: "gen".into(),
            package: TreePath::root(),
            output: output(0, "tree"),
            path: None,
            to: TreePath::parse("src/gen").unwrap(),
            file_name: None,
            mode: ExportMode::Merge,
            doc: Some("Kept".into()),
            place: "memobuild.kdl:9".into(),
        }],
        nodes: vec![
            node("app[os=a]", "image", Some("Ships\n it")),
            node("app[os=b]", "image", None),
            node("host", "host", None),
        ],
        targets: [
            ("app".into(), vec![output(0, "image"), output(1, "image")]),
            ("app.tree".into(), vec![output(0, "tree"), output(1, "tree")]),
            ("all".into(), vec![output(1, "image"), output(0, "tree")]),
        ]
        .into(),
        default: vec![output(1, "image")],
        groups: vec![GroupInfo { name: "all".into(), doc: Some("Both".into()) }],
        params: vec![
            ParamInfo {
                default: Some(vec!["release".into()]),
                values: vec!["debug".into(), "release".into()],
                env: Some("MODE".into()),
                doc: Some("How to build".into()),
                ..param("mode", "text")
            },
            ParamInfo { package: "//services/api".into(), ..param("port", "int") },
        ],
        axes: vec![AxisInfo { name: "os".into(), values: vec!["a".into(), "b".into()], doc: None }],
    }
}

#[test]
fn a_listing_in_columns() {
    let graph = graph();
    let expected = "\
targets
  * app[os]  image  .tree  Ships it

groups
    all  app app.tree  Both

exports
    gen  app[os=a].tree  to src/gen (merge)  Kept

params
    mode  text  = release  (debug, release)  from $MODE  How to build

axes
    os  a b
";
    assert_eq!(Listing::of(&graph).text(), expected);
}

#[test]
fn a_listing_as_json() {
    let graph = graph();
    let json = serde_json::to_value(Listing::of(&graph)).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["targets"][0]["default"], true);
    assert_eq!(json["targets"][0]["coordinates"], serde_json::json!([{"os": "a"}, {"os": "b"}]));
    assert_eq!(json["exports"][0]["to"], "src/gen");
    assert_eq!(json["groups"][0]["members"], serde_json::json!(["app[os=b]", "app[os=a].tree"]));
    assert_eq!(json["params"][0]["type"], "text");
    assert_eq!(json["axes"][0]["values"], serde_json::json!(["a", "b"]));
}

/// A package's own params are listed with what is in it.
#[test]
fn a_listing_of_some_nodes() {
    let mut graph = graph();
    graph.nodes[1].name = "//services/api:app".into();
    graph
        .targets
        .insert("//services/api:app".into(), vec![OutputRef { node: NodeId(1), output: "image".into() }]);
    let json = serde_json::to_value(Listing::among(&graph, &[NodeId(1)].into())).unwrap();
    assert_eq!(json["targets"].as_array().unwrap().len(), 1);
    assert_eq!(json["params"][0]["name"], "port");
    assert_eq!(json["params"][0]["default"], serde_json::Value::Null);
    assert_eq!((json["groups"].as_array().unwrap().len(), json["exports"].as_array().unwrap().len()), (0, 0));
}

#[test]
fn names_of_nodes_and_targets_are_found() {
    let graph = graph();
    let found = |name: &str| {
        Shown::named(&graph, name).map(|shown| shown.nodes.iter().map(|id| id.0).collect::<Vec<_>>())
    };
    assert_eq!(found("app").unwrap(), [0, 1]);
    assert_eq!(found("app[os=b]").unwrap(), [1]);
    assert_eq!(found("host").unwrap(), [2]);
    assert_eq!(found("app[os=c]").unwrap_err().help(), "it is there at [os=a] [os=b]");
    assert_eq!(found("hots").unwrap_err().help(), "did you mean `host`?");
}

#[test]
fn a_part_names_only_targets_in_it() {
    let graph = graph();
    let document = serde_json::to_value(Shown::named(&graph, "app[os=a]").unwrap().json()).unwrap();
    assert_eq!(document["targets"], serde_json::json!({}), "each names the other, too");
    assert_eq!(document["default"], serde_json::json!([]));
    assert_eq!(document["nodes"][0]["coordinate"], serde_json::json!({ "os": "a" }));
    assert_eq!(document["exports"][0]["mode"], "merge");
}
