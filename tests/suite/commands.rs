//! Each command does what its help says.

use std::fs;

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, have, tool};

fn small() -> Space {
    let space = Space::new();
    space.file(
        "memobuild.kdl",
        "memobuild 1\nfiles src { include \"src/**\"; }\nimage app { from scratch; copy src path=\"src\" to=\"/app\"; cmd \"/app/x\"; }\n",
    );
    space.file("src/x", "x\n");
    space
}

#[test]
fn plan_tells_hits_runs_and_the_unknown() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!("{BUSYBOX_ROOT}run a {{ from root; sh \"echo a > /a\"; }}\nimage i {{ from a; cmd \"/bin/sh\"; }}\n"),
    );
    let forecasts = |space: &Space| -> Vec<String> {
        let json: serde_json::Value =
            serde_json::from_str(&space.ok(&["plan", "--format", "json"]).stdout).unwrap();
        let nodes = json["nodes"].as_array().unwrap();
        nodes
            .iter()
            .map(|node| format!("{} {}", node["name"].as_str().unwrap(), node["forecast"].as_str().unwrap()))
            .collect()
    };
    space.build(&["root"]);
    let before = forecasts(&space);
    assert!(before.contains(&"root hit".to_owned()), "{before:?}");
    assert!(before.contains(&"a will-run".to_owned()), "{before:?}");
    assert!(before.contains(&"i unknown".to_owned()), "{before:?}");
    space.build(&[]);
    assert!(forecasts(&space).iter().all(|line| line.ends_with(" hit")));
    let text = space.ok(&["plan"]).stdout;
    assert!(text.lines().all(|line| line.starts_with("hit ")), "{text}");
}

#[test]
fn graph_draws_nodes_and_edges() {
    let space = small();
    let text = space.ok(&["graph"]).stdout;
    assert!(text.contains("app") && text.contains("src"), "{text}");
    assert!(space.ok(&["graph", "--format", "dot"]).stdout.starts_with("digraph"));
    let json: serde_json::Value =
        serde_json::from_str(&space.ok(&["graph", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["nodes"].as_array().unwrap().len(), 2);
    let picture = space.ok(&["graph", "app", "--format", "svg"]).stdout;
    assert!(picture.starts_with("<svg ") && picture.contains(">app</text>"), "{picture}");
    assert!(!space.ok(&["graph", "src"]).stdout.contains("app"), "only what the target needs");
    assert!(!space.store().exists(), "a look at the graph needs no store");
}

#[test]
fn show_tells_what_is_in_a_node() {
    let space = small();
    let all: serde_json::Value =
        serde_json::from_str(&space.ok(&["show", "--format", "json"]).stdout).unwrap();
    assert_eq!((&all["version"], &all["default"][0]["node"]), (&1.into(), &"app".into()));
    let kdl = space.ok(&["show", "src", "--format", "kdl"]).stdout;
    assert!(kdl.contains("files src ") && !kdl.contains("image app "), "{kdl}");
    assert!(space.ok(&["show", "app"]).stdout.contains("copy /app"));
    assert_eq!(space.ok(&["show", "app", "--types"]).stdout, "app: (copy /app tree) -> image\n");
    let ran = space.run(&["show", "ap"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("did you mean `app`?"), "{}", ran.stderr);
}

#[test]
fn list_tells_what_to_ask_for() {
    let space = small();
    assert_eq!(space.ok(&["list"]).stdout, "targets\n    src  files\n  * app  image\n");
    let json: serde_json::Value =
        serde_json::from_str(&space.ok(&["list", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["targets"][1]["name"], "app");
}

#[test]
fn check_counts_nodes() {
    assert_eq!(small().ok(&["check"]).stdout, "one build file, 2 nodes, no mistakes\n");
    let space = Space::new();
    space.file("memobuild.kdl", "memobuild 1\nimage a { from b; }\nimage c { from d; }\n");
    let ran = space.run(&["check", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["mistakes"].as_array().unwrap().len(), 2);
    assert_eq!(json["mistakes"][0]["code"], "memo::ref::unknown");
    let ran = space.run(&["check", "--format", "sarif"]);
    assert_eq!(ran.code, Some(2));
    let sarif: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][1]["ruleId"], "memo::ref::unknown");
}

#[test]
fn explain_lists_and_tells_codes() {
    let space = Space::new();
    let list = space.ok(&["explain"]).stdout;
    assert!(list.lines().any(|line| line.starts_with("memo::kdl::quote  ")), "{list}");
    assert!(space.ok(&["explain", "memo::kdl::quote"]).stdout.contains("Right:"));
    let ran = space.run(&["explain", "memo::kdl::qoute"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("memobuild explain memo::kdl::quote"), "{}", ran.stderr);
}

#[test]
fn hash_agrees_with_b3sum() {
    let space = small();
    let file = space.file("some/file", vec![3; 100_000]);
    let file = file.to_str().unwrap();
    let line = space.ok(&["hash", file]).stdout;
    if have(&["b3sum"]) {
        assert_eq!(line, tool("b3sum", &[file]));
    }
    let folder = space.workspace().join("some");
    let one = space.ok(&["hash", folder.to_str().unwrap()]).stdout;
    fs::write(file, "other").unwrap();
    assert_ne!(space.ok(&["hash", folder.to_str().unwrap()]).stdout, one);
}

/// Each with what to do about it, as the command line alone can say it.
#[test]
fn what_is_not_there_is_told() {
    let space = small();
    fs::write(space.store(), "").unwrap();
    for (arguments, code, words) in [
        (
            &["hash", "nothing"][..],
            2,
            "nothing does not exist\n  help: name a file or a folder that is there\n",
        ),
        (&["build"], 3, "help: name a folder with --store\n"),
        (&["push", "app"], 2, "`docker://` names no image, and the image has no name of its own\n"),
    ] {
        let ran = space.run(arguments);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn cache_lists_measures_and_verifies() {
    let space = small();
    space.build(&["-o", "oci:image"]);
    assert_eq!(space.ok(&["cache", "path"]).stdout.trim(), space.store().to_str().unwrap());
    let listed: serde_json::Value =
        serde_json::from_str(&space.ok(&["cache", "ls", "--format", "json"]).stdout).unwrap();
    let records = listed["records"].as_array().unwrap();
    assert!(records.iter().any(|record| record["node"] == "app"), "{listed}");
    assert!(space.ok(&["cache", "ls"]).stdout.contains("app"));
    assert!(space.ok(&["cache", "du"]).stdout.contains("blobs"));
    assert!(space.ok(&["cache", "verify"]).stdout.contains("nothing is damaged"));
}

#[test]
fn doctor_names_the_rung_or_what_is_missing() {
    let space = Space::new();
    let text = space.run(&["doctor"]).stdout;
    assert!(text.contains("isolation"), "{text}");
}

#[test]
fn progress_forms() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!("{BUSYBOX_ROOT}run a {{ from root; sh \"echo heard\"; }}\ndefault a\n"),
    );
    let plain = space.ok(&["build", "--progress", "plain"]);
    assert!(plain.stderr.contains("[a] │ heard"), "{}", plain.stderr);
    assert!(plain.stderr.lines().last().unwrap().contains("2 executed"), "{}", plain.stderr);
    assert_eq!(plain.stdout, "");
    space.file(
        "memobuild.kdl",
        format!("{BUSYBOX_ROOT}run a {{ from root; sh \"echo heard again\"; }}\ndefault a\n"),
    );
    let json = space.ok(&["build", "--progress", "json"]);
    let events: Vec<serde_json::Value> =
        json.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(events.iter().any(|event| event["event"] == "output" && event["text"] == "heard again\n"));
    assert_eq!(space.ok(&["log", "a"]).stdout, "heard again\n");
}

#[test]
fn params_reach_the_build() {
    let space = Space::new();
    space.file(
        "memobuild.kdl",
        "memobuild 1\nparam who default=\"world\"\ntree a { file \"/x\" \"hello ${param.who}\" expand=#true; }\ndefault a\n",
    );
    space.ok(&["build", "-o", "files:out", "--param", "who=you"]);
    assert_eq!(fs::read_to_string(space.path().join("out/x")).unwrap(), "hello you");
    let ran = space.run(&["build", "--param", "whom=you"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("who"), "{}", ran.stderr);
}
