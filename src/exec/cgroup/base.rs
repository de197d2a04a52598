//! Folders below which this process may make groups. In version 2 a group with processes of its own can't have
//! bounded ones below it (cgroups(7), "no internal processes"): so they are made beside the process's own group,
//! where that is allowed, or the process moves one deeper, if its group is its alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Access, access};

use crate::exec::cgroup::group::NAME;
use crate::exec::cgroup::hierarchy::Hierarchy;
use crate::exec::cgroup::{Controller, Version};

/// The group that this process was given and has moved out of.
static LEFT: OnceLock<PathBuf> = OnceLock::new();

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub version: Version,
    pub folder: PathBuf,
    /// What groups below it can bound.
    pub controllers: Vec<Controller>,
}

/// For as many of the wanted controllers as can be had, each once.
pub(super) fn bases(hierarchies: &[Hierarchy], wanted: &[Controller]) -> Vec<Base> {
    let mut wanted = wanted.to_vec();
    let mut found = Vec::new();
    for hierarchy in hierarchies {
        let base = match hierarchy.version {
            Version::One => version_one(hierarchy, &wanted),
            Version::Two => version_two(hierarchy, &wanted),
        };
        if let Some(base) = base {
            wanted.retain(|controller| !base.controllers.contains(controller));
            found.push(base);
        }
    }
    found
}

fn version_one(hierarchy: &Hierarchy, wanted: &[Controller]) -> Option<Base> {
    let has = |controller: &&Controller| hierarchy.controllers.contains(controller);
    let controllers: Vec<Controller> = wanted.iter().filter(has).copied().collect();
    let is_usable = !controllers.is_empty() && may_write(&hierarchy.own);
    is_usable.then(|| Base { version: Version::One, folder: hierarchy.own.clone(), controllers })
}

/// The nearest folder that gives most.
fn version_two(hierarchy: &Hierarchy, wanted: &[Controller]) -> Option<Base> {
    let base = |folder: &Path, controllers: Vec<Controller>| {
        let is_useful = !controllers.is_empty();
        is_useful.then(|| Base { version: Version::Two, folder: folder.to_owned(), controllers })
    };
    if is_alone_in(&hierarchy.own)
        && move_deeper(&hierarchy.own).is_ok()
        && let Some(base) = base(&hierarchy.own, given_by(&hierarchy.own, wanted))
    {
        return Some(base);
    }
    let above = hierarchy.own.ancestors().skip(usize::from(hierarchy.own != hierarchy.top));
    let mut best: Option<Base> = None;
    for folder in above.take_while(|folder| folder.starts_with(&hierarchy.top)) {
        let found = base(folder, given_by(folder, wanted));
        let is_better =
            |found: &Base| best.as_ref().is_none_or(|best| found.controllers.len() > best.controllers.len());
        if let Some(found) = found.filter(is_better) {
            best = Some(found);
        }
    }
    best
}

/// Which of the controllers groups below `folder` get. What is there and not passed on yet is, if that is allowed.
fn given_by(folder: &Path, wanted: &[Controller]) -> Vec<Controller> {
    if !may_write(folder) || access(folder.join("cgroup.procs"), Access::WRITE_OK).is_err() {
        return Vec::new();
    }
    let (all, control) = (names(folder, "cgroup.controllers"), folder.join("cgroup.subtree_control"));
    let given = |controller: &&Controller| {
        let name = controller.name();
        let is_passed_on = || names(folder, "cgroup.subtree_control").iter().any(|known| known == name);
        is_passed_on()
            || (all.iter().any(|known| known == name)
                && fs::write(&control, format!("+{name}")).is_ok()
                && is_passed_on())
    };
    wanted.iter().filter(given).copied().collect()
}

fn names(folder: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn may_write(folder: &Path) -> bool {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Whether nobody but this process and those it started lives there. Never in the topmost group, where moving
/// changes nothing.
fn is_alone_in(folder: &Path) -> bool {
    let own = std::process::id().to_string();
    let is_ours = |pid: &String| {
        let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let parent =
            |stat: String| Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.to_owned());
        *pid == own || stat().and_then(parent).is_some_and(|parent| parent == own)
    };
    let processes = names(folder, "cgroup.procs");
    // The topmost group of all has no such file.
    may_write(folder)
        && folder.join("cgroup.type").exists()
        && !processes.is_empty()
        && processes.iter().all(is_ours)
}

/// It stays there until `move_back`. What processes that were killed left there is removed.
fn move_deeper(folder: &Path) -> io::Result<()> {
    for other in below(folder)?.iter().filter(|path| is_of_process(path)) {
        // The kernel keeps those in which somebody lives.
        let _ = fs::remove_dir(other);
    }
    let deeper = deeper(folder);
    fs::create_dir(&deeper)?;
    for pid in names(folder, "cgroup.procs") {
        fs::write(deeper.join("cgroup.procs"), pid)?;
    }
    let _ = LEFT.set(folder.to_owned());
    Ok(())
}

/// For the end of this process, when it has no more runs: the group becomes as it was given, so that others can be
/// started in it.
pub(super) fn move_back() -> io::Result<()> {
    let Some(folder) = LEFT.get() else { return Ok(()) };
    let deeper = deeper(folder);
    // A group beside it may have its limits from there.
    if below(folder)? != [deeper.clone()] {
        return Ok(());
    }
    for name in names(folder, "cgroup.subtree_control") {
        fs::write(folder.join("cgroup.subtree_control"), format!("-{name}"))?;
    }
    for pid in names(&deeper, "cgroup.procs") {
        fs::write(folder.join("cgroup.procs"), pid)?;
    }
    fs::remove_dir(deeper)
}

fn deeper(folder: &Path) -> PathBuf {
    folder.join(format!("{NAME}{}", std::process::id()))
}

/// Groups of runs have longer names.
fn is_of_process(path: &Path) -> bool {
    let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(NAME));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    Ok(entries?.iter().map(fs::DirEntry::path).filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Controller; 3] = Controller::ALL;

    /// A folder that looks like a group. What is written to `subtree_control` stays as it is written, so that only
    /// what is passed on already counts.
    fn group(folder: &Path, controllers: &str, passed_on: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("cgroup.controllers"), controllers).unwrap();
        fs::write(folder.join("cgroup.subtree_control"), passed_on).unwrap();
        fs::write(folder.join("cgroup.procs"), "1\n").unwrap();
    }

    fn two(top: &Path, own: &str) -> Hierarchy {
        let (version, controllers) = (Version::Two, Vec::new());
        Hierarchy { version, controllers, top: top.to_owned(), own: top.join(own) }
    }

    #[test]
    fn groups_are_made_beside_the_own_one() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        group(top, "cpu memory pids", "memory pids");
        group(&top.join("a"), "memory pids", "pids memory");
        group(&top.join("a/b"), "pids memory", "");
        let found = bases(&[two(top, "a/b")], &ALL);
        let controllers = vec![Controller::Memory, Controller::Pids];
        assert_eq!(found, [Base { version: Version::Two, folder: top.join("a"), controllers }]);
    }

    #[test]
    fn the_folder_that_gives_more_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        group(top, "cpu memory pids", "cpu memory pids");
        group(&top.join("a"), "pids", "pids");
        group(&top.join("a/b"), "pids", "");
        assert_eq!(bases(&[two(top, "a/b")], &ALL)[0].folder, top);
        // In the topmost one itself, where there is nothing above.
        assert_eq!(bases(&[two(top, "")], &ALL)[0].controllers, ALL);
    }

    #[test]
    fn where_nothing_is_passed_on_there_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        group(folder.path(), "hugetlb", "hugetlb");
        assert_eq!(bases(&[two(folder.path(), "")], &ALL), []);
        assert_eq!(bases(&[two(&folder.path().join("none"), "")], &ALL), []);
    }

    #[test]
    fn each_controller_is_had_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, top) = (folder.path().join("memory"), folder.path().join("unified"));
        fs::create_dir(&one).unwrap();
        group(&top, "memory pids", "memory pids");
        let memory = Hierarchy {
            version: Version::One,
            controllers: vec![Controller::Memory],
            top: one.clone(),
            own: one,
        };
        let found = bases(&[memory, two(&top, "")], &ALL);
        let controllers: Vec<_> = found.iter().map(|base| base.controllers.as_slice()).collect();
        assert_eq!(controllers, [&[Controller::Memory], &[Controller::Pids]]);
    }
}
