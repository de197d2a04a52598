//! What programs and people rely on, whole: the report, events, help texts. `INSTA_UPDATE=always` rewrites
//! the snapshots; their difference is to be reviewed.

use std::process::Command;

use serde_json::Value;

use crate::space::{BINARY, BUSYBOX_ROOT, Space, busybox_root, run};

const STORY: &str = r##"
files source { include "in.txt"; }
run strip { from root; mount source at="/src"; sh "grep -v ^# /src/in.txt > /result"; }
run copy { from strip; sh "echo heard; sleep 0.2; echo wrong >&2; cat /result > /copy"; output copy "/copy" type=file; }
run bad { from root; sh "exit 7"; output x "/x" type=file; }
tree after { copy bad.x to="/x"; }
test holds { from copy; exec "/bin/cat" "/copy"; expect stdout="data\n"; }
image app { from copy; layer one { copy copy.copy to="/again"; }; cmd "/bin/cat"; }
group all app holds after
default app holds
"##;

fn story() -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{STORY}"));
        space.file("in.txt", "# one\ndata\n");
        space
    })
}

/// Puts a word where a value differs from machine to machine and from build to build.
fn redact(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(redact),
        Value::Object(fields) => {
            for (name, value) in fields {
                let word = match (name.as_str(), &value) {
                    ("seconds" | "saved_seconds", Value::Number(_)) => "(seconds)",
                    ("bytes", Value::Number(_)) => "(bytes)",
                    ("key", Value::String(key)) if key.len() == 64 => "(key)",
                    ("rung", Value::String(_)) => "(rung)",
                    _ => {
                        redact(value);
                        continue;
                    }
                };
                *value = Value::String(word.to_owned());
            }
        }
        _ => {}
    }
}

fn report(space: &Space) -> String {
    let mut report = space.report();
    redact(&mut report);
    serde_json::to_string_pretty(&report).unwrap()
}

#[test]
fn the_report() {
    let Some(space) = story() else { return };
    space.build(&["--jobs", "1"]);
    insta::assert_snapshot!("report-first", report(&space));
    space.file("in.txt", "# another\ndata\n");
    space.run(&["build", "all", "--keep-going", "--jobs", "1", "--report", "report.json"]);
    insta::assert_snapshot!("report-edited", report(&space));
}

#[test]
fn the_events() {
    let Some(space) = story() else { return };
    let ran = space.run(&["build", "all", "--keep-going", "--jobs", "1", "--progress", "json"]);
    let mut events = String::new();
    for line in ran.stderr.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(mut event) => {
                redact(&mut event);
                events += &format!("{event}\n");
            }
            Err(_) => events += "(words)\n",
        }
    }
    insta::assert_snapshot!("events", events);
}

#[test]
fn the_help_texts() {
    let commands: [&[&str]; 19] = [
        &[],
        &["build"],
        &["plan"],
        &["graph"],
        &["show"],
        &["list"],
        &["export"],
        &["check"],
        &["explain"],
        &["fmt"],
        &["lock"],
        &["log"],
        &["cache"],
        &["cache", "ls"],
        &["cache", "du"],
        &["cache", "verify"],
        &["cache", "path"],
        &["hash"],
        &["doctor"],
    ];
    let mut texts = String::new();
    for words in commands {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--help").env_remove("COLUMNS").env_remove("MEMOBUILD_STORE");
        let ran = run(&mut command);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}");
        texts += &format!("$ memobuild {}\n{}\n", [words, &["--help"]].concat().join(" "), ran.stdout);
    }
    insta::assert_snapshot!("help", texts);
}
