//! From a run's limits to what holds each of them: a control group where this machine lets us have one, else
//! somebody who looks. What the run may write is always looked at: a quota of the disk's needs root and a filesystem
//! that was made for it, and would bound a user or a project, not one run.

use serde::{Deserialize, Serialize};

use crate::exec::cgroup::{self, Controller, Group, GroupFolder};
use crate::graph::op::Limits;
use crate::store::memo::Memo;

/// Limits as the sandbox's own process holds them; times are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// The sandbox joins these before anything foreign runs.
    pub groups: Vec<GroupFolder>,
    /// Bytes of all its processes together, where no group counts them.
    pub memory: Option<u64>,
    /// Processes and threads at once, where no group counts them.
    pub pids: Option<u64>,
    /// Processors that it is kept to, where no group gives it its share.
    pub processors: Option<u64>,
    /// Bytes that it may have written to the disk.
    pub disk: Option<u64>,
}

/// What a run may be stopped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Limit {
    Memory,
    Pids,
    Disk,
}

impl Bounds {
    /// With the group that holds some of them: it must be kept until the run is over.
    pub(crate) fn of(limits: &Limits, memo: &Memo) -> (Bounds, Option<Group>) {
        let Limits { timeout: _, cpu, memory, pids, disk } = *limits;
        let wants_group = cpu.is_some() || memory.is_some() || pids.is_some();
        // A machine that changes its mind about groups is one without them.
        let make = || Group::make(memo.folder(), cgroup::places(), limits).unwrap_or(None);
        let group = if wants_group { make() } else { None };
        let else_watched = |limit: Option<u64>, controller| {
            limit.filter(|_| !group.as_ref().is_some_and(|group| group.holds(controller)))
        };
        let bounds = Bounds {
            groups: group.as_ref().map_or_else(Vec::new, |group| group.folders().to_vec()),
            memory: else_watched(memory, Controller::Memory),
            pids: else_watched(pids, Controller::Pids),
            processors: else_watched(cpu, Controller::Cpu),
            disk,
        };
        (bounds, group)
    }

    /// Whether there is anything to look at while the run goes on.
    pub(crate) fn are_watched(&self) -> bool {
        *self != Bounds { processors: self.processors, ..Bounds::default() }
    }
}
