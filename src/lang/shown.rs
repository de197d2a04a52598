//! What shows a graph, on a whole file, and what `schema/` says of it. Tests only: `INSTA_UPDATE=always`
//! rewrites what is expected, and a stale schema is written anew by the test that finds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use kdl::KdlDocument;
use schemars::generate::SchemaSettings;
use serde_json::{Value as Json, json};

use super::*;
use crate::base::skipped::skipped;
use crate::graph::drawing;
use crate::graph::show::{Document, Listing, Shown};
use crate::lang::table::KINDS;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn full() -> Graph {
    let text = std::fs::read_to_string(Path::new(HERE).join("src/lang/cases/full.kdl")).unwrap();
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
    load_text(&text, &Request { platform, ..Request::root() }).unwrap().graph
}

/// The full case, our own build and all examples.
fn graphs() -> Vec<(String, Graph)> {
    let mut folders = vec![PathBuf::from(HERE)];
    let examples = std::fs::read_dir(Path::new(HERE).join("examples")).unwrap();
    folders.extend(examples.map(|entry| entry.unwrap().path()));
    folders.retain(|folder| folder.join(FILE_NAME).is_file());
    let mut graphs: Vec<_> =
        folders.iter().map(|folder| (folder.display().to_string(), load_folder(folder))).collect();
    graphs.push(("full".into(), full()));
    graphs
}

fn load_folder(folder: &Path) -> Graph {
    let workspace = root::find(&folder.canonicalize().unwrap());
    load(&workspace.root, &Request { package: workspace.package, ..Request::root() }).unwrap().graph
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "cases", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn a_full_file_is_shown_so() {
    let graph = full();
    let shown = Shown::all(&graph);
    snapshot("full-show-text", &shown.text());
    snapshot("full-show-types", &shown.types());
    snapshot("full-show-kdl", &shown.kdl());
    snapshot("full-show-json", &serde_json::to_string_pretty(&shown.json()).unwrap());
    snapshot("full-list", &Listing::of(&graph).text());
    snapshot("full-svg", &drawing::svg(&graph));
}

#[test]
fn names_of_nodes_are_unique_and_what_is_shown_as_kdl_is_kdl() {
    for (name, graph) in graphs() {
        let mut names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), graph.nodes.len(), "{name}");
        let document = KdlDocument::parse_v2(&Shown::all(&graph).kdl()).unwrap();
        assert_eq!(document.nodes().iter().filter(|node| node.get("place").is_some()).count(), names.len());
    }
}

/// Of what `show --format json` prints: from the types that are printed, with the kinds of the table.
fn json_schema() -> Json {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Document>().to_value();
    let kind = |word: &str, doc: &str| json!({ "const": word, "description": doc });
    let kinds = KINDS.iter().map(|line| kind(line.word, line.doc));
    let host = kind("host", "The programs of this machine.");
    schema["title"] = json!("memobuild show --format json");
    schema["$defs"]["ShownNode"]["properties"]["kind"] = json!({
        "description": "The word that it was declared with.",
        "anyOf": kinds.chain([host]).collect::<Vec<_>>(),
    });
    schema
}

#[test]
fn the_schemas_are_current() {
    let json = format!("{:#}\n", json_schema());
    let kdl = schema::kdl_schema();
    let files = [("memobuild.schema.json", json), ("memobuild.schema.kdl", kdl)];
    let mut stale = Vec::new();
    for (name, current) in files {
        let file = Path::new(HERE).join("schema").join(name);
        if std::fs::read_to_string(&file).unwrap_or_default() != current {
            std::fs::write(&file, current).unwrap();
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?} in schema/ were stale and are written anew: look at them and commit them"
    );
}

#[test]
fn the_kdl_schema_is_kdl_and_knows_what_it_refers_to() {
    let text = schema::kdl_schema();
    let document = KdlDocument::parse_v2(&text).unwrap();
    let top = document.nodes()[0].children().unwrap();
    let kinds = top.nodes().iter().filter(|node| node.name().value() == "node").count();
    assert_eq!(kinds, KINDS.len());
    let quoted: Vec<&str> =
        text.split("ref=\"[id=\\\"").skip(1).map(|rest| rest.split('\\').next().unwrap()).collect();
    assert!(quoted.len() > KINDS.len());
    for id in quoted {
        assert_eq!(text.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

const VALIDATE: &str = r#"
import json, sys, jsonschema
schema, *files = [json.load(open(name)) for name in sys.argv[1:]]
jsonschema.Draft202012Validator.check_schema(schema)
check = jsonschema.Draft202012Validator(schema)
mistakes = [f"{name}: {mistake.json_path}: {mistake.message[:200]}"
            for name, file in zip(sys.argv[2:], files) for mistake in check.iter_errors(file)]
print("\n".join(mistakes[:20]))
sys.exit(len(mistakes) > 0)
"#;

/// Nothing that the schema does not name may be in an object.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Json::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn what_is_shown_fits_its_schema() {
    let python = Command::new("python3").args(["-c", "import jsonschema"]).output();
    if !python.is_ok_and(|python| python.status.success()) {
        return skipped("python3 has no jsonschema here (Debian: python3-jsonschema)");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Json| {
        let file = folder.path().join(name);
        std::fs::write(&file, value.to_string()).unwrap();
        file
    };
    let mut schema = json_schema();
    close(&mut schema);
    let schema = write("schema", &schema);
    let validate = |files: &[PathBuf]| {
        let ran = Command::new("python3").args(["-c", VALIDATE]).arg(&schema).args(files).output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap())
    };
    let mut files = Vec::new();
    for (place, (_, graph)) in graphs().iter().enumerate() {
        let all = serde_json::to_value(Shown::all(graph).json()).unwrap();
        files.push(write(&format!("all-{place}"), &all));
        let one = Shown { graph, nodes: graph.ids().take(1).collect() };
        files.push(write(&format!("one-{place}"), &serde_json::to_value(one.json()).unwrap()));
    }
    assert_eq!(validate(&files), (Some(0), "\n".to_owned()));
    let mut wrong = serde_json::to_value(Shown::all(&full()).json()).unwrap();
    wrong["nodes"][0]["kind"] = json!("rnu");
    assert_eq!(validate(&[write("wrong", &wrong)]).0, Some(1), "it can find a mistake");
}
