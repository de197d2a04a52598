//! Each example builds as its comments say.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::space::{Space, can_run, have};

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn every_example_and_our_own_build_pass_check() {
    for name in examples() {
        Space::example(&name).ok(&["check"]);
    }
    let space = Space::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("memobuild.kdl");
    space.file("memobuild.kdl", fs::read(own).unwrap());
    space.ok(&["check"]);
}

#[test]
fn our_own_build_can_be_planned() {
    let space = Space::new();
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = std::process::Command::new(crate::space::BINARY);
    command.args(["-C", root, "--store"]).arg(space.store()).args(["plan", "--format", "json"]);
    let ran = crate::space::run(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let forecast = |name: &str| {
        let nodes = plan["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap()["forecast"].as_str().unwrap().to_owned()
    };
    assert_eq!((forecast("crates"), forecast("compile")), ("will-run".to_owned(), "unknown".to_owned()));
}

#[test]
fn hello_builds_greets_and_is_recalled() {
    if !have(&["cc"]) || !can_run() {
        return;
    }
    let space = Space::example("hello");
    let outcomes = space.build(&["-o", "oci-archive:hello.tar"]);
    assert_eq!(outcomes["greets"], "executed");
    assert!(space.path().join("hello.tar").is_file());
    assert!(space.build(&["-o", "oci-archive:hello.tar"]).values().all(|outcome| outcome == "recalled"));
}

/// Stands on a layout that the first example wrote; the base's layer goes out as it came in.
#[test]
fn layers_stand_on_a_pulled_image() {
    if !have(&["cc"]) || !can_run() {
        return;
    }
    let hello = Space::example("hello");
    let space = Space::example("layers");
    let base = space.workspace().join("base");
    hello.ok(&["build", "hello", "-o", &format!("oci:{}", base.display())]);
    space.ok(&["build", "-o", "oci:card", "--param", "greeting=good evening"]);
    let layers = |layout: &Path| -> Vec<String> {
        let blob = |digest: &str| -> Value {
            let name = digest.strip_prefix("sha256:").unwrap();
            serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(name)).unwrap()).unwrap()
        };
        let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let manifest = blob(index["manifests"][0]["digest"].as_str().unwrap());
        let layers = manifest["layers"].as_array().unwrap();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (under, over) = (layers(&base), layers(&space.path().join("card")));
    assert_eq!((under.len(), over.len()), (1, 2));
    assert_eq!(under[0], over[0]);
    space.ok(&["build", "-o", "files:out", "--param", "greeting=good evening"]);
    let words = space.path().join("out/srv/words");
    assert_eq!(fs::read_to_string(words.join("latest")).unwrap(), "good evening\n");
    assert!(space.path().join("out/hello").is_file());
}
