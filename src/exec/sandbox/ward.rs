//! The end of all that a run has started, where no namespace ends with its first process. Whoever loses its parent
//! comes to the helper, and is killed there: until nobody is left, no run is over.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, wait,
};

use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::{landlock, sys, usage};

/// Between two looks at who is left.
pub(super) const PAUSE: Duration = Duration::from_millis(1);

/// Of the calling process, over all that descend from it.
pub(super) struct Ward {
    /// Whether no signal of theirs, or of the caller, reaches anybody else.
    is_scoped: bool,
    /// A process of the same user that is none of them.
    outsider: Pid,
}

impl Ward {
    /// Before anybody is started who is to be watched over. `parent` is the caller's own.
    pub(super) fn begin(parent: i32) -> Result<Ward, Trouble> {
        adopt_orphans()?;
        // Where the kernel can: then all of them are killed in one moment, however fast they fork.
        let is_scoped = landlock::restrict_signals()
            .map_err(|error| Trouble::environment(format!("landlock: {error}")))?;
        let outsider =
            Pid::from_raw(parent).ok_or_else(|| Trouble::environment("the main process is gone"))?;
        Ok(Ward { is_scoped, outsider })
    }

    /// Returns when none of them lives any more.
    pub(super) fn end(&self) -> Result<(), Trouble> {
        loop {
            let at_once = self.is_scoped && matches!(sys::kill_all_but_outsiders(self.outsider), Ok(true));
            let killed = if at_once { Ok(0) } else { kill_descendants(getpid(), &[]) };
            killed.map_err(Trouble::at("look for processes that are left"))?;
            if nobody_is_left() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// From now on, orphans among the caller's descendants become its children.
pub(super) fn adopt_orphans() -> Result<(), Trouble> {
    set_child_subreaper(Some(getpid())).map_err(Trouble::at("become the parent of orphans"))
}

/// Kills the process's children and all below them, but for those named and all below these. Says how many there were.
pub(super) fn kill_descendants(of: Pid, but: &[Pid]) -> io::Result<usize> {
    let parents = parents()?;
    let mut doomed = Vec::new();
    let mut waiting = vec![of.as_raw_nonzero().get()];
    while let Some(parent) = waiting.pop() {
        let children = parents.iter().filter(|(_, its_parent)| **its_parent == parent).map(|(pid, _)| *pid);
        let others = children.filter(|pid| but.iter().all(|known| known.as_raw_nonzero().get() != *pid));
        for child in others {
            doomed.push((child, parent));
            waiting.push(child);
        }
    }
    // Children before their parents, whose death gives them others: then they could not be told from strangers.
    Ok(doomed.into_iter().rev().filter(|(pid, parent)| kill(*pid, *parent)).count())
}

/// Unless the number has become another process's meanwhile.
fn kill(pid: i32, parent: i32) -> bool {
    let Some(number) = Pid::from_raw(pid) else { return false };
    let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return false };
    // An orphan has another parent by now: the next look finds it again.
    usage::parent(pid) == Some(parent) && pidfd_send_signal(process, Signal::KILL).is_ok()
}

/// Of every process, as far as `/proc` shows them.
fn parents() -> io::Result<BTreeMap<i32, i32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has just ended has none.
        parents.extend(usage::parent(pid).map(|parent| (pid, parent)));
    }
    Ok(parents)
}

/// Takes the dead away.
fn nobody_is_left() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// As where the kernel cannot do it at once.
    #[test]
    fn all_below_a_process_are_killed_but_for_those_named() {
        let script = "sleep 77071 & (sleep 77072 & wait) & sh -c 'sleep 77073; true' & wait";
        let mut shell = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
        let of = Pid::from_child(&shell);
        let below = || -> Vec<i32> {
            let all = usage::processes(of.as_raw_nonzero().get());
            all.iter().map(|process| process.pid).filter(|pid| *pid != of.as_raw_nonzero().get()).collect()
        };
        let mut found = below();
        while found.len() < 5 {
            std::thread::sleep(PAUSE);
            found = below();
        }
        let of_the_shell = |pid: &&i32| usage::parent(**pid) == Some(of.as_raw_nonzero().get());
        let kept = Pid::from_raw(*found.iter().rfind(of_the_shell).unwrap()).unwrap();
        let kept_ones = || usage::processes(kept.as_raw_nonzero().get()).len();
        let all_kept = kept_ones();
        assert!(kill_descendants(of, &[kept]).unwrap() > 0);
        while below().len() > all_kept {
            std::thread::sleep(PAUSE);
        }
        assert_eq!(kept_ones(), all_kept);
        kill_descendants(of, &[]).unwrap();
        // Its own children are dead, so that it ends by itself.
        assert!(shell.wait().unwrap().success());
    }
}
