//! Builds that are killed, run twice at once, or interrupted leave nothing behind and nothing wrong.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run};

/// The number of kills; each lands at another moment of the build.
const KILLS: u64 = 50;

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

/// Processes that have the space's path in their command line or environment, mounts below it.
fn leftovers(space: &Space) -> Vec<String> {
    let name = space.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            if String::from_utf8_lossy(&text).contains(&name) {
                found.push(format!("process {id}: {}", String::from_utf8_lossy(&text).replace('\0', " ")));
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(&name)).map(str::to_owned));
    found
}

fn wait_until_gone(space: &Space) {
    let began = Instant::now();
    loop {
        let left = leftovers(space);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "left behind: {left:?}");
        sleep(Duration::from_millis(20));
    }
}

fn work_folders(space: &Space) -> Vec<String> {
    let folder = fs::read_dir(space.store().join("work"));
    folder.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn exported(space: &Space) -> String {
    space.ok(&["build", "-o", "oci:image"]);
    fs::read_to_string(space.path().join("image/index.json")).unwrap()
}

#[test]
fn a_kill_at_any_moment_is_harmless() {
    let clean = Space::new();
    if !busybox_root(&clean) {
        return;
    }
    fill(&clean);
    let began = Instant::now();
    let right = exported(&clean);
    let whole = began.elapsed();
    let space = Space::new();
    busybox_root(&space);
    fill(&space);
    for kill in 0..KILLS {
        space.file("in/0", format!("attempt {kill}\n"));
        let mut child = space.command(&["build", "-o", "oci:image"]).stderr(Stdio::null()).spawn().unwrap();
        // Spread over the build by a stride that is coprime to the number of kills.
        sleep(whole.mul_f64((kill * 17 % KILLS) as f64 / KILLS as f64));
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until_gone(&space);
    }
    space.file("in/0", "content 0\n");
    assert_eq!(exported(&space), right);
    space.ok(&["cache", "verify"]);
    assert_eq!(work_folders(&space), [""; 0]);
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
    wait_until_gone(&space);
    assert_eq!(work_folders(&space), [""; 0]);
}

/// Processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name, which may hold anything: state, parent (proc_pid_stat(5)).
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split_whitespace().nth(1) == Some(&parent.to_string()) {
            found.push(id);
        }
    }
    found
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
    wait_until_gone(&space);
    // What it left under ids that only its own namespace had, the next build that runs something removes.
    let next = "run three { from root; sh \"true\"; }\ndefault three\n";
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}\n{next}"));
    space.ok(&["build"]);
    assert_eq!(work_folders(&space), [""; 0]);
}
