//! Each example builds as its comments say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::skipped::skipped;
use crate::space::{BINARY, Ran, Space, can_run, have, run, tool};

/// Examples of what only MemoBuild has: no Dockerfile could say the same.
const WITHOUT_DOCKERFILE: [&str; 4] = ["hello", "layers", "parallel", "variants"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn examples() -> Vec<String> {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|folder| folder.file_name().into_string().unwrap()).collect()
}

fn text(example: &str, file: &str) -> String {
    fs::read_to_string(root().join("examples").join(example).join(file)).unwrap()
}

/// The forecasts of a plan, by node.
fn forecasts(ran: &Ran) -> BTreeMap<String, String> {
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = plan["nodes"].as_array().unwrap();
    nodes.iter().map(|node| (text(&node["name"]), text(&node["forecast"]))).collect()
}

/// The command on this repository itself, with the machine's own environment.
fn on_ourselves(store: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(BINARY);
    command.args(["-C".as_ref(), root().as_os_str(), "--store".as_ref(), store.as_os_str()]).args(arguments);
    run(&mut command)
}

#[test]
fn every_example_and_our_own_build_pass_check_and_are_well_formatted() {
    for name in examples() {
        let space = Space::example(&name);
        space.ok(&["check"]);
        space.ok(&["fmt", "--check", "."]);
    }
    let space = Space::new();
    space.file("memobuild.kdl", fs::read(root().join("memobuild.kdl")).unwrap());
    space.ok(&["check"]);
    space.ok(&["fmt", "--check"]);
}

/// Also where the images that they stand on are out of reach; but `layers` needs a base that lies beside it.
#[test]
fn every_example_can_be_planned() {
    for name in examples().into_iter().filter(|name| name != "layers") {
        let space = Space::example(&name);
        let forecasts = forecasts(&space.ok(&["plan", "--format", "json"]));
        assert!(forecasts.values().any(|forecast| forecast != "hit"), "{name}: {forecasts:?} in a new store");
    }
}

#[test]
fn every_example_says_what_it_shows() {
    let table = text("", "README.md");
    for name in examples() {
        assert!(table.contains(&format!("| [`{name}`]({name}) |")), "{name} is not in examples/README.md");
        let build_file = text(&name, "memobuild.kdl");
        let comment = build_file.lines().skip(2).take_while(|line| line.starts_with("//")).count();
        assert!((3..=11).contains(&comment), "{name}: {comment} lines of comment below the version line");
        let promised = !WITHOUT_DOCKERFILE.contains(&name.as_str());
        assert_eq!(root().join("examples").join(&name).join("Dockerfile").is_file(), promised, "{name}");
    }
}

/// What a Dockerfile copies from its folder is there.
#[test]
fn dockerfiles_copy_what_there_is() {
    for name in examples().iter().filter(|name| !WITHOUT_DOCKERFILE.contains(&name.as_str())) {
        let lines = text(name, "Dockerfile");
        let copies = lines.lines().filter_map(|line| line.strip_prefix("COPY "));
        let mut count = 0;
        for copy in copies.filter(|copy| !copy.contains("--from=") && !copy.starts_with("<<")) {
            let words: Vec<&str> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
            for source in &words[..words.len() - 1] {
                assert!(root().join("examples").join(name).join(source).exists(), "{name}: COPY {copy}");
                count += 1;
            }
        }
        assert!(count > 0 || text(name, "Dockerfile").contains("source="), "{name} copies nothing");
    }
}

#[test]
fn our_own_build_can_be_planned() {
    let space = Space::new();
    let ran = on_ourselves(&space.store(), &["plan", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let forecasts = forecasts(&ran);
    assert_eq!((&*forecasts["crates"], &*forecasts["compile"]), ("will-run", "unknown"));
}

/// Takes the crates from the network, and minutes.
#[test]
fn our_own_build_builds_a_memobuild_that_runs() {
    if std::env::var_os("MEMOBUILD_LONG").is_none() {
        skipped("MEMOBUILD_LONG is not set");
        return;
    }
    if !have(&["cargo", "cc", "ldd"]) || !can_run() {
        return;
    }
    let space = Space::new();
    let out = space.path().join("out");
    let export = format!("files:{}", out.display());
    let ran = on_ourselves(&space.store(), &["build", "memobuild", "-o", &export]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ours = tool(BINARY, &["--version"]);
    assert_eq!(tool(out.join("bin/memobuild"), &["--version"]), ours);
    let tested = on_ourselves(&space.store(), &["build", "starts"]);
    assert_eq!(tested.code, Some(0), "{}", tested.stderr);
    let planned = forecasts(&on_ourselves(&space.store(), &["plan", "memobuild", "--format", "json"]));
    assert!(planned.values().all(|forecast| forecast == "hit"), "built, and not known: {planned:?}");
}

#[test]
fn variants_are_what_their_values_make_them() {
    if !can_run() {
        return;
    }
    let space = Space::example("variants");
    space.ok(&["build", "tests"]);
    let cards = |arguments: &[&str]| -> BTreeMap<String, String> {
        let mut all = vec!["build", "all", "-o", "files:out"];
        all.extend(arguments);
        let _ = fs::remove_dir_all(space.path().join("out"));
        space.ok(&all);
        let folder = fs::read_dir(space.path().join("out/cards")).unwrap();
        let text = |path: &Path| fs::read_to_string(path).unwrap();
        folder
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), text(&entry.path())))
            .collect()
    };
    let usual = cards(&[]);
    let names: Vec<&str> = usual.keys().map(String::as_str).collect();
    let expected =
        ["a-motto.txt", "de-small.txt", "en-large.txt", "en-small.txt", "fr-small.txt", "z-last.txt"];
    assert_eq!(names, expected);
    assert_eq!(usual["de-small.txt"], "- hallo from the press\n- hallo from the press\n--\non plain paper\n");
    assert!(usual["en-large.txt"].starts_with("* hello"), "{usual:?}");
    assert!(usual["fr-small.txt"].starts_with("- salut"), "{usual:?}");
    assert_eq!((&*usual["a-motto.txt"], &*usual["z-last.txt"]), ("best wishes\n", "p.s.\nn.b.\n"));
    let other = cards(&["--param", "copies=1", "--param", "extra=nb", "--param", "paper=lined"]);
    assert_eq!(other["de-small.txt"], "- hallo from the press\n--\non lined paper\n");
    assert_eq!(other["z-last.txt"], "nb\n");
}

#[test]
fn variants_take_values_from_flags_and_environment() {
    if !can_run() {
        return;
    }
    let space = Space::example("variants");
    space.ok(&["build", "shouts", "--param", "loud=true"]);
    assert_eq!(space.run(&["build", "shouts"]).code, Some(2), "there is no such node by default");
    assert_eq!(space.run(&["check", "--param", "copies=10"]).code, Some(2), "ten is too many");
    let from_environment = |sender: &str| {
        let mut command = space.command(&["build", "card[lang=de,size=small]", "-o", "files:card"]);
        run(command.env("CARD_FROM", sender))
    };
    assert_eq!(from_environment("ann").code, Some(0));
    let card = fs::read_to_string(space.path().join("card/de-small.txt")).unwrap();
    assert!(card.starts_with("- hallo from ann\n"), "{card}");
    assert_eq!(from_environment("4nn").code, Some(2), "its pattern wants letters");
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
