//! Builds that run twice at once, are interrupted, or lose the process that their sandboxes are born from leave nothing
//! behind and nothing wrong. `sandbox/kills.rs` kills them at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run};
use crate::traces::{children, wait_until_none, work_folders};

const WORK: &str = r##"
files source { include "in/**"; }
run one { from root; mount source at="/src"; sh "cat /src/in/* > /one; sleep 0.05"; }
run two { from one; sh "cat /one /one > /two; sleep 0.05"; output two "/two" type=file; }
run three { from root; mount source at="/src"; sh "sleep 0.05; cp -r /src/in /out/"; output out "/out"; }
image all {
    from two
    copy three.out to="/three"
    copy two.two to="/two-again"
}
"##;

fn fill(space: &Space) {
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{WORK}"));
    for number in 0..20 {
        space.file(&format!("in/{number}"), format!("content {number}\n"));
    }
}

#[test]
fn two_builds_at_once_share_their_work() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    fill(&space);
    let build = |number: u32| {
        let report = format!("report-{number}.json");
        let output = format!("oci:image-{number}");
        space.command(&["build", "--report", &report, "-o", &output]).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [build(0), build(1)];
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let index = |number| fs::read_to_string(space.path().join(format!("image-{number}/index.json"))).unwrap();
    assert_eq!(index(0), index(1));
    let mut executed = Vec::new();
    for number in 0..2 {
        let report = fs::read(space.path().join(format!("report-{number}.json"))).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        for node in report["nodes"].as_array().unwrap() {
            if node["outcome"] == "executed" {
                executed.push(node["name"].as_str().unwrap().to_owned());
            }
        }
    }
    let different: BTreeSet<_> = executed.iter().collect();
    assert_eq!(executed.len(), different.len(), "ran twice: {executed:?}");
}

/// SIGINT ends the command, the build, and leaves nothing; nothing of it is remembered.
#[test]
fn an_interrupt_ends_everything() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!("{BUSYBOX_ROOT}\nrun long {{ from root; sh \"sleep 30 & sleep 60\"; }}\ndefault long\n"),
    );
    let child = space.command(&["build"]).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(700));
    let began = Instant::now();
    assert_eq!(run(Command::new("kill").args(["-INT", &child.id().to_string()])).code, Some(0));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.status.signal()), (Some(130), None), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(8));
    wait_until_none(&space, &[]);
    assert_eq!(work_folders(&space.store()), Vec::<PathBuf>::new());
}

/// The process that sandboxes are born from keeps nothing of theirs, and they do not outlive it.
#[test]
fn the_death_of_the_zygote_ends_its_runs() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let runs = "run one { from root; sh \"sleep 30\"; }\nrun two { from root; sh \"sleep 31\"; }\n\
                group both one two\ndefault both\n";
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}\n{runs}"));
    let build = space.command(&["build", "--jobs", "2"]).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let zygote = loop {
        assert!(began.elapsed() < Duration::from_secs(20), "there never were two runs");
        sleep(Duration::from_millis(20));
        let zygotes = children(build.id());
        if let [zygote] = zygotes[..]
            && children(zygote).iter().filter(|&&helper| !children(helper).is_empty()).count() == 2
        {
            break zygote;
        }
    };
    // Three standard ones, the socket to the main process, and what tells that a helper has ended.
    assert_eq!(fs::read_dir(format!("/proc/{zygote}/fd")).unwrap().count(), 5);
    assert_eq!(run(Command::new("kill").args(["-KILL", &zygote.to_string()])).code, Some(0));
    let output = build.wait_with_output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("the sandbox's own process ended without a word"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(28), "the commands were waited for");
    wait_until_none(&space, &[]);
    // What it left under ids that only its own namespace had, the next build that runs something removes.
    let next = "run three { from root; sh \"true\"; }\ndefault three\n";
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}\n{next}"));
    space.ok(&["build"]);
    assert_eq!(work_folders(&space.store()), Vec::<PathBuf>::new());
}

/// As many as wait for it at that moment.
#[test]
fn a_zygote_that_dies_is_replaced_for_all_that_want_one() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let next = |name: &str| format!("run {name} {{ from first; sh \"echo {name} > /name\"; }}\n");
    let runs = "run first { from root; sh \"sleep 0.5\"; }\ndefault all\ngroup all a b c d\n".to_owned();
    space.file("memobuild.kdl", BUSYBOX_ROOT.to_owned() + &runs + &["a", "b", "c", "d"].map(next).concat());
    let build = space.command(&["build", "--jobs", "4"]).stderr(Stdio::piped()).spawn().unwrap();
    let signal = |name: &str, id: u32| {
        assert_eq!(run(Command::new("kill").args([name, &id.to_string()])).code, Some(0));
    };
    let began = Instant::now();
    let zygote = loop {
        assert!(began.elapsed() < Duration::from_secs(20), "there never was a run");
        match children(build.id())[..] {
            [zygote] if !children(zygote).is_empty() => break zygote,
            _ => sleep(Duration::from_millis(5)),
        }
    };
    signal("-STOP", zygote);
    // Now the first run ends, and the others want a sandbox from who answers nobody.
    sleep(Duration::from_millis(1500));
    signal("-KILL", zygote);
    let output = build.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wait_until_none(&space, &[]);
}
