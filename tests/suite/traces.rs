//! What no build may leave, however it ended: processes, mounts, control groups, folders of runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::space::Space;

/// Processes whose parent is `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    // State and parent come after the name (proc_pid_stat(5)).
    processes().filter(|&id| stat(id).is_some_and(|fields| fields[1] == parent.to_string())).collect()
}

/// Whether it is this program started again, as a zygote, a helper or a first process.
pub(crate) fn is_of_sandbox(id: u32) -> bool {
    let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    words.split(|&byte| byte == 0).any(|word| word == b"__sandbox")
}

/// Waits until nothing lives of builds in the space; `sessions` are those that builds were started in.
pub(crate) fn wait_until_none(space: &Space, sessions: &[u32]) {
    let began = Instant::now();
    loop {
        let left = living(space, sessions);
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "left behind: {left:?}");
        sleep(Duration::from_millis(20));
    }
}

/// Folders of runs in a store.
pub(crate) fn work_folders(store: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(store.join("work"));
    folder.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Control groups that a store's builds have made, and what the store says of them.
pub(crate) fn groups(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(store.join("groups")).into_iter().flatten().flatten() {
        let lines = fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(lines.lines().map(PathBuf::from));
        found.push(entry.path());
    }
    found
}

/// Processes that have the space's folder among their arguments, variables or mounts, or that began in one of the
/// sessions; and mounts.
fn living(space: &Space, sessions: &[u32]) -> Vec<String> {
    let name = space.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut found = Vec::new();
    for id in processes() {
        for file in ["cmdline", "environ", "mountinfo"] {
            let text = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).replace('\0', " ");
            if let Some(line) = text.lines().find(|line| line.contains(&name)) {
                found.push(format!("process {id}, {file}: {line}"));
            }
        }
        // Who has ended is only told apart by whoever adopted it, when it gets to that.
        let Some(fields) = stat(id).filter(|fields| fields[0] != "Z") else { continue };
        if sessions.iter().any(|session| fields[3] == session.to_string()) {
            found.push(format!("process {id} of session {}, in state {}", fields[3], fields[0]));
        }
    }
    found
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// From the state on; what comes before may hold anything.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
