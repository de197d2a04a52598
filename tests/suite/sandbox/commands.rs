//! How commands start and end, what surrounds them, and what of their files is kept.

use memobuild::exec::executor::{Cause, ExecError};
use memobuild::graph::op::{Command, Expect, From};
use memobuild::graph::value::Value;

use crate::sandbox::room::{log_text, on, on_input, rooms, rooms_with_namespaces, rootfs_input};

#[test]
fn a_command_runs_and_is_heard() {
    for room in rooms() {
        let Some(outcome) = room.script("echo out; echo err >&2") else { return };
        let made = outcome.made();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(made.rung.as_deref(), Some(room.rung()));
        assert!(made.shareable);
        let log = log_text(&room.memo, made.log.unwrap());
        assert!(log == "out\nerr\n" || log == "err\nout\n", "{log}");
        assert_eq!(room.left_of_runs(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn the_change_holds_what_was_written_and_removed() {
    for room in rooms() {
        let script = "echo new > /data/new; rm /data/gone; cat /data/old > /dev/null; touch /data/old";
        let Some(outcome) = room.script(script) else { return };
        let expected = [("/", "dir"), ("/data", "dir"), ("/data/new", "new\n")];
        let expected = expected.map(|(path, shown)| (path.to_owned(), shown.to_owned()));
        assert_eq!(room.listing(outcome.output("diff")), expected.into());
        let tree = room.listing(outcome.output("tree"));
        assert!(tree.contains_key("/data/old") && !tree.contains_key("/data/gone"));
        let Value::Rootfs(rootfs) = &outcome.made().outputs["rootfs"] else { panic!() };
        let next = room.run(&on_input("cat /data/new; ls /data"), &[rootfs_input((**rootfs).clone())]);
        next.made();
        assert_eq!(next.stdout, "new\nnew\nold\n");
    }
}

#[test]
fn exit_codes_and_signals_are_told() {
    let table = [
        ("exit 7", Cause::Exit(7)),
        ("kill -9 $$", Cause::Signal(9)),
        ("kill -TERM $$", Cause::Signal(15)),
        ("false; echo unreachable", Cause::Exit(1)),
    ];
    for room in rooms() {
        for (script, cause) in &table {
            let Some(outcome) = room.script(script) else { return };
            assert_eq!(&outcome.failure().cause, cause, "{script}");
            assert_eq!(outcome.stdout, "");
        }
    }
}

#[test]
fn commands_run_in_order_until_one_fails() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let exec = |words: &[&str]| Command::Exec(words.iter().map(|&word| word.to_owned()).collect());
        let commands = vec![exec(&["echo", "one"]), exec(&["sh", "-c", "exit 3"]), exec(&["echo", "two"])];
        let outcome = room.run(&on(From::Input(0), commands), &[rootfs_input(rootfs.clone())]);
        assert_eq!(outcome.stdout, "one\n");
        assert_eq!(outcome.error(), "`sh -c 'exit 3'` ended with exit code 3");
        let commands = vec![exec(&["nothing-like-it"])];
        let outcome = room.run(&on(From::Input(0), commands), &[rootfs_input(rootfs)]);
        assert_eq!(outcome.failure().cause, Cause::NotFound);
    }
}

#[test]
fn tests_hold_or_tell_why_not() {
    let expect =
        |exit, stdout: &str| Some(Expect { exit, stdout: Some(stdout.to_owned()), ..Expect::default() });
    let table = [
        ("echo hello", expect(0, "hello\n"), None),
        ("echo hello; exit 3", expect(3, "hello\n"), None),
        (
            "echo hello",
            expect(0, "hello"),
            Some("`/bin/sh -e -c 'echo hello'` wrote \"hello\\n\" to stdout, \"hello\" is expected"),
        ),
        ("exit 4", expect(3, ""), Some("`/bin/sh -e -c 'exit 4'` ended with exit code 4, 3 is expected")),
    ];
    for room in rooms() {
        for (script, expect, error) in &table {
            let Some(rootfs) = room.busybox() else { return };
            let mut run = on_input(script);
            run.expect = expect.clone();
            let outcome = room.run(&run, &[rootfs_input(rootfs)]);
            match error {
                None => assert!(matches!(&outcome.made().outputs["passed"], Value::Text(_))),
                Some(error) => assert_eq!(&outcome.error(), error),
            }
        }
    }
}

#[test]
fn surroundings_are_always_the_same() {
    let script = "env | sort; pwd; umask; hostname; id -u; ls /proc/self/fd; echo $PPID";
    for room in rooms_with_namespaces() {
        let Some(outcome) = room.script(script) else { return };
        outcome.made();
        let expected = "HOME=/root\nLC_ALL=C.UTF-8\n\
             PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\nSHLVL=1\n\
             SOURCE_DATE_EPOCH=315532800\nTZ=UTC\n/\n0022\nbuild\n0\n0\n1\n2\n3\n1\n";
        // The 3 is the listing's own descriptor.
        assert_eq!(outcome.stdout, expected);
    }
}

#[test]
fn working_directories_are_made_and_kept() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input("pwd; stat -c %a .");
        run.workdir = Some(crate::sandbox::room::path("/work/deep"));
        let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("/work/deep\n755\n", ""));
        assert!(room.listing(outcome.output("diff")).contains_key("/work/deep"));
        run.workdir = Some(crate::sandbox::room::path("/data/old"));
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert!(matches!(outcome.result, Err(ExecError::Input { .. })));
    }
}

#[test]
fn users_come_from_the_root_itself() {
    for room in rooms() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input("id -u; id -g; echo $HOME; touch /mine 2>/dev/null || echo refused");
        run.user = Some("bob".to_owned());
        let outcome = room.run(&run, &[rootfs_input(rootfs.clone())]);
        assert_eq!(outcome.stdout, "7\n8\n/home/bob\nrefused\n", "{}", room.rung());
        run.user = Some("eve".to_owned());
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert_eq!(outcome.error(), "the root's /etc/passwd has no user `eve`");
    }
}
