//! Runs that end otherwise than they should, and what is told and remembered of them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::space::{BUSYBOX_ROOT, Ran, Space, busybox_root};

fn space(text: &str) -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
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
    let text = "run endless {\n from root\n limits timeout=\"1s\"\n sh \"echo began; sleep 60 & sleep 60\"\n}\ndefault endless\n";
    let Some(space) = space(text) else { return };
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
    let tables: [(&str, &str, &[&str]); 5] = [
        ("echo good evening", "expect stdout=\"good morning\\n\"", &["good morning", "good evening"]),
        ("exit 3", "expect exit=4", &["exit code 3", "4 is expected"]),
        ("exit 3", "", &["exit code 3"]),
        // Of the last command; one before it that ends so is a failure.
        ("exit 4", "sh \"true\"; expect exit=4", &["exit code 4"]),
        ("echo '#'; exit 4", "expect exit=4 stdout=\"\"", &["#"]),
    ];
    for (script, expect, words) in tables {
        let text = format!("test holds {{ from root; sh #\"{script}\"#\n {expect}\n }}\ndefault holds\n");
        let Some(space) = space(&text) else { return };
        fails(&space, &["build"], 1, words);
        fails(&space, &["build"], 1, words);
    }
    let text = "test holds { from root; sh #\"echo good; exit 4\"#; expect exit=4 stdout=\"good\\n\"; }\ndefault holds\n";
    let Some(space) = space(text) else { return };
    assert_eq!(space.build(&[])["holds"], "executed");
    assert_eq!(space.build(&[])["holds"], "recalled");
}

#[test]
fn the_machines_network_is_for_this_machine_only() {
    let text = r#"
run online { from root; network host; sh "cat /etc/resolv.conf > /seen; cat /proc/net/dev > /devices"; output seen "/seen" type=file; output devices "/devices" type=file; }
run offline { from root; sh "cat /proc/net/dev > /devices; cat /etc/resolv.conf > /seen || true"; output devices "/devices" type=file; output seen "/seen" type=file; }
tree out { copy online.seen to="/online"; copy offline.seen to="/offline"; copy online.devices to="/devices"; copy offline.devices to="/no-devices"; }
default out
"#;
    let Some(space) = space(text) else { return };
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

const JOIN: &str = r#"
files source { include "in/**"; }
run slow { from root; env ROUND="0"; sh "sleep 0.3; echo slow > /slow"; output slow "/slow" type=file; }
run join {
    from root
    mount slow.slow at="/slow"
    mount source at="/src"
    sh "cat /src/in/big > /big"
    output big "/big" type=file
}
image joined { from scratch; compress none; copy source to="/source"; copy join.big to="/big"; }
image plain { from scratch; copy source to="/source"; copy slow.slow to="/slow"; }
tree out { copy source to="/source"; copy join.big to="/big"; }
"#;

/// A file that is written while a build has looked at it and not yet used it: the build tells so in a
/// sentence, or is right; the next one is right.
#[test]
fn files_that_change_meanwhile_are_read_again() {
    let Some(space) = space(JOIN) else { return };
    let content = |letter: char| letter.to_string().repeat(300_000);
    let targets =
        [("joined", "oci:joined"), ("plain", "oci:plain"), ("out", "files:early"), ("plain", "files:all")];
    let mut told = 0;
    for (round, (target, output)) in targets.into_iter().enumerate() {
        let text = JOIN.replace("ROUND=\"0\"", &format!("ROUND=\"{round}\""));
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{text}"));
        space.file("in/big", content('a'));
        let mut child = space.command(&["build", target, "-o", output, "--progress", "json"]);
        let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.contains("started") && line.contains("slow") {
                // Of the same size: only its content and time tell.
                space.file("in/big", content('b'));
            }
            stderr += &(line + "\n");
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
        if stderr.contains("in/big changed") {
            told += 1;
            assert!(stderr.contains("\"again\""), "{stderr}");
        }
    }
    let early = fs::read_to_string(space.path().join("early/source/in/big")).unwrap();
    assert!(early == content('a') || early == content('b'), "half of each");
    assert!(told > 0, "nothing used what changed, so that nothing was shown");
    space.file("in/big", content('A'));
    space.ok(&["build", "out", "-o", "files:out"]);
    for name in ["out/big", "out/source/in/big"] {
        assert_eq!(fs::read_to_string(space.path().join(name)).unwrap(), content('A'), "{name}");
    }
    space.ok(&["cache", "verify"]);
}
