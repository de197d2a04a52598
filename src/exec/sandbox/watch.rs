//! Keeps an eye on a run's limits, from outside of it: whether its group killed for want of memory, and, where no
//! group counts for us, how much its processes have and how many they are. What it wrote is counted in any case.
//! A run may be beyond a limit between two looks; it does not stay there.

use std::time::{Duration, Instant};

use crate::exec::bounds::{Bounds, Limit};
use crate::exec::sandbox::spec::{Spec, Trouble};
use crate::exec::sandbox::usage;

/// Between two looks.
const TICK: Duration = Duration::from_millis(50);
/// Counting files may take this part of the time at most.
const SHARE_OF_COUNTING: u32 = 20;
/// What was written is counted so often, if it can be counted fast.
const DISK_TICK: Duration = Duration::from_millis(250);

pub(super) struct Watch<'s> {
    spec: &'s Spec,
    /// The number of the run's first process.
    init: i32,
    next: Instant,
    next_count: Instant,
}

impl<'s> Watch<'s> {
    /// `init` has started nothing yet, and is put into the run's group.
    pub(super) fn new(spec: &'s Spec, init: i32) -> Result<Watch<'s>, Trouble> {
        for group in &spec.bounds.groups {
            group.join(init).map_err(Trouble::at("enter its control group"))?;
        }
        let now = Instant::now();
        Ok(Watch { spec, init, next: now, next_count: now })
    }

    /// When it wants to look next; never where there is nothing to be seen.
    pub(super) fn until(&self) -> Option<Instant> {
        self.bounds().are_watched().then_some(self.next)
    }

    /// The limit that the run is beyond, if it is time to look.
    pub(super) fn look(&mut self, now: Instant) -> Option<Limit> {
        if self.until().is_none_or(|next| now < next) {
            return None;
        }
        self.next = now + TICK;
        self.of_groups().or_else(|| self.of_processes()).or_else(|| self.of_files(now))
    }

    /// The same once more when all is over: what a look between two ticks would have seen and can still be seen.
    pub(super) fn last_look(&self) -> Option<Limit> {
        self.of_groups().or_else(|| self.written())
    }

    /// Whether it was refused more processes: only its group knows.
    pub(super) fn was_full(&self) -> bool {
        self.bounds().groups.iter().any(|group| group.was_full())
    }

    /// Whether somebody sits at it.
    pub(super) fn is_sat_at(&self) -> bool {
        self.spec.session.is_some()
    }

    fn bounds(&self) -> &Bounds {
        &self.spec.bounds
    }

    fn of_groups(&self) -> Option<Limit> {
        let killed = self.bounds().groups.iter().any(|group| group.ran_out_of_memory());
        killed.then_some(Limit::Memory)
    }

    fn of_processes(&self) -> Option<Limit> {
        let Bounds { memory, pids, .. } = *self.bounds();
        if memory.is_none() && pids.is_none() {
            return None;
        }
        let processes = usage::processes(self.init);
        // The sandbox's own first process counts for nothing.
        let threads: u64 = processes.iter().map(|process| process.threads).sum();
        if pids.is_some_and(|most| threads > most + 1) {
            return Some(Limit::Pids);
        }
        memory.is_some_and(|most| usage::memory(&processes, most) > most).then_some(Limit::Memory)
    }

    fn of_files(&mut self, now: Instant) -> Option<Limit> {
        if now < self.next_count {
            return None;
        }
        let beyond = self.written();
        self.next_count = now + DISK_TICK.max(now.elapsed() * SHARE_OF_COUNTING);
        beyond
    }

    fn written(&self) -> Option<Limit> {
        let most = self.bounds().disk?;
        (usage::written(&self.spec.work) > most).then_some(Limit::Disk)
    }
}
