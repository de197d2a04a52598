//! Which control groups there are, and in which of them this process is: from the kernel's two tables
//! (cgroups(7), "/proc files"; proc_pid_mountinfo(5)). Knows texts only.

use std::path::{Path, PathBuf};

use crate::exec::cgroup::{Controller, Version};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub version: Version,
    /// Of version 1: those that it was mounted with. Version 2 says in each folder what it has.
    pub controllers: Vec<Controller>,
    /// Where its topmost visible folder is.
    pub top: PathBuf,
    /// The folder of this process's own group.
    pub own: PathBuf,
}

/// Those that are mounted where this process can see its own group.
pub(super) fn parse(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for hierarchy in mounts.lines().filter_map(|line| mounted(line, groups)) {
        // A hierarchy that is mounted twice is still one.
        let is_known = |known: &Hierarchy| {
            known.version == hierarchy.version && known.controllers == hierarchy.controllers
        };
        if !hierarchies.iter().any(is_known) {
            hierarchies.push(hierarchy);
        }
    }
    hierarchies
}

fn mounted(line: &str, groups: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, top) = (fields.next()?, fields.next()?);
    let mut of_filesystem = filesystem.split(' ');
    let kind = of_filesystem.next()?;
    let options: Vec<&str> = of_filesystem.nth(1)?.split(',').collect();
    let (version, controllers, path) = match kind {
        "cgroup2" => (Version::Two, Vec::new(), own_path(groups, |names| names.is_empty())?),
        "cgroup" => {
            let mounted = Controller::ALL.iter().filter(|it| options.contains(&it.name())).copied();
            let mounted: Vec<Controller> = mounted.collect();
            let first = mounted.first()?.name();
            (Version::One, mounted, own_path(groups, |names| names.split(',').any(|name| name == first))?)
        }
        _ => return None,
    };
    // The table writes spaces as `\040`; nobody mounts groups at such a place.
    let top = Path::new(top.strip_suffix('\\').unwrap_or(top));
    let below = if root == "/" { path } else { path.strip_prefix(root)? };
    if below.split('/').any(|name| name == "..") {
        return None;
    }
    Some(Hierarchy {
        version,
        controllers,
        top: top.to_owned(),
        own: top.join(below.trim_start_matches('/')),
    })
}

/// `5:memory:/user/a`: the path of the line whose names are wanted.
fn own_path(groups: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_two = names.is_empty() && number == "0";
        (wanted(names) && (is_two || !names.is_empty())).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(groups: &str, mounts: &str, expected: &[(Version, &[Controller], &str)]) {
        let found = parse(groups, mounts);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.version, it.controllers.as_slice(), it.own.to_str().unwrap()))
            .collect();
        assert_eq!(found, expected);
    }

    const MEMORY: &[Controller] = &[Controller::Memory];

    #[test]
    fn version_two_alone() {
        let mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        check("0::/user.slice/a.scope\n", mount, &[(Version::Two, &[], "/sys/fs/cgroup/user.slice/a.scope")]);
        check("0::/\n", mount, &[(Version::Two, &[], "/sys/fs/cgroup/")]);
        // Outside of what this process's namespace shows.
        check("0::/../b\n", mount, &[]);
        check("", mount, &[]);
    }

    #[test]
    fn both_versions_side_by_side() {
        let groups = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/\n";
        let mounts = "31 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      33 25 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                      34 25 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      35 25 0:28 / /mnt/memory rw - cgroup cgroup rw,memory\n\
                      36 25 0:32 / /proc rw - proc proc rw\n";
        check(
            groups,
            mounts,
            &[
                (Version::One, MEMORY, "/sys/fs/cgroup/memory/a/b"),
                (Version::One, &[Controller::Cpu], "/sys/fs/cgroup/cpu/"),
                (Version::Two, &[], "/sys/fs/cgroup/unified/"),
            ],
        );
    }

    #[test]
    fn a_mount_may_show_a_part_only() {
        let mounts = "31 25 0:28 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        check("4:memory:/docker/x/y\n", mounts, &[(Version::One, MEMORY, "/sys/fs/cgroup/memory/y")]);
        check("4:memory:/other\n", mounts, &[]);
    }
}
