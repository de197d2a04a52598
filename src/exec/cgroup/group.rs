//! One run's own group: made with its limits before the run's first process joins it, read when the run is over,
//! and removed. The folders are written down beforehand (`ledger.rs`), so that none outlives a killed build for long.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::exec::cgroup::base::Base;
use crate::exec::cgroup::ledger::{Entry, remove_folder};
use crate::exec::cgroup::{Controller, Version};
use crate::graph::op::Limits;

/// How all of ours begin.
pub(super) const NAME: &str = "memobuild-";

/// The kernel's usual length of a period of processor time, in microseconds.
const PERIOD: u64 = 100_000;

/// How long the last of its processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removed when it is dropped.
pub(crate) struct Group {
    folders: Vec<GroupFolder>,
    entry: Entry,
}

/// One of the folders of a group: as many as there are hierarchies that hold one of its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupFolder {
    path: PathBuf,
    version: Version,
    controllers: Vec<Controller>,
}

impl Group {
    /// Holds what of the limits `bases` can hold; `None` where that is nothing.
    pub(crate) fn make(store: &Path, bases: &[Base], limits: &Limits) -> io::Result<Option<Group>> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let wanted: Vec<(Controller, u64)> = Controller::ALL
            .iter()
            .filter_map(|&controller| Some((controller, limit_of(limits, controller)?)))
            .collect();
        let is_wanted = |controller: &&Controller| wanted.iter().any(|(wanted, _)| wanted == *controller);
        let bases = bases.iter().filter(|base| base.controllers.iter().any(|it| is_wanted(&it)));
        // Another process namespace may have the same number in use.
        let stamp = Entry::stamp(COUNT.fetch_add(1, Ordering::Relaxed));
        let folders: Vec<GroupFolder> = bases
            .map(|base| GroupFolder {
                path: base.folder.join(format!("{NAME}{stamp}")),
                version: base.version,
                controllers: base.controllers.iter().filter(is_wanted).copied().collect(),
            })
            .collect();
        if folders.is_empty() {
            return Ok(None);
        }
        let paths: Vec<&Path> = folders.iter().map(|folder| folder.path.as_path()).collect();
        let group = Group { entry: Entry::write(store, &stamp, &paths)?, folders };
        for folder in &group.folders {
            fs::create_dir(&folder.path)?;
            for &(controller, limit) in wanted.iter().filter(|(it, _)| folder.controllers.contains(it)) {
                folder.set(controller, limit)?;
            }
        }
        Ok(Some(group))
    }

    pub(crate) fn folders(&self) -> &[GroupFolder] {
        &self.folders
    }

    pub(crate) fn holds(&self, controller: Controller) -> bool {
        self.folders.iter().any(|folder| folder.controllers.contains(&controller))
    }
}

fn limit_of(limits: &Limits, controller: Controller) -> Option<u64> {
    match controller {
        Controller::Memory => limits.memory,
        Controller::Pids => limits.pids,
        Controller::Cpu => limits.cpu,
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut is_gone = true;
        for folder in &self.folders {
            is_gone &= remove_folder(&folder.path, until);
        }
        if is_gone {
            self.entry.strike();
        }
    }
}

impl GroupFolder {
    /// Moves a process in; what it starts from now on is born there.
    pub(crate) fn join(&self, pid: i32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    /// Whether any of its processes was killed for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.controllers.contains(&Controller::Memory) && self.counted(file, "oom_kill") > 0
    }

    /// Whether it was once as full of processes as it may be.
    pub(crate) fn was_full(&self) -> bool {
        self.controllers.contains(&Controller::Pids) && self.counted("pids.events", "max") > 0
    }

    fn counted(&self, file: &str, name: &str) -> u64 {
        fs::read_to_string(self.path.join(file)).map_or(0, |text| value(&text, name))
    }

    fn set(&self, controller: Controller, limit: u64) -> io::Result<()> {
        for (file, value, is_optional) in settings(self.version, controller, limit) {
            let path = self.path.join(file);
            if !is_optional || path.exists() {
                fs::write(&path, value)?;
            }
        }
        Ok(())
    }
}

/// File, content, and whether some kernels do without it. In the order in which they must be written.
fn settings(version: Version, controller: Controller, limit: u64) -> Vec<(&'static str, String, bool)> {
    match (version, controller) {
        // Nothing is swapped: else a run that is too large would only get slow.
        (Version::Two, Controller::Memory) => vec![
            ("memory.max", limit.to_string(), false),
            ("memory.swap.max", "0".to_owned(), true),
            ("memory.oom.group", "1".to_owned(), true),
        ],
        (Version::One, Controller::Memory) => vec![
            ("memory.limit_in_bytes", limit.to_string(), false),
            ("memory.memsw.limit_in_bytes", limit.to_string(), true),
        ],
        // The sandbox's own first process counts.
        (_, Controller::Pids) => vec![("pids.max", (limit + 1).to_string(), false)],
        (Version::Two, Controller::Cpu) => vec![("cpu.max", format!("{} {PERIOD}", limit * PERIOD), false)],
        (Version::One, Controller::Cpu) => vec![
            ("cpu.cfs_period_us", PERIOD.to_string(), false),
            ("cpu.cfs_quota_us", (limit * PERIOD).to_string(), false),
        ],
    }
}

/// Of a file with a name and a number in each line.
fn value(text: &str, name: &str) -> u64 {
    let of_line = |line: &str| {
        let (found, number) = line.split_once(' ')?;
        (found == name).then(|| number.trim().parse().ok())?
    };
    text.lines().find_map(of_line).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_by_their_whole_name() {
        let text = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 1\n";
        for (name, expected) in [("max", 12), ("oom", 1), ("oom_kill", 3), ("none", 0)] {
            assert_eq!(value(text, name), expected, "{name}");
        }
        assert_eq!(value("oom_kill_disable 0\nunder_oom 0\noom_kill 2", "oom_kill"), 2);
        assert_eq!(value("max many\n", "max"), 0);
    }

    #[test]
    fn files_of_both_versions() {
        let shown = |version, controller| -> String {
            let lines = settings(version, controller, 3);
            lines.iter().map(|(file, value, _)| format!("{file}={value};")).collect()
        };
        let (one, two) = (Version::One, Version::Two);
        assert_eq!(shown(two, Controller::Memory), "memory.max=3;memory.swap.max=0;memory.oom.group=1;");
        assert_eq!(shown(one, Controller::Memory), "memory.limit_in_bytes=3;memory.memsw.limit_in_bytes=3;");
        assert_eq!(shown(two, Controller::Pids), "pids.max=4;");
        assert_eq!(shown(two, Controller::Cpu), "cpu.max=300000 100000;");
        assert_eq!(shown(one, Controller::Cpu), "cpu.cfs_period_us=100000;cpu.cfs_quota_us=300000;");
    }

    #[test]
    fn a_group_has_only_what_is_limited_and_goes() {
        let (store, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let base = |name: &str, controllers: &[Controller]| {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            Base { version: Version::Two, folder, controllers: controllers.to_vec() }
        };
        let bases = [base("a", &[Controller::Memory, Controller::Cpu]), base("b", &[Controller::Pids])];
        assert!(Group::make(store.path(), &bases, &Limits::default()).unwrap().is_none());
        let limits = Limits { pids: Some(5), ..Limits::default() };
        let group = Group::make(store.path(), &bases, &limits).unwrap().unwrap();
        assert!(group.holds(Controller::Pids) && !group.holds(Controller::Memory));
        let [folder] = group.folders() else { panic!() };
        assert_eq!(fs::read_to_string(folder.path.join("pids.max")).unwrap(), "6");
        assert!(!folder.was_full() && !folder.ran_out_of_memory());
        fs::write(folder.path.join("pids.events"), "max 1\n").unwrap();
        assert!(folder.was_full());
        // The kernel's own folders are removed with their files.
        for file in ["pids.max", "pids.events"] {
            fs::remove_file(folder.path.join(file)).unwrap();
        }
        drop(group);
        assert_eq!(fs::read_dir(root.path().join("b")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(root.path().join("a")).unwrap().count(), 0);
    }
}
