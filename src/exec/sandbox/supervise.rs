//! Watches a running sandbox: its first process, the main process, the clock. One loop over
//! descriptors, so that answering a seccomp listener is one more descriptor in it.

use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::base::hidden::Hidden;
use crate::exec::sandbox::init::{End, Plan, Report};
use crate::exec::sandbox::lent::send_value;
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::spec::{Ended, Trouble, receive, send, word};
use crate::exec::sandbox::ward::Ward;
use crate::exec::sandbox::watch::Watch;

/// Between asking to end and killing.
const GRACE: Duration = Duration::from_secs(5);

/// The first process of a sandbox, from outside. When it is dropped, everything inside is killed.
pub(super) struct Init {
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub socket: UnixStream,
    /// Where its end is not the end of everything inside.
    pub ward: Option<Ward>,
    /// Where it sends what its system calls are heard by, where somebody answers them.
    pub calls: Option<UnixStream>,
}

/// What is going on, and what it will be called when it is over.
#[derive(Clone, Copy)]
enum Phase {
    Running { until: Option<Instant> },
    Ending { kill_at: Instant, why: Ended },
    Killed { why: Ended },
}

/// Returns when nothing inside lives any more: how it came to that.
pub(super) fn supervise(
    init: &mut Init,
    main: &mut UnixStream,
    timeout: Option<u64>,
    watch: &mut Watch<'_>,
    mut ownership: Option<&mut Ownership>,
) -> Result<End, Trouble> {
    let mut phase = Phase::Running { until: timeout.and_then(|seconds| later(Duration::from_secs(seconds))) };
    loop {
        let calls = ownership.as_ref().and_then(|ownership| ownership.as_fd());
        let heard =
            wait(init, main, phase, (watch.until(), calls)).map_err(Trouble::at("wait for its processes"))?;
        if heard.dead {
            break;
        }
        match (ownership.as_mut(), heard.called) {
            (Some(ownership), Some(true)) => ownership.attend()?,
            (Some(ownership), Some(false)) => ownership.close(),
            _ => {}
        }
        phase = match heard.word {
            Some(word) => on_word(init, phase, word),
            None => on_time(init, phase, Instant::now()),
        };
        if let Phase::Running { .. } = phase
            && let Some(limit) = watch.look(Instant::now())
        {
            phase = kill(init, Ended::Beyond(limit));
        }
    }
    reap(init)?;
    if let Some(ward) = &init.ward {
        ward.end()?;
    }
    if let Phase::Running { .. } = phase
        && let Some(limit) = watch.last_look()
    {
        phase = Phase::Killed { why: Ended::Beyond(limit) };
    }
    conclude(init, phase, watch.is_sat_at())
}

/// What it was all called in the end, whatever its first process still said; `is_sat_at`: who sits at it wants to know
/// how their command ended, also when they asked it to.
fn conclude(init: &mut Init, phase: Phase, is_sat_at: bool) -> Result<End, Trouble> {
    let mut command = 0;
    let report = loop {
        match receive(&mut init.socket) {
            Ok(Report::Began(number)) => command = number,
            report => break report,
        }
    };
    match (phase, report) {
        (Phase::Ending { why: Ended::Cancelled, .. }, Ok(Report::Ended(end))) if is_sat_at => Ok(end),
        (Phase::Ending { why, .. } | Phase::Killed { why }, Ok(Report::Ended(end))) => {
            Ok(End { ended: why, ..end })
        }
        (Phase::Ending { why, .. } | Phase::Killed { why }, _) => {
            Ok(End { command, ended: why, tried: Vec::new() })
        }
        (Phase::Running { .. }, Ok(Report::Ended(end))) => Ok(end),
        (Phase::Running { .. }, Ok(Report::Trouble(trouble))) => Err(trouble),
        (Phase::Running { .. }, Ok(Report::Began(_)) | Err(_)) => Err(was_killed()),
    }
}

/// By somebody else, or by the kernel.
fn was_killed() -> Trouble {
    Trouble::Environment {
        message: "the sandbox's first process was killed".to_owned(),
        help: Some("the machine may have run out of memory: see its kernel log".to_owned()),
    }
}

struct Heard {
    dead: bool,
    word: Option<u8>,
    /// Whether there is a call to be answered, or nobody left who could make one.
    called: Option<bool>,
}

/// `look`: when the limits are to be looked at again; `calls`: where system calls are heard that are answered here.
fn wait(
    init: &Init,
    main: &mut UnixStream,
    phase: Phase,
    (look, calls): (Option<Instant>, Option<BorrowedFd<'_>>),
) -> std::io::Result<Heard> {
    let patience = match phase {
        Phase::Running { until } => until.into_iter().chain(look).min(),
        Phase::Ending { kill_at, .. } => Some(kill_at),
        Phase::Killed { .. } => None,
    };
    let patience = patience.map(|until| timespec(until.saturating_duration_since(Instant::now())));
    let mut events = vec![PollFd::new(&init.pidfd, PollFlags::IN)];
    // A closed main process has been heard already, and would be heard for ever; who is killed needs no answers.
    if !matches!(phase, Phase::Killed { .. }) {
        events.push(PollFd::new(&*main, PollFlags::IN));
        events.extend(calls.map(|calls| PollFd::from_borrowed_fd(calls, PollFlags::IN)));
    }
    match poll(&mut events, patience.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let happened = |number: usize| {
        let event: Option<&PollFd<'_>> = events.get(number);
        event.map(PollFd::revents).filter(|happened| !happened.is_empty())
    };
    let (dead, spoken) = (happened(0).is_some(), happened(1).is_some());
    let called = happened(2).map(|happened| happened.contains(PollFlags::IN));
    let word = match (dead, spoken) {
        (false, true) => Some(read_word(main)),
        _ => None,
    };
    Ok(Heard { dead, word, called })
}

/// A main process that is gone wants what one in a hurry wants.
fn read_word(main: &mut UnixStream) -> u8 {
    let mut word = [0];
    match main.read(&mut word) {
        Ok(1) => word[0],
        _ => word::KILL,
    }
}

fn on_word(init: &Init, phase: Phase, said: u8) -> Phase {
    match (phase, said) {
        (Phase::Running { .. }, word::END) => end(init, Ended::Cancelled),
        (Phase::Running { .. }, word::KILL) => kill(init, Ended::Cancelled),
        (Phase::Ending { why, .. }, word::KILL) => kill(init, why),
        (phase, _) => phase,
    }
}

fn on_time(init: &Init, phase: Phase, now: Instant) -> Phase {
    match phase {
        Phase::Running { until: Some(until) } if now >= until => end(init, Ended::TimedOut),
        Phase::Ending { kill_at, why } if now >= kill_at => kill(init, why),
        phase => phase,
    }
}

fn end(init: &Init, why: Ended) -> Phase {
    let told = rustix::io::write(&init.socket, &[word::END]);
    match (told, later(GRACE)) {
        (Ok(1), Some(kill_at)) => Phase::Ending { kill_at, why },
        _ => kill(init, why),
    }
}

fn kill(init: &Init, why: Ended) -> Phase {
    // It may have died just now, which is as good.
    let _ = pidfd_send_signal(&init.pidfd, Signal::KILL);
    Phase::Killed { why }
}

/// Its end means the end of everything inside: the kernel has waited for them.
fn reap(init: &Init) -> Result<(), Trouble> {
    waitid(WaitId::PidFd(init.pidfd.as_fd()), WaitIdOptions::EXITED)
        .map(drop)
        .map_err(Trouble::at("wait for its first process"))
}

impl Init {
    /// `secrets` are the values of the plan's secret variables.
    pub(super) fn tell(&self, plan: &Plan, secrets: Vec<Hidden>) -> Result<(), Trouble> {
        send(&self.socket, plan)
            .and_then(|()| secrets.iter().try_for_each(|secret| send_value(&self.socket, secret)))
            .map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => was_killed(),
                _ => Trouble::at("tell its first process what to do")(error),
            })
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        if let Some(ward) = &self.ward {
            let _ = ward.end();
        }
    }
}

/// `None` for a time so far away that it cannot be said.
fn later(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

fn timespec(duration: Duration) -> Timespec {
    // A nanosecond more, so that the time is over when the wait is.
    let duration = duration + Duration::from_nanos(1);
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
