//! Runs that want more than their limits allow: ended, named, and nothing of them left.

use std::path::PathBuf;
use std::time::Instant;

use memobuild::exec::executor::Cause;
use memobuild::graph::op::{Limits, Run};

use crate::sandbox::room::{Outcome, Room, on_input, rooms, rootfs_input};
use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root, is_root};

const MIB: u64 = 1 << 20;

/// A buffer of 200 MiB, filled for some seconds.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=200M count=40 2>/dev/null";

fn limited(room: &Room, script: &str, limits: Limits) -> Option<Outcome> {
    let run = Run { limits, ..on_input(script) };
    let outcome = room.run(&run, &[rootfs_input(room.busybox()?)]);
    assert_eq!(room.left_of_runs(), Vec::<PathBuf>::new());
    assert_eq!(groups_left(room), Vec::<PathBuf>::new());
    Some(outcome)
}

fn memory(bytes: u64) -> Limits {
    Limits { memory: Some(bytes), ..Limits::default() }
}

/// Control groups that are written down as not removed yet.
fn groups_left(room: &Room) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(room.memo.folder().join("groups")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn one_that_wants_too_much_memory_is_named_whatever_its_shell_makes_of_it() {
    for room in rooms() {
        for script in [
            HOG.to_owned(),
            format!("{HOG} || true"),
            format!("{HOG} || exit 7"),
            format!("({HOG} &) ; sleep 3"),
        ] {
            let Some(outcome) = limited(&room, &script, memory(64 * MIB)) else { return };
            assert_eq!(outcome.failure().cause, Cause::OutOfMemory(64 * MIB), "{script}");
            assert!(outcome.error().contains("out of memory, its limit is 64.0 MiB"), "{}", outcome.error());
        }
        limited(&room, "dd if=/dev/zero of=/dev/null bs=8M count=2", memory(512 * MIB)).unwrap().made();
    }
}

#[test]
fn the_command_that_was_beyond_is_the_one_that_is_named() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input("true");
        run.commands.extend(on_input(HOG).commands);
        run.limits = memory(64 * MIB);
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert!(outcome.failure().command.contains("dd"), "{}", outcome.failure().command);
    }
}

#[test]
fn one_that_wants_too_many_processes_is_named() {
    // It ends by itself, since the machine is everybody's.
    let bomb = "n=0; while [ $n -lt 300 ]; do sleep 9 & n=$((n+1)); done; sleep 1; exit 3";
    for room in rooms() {
        let limits = Limits { pids: Some(20), timeout: Some(30), ..Limits::default() };
        let Some(outcome) = limited(&room, bomb, limits) else { return };
        assert_eq!(outcome.failure().limit(), Some("pids"), "{}", outcome.error());
        assert!(outcome.error().contains("its limit of 20"), "{}", outcome.error());
        let few = "sleep 0.1 & sleep 0.1 & wait";
        let made = limited(&room, few, Limits { pids: Some(20), ..Limits::default() }).unwrap();
        made.made();
    }
}

#[test]
fn one_that_writes_too_much_is_named() {
    for room in rooms() {
        let limits = |most| Limits { disk: Some(most), ..Limits::default() };
        // At once, and so slowly that it is seen while it writes.
        for script in [
            "dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null",
            "dd if=/dev/zero of=/big bs=1M count=40 2>/dev/null; sleep 60",
        ] {
            let start = Instant::now();
            let Some(outcome) = limited(&room, script, limits(16 * MIB)) else { return };
            assert_eq!(outcome.failure().cause, Cause::TooMuchWritten(16 * MIB), "{script}");
            assert!(start.elapsed().as_secs() < 30);
        }
        let script = "dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null; dd if=/dev/zero of=/dev/shm/big bs=1M count=20";
        limited(&room, script, limits(16 * MIB)).unwrap().made();
    }
}

/// On one processor, four loops at once take as long as they take one after the other.
#[test]
fn processors_are_shared_out() {
    const LOOP: &str = "loop() { i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; };";
    for room in rooms() {
        let one_by_one = format!("{LOOP} loop; loop; loop; loop; cat /proc/$$/stat");
        let Some(outcome) = limited(&room, &one_by_one, Limits::default()) else { return };
        // Ticks of a hundredth of a second, in user and system mode (proc_pid_stat(5)).
        let fields: Vec<f64> =
            outcome.stdout.split(' ').skip(13).map(|it| it.parse().unwrap_or(0.0)).collect();
        let seconds = (fields[0] + fields[1]) / 100.0;
        let at_once = format!("{LOOP} loop & loop & loop & loop & wait");
        let start = Instant::now();
        limited(&room, &at_once, Limits { cpu: Some(1), ..Limits::default() }).unwrap().made();
        let took = start.elapsed().as_secs_f64();
        assert!(took > seconds * 0.6, "{seconds} s of processor time in {took} s");
    }
}

#[test]
fn an_ordinary_user_has_limits_too() {
    let Some(space) = Space::of_ordinary_user() else { return };
    if !busybox_root(&space) {
        return;
    }
    let run = |name: &str, limits: &str, script: &str| {
        format!("run {name} {{ from root; limits {limits}; sh {script:?}; }}\n")
    };
    let file = BUSYBOX_ROOT
        .replace("dir \"/tmp\"", "symlink \"/bin/dd\" target=\"busybox\"\n    dir \"/tmp\"")
        + &run("memory", "memory=\"64MiB\"", &format!("{HOG} || true"))
        + &run(
            "pids",
            "pids=20",
            "for i in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3; do sleep 5 & done; wait; exit 1",
        )
        + &run("disk", "disk=\"4MiB\"", "dd if=/dev/zero of=/big bs=1M count=9 2>/dev/null");
    space.file("memobuild.kdl", file);
    for (node, words, help) in [
        ("memory", "out of memory, its limit is 64.0 MiB", "raise `memory=` in its `limits`"),
        ("pids", "its limit of 20", "raise `pids=` in its `limits`"),
        ("disk", "wrote more to the disk than its limit of 4.0 MiB", "raise `disk=` in its `limits`"),
    ] {
        let ran = space.run(&["build", node]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains(words) && ran.stderr.contains(help), "{}", ran.stderr);
    }
}

/// What a killed build leaves of its groups, the next one removes.
#[test]
fn no_group_outlives_the_next_build() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let run = "run long { from root; limits memory=\"256MiB\" pids=50; exec \"/bin/sleep\" \"77200\"; }\n\
               run next { from root; exec \"/bin/sleep\" \"0\"; }\n";
    space.file("memobuild.kdl", BUSYBOX_ROOT.to_owned() + run);
    let mut victim = space.command(&["build", "long"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let ledger = space.store().join("groups");
    let lists = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&ledger).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_none()).collect()
    };
    let running = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            words.split(|&byte| byte == 0).any(|word| word == b"77200")
        })
    };
    let start = Instant::now();
    while !running() {
        assert!(start.elapsed().as_secs() < 20, "it never came to be");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let groups: Vec<PathBuf> = lists()
        .iter()
        .flat_map(|list| {
            std::fs::read_to_string(list).unwrap().lines().map(PathBuf::from).collect::<Vec<_>>()
        })
        .collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    if groups.is_empty() {
        assert!(!is_root() || !PathBuf::from("/sys/fs/cgroup/memory").exists());
        skipped("this machine gives no control group");
        return;
    }
    assert!(groups.iter().all(|group| group.exists()), "{groups:?}");
    while running() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    space.ok(&["build", "next"]);
    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    assert!(lists().is_empty());
}
