//! What a run uses, counted by looking: at its processes (proc_pid_stat(5)), and at the files it wrote. Whatever
//! vanishes meanwhile counts for nothing.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: i32,
    pub threads: u64,
    /// Bytes that it has in memory, shared ones too.
    pub resident: u64,
}

/// A process as the kernel tells of it, whoever it belongs to.
struct Stat {
    parent: i32,
    process: Process,
}

/// `first` and all that came from it: in a namespace of their own, orphans go to its first process.
pub(super) fn processes(first: i32) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let stats = numbers.filter_map(|pid| parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?));
    below(first, stats.collect())
}

/// `None` where there is no such process any more.
pub(super) fn parent(pid: i32) -> Option<i32> {
    Some(parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?.parent)
}

fn below(first: i32, stats: Vec<Stat>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for stat in &stats {
        children.entry(stat.parent).or_default().push(stat.process.pid);
    }
    let (mut ours, mut to_look_at) = (HashSet::new(), vec![first]);
    while let Some(pid) = to_look_at.pop() {
        if ours.insert(pid) {
            to_look_at.extend(children.get(&pid).into_iter().flatten());
        }
    }
    stats.into_iter().map(|stat| stat.process).filter(|process| ours.contains(&process.pid)).collect()
}

/// The name in parentheses may hold anything. Fields are counted from 1 in the manual, and from 3 behind the name.
fn parse(pid: i32, stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let pages: u64 = field(24)?.parse().ok()?;
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        process: Process {
            pid,
            threads: field(20)?.parse().ok()?,
            resident: pages * rustix::param::page_size() as u64,
        },
    })
}

/// Bytes in memory of all together. Where that seems to be more than `most`, what they share is counted once, which
/// takes longer.
pub(super) fn memory(processes: &[Process], most: u64) -> u64 {
    let resident = processes.iter().map(|process| process.resident).sum();
    if resident <= most {
        return resident;
    }
    processes.iter().map(|process| share(process.pid).unwrap_or(process.resident)).sum()
}

/// Each page counts in parts, one for each process that has it.
fn share(pid: i32) -> Option<u64> {
    share_in(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn share_in(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Bytes on disk below a folder, without what is mounted there. One file with several names is one.
pub(super) fn written(folder: &Path) -> u64 {
    let Ok(top) = fs::symlink_metadata(folder) else { return 0 };
    let (mut bytes, mut seen) = (0, HashSet::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != top.dev() || (metadata.nlink() > 1 && !seen.insert(metadata.ino())) {
                continue;
            }
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let fields = "S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 100 4096 5 18446744073709551615";
        for name in ["sh", "a b", ") R 1 (", "("] {
            let stat = parse(9, &format!("9 ({name}) {fields}")).unwrap();
            assert_eq!((stat.parent, stat.process.threads), (7, 3), "{name}");
            assert_eq!(stat.process.resident, 5 * rustix::param::page_size() as u64);
        }
        assert!(parse(9, "9 (sh) S 7").is_none());
    }

    #[test]
    fn only_what_came_from_the_first_one_counts() {
        let stat = |pid, parent| Stat { parent, process: Process { pid, threads: 1, resident: 10 } };
        // The last two are each other's parent: numbers that were used again while we looked.
        let stats =
            vec![stat(1, 0), stat(5, 1), stat(6, 5), stat(7, 6), stat(8, 1), stat(20, 21), stat(21, 20)];
        let found: Vec<i32> = below(5, stats).iter().map(|process| process.pid).collect();
        assert_eq!(found, [5, 6, 7]);
    }

    #[test]
    fn this_process_has_some_memory() {
        let own = std::process::id().cast_signed();
        let processes: Vec<Process> = processes(own).into_iter().filter(|it| it.pid == own).collect();
        assert!(memory(&processes, u64::MAX) > 1 << 20);
        // Counted the other way, it is not more than that.
        assert!(memory(&processes, 0) <= memory(&processes, u64::MAX) + (1 << 20));
        assert_eq!(share_in("00400000-7ff r--p [rollup]\nRss: 9 kB\nPss:      3 kB\n"), Some(3072));
    }

    #[test]
    fn files_are_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let empty = written(folder.path());
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/one"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("a/one"), folder.path().join("two")).unwrap();
        let bytes = written(folder.path()) - empty;
        assert!((1 << 20..1 << 21).contains(&bytes), "{bytes}");
        assert_eq!(written(&folder.path().join("none")), 0);
    }
}
