//! The life of the process that forks off a helper for each sandbox, as the main process wishes. It has one
//! thread and next to no memory, so that forking it is safe, and cheaper than starting a program.
//! It keeps nothing of what it hands on: the end of a run's pipes is seen when that run's own processes end.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};

use crate::base::digest::TreeDigest;
use crate::exec::sandbox::rights;
use crate::exec::sandbox::sys::{self, Side};

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
    loop {
        let wish = rights::receive::<1, 3>(&wishes);
        reap();
        let dowry = match wish {
            Ok(Some((_, [socket, stdout, stderr]))) => Dowry { socket, stdout, stderr },
            Ok(None) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        };
        match sys::fork() {
            Ok(Side::Child) => {
                drop(wishes);
                return leave_home(dowry, own);
            }
            Ok(Side::Parent { pid }) => announce(&dowry, pid),
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

fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
