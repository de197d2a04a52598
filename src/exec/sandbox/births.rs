//! The life of the process that forks off a helper for each sandbox, as the main process wishes. It has one
//! thread and next to no memory, so that forking it is safe, and cheaper than starting a program.
//! It keeps nothing of what it hands on: the end of a run's pipes is seen when that run's own processes end.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, wait};

use crate::base::digest::TreeDigest;
use crate::exec::sandbox::sys::{self, Side};
use crate::exec::sandbox::{rights, ward};

/// What a new helper is given.
struct Dowry {
    socket: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Until the main process has closed `wishes`: then it is done, or dead. The kernel kills the helpers that are
/// left, since each has asked for that (`die_with`).
pub(super) fn live(wishes: OwnedFd) -> ExitCode {
    let own = std::process::id().cast_signed();
    know_the_processor();
    let Ok(signals) = sys::child_signals() else { return ExitCode::FAILURE };
    if ward::adopt_orphans().is_err() {
        return ExitCode::FAILURE;
    }
    let mut helpers = Vec::new();
    loop {
        wait_for_either(&wishes, &signals);
        bury(&mut helpers, &signals);
        if !has_wish(&wishes) {
            continue;
        }
        let dowry = match rights::receive::<1, 3>(&wishes) {
            Ok(Some((_, [socket, stdout, stderr]))) => Dowry { socket, stdout, stderr },
            Ok(None) => {
                end_orphans(&mut helpers, &signals);
                return ExitCode::SUCCESS;
            }
            Err(_) => return ExitCode::FAILURE,
        };
        match sys::fork() {
            Ok(Side::Child) => {
                drop((wishes, signals));
                return leave_home(dowry, own);
            }
            Ok(Side::Parent { pid }) => {
                helpers.extend(Pid::from_raw(pid));
                announce(&dowry, pid);
            }
            // The main process finds its socket closed.
            Err(_) => {}
        }
    }
}

/// Hashing asks the processor what it can do, once a process: on a virtual machine each such question goes to
/// the hypervisor, and every helper hashes something.
fn know_the_processor() {
    let _ = TreeDigest::of(&[]);
}

fn leave_home(dowry: Dowry, parent: i32) -> ExitCode {
    // Were its parent killed before it is announced, the main process and it would wait for each other for ever.
    if super::die_with(parent).is_err() {
        return ExitCode::FAILURE;
    }
    let taken = rustix::stdio::dup2_stdout(&dowry.stdout).and(rustix::stdio::dup2_stderr(&dowry.stderr));
    let Dowry { socket, stdout, stderr } = dowry;
    drop((stdout, stderr));
    match taken {
        Ok(()) => super::attend(UnixStream::from(socket), parent),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The number stands for this helper until it is reaped, which only this process can do. Where the main process
/// is not told, it takes the helper for dead, and the helper finds its socket closed.
fn announce(dowry: &Dowry, pid: i32) {
    let number = Pid::from_raw(pid).expect("bug: fork gives a positive number");
    if let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) {
        let _ = rights::send(&dowry.socket, &pid.to_le_bytes(), &[pidfd.as_fd()]);
    }
}

/// Of helpers that were killed; those that live end theirs themselves.
fn end_orphans(helpers: &mut Vec<Pid>, signals: &OwnedFd) {
    loop {
        bury(helpers, signals);
        match ward::kill_descendants(getpid(), helpers) {
            Ok(0) | Err(_) => return,
            Ok(_) => std::thread::sleep(ward::PAUSE),
        }
    }
}

fn wait_for_either(wishes: &OwnedFd, signals: &OwnedFd) {
    let mut events = [PollFd::new(wishes, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    // Whatever it is, the next call tells it again.
    let _ = poll(&mut events, None);
}

fn has_wish(wishes: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(wishes, PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0)
}

/// Takes the dead away. What a helper that was killed has left comes to this process, and is killed as well.
fn bury(helpers: &mut Vec<Pid>, signals: &OwnedFd) {
    let mut pending = [0; 128];
    while rustix::io::read(signals, &mut pending[..]).is_ok_and(|count| count > 0) {}
    let mut was_killed = false;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let is_helper = helpers.contains(&pid);
        helpers.retain(|helper| *helper != pid);
        was_killed |= !is_helper || status.terminating_signal().is_some();
    }
    if was_killed {
        let _ = ward::kill_descendants(getpid(), helpers);
    }
}
