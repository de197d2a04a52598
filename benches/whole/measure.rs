//! One command as the kernel accounts for it: wall time, CPU of it and its children, peak memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Milliseconds.
    pub(crate) wall: f64,
    /// Milliseconds, user and system.
    pub(crate) cpu: f64,
    /// MiB, of the largest process.
    pub(crate) memory: f64,
}

pub(crate) const MEMOBUILD: &str = env!("CARGO_BIN_EXE_memobuild");

pub(crate) fn memobuild(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(MEMOBUILD);
    command.arg("-C").arg(folder.join("workspace")).arg("--store").arg(folder.join("store"));
    command.args(arguments).current_dir(folder);
    command
}

/// Runs it once; it must succeed.
pub(crate) fn once(command: &mut Command) -> Cost {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    #[expect(clippy::zombie_processes, reason = "`wait4` below waits for it, and tells what it cost")]
    let child = command.spawn().unwrap();
    let mut status = 0;
    // SAFETY: rusage is plain data that the kernel fills in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage), child.id() as i32);
        usage
    };
    let wall = began.elapsed().as_secs_f64() * 1e3;
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{command:?} failed");
    let milliseconds = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Cost {
        wall,
        cpu: milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
        memory: usage.ru_maxrss as f64 / 1024.0,
    }
}

/// The best of several: what the machine's other work adds is not ours.
pub(crate) fn best(times: usize, mut run: impl FnMut() -> Cost) -> Cost {
    let runs: Vec<Cost> = (0..times).map(|_| run()).collect();
    let least = |figure: fn(&Cost) -> f64| runs.iter().map(figure).fold(f64::INFINITY, f64::min);
    Cost {
        wall: least(|cost| cost.wall),
        cpu: least(|cost| cost.cpu),
        memory: runs.iter().map(|cost| cost.memory).fold(0.0, f64::max),
    }
}

pub(crate) fn print(label: &str, cost: Cost) {
    println!(
        "{label:<44} wall {:>9.1} ms  cpu {:>9.1} ms  memory {:>6.1} MiB",
        cost.wall, cost.cpu, cost.memory
    );
}

/// Whether a peer is there to be measured; says so where it is not.
pub(crate) fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !there {
        println!("{program:<44} not installed");
    }
    there
}

/// buildah with its own storage below `folder`, on the copying driver that needs no mounts of its own.
pub(crate) fn buildah(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "overlay", "--root"]).arg(folder.join("buildah/root"));
    command.arg("--runroot").arg(folder.join("buildah/run")).args(arguments).current_dir(folder);
    command
}
