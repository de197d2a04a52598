//! Node kinds: config that travels, platforms, and what runs keep.

use serde_json::{Value, json};

use super::{built_in, check, node, shown, space};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

const IMAGES: &str = r#"
image base {
    from root
    env PATH="/bin" KEEP="1" DROP="1"
    user "7:7"
    workdir "/work"
    entrypoint "/e"
    cmd "c"
    label l="1"
    healthcheck { exec "/h"; }
    stop-signal "SIGINT"
}
"#;

fn busybox(text: &str) -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{text}"));
        space
    })
}

/// The config of an image as it is exported.
fn config(space: &Space, image: &str) -> Value {
    let folder = space.path().join(format!("layout-{image}"));
    space.ok(&["build", image, "-o", &format!("oci:{}", folder.display())]);
    let read = |digest: &Value| -> Value {
        let name = digest.as_str().unwrap().replace(':', "/");
        serde_json::from_slice(&std::fs::read(folder.join("blobs").join(name)).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let manifest = read(&index["manifests"][0]["digest"]);
    read(&manifest["config"]["digest"])["config"].clone()
}

#[test]
fn config_travels_and_is_removed_by_null() {
    let text = format!(
        r#"{IMAGES}
tree more {{ from base; file "/more" "x"; }}
image same {{ from more; }}
image less {{ from base; env DROP=#null; label l=#null; user #null; workdir #null; cmd #null; healthcheck #null; stop-signal #null; }}
image entry {{ from base; entrypoint "/e2"; }}
image unhealthy {{ from base; healthcheck none; }}
"#
    );
    let Some(space) = busybox(&text) else { return };
    let base = config(&space, "base");
    assert_eq!(config(&space, "same"), base, "a tree passes it on");
    let less = config(&space, "less");
    assert_eq!(less["Env"], json!(["PATH=/bin", "KEEP=1"]));
    for key in ["User", "WorkingDir", "Cmd", "Healthcheck", "StopSignal"] {
        assert!(!base[key].is_null() && less[key].is_null(), "{key}: {less}");
    }
    assert_eq!(less["Entrypoint"], base["Entrypoint"]);
    let entry = config(&space, "entry");
    assert_eq!((&entry["Entrypoint"], &entry["Cmd"]), (&json!(["/e2"]), &Value::Null), "it clears `cmd`");
    assert_eq!(config(&space, "unhealthy")["Healthcheck"]["Test"], json!(["NONE"]));
}

#[test]
fn runs_obey_their_root_and_their_own_lines_are_theirs() {
    let text = r#"
image base { from root; env A="1" B="1"; workdir "/work"; shell "/bin/sh" "-c" "-e"; }
run own {
    from base
    env A="own" B=#null
    workdir "/own"
    exec "/bin/sh" "-c" "echo $A$B > /o/env; pwd > /o/pwd"
    output o "/o"
}
image passed { from own; }
run after { from passed; exec "/bin/sh" "-c" "echo $A$B > /o/env; pwd > /o/pwd"; output o "/o"; }
run bare { from base inherit=#false; exec "/bin/sh" "-c" "echo $A$B > /o/env; pwd > /o/pwd"; output o "/o"; }
tree t { copy own.o to="/own"; copy after.o to="/after"; copy bare.o to="/bare"; }
"#;
    let Some(space) = busybox(&text.replace(" \"-c\" \"-e\"", " \"-e\" \"-c\"")) else { return };
    for (file, expected) in [
        ("own/env", "own\n"),
        ("own/pwd", "/own\n"),
        ("after/env", "11\n"),
        ("after/pwd", "/work\n"),
        ("bare/env", "\n"),
        ("bare/pwd", "/\n"),
    ] {
        assert_eq!(built_in(&space, "t", file, &[]), expected, "{file}");
    }
}

/// Tree operations in a run are done before its first command and kept; `diff` is what the commands wrote.
#[test]
fn what_a_run_keeps() {
    let text = r##"
tree data { file "/a" "data"; }
run r {
    from root
    copy data to="/copied"
    file "/written" "w"
    symlink "/link" target="written"
    mount data at="/mounted"
    sh #"cat /copied/a /link /mounted/a > /made; echo x > /mounted/thrown-away"#
}
tree t { copy r.diff to="/diff"; copy r path="copied" to="/root"; copy r path="made" to="/made"; }
tree all { copy r.tree to="/"; }
check kept { of r; has "/copied/a"; has "/made"; lacks "/mounted/thrown-away"; }
"##;
    let Some(space) = busybox(text) else { return };
    assert_eq!(built_in(&space, "t", "made", &[]), "datawdata");
    assert_eq!(built_in(&space, "t", "root/a", &[]), "data");
    assert_eq!(built_in(&space, "t", "diff/made", &[]), "datawdata");
    assert!(!space.path().join("built/diff/written").exists(), "no work of a command");
    assert_eq!(built_in(&space, "all", "written", &[]), "w");
    space.ok(&["build", "kept"]);
}

#[test]
fn tests_expect_and_keep_their_outputs() {
    let text = r##"
test passes { from root; sh #"echo out; echo x > /o/log; exit 3"#; expect exit=3 stdout="out\n" stdout-match="^o" file="/o/log"; output o "/o"; }
test fails { from root; sh #"echo kept > /o/log; echo other"#; expect stdout="out\n"; output o "/o"; }
"##;
    let Some(space) = busybox(text) else { return };
    space.ok(&["build", "passes"]);
    let ran = space.run(&["build", "fails"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("fails"), "{}", ran.stderr);
}

#[test]
fn rerun_and_salt() {
    let text = |salt: &str| {
        format!(
            "run always {{ from root; rerun always; sh \"true\"; output o \"/o\"; }}\nrun salted {{ from root; salt \"{salt}\"; sh \"true\"; output o \"/o\"; }}\ngroup g always.o salted.o\n"
        )
    };
    let Some(space) = busybox(&text("1")) else { return };
    let executed = |space: &Space| {
        space.build(&["g"]);
        space.with_outcome("executed")
    };
    assert_eq!(executed(&space).len(), 3, "with the root");
    assert_eq!(executed(&space), ["always"]);
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{}", text("2")));
    assert_eq!(executed(&space), ["always", "salted"]);
}

#[test]
fn checks_look_and_start_nothing() {
    let ok = "tree t { file \"/f\" \"x\" mode=0o640; }\nimage i { from s; user \"u\"; label k=\"v\"; }\ntree s { from scratch; copy t to=\"/\"; }\n";
    for (line, passes) in [
        ("has \"/f\" mode=0o640 owner=\"0:0\"", true),
        ("has \"/f\" mode=0o644", false),
        ("has \"/g\"", false),
        ("lacks \"/g\"", true),
        ("lacks \"/f\"", false),
        ("max-size \"1KiB\"", true),
        ("user \"u\"", true),
        ("user \"root\"", false),
        ("label k=\"v\"", true),
        ("label k=\"w\"", false),
        ("layers max=1", true),
        ("layers max=0", false),
    ] {
        let ran = space(&format!("{ok}check c {{ of i; {line}; }}\n")).run(&["build", "c"]);
        assert_eq!(ran.code, Some(if passes { 0 } else { 1 }), "{line}: {}", ran.stderr);
    }
}

/// A target of another platform is planned, and refused only where something would have to run there.
#[test]
fn foreign_platforms() {
    let text = r#"
run native { from root platform=build; sh "echo x > /o/f"; output o "/o"; }
run foreign { from root; sh "true"; output o "/o"; }
image copies { from root; platforms "linux/sparc64"; copy native.o to="/o"; annotation a="1" on=index; }
image runs { from root; platforms "linux/sparc64"; copy foreign.o to="/o"; }
"#;
    let Some(space) = busybox(text) else { return };
    for image in ["copies", "runs"] {
        space.ok(&["plan", image]);
    }
    space.ok(&["build", "copies", "-o", "oci:layout"]);
    // What is annotated is an index of its own, which lists the platform.
    let blobs = std::fs::read_dir(space.path().join("layout/blobs/sha256")).unwrap();
    let blobs = blobs.map(|blob| std::fs::read(blob.unwrap().path()).unwrap());
    let documents: Vec<String> = blobs.filter_map(|blob| String::from_utf8(blob).ok()).collect();
    let lists = |text: &String| text.contains("\"manifests\"") && text.contains("sparc64");
    assert!(documents.iter().any(lists), "{documents:?}");
    let ran = space.run(&["build", "runs"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("this machine executes"), "{}", ran.stderr);
}

#[test]
fn platforms_follow_the_root() {
    let lines = shown(
        r#"
tree root { from scratch; dir "/"; }
run tool { from root platform=build; exec "x"; output o "/o"; }
run chain { from tool; exec "x"; output o "/o"; }
run target { from root; mount tool.o at="/t"; exec "x"; output o "/o"; }
image i { from root; platforms "linux/s390x"; copy target.o to="/"; copy chain.o to="/c"; }
"#,
    );
    for line in ["takes from root[platform=linux/s390x], mount /t tool.o", "takes from root"] {
        assert!(lines.iter().any(|shown| shown == line), "{line} in {lines:#?}");
    }
    check(
        "image one { from scratch; platforms \"linux/s390x\"; }\ntree t { from one; dir \"/\"; }\n",
        &[("memo::type::platform", "not made for")],
    );
}

#[test]
fn types_of_slots() {
    let nodes = "tree t { dir \"/\"; }\ntree root { from scratch; dir \"/\"; }\nrun r { from root; exec \"x\"; output o \"/o\"; }\nimage i { from root; }\n";
    for (line, code) in [
        ("tree x { copy r to=\"/\"; }", "memo::type::slot"),
        ("tree x { copy r path=\"/a\" to=\"/\"; copy i path=\"/a\" to=\"/\"; copy r.tree to=\"/\"; }", ""),
        ("tree x { copy scratch to=\"/\"; }", "memo::type::slot"),
        ("tree x { from host; dir \"/\"; }", "memo::type::slot"),
        ("tree x { from t; dir \"/\"; }", "memo::type::slot"),
        ("image x { from r.o; }", "memo::type::slot"),
        ("tree x { merge i; }", "memo::type::slot"),
        ("run x { from host; file \"/a\" \"\"; exec \"x\"; output o \"/o\"; }", "memo::type::slot"),
        ("run x { from host; exec \"x\"; }", "memo::run::outputs"),
        ("run x { from root; cache c at=\"/c\"; exec \"x\"; output o \"/c/o\"; }", "memo::output::in-cache"),
        ("run x { from root; sh \"a\\bb\"; }", "memo::script::escape"),
        ("image x { from scratch; onbuild \"RUN x\"; }", "memo::image::onbuild"),
    ] {
        let told = super::told(&format!("{nodes}{line}\n"));
        let fits = told.first().map_or(code.is_empty(), |told| !code.is_empty() && told.starts_with(code));
        assert!(fits && told.len() <= 1, "{line}: {told:?}");
    }
}

#[test]
fn layers_are_those_of_the_chain() {
    let space = space(
        "tree root { from scratch; file \"/a\" \"a\"; }\ntree more { from root; file \"/b\" \"b\"; }\nimage i { from more; layer one { file \"/c\" \"c\"; file \"/d\" \"d\"; }; file \"/e\" \"e\"; }\nimage flat { from i; squash; }\n",
    );
    for (image, layers) in [("i", 4), ("flat", 1)] {
        let layout = format!("oci:{image}");
        space.ok(&["build", image, "-o", &layout]);
        let ran = space.ok(&["show", image, "--format", "json"]);
        assert!(ran.stdout.contains(image));
        let folder = space.path().join(image);
        let index: Value =
            serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(folder.join("blobs").join(digest)).unwrap()).unwrap();
        assert_eq!(manifest["layers"].as_array().unwrap().len(), layers, "{image}");
    }
    assert_eq!(node(&space, "i")["op"]["assemble"]["layers"].as_array().unwrap().len(), 2);
}
