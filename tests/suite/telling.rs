//! What a build tells of its runs in words, whole, and where it can be found afterwards.

use std::fs;

use serde_json::json;

use crate::space::{BUSYBOX_ROOT, Space, User, busybox_root, can_run, ordinary_user};

fn space(text: &str) -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{text}"));
        space
    })
}

/// Without the lines that differ from build to build.
pub(crate) fn words(stderr: &str) -> String {
    let differs = |line: &&str| line.contains(" s spent") || line.starts_with('[');
    stderr.lines().filter(|line| !differs(line)).map(|line| format!("{}\n", line.trim_end())).collect()
}

const OFFLINE: &str = r##"
run deps {
    from root
    sh "busybox ping -c 1 registry.example"
}
"##;

#[test]
fn a_command_that_wanted_the_network_is_told_so() {
    let Some(space) = space(OFFLINE) else { return };
    let ran = space.run(&["build", "deps", "--progress", "plain"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!("network", words(&ran.stderr));
}

const LOST: &str = r##"
files src { include "in.txt"; }
run build {
    from root
    mount src at="/src"
    sh "cp /src/in.txt /out/out.txt; echo o > /src/in.o; mkdir /src/d; echo 1 > /src/d/1; echo 2 > /src/d/2"
    output out "/out"
}
run next { from build; sh "true"; }
tree above { from build; file "/note" "x"; }
run kept { from root; mount src at="/src"; sh "echo o > /src/in.o"; output all "/src"; }
run onward { from kept; sh "true"; }
"##;

#[test]
fn writes_that_nobody_has_are_told_as_long_as_somebody_misses_them() {
    let Some(space) = space(LOST) else { return };
    space.file("in.txt", "data");
    let told = |arguments: &[&str]| {
        let all = [&["build", "--progress", "plain", "--report", "report.json"], arguments].concat();
        let ran = space.ok(&all);
        ran.stderr.contains("memo::run::lost-writes").then(|| words(&ran.stderr))
    };
    assert_eq!(told(&["build.out"]), None, "nobody stands on it");
    let first = told(&["next"]).unwrap();
    insta::assert_snapshot!("lost-writes", first);
    let report = space.report();
    let node = report["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "build").unwrap();
    assert_eq!(node["lost"], json!({ "paths": ["/src/in.o", "/src/d/1", "/src/d/2"], "count": 3 }));
    assert_eq!(space.outcomes()["build"], "recalled");
    assert_eq!(told(&["next"]).as_ref(), Some(&first));
    assert_eq!(told(&["above"]).as_ref(), Some(&first));
    assert_eq!(told(&["onward"]), None, "an output has them");
}

const TEST: &str = r##"
test unit {
    from root
    sh "echo covered > /cover/c; echo '<x/>' > /junit.xml; echo failing; exit 3"
    output cover "/cover"
    output junit "/junit.xml" type=file
}
tree after { copy unit.cover to="/"; }
"##;

#[test]
fn a_failed_test_leaves_its_outputs() {
    let Some(space) = space(TEST) else { return };
    let build =
        ["build", "unit.cover", "-o", "files:cover", "--progress", "plain", "--report", "report.json"];
    for _ in 0..2 {
        let ran = space.run(&build);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        insta::assert_snapshot!("test-kept", words(&ran.stderr));
        assert_eq!(fs::read_to_string(space.path().join("cover/c")).unwrap(), "covered\n");
        let report = space.report();
        let nodes = report["nodes"].as_array().unwrap();
        let unit = nodes.iter().find(|node| node["name"] == "unit").unwrap();
        assert_eq!(unit["outcome"], "failed");
        let hash = space.ok(&["hash", "cover"]).stdout;
        assert_eq!(unit["kept"]["cover"].as_str(), hash.split(' ').next());
        assert_eq!(unit["kept"]["junit"].as_str().map(str::len), Some(64));
    }
    let ran = space.run(&["build", "-o", "unit.junit=files:junit", "-o", "unit.cover=files:other"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(space.path().join("junit")).unwrap(), "<x/>\n");
    assert_eq!(fs::read_to_string(space.path().join("other/c")).unwrap(), "covered\n");
    // What stands on a failed test is not made of what it left.
    let ran = space.run(&["build", "after", "-o", "files:after"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!space.path().join("after").exists());
}

#[test]
fn weaker_isolation_than_is_asked_for_is_refused_to_run_and_to_recall() {
    if !can_run() {
        return;
    }
    for user in [Some(User::Current), ordinary_user()].into_iter().flatten() {
        let space = Space::of(user);
        space.file(
            "memobuild.kdl",
            "memobuild 1\nrun one { from host; sh \"echo 1 > /out/1\"; output out \"/out\"; }\n",
        );
        let doctor = space.ok(&["doctor", "--format", "json"]).stdout;
        let rung = serde_json::from_str::<serde_json::Value>(&doctor).unwrap()["rung"].clone();
        let rung = rung.as_str().unwrap().to_owned();
        let build = |least: &str| space.run(&["build", "one.out", "--min-isolation", least]);
        for least in ["A", "B", "C", "D", "E", "F"] {
            let expected = if rung.as_str() <= least { 0 } else { 3 };
            for _ in 0..2 {
                let ran = build(least);
                assert_eq!(ran.code, Some(expected), "{rung} for {least}: {}", ran.stderr);
                if expected == 3 {
                    let words = format!("rung {least} or better, and this machine gives rung {rung}");
                    assert!(ran.stderr.contains(&words), "{}", ran.stderr);
                }
            }
        }
        assert_eq!(build("C").code, Some(0));
        assert_eq!(build("A").code, Some(if rung == "A" { 0 } else { 3 }), "what is known is no way around");
        assert_eq!(build("G").code, Some(2));
    }
}
