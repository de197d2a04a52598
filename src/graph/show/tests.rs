//! What the language cannot make yet; how whole files are shown is tested with the language (`lang/shown.rs`).

use super::*;
use crate::graph::graph::{AxisInfo, GroupInfo, Node, ParamInfo};
use crate::graph::op::Op;
use crate::graph::value::Type;

fn graph() -> Graph {
    let node = |name: &str, kind, doc: Option<&str>| Node {
        name: name.into(),
        kind,
        op: Op::Host(crate::graph::op::Host::default()),
        inputs: Vec::new(),
        outputs: [("image".into(), Type::Image), ("tree".into(), Type::Tree)].into(),
        main: Some("image".into()),
        doc: doc.map(Into::into),
        coordinate: std::collections::BTreeMap::new(),
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
        nodes: vec![
            node("app[os=a]", "image", Some("Ships\n it")),
            node("app[os=b]", "image", None),
            node("host", "host", None),
        ],
        targets: [
            ("app".into(), vec![output(0, "image"), output(1, "image")]),
            ("app[os=a]".into(), vec![output(0, "image")]),
            ("app[os=b]".into(), vec![output(1, "image")]),
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
    app[os=a]  image  .tree  Ships it
  * app[os=b]  image  .tree

groups
    all  app[os=b] app[os=a].tree  Both

params
    mode                 text  = release  (debug, release)  from $MODE  How to build
    //services/api:port  int   must be set

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
    assert_eq!(json["targets"][1]["default"], true);
    assert_eq!(json["groups"][0]["members"], serde_json::json!(["app[os=b]", "app[os=a].tree"]));
    assert_eq!(json["params"][0]["type"], "text");
    assert_eq!(json["params"][1]["default"], serde_json::Value::Null);
    assert_eq!(json["axes"][0]["values"], serde_json::json!(["a", "b"]));
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
    assert_eq!(found("hots").unwrap_err().help(), "did you mean `host`?");
}

#[test]
fn a_part_names_only_targets_in_it() {
    let graph = graph();
    let document = serde_json::to_value(Shown::named(&graph, "app[os=a]").unwrap().json()).unwrap();
    assert_eq!(document["targets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["app[os=a]"]);
    assert_eq!(document["default"], serde_json::json!([]));
}
