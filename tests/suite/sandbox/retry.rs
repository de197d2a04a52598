//! Runs that are tried again: from a clean root, as often as they may, and only where that has any sense.

use std::io::Write as _;
use std::net::TcpListener;

use memobuild::exec::executor::Cause;
use memobuild::graph::op::{Command, Expect, Network, Run};

use crate::sandbox::room::{log_text, on_input, rooms, rootfs_input};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

/// Fails before its third attempt, and where an attempt before it has left anything. Somebody outside counts.
fn third_time(counter: u16) -> String {
    format!("echo try; test ! -e /mark; echo > /mark; test $(nc 127.0.0.1 {counter} < /dev/null) -ge 3")
}

/// A port at which each one that comes is told its number.
fn counter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, visitor) in listener.incoming().enumerate() {
            let _ = writeln!(visitor.unwrap(), "{}", number + 1);
        }
    });
    port
}

#[test]
fn it_is_tried_until_it_passes() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let expect = Expect { stdout: Some("try\n".to_owned()), ..Expect::default() };
        for expect in [None, Some(expect)] {
            let network = Network::Host;
            let run = Run { retry: 5, expect, network, ..on_input(&third_time(counter())) };
            let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
            let made = outcome.made();
            assert_eq!((made.attempts, outcome.stdout.as_str()), (3, "try\ntry\ntry\n"));
            let log = log_text(&room.memo, made.log.unwrap());
            assert!(log.contains("[it failed; attempt 2 of 6]"), "{log}");
            assert!(room.left_of_runs().is_empty());
        }
    }
}

#[test]
fn it_fails_after_its_last_attempt() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let run = Run { retry: 2, ..on_input("echo try; exit 4") };
        let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
        assert_eq!((outcome.failure().attempts, &outcome.failure().cause), (3, &Cause::Exit(4)));
        assert!(
            outcome.error().ends_with("ended with exit code 4, at its last of 3 attempts"),
            "{}",
            outcome.error()
        );
        assert_eq!(outcome.stdout, "try\ntry\ntry\n");
        // Each attempt has its own time.
        let mut run = Run { retry: 1, ..on_input("echo try; sleep 60") };
        run.limits.timeout = Some(1);
        let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
        assert_eq!((outcome.failure().attempts, &outcome.failure().cause), (2, &Cause::Timeout(1)));
        // What does not exist is not looked for again.
        let run = Run { retry: 2, commands: vec![Command::Exec(vec!["none".to_owned()])], ..on_input("") };
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert_eq!((outcome.failure().attempts, &outcome.failure().cause), (1, &Cause::NotFound));
    }
}

#[test]
fn attempts_are_told_as_they_begin_and_reported() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let nodes = format!(
        "run late {{ from root; network host; retry 5; sh {:?}; }}\nrun never {{ from root; retry 1; sh \"exit 3\"; }}\n",
        third_time(counter())
    );
    let root =
        BUSYBOX_ROOT.replace("dir \"/tmp\"", "symlink \"/bin/nc\" target=\"busybox\"\n    dir \"/tmp\"");
    space.file("memobuild.kdl", root + &nodes);
    let attempts = |index: usize| space.report()["nodes"][index]["attempts"].as_u64();
    space.build(&["late"]);
    assert_eq!(attempts(2), Some(3));
    // What is recalled was made with as many.
    space.build(&["late"]);
    assert_eq!(attempts(2), Some(3));
    assert_eq!(attempts(1), None);
    let ran = space.run(&["build", "never", "--report", "report.json"]);
    assert_eq!((ran.code, attempts(2)), (Some(1), Some(2)), "{}", ran.stderr);
    assert!(ran.stderr.contains("attempt 2 of 2 begins"), "{}", ran.stderr);
    let ran = space.run(&["build", "never", "--progress", "json"]);
    assert!(ran.stderr.contains(r#""event":"retried""#), "{}", ran.stderr);
}
