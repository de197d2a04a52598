//! Where the kernel itself holds a run to its limits: control groups (cgroups(7)), of version 2, of version 1, or
//! some of each, as the machine has them. What no group can hold is watched instead (`sandbox/bounds.rs`): the
//! machine's own settings are never changed for it.

mod base;
mod group;
mod hierarchy;
mod ledger;

use std::fs;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

pub(crate) use crate::exec::cgroup::group::{Group, GroupFolder};
pub(crate) use crate::exec::cgroup::ledger::sweep;

use crate::exec::cgroup::base::{Base, bases};

/// What a group counts and bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Controller {
    Memory,
    Pids,
    Cpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    One,
    Two,
}

/// How limits hold on this machine, for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In words, what holds each limit.
    pub message: String,
    /// How to get there, where something is only watched.
    pub help: Option<String>,
}

impl Controller {
    pub(crate) const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
        }
    }
}

/// Where this process may make groups. Found once: finding it may move this process into a group of its own.
pub(crate) fn places() -> &'static [Base] {
    static PLACES: OnceLock<Vec<Base>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        bases(&hierarchy::parse(&read("cgroup"), &read("mountinfo")), &Controller::ALL)
    })
}

/// For the end of the program: the group that it was given becomes as it was.
pub fn leave() {
    // What cannot be put back ends with the group itself.
    let _ = base::move_back();
}

/// What holds limits here.
pub fn finding() -> Finding {
    told(places())
}

fn told(places: &[Base]) -> Finding {
    let of = |version| -> Vec<&str> {
        let held = places.iter().filter(|base| base.version == version).flat_map(|base| &base.controllers);
        held.map(|controller| controller.name()).collect()
    };
    let (two, one) = (of(Version::Two), of(Version::One));
    let is_held =
        |controller: &Controller| two.contains(&controller.name()) || one.contains(&controller.name());
    let watched: Vec<&str> = Controller::ALL.iter().filter(|it| !is_held(it)).map(|it| it.name()).collect();
    let mut parts = Vec::new();
    for (names, by) in
        [(&two, "by cgroup v2"), (&one, "by cgroup v1"), (&watched, "watched, without a cgroup")]
    {
        if !names.is_empty() {
            parts.push(format!("{} {by}", names.join(", ")));
        }
    }
    let help =
        "start the build in a group that is yours: systemd-run --user --scope -p Delegate=yes memobuild …";
    Finding { message: parts.join("; "), help: (!watched.is_empty()).then(|| help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(version: Version, controllers: &[Controller]) -> Base {
        Base { version, folder: "/".into(), controllers: controllers.to_vec() }
    }

    #[test]
    fn what_holds_each_limit_is_told() {
        let two = base(Version::Two, &[Controller::Memory, Controller::Pids]);
        let table = [
            (vec![], "memory, pids, cpu watched, without a cgroup", true),
            (vec![two.clone()], "memory, pids by cgroup v2; cpu watched, without a cgroup", true),
            (
                vec![two, base(Version::One, &[Controller::Cpu])],
                "memory, pids by cgroup v2; cpu by cgroup v1",
                false,
            ),
        ];
        for (places, message, has_help) in table {
            let finding = told(&places);
            assert_eq!((finding.message.as_str(), finding.help.is_some()), (message, has_help));
        }
    }
}
