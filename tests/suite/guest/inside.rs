//! What is run in the guest, and nowhere else.

use std::env::var;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ladder::filled;
use crate::places::digest_of;
use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

fn is_here() -> bool {
    let is_here = var("MEMOBUILD_GUEST").is_ok();
    if !is_here {
        skipped("what is run in a guest");
    }
    is_here
}

/// `doctor` finds what the scene says, and the image is the one that the machine outside makes.
#[test]
fn a_build_is_as_it_should_be() {
    if !is_here() {
        return;
    }
    let [rung, limits, help, image] = ["RUNG", "LIMITS", "HELP", "IMAGE"].map(|name| var(name).unwrap());
    let space = match rung.as_str() {
        "none" => Space::new(),
        _ => filled(Space::new()).unwrap(),
    };
    let doctor = space.run(&["doctor", "--format", "json"]);
    let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert_eq!(found["rung"].as_str().unwrap_or("none"), rung, "{}", doctor.stdout);
    assert_eq!(found["limits"]["message"].as_str(), Some(limits.as_str()), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(&help), "no {help:?} in {}", doctor.stdout);
    if rung == "none" {
        space.file("memobuild.kdl", "memobuild 1\nrun a { from scratch; exec \"/x\"; }\ndefault a\n");
        let built = space.run(&["build"]);
        assert_eq!(built.code, Some(3), "{}", built.stderr);
        assert!(built.stderr.contains("memobuild doctor"), "{}", built.stderr);
        return;
    }
    let built = space.run(&["build", "-o", "oci:image", "--report", "report.json"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert_eq!(digest_of(&space.path().join("image")), image);
    for node in space.report()["nodes"].as_array().unwrap() {
        assert_eq!(node["rung"].as_str(), (node["kind"] == "run").then_some(rung.as_str()), "{node}");
    }
}

/// A run's group has its limits and its processes; neither a finished nor a killed build leaves one.
#[test]
fn groups_hold_a_run() {
    if !is_here() {
        return;
    }
    let space = Space::new();
    assert!(busybox_root(&space));
    let run = |name: &str, seconds: &str| {
        format!(
            "run {name} {{ from root; limits memory=\"64MiB\" pids=50 cpu=1; exec \"/bin/sleep\" \"{seconds}\"; }}\n"
        )
    };
    let nodes = BUSYBOX_ROOT.to_owned() + &run("long", "77400") + &run("next", "0");
    space.file("memobuild.kdl", nodes);
    space.ok(&["build", "next"]);
    assert_eq!(groups(), [] as [PathBuf; 0]);
    let mut build = space.command(&["build", "long"]).stderr(Stdio::null()).spawn().unwrap();
    let sleeper = wait_for(|| sleeper(&groups()));
    let [group] = groups().try_into().unwrap();
    let read = |file: &str| fs::read_to_string(group.join(file)).unwrap().trim().to_owned();
    let expected = [
        ("memory.max", "67108864"),
        ("memory.oom.group", "1"),
        ("pids.max", "51"),
        ("cpu.max", "100000 100000"),
    ];
    for (file, content) in expected {
        assert_eq!(read(file), content, "{file}");
    }
    build.kill().unwrap();
    build.wait().unwrap();
    wait_for(|| (!Path::new(&format!("/proc/{sleeper}")).exists()).then_some(()));
    space.file("memobuild.kdl", BUSYBOX_ROOT.to_owned() + &run("after", "0.1"));
    space.ok(&["build", "after"]);
    assert_eq!(groups(), [] as [PathBuf; 0]);
}

fn wait_for<T>(found: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never came to be");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All of ours that are groups of runs, wherever they were made.
fn groups() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        // Those that a process has moved into to make others beside it have one number only.
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if name.strip_prefix("memobuild-").is_some_and(|stamp| stamp.contains('-')) {
            found.push(folder);
        }
    }
    found
}

/// The process of the run, if it has become what it should.
fn sleeper(groups: &[PathBuf]) -> Option<String> {
    let processes = fs::read_to_string(groups.first()?.join("cgroup.procs")).ok()?;
    let is_asleep = |process: &&str| {
        let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        words.ends_with(b"\x0077400\0")
    };
    processes.lines().find(is_asleep).map(str::to_owned)
}
