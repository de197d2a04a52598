//! Asks a service whether it is ready, by a command in its own room, until that succeeds once. What the command writes
//! is lost: as long as it fails it says only that it is too early.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::process::{Pid, WaitStatus};

use crate::exec::sandbox::command::{self, Streams};
use crate::exec::sandbox::init::Plan;

/// Between the end of one try and the next.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Probe<'p> {
    command: &'p [String],
    tell: OwnedFd,
    running: Option<Pid>,
    next: Instant,
}

impl<'p> Probe<'p> {
    /// A byte is written to `tell` when `command` has succeeded.
    pub(super) fn new(command: &'p [String], tell: OwnedFd) -> Probe<'p> {
        Probe { command, tell, running: None, next: Instant::now() }
    }

    /// Starts a try if it is time for one.
    pub(super) fn try_now(&mut self, plan: &Plan) {
        let now = Instant::now();
        if self.running.is_some() || now < self.next {
            return;
        }
        // One that cannot be started will not be ready, which is told as that.
        self.running = command::start(self.command, &plan.environment, plan.user(), Streams::Lost).ok();
        self.next = now + PAUSE;
    }

    /// A process has ended. Whether this is over.
    pub(super) fn hear(&mut self, ended: Pid, status: WaitStatus) -> bool {
        if self.running != Some(ended) {
            return false;
        }
        self.running = None;
        self.next = Instant::now() + PAUSE;
        // Who waits for it may have lost patience.
        status.exit_status() == Some(0) && rustix::io::write(&self.tell, b"r").is_ok()
    }

    /// Until the next try; for ever where one is going on.
    pub(super) fn patience(&self) -> Option<Timespec> {
        let left = self.next.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()) + 1,
        };
        self.running.is_none().then_some(left)
    }
}
