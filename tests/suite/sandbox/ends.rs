//! How runs end before their time, and that nothing of them is left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memobuild::base::cancel::Cancel;
use memobuild::exec::executor::{Cause, ExecError};
use memobuild::exec::sweep::sweep;

use crate::sandbox::room::{on_input, rooms, rootfs_input};

/// Tell a copy of this test program that it is to be killed, and over which store.
const VICTIM: &str = "MEMOBUILD_TEST_VICTIM";
const STORE: &str = "MEMOBUILD_TEST_STORE";
const SECONDS: &str = "MEMOBUILD_TEST_SECONDS";

/// A time to sleep that nobody else's processes have among their arguments: other users run these tests at the same time.
fn own(number: usize) -> String {
    format!("77{number:03}{}", std::process::id())
}

/// CVE class: a process that is left behind writes later.
#[test]
fn background_processes_end_with_the_command() {
    for (number, room) in rooms().iter().enumerate() {
        let seconds = &own(number);
        let script = format!("setsid sleep {seconds} & (trap '' TERM; sleep {seconds}) & echo done");
        let start = Instant::now();
        let Some(outcome) = room.script(&script) else { return };
        outcome.made();
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(!is_running(seconds));
    }
}

#[test]
fn a_timeout_asks_first_and_then_kills() {
    let table = [
        ("sleep 77010", Duration::ZERO, Duration::from_secs(5)),
        ("trap '' TERM; sleep 77011; sleep 77011", Duration::from_secs(5), Duration::from_secs(60)),
        ("trap 'echo asked; exit 0' TERM; sleep 77012 & wait", Duration::ZERO, Duration::from_secs(5)),
    ];
    for room in rooms() {
        for (script, least, most) in table {
            let Some(rootfs) = room.busybox() else { return };
            let mut run = on_input(script);
            run.limits.timeout = Some(1);
            let start = Instant::now();
            let outcome = room.run(&run, &[rootfs_input(rootfs)]);
            let took = start.elapsed();
            assert_eq!(outcome.failure().cause, Cause::Timeout(1), "{script}");
            assert_eq!(outcome.stdout.contains("asked"), script.contains("asked"));
            assert!(took > least && took < most + Duration::from_secs(5), "{script}: {took:?}");
        }
    }
}

#[test]
fn cancelling_ends_a_run_and_hurry_kills_it() {
    for room in rooms() {
        let seconds = own(20);
        let stubborn = format!("trap '' TERM; sleep {seconds}; sleep {seconds}");
        for (script, raises) in [(format!("sleep {seconds}"), 1), (stubborn, 2)] {
            let Some(rootfs) = room.busybox() else { return };
            let cancel = Cancel::default();
            let start = Instant::now();
            let outcome = std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..raises {
                        std::thread::sleep(Duration::from_millis(300));
                        cancel.raise();
                    }
                });
                room.run_until(&on_input(&script), &[rootfs_input(rootfs)], &cancel)
            });
            assert!(matches!(outcome.result, Err(ExecError::Cancelled)), "{:?}", outcome.result);
            assert!(start.elapsed() < Duration::from_secs(5));
            assert!(!is_running(&seconds));
            assert!(room.left_of_runs().is_empty());
        }
    }
}

#[test]
fn a_killed_main_process_leaves_nothing() {
    for (number, room) in rooms().iter().enumerate() {
        if room.busybox().is_none() {
            return;
        }
        let store = tempfile::tempdir().unwrap();
        let seconds = own(30 + number);
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::ends::runs_for_ever_when_it_is_the_victim"])
            .env(VICTIM, number.to_string())
            .env(SECONDS, &seconds)
            .env(STORE, store.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| is_running(&seconds));
        victim.kill().unwrap();
        victim.wait().unwrap();
        wait_until(|| !is_running(&seconds));
        let next = room.at(store.path());
        sweep(&next.memo, &next.isolation).unwrap();
        assert!(next.left_of_runs().is_empty());
    }
}

/// The other side of the test above.
#[test]
fn runs_for_ever_when_it_is_the_victim() {
    let Some(number) = std::env::var_os(VICTIM).and_then(|number| number.to_str()?.parse::<usize>().ok())
    else {
        return;
    };
    let store = std::env::var_os(STORE).unwrap();
    let seconds = std::env::var(SECONDS).unwrap();
    rooms()[number]
        .at(Path::new(&store))
        .script(&format!("trap '' TERM; setsid sleep {seconds}; sleep {seconds}"));
}

/// The helper is what watches over a run; it ends by itself, or the whole machine's memory does that for it.
#[test]
fn a_killed_helper_leaves_nothing() {
    for (number, room) in rooms().iter().enumerate() {
        let seconds = &own(40 + number);
        let script = format!("setsid sleep {seconds} & (trap '' TERM; sleep {seconds}; sleep {seconds})");
        let outcome = std::thread::scope(|scope| {
            let outcome = scope.spawn(|| room.script(&script));
            wait_until(|| running(seconds).len() > 1 || outcome.is_finished());
            kill_helper_of(seconds);
            outcome.join().unwrap()
        });
        let Some(outcome) = outcome else { return };
        assert!(matches!(outcome.result, Err(ExecError::Environment { .. })), "{:?}", outcome.result);
        wait_until(|| !is_running(seconds));
        room.script("true").unwrap().made();
    }
}

/// The last process below the zygote that is above all of the run's.
fn kill_helper_of(word: &str) {
    let parent = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let Some(first) = running(word).first().copied() else { return };
    let above: Vec<i32> = std::iter::successors(Some(first), parent).collect();
    let is_ours = |pid: &&i32| has_argument(Path::new(&format!("/proc/{pid}/cmdline")), "__sandbox");
    let own: Vec<&i32> = above.iter().filter(is_ours).collect();
    // Init, helper, zygote.
    let helper = rustix::process::Pid::from_raw(*own[own.len() - 2]).unwrap();
    rustix::process::kill_process(helper, rustix::process::Signal::KILL).unwrap();
}

/// Processes of the machine that have `word` among their arguments.
fn running(word: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    numbers.filter(|pid: &i32| has_argument(Path::new(&format!("/proc/{pid}/cmdline")), word)).collect()
}

/// Whether any process of the machine has `word` among its arguments.
pub(crate) fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.map(|process| process.path().join("cmdline")).any(|path| has_argument(&path, word))
}

fn has_argument(cmdline: &Path, word: &str) -> bool {
    let arguments = std::fs::read(cmdline).unwrap_or_default();
    arguments.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came to be");
        std::thread::sleep(Duration::from_millis(20));
    }
}
