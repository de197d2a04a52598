//! Runs that end otherwise than they should, and what is told and remembered of them.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::space::{BUSYBOX_ROOT, Ran, Space, busybox_root};

fn space(test: &str, text: &str) -> Option<Space> {
    let space = Space::new();
    busybox_root(&space, test).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{text}"));
        space
    })
}

fn fails(space: &Space, arguments: &[&str], code: i32, words: &[&str]) -> Ran {
    let ran = space.run(arguments);
    assert_eq!(ran.code, Some(code), "{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in:\n{}", ran.stderr);
    }
    ran
}

#[test]
fn a_limit_of_time_ends_a_run_and_is_named() {
    let test = "a_limit_of_time_ends_a_run_and_is_named";
    let text = "run endless {\n from root\n limits timeout=\"1s\"\n sh \"echo began; sleep 60 & sleep 60\"\n}\ndefault endless\n";
    let Some(space) = space(test, text) else { return };
    let began = Instant::now();
    let report = ["build", "--report", "report.json"];
    fails(&space, &report, 1, &["endless", "1 s", "began", "help:"]);
    assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(15));
    assert_eq!(space.outcomes()["endless"], "failed");
    fails(&space, &["build"], 1, &["1 s"]);
    // The limit is no part of the key, and a failure is not remembered.
    let file = space.workspace().join("memobuild.kdl");
    let fixed = fs::read_to_string(&file).unwrap().replace("sleep 60 & sleep 60", "true").replace("1s", "1m");
    space.file("memobuild.kdl", fixed);
    assert_eq!(space.build(&[])["endless"], "executed");
    let longer = fs::read_to_string(&file).unwrap().replace("1m", "2m");
    space.file("memobuild.kdl", longer);
    assert_eq!(space.build(&[])["endless"], "recalled");
}

#[test]
fn expectations_show_both_sides() {
    let test = "expectations_show_both_sides";
    let tables: [(&str, &str, &[&str]); 4] = [
        ("echo good evening", "expect stdout=\"good morning\\n\"", &["good morning", "good evening"]),
        ("exit 3", "expect exit=4", &["exit code 3", "4 is expected"]),
        ("exit 3", "", &["exit code 3"]),
        ("echo '#'; exit 4", "expect exit=4 stdout=\"\"", &["#"]),
    ];
    for (script, expect, words) in tables {
        let text = format!("test holds {{ from root; sh #\"{script}\"#; {expect}; }}\ndefault holds\n");
        let Some(space) = space(test, &text) else { return };
        fails(&space, &["build"], 1, words);
        fails(&space, &["build"], 1, words);
    }
    let text = "test holds { from root; sh #\"echo good; exit 4\"#; expect exit=4 stdout=\"good\\n\"; }\ndefault holds\n";
    let Some(space) = space(test, text) else { return };
    assert_eq!(space.build(&[])["holds"], "executed");
    assert_eq!(space.build(&[])["holds"], "recalled");
}

#[test]
fn the_machines_network_is_for_this_machine_only() {
    let test = "the_machines_network_is_for_this_machine_only";
    let text = r#"
run online { from root; network host; sh "cat /etc/resolv.conf > /seen; cat /proc/net/dev > /devices"; output seen "/seen" type=file; output devices "/devices" type=file; }
run offline { from root; sh "cat /proc/net/dev > /devices; cat /etc/resolv.conf > /seen || true"; output devices "/devices" type=file; output seen "/seen" type=file; }
tree out { copy online.seen to="/online"; copy offline.seen to="/offline"; copy online.devices to="/devices"; copy offline.devices to="/no-devices"; }
default out
"#;
    let Some(space) = space(test, text) else { return };
    space.ok(&["build", "-o", "files:out"]);
    let read = |name: &str| fs::read_to_string(space.path().join("out").join(name)).unwrap();
    if let Ok(own) = fs::read_to_string("/etc/resolv.conf") {
        assert_eq!(read("online"), own);
    }
    assert!(!read("offline").contains("nameserver"), "{}", read("offline"));
    let names = |text: String| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
    };
    assert_eq!(names(read("devices")), names(fs::read_to_string("/proc/net/dev").unwrap()));
    assert_eq!(names(read("no-devices")), ["lo"]);
    let listed: serde_json::Value =
        serde_json::from_str(&space.ok(&["cache", "ls", "--format", "json"]).stdout).unwrap();
    let shareable = |name: &str| {
        let records = listed["records"].as_array().unwrap();
        records.iter().find(|record| record["node"] == name).unwrap()["shareable"].as_bool().unwrap()
    };
    assert_eq!((shareable("online"), shareable("offline")), (false, true));
}

/// While files are written all the time, a build tells of a change in a sentence or is right; never mixed.
#[test]
fn files_that_change_meanwhile_are_told_or_harmless() {
    let test = "files_that_change_meanwhile_are_told_or_harmless";
    let text = "files source { include \"in/**\"; }
run slow { from root; sh \"sleep 0.4; echo slow > /slow\"; output slow \"/slow\" type=file; }
run join { from root; mount slow.slow at=\"/slow\"; mount source at=\"/src\"; sh \"cat /src/in/big > /big\"; output big \"/big\" type=file; }
image all { from scratch; compress none; copy source to=\"/source\"; copy join.big to=\"/big\"; }
tree out { copy source to=\"/source\"; copy join.big to=\"/big\"; }
";
    let Some(space) = space(test, text) else { return };
    let content = |letter: char| letter.to_string().repeat(300_000);
    space.file("in/big", content('a'));
    let mut child =
        space.command(&["build", "all", "-o", "oci:image"]).stderr(Stdio::piped()).spawn().unwrap();
    // Of the same size, while `slow` runs: after it was looked at, before it is used.
    let began = Instant::now();
    let mut letters = ('b'..='z').cycle();
    while child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(25));
        space.file("in/big", content(letters.next().unwrap()));
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => {
            assert!(stderr.contains("in/big") && stderr.contains("help:"), "{stderr}");
            assert!(!space.path().join("image/index.json").exists(), "{stderr}");
        }
        other => panic!("{other:?}: {stderr}"),
    }
    space.file("in/big", content('A'));
    space.ok(&["build", "out", "-o", "files:out"]);
    for name in ["out/big", "out/source/in/big"] {
        assert_eq!(fs::read_to_string(space.path().join(name)).unwrap(), content('A'), "{name}");
    }
    space.ok(&["cache", "verify"]);
}
