//! The servers beside a test, from its helper: for each a process is forked off that makes a room for it and watches
//! it, as a helper does. All of them and the test are in one network namespace, the helper's own, with nobody else.
//! A server is told to end when the test has ended, and dies with the helper in any case.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use crate::exec::sandbox::spec::{Ended, ServiceSpec, Spec, Trouble, receive, send, word};
use crate::exec::sandbox::sys::{self, Side};
use crate::exec::sandbox::{Room, die_with, keep_mounts_to_itself, workplace};

/// How often a port is tried.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// For one try: nobody is far away.
const TRY: Duration = Duration::from_millis(200);

/// What a server's process says.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    /// Its command was started.
    Started,
    Ended {
        how: Result<Ended, Trouble>,
        /// Whether its work folder may be used again.
        tidy: bool,
    },
}

/// A server that is there, as long as it lives.
pub(super) struct Running<'s> {
    service: &'s ServiceSpec,
    pid: Pid,
    socket: UnixStream,
    /// A byte comes when its command says so; `None` where its port says it.
    ready: Option<OwnedFd>,
}

/// A server that is not ready, and why, in words; or the test was stopped meanwhile.
pub(super) enum NotReady {
    Failed { name: String, why: String },
    Stopped,
    Trouble(Trouble),
}

/// Starts all of them. The calling process has one thread, and no child yet that it does not know of.
pub(super) fn start<'s>(
    services: &'s [ServiceSpec],
    main: &mut UnixStream,
) -> Result<Vec<Running<'s>>, Trouble> {
    let own = std::process::id().cast_signed();
    let mut running: Vec<Running<'s>> = Vec::with_capacity(services.len());
    for service in services {
        let cannot = || Trouble::at::<std::io::Error>(format!("start the service `{}`", service.name));
        let (ours, theirs) = UnixStream::pair().map_err(cannot())?;
        let (ready, tell) = match &service.ready {
            Some(_) => pipe_with(PipeFlags::CLOEXEC)
                .map(|(ready, tell)| (Some(ready), Some(tell)))
                .map_err(|error| cannot()(error.into()))?,
            None => (None, None),
        };
        match sys::fork().map_err(cannot())? {
            Side::Child => {
                // What belongs to others must not stay open here: they are waited for by its end.
                running.clear();
                drop((ours, ready));
                become_service(service, theirs, tell, main, own)
            }
            Side::Parent { pid } => {
                drop((theirs, tell));
                let pid = Pid::from_raw(pid).expect("bug: fork gives a positive number");
                let mut one = Running { service, pid, socket: ours, ready };
                // It talks to the main process until then, which only one may do at a time.
                one.wait_for_start()?;
                running.push(one);
            }
        }
    }
    Ok(running)
}

/// Blocks until each of them is ready. `main` is only looked at: what it says is heard by who reads it next.
pub(super) fn wait_until_ready(running: &mut [Running<'_>], main: &UnixStream) -> Result<(), NotReady> {
    let begin = Instant::now();
    for one in running {
        let patience = Duration::from_secs(one.service.patience);
        while !one.is_ready(main)? {
            if begin.elapsed() >= patience {
                return Err(one.failed(format!("was not ready within {} s", one.service.patience)));
            }
        }
    }
    Ok(())
}

/// The names of those that have ended by themselves.
pub(super) fn ended(running: &[Running<'_>]) -> Vec<String> {
    let is_over = |one: &&Running<'_>| is_readable(&[PollFd::new(&one.socket, PollFlags::IN)], NOW);
    running.iter().filter(is_over).map(|one| one.service.name.clone()).collect()
}

/// Ends all of them; whether the work folder of each may be used again.
pub(super) fn stop(running: Vec<Running<'_>>) -> Vec<bool> {
    for one in &running {
        // One that is gone needs no telling.
        let _ = (&one.socket).write_all(&[word::KILL]);
    }
    running.into_iter().map(Running::wait_for_end).collect()
}

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

impl Running<'_> {
    fn wait_for_start(&mut self) -> Result<(), Trouble> {
        match receive(&mut self.socket) {
            Ok(Told::Started) => Ok(()),
            Ok(Told::Ended { how: Err(trouble), .. }) => Err(trouble.of_service(&self.service.name)),
            Ok(Told::Ended { .. }) | Err(_) => {
                let name = &self.service.name;
                Err(Trouble::environment(format!("the process of the service `{name}` is gone")))
            }
        }
    }

    /// Waits a moment for it.
    fn is_ready(&mut self, main: &UnixStream) -> Result<bool, NotReady> {
        let mut events = vec![PollFd::new(main, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
        events.extend(self.ready.as_ref().map(|ready| PollFd::new(ready, PollFlags::IN)));
        match poll(&mut events, Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(NotReady::Trouble(Trouble::at("wait for its services")(error))),
        }
        let heard: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        match heard[..] {
            [true, ..] => Err(NotReady::Stopped),
            [_, true, ..] => Err(self.why_it_ended()),
            [_, _, true] => Ok(self.said_so()),
            [_, _, false] => Ok(false),
            _ => Ok(accepts(self.service.port)),
        }
    }

    /// A closed pipe says that it has ended, which its socket will tell.
    fn said_so(&self) -> bool {
        let Some(ready) = &self.ready else { return false };
        matches!(rustix::io::read(ready, &mut [0_u8; 1]), Ok(1))
    }

    fn why_it_ended(&mut self) -> NotReady {
        let words = match receive(&mut self.socket) {
            Ok(Told::Ended { how: Ok(Ended::Exit(code)), .. }) => format!("ended with exit code {code}"),
            Ok(Told::Ended { how: Ok(Ended::Signal(signal)), .. }) => {
                format!("was killed by signal {signal}")
            }
            Ok(Told::Ended { how: Ok(Ended::NotFound), .. }) => {
                "has no such program in its root filesystem".to_owned()
            }
            Ok(Told::Ended { how: Err(trouble), .. }) => {
                return NotReady::Trouble(trouble.of_service(&self.service.name));
            }
            Ok(Told::Ended { .. } | Told::Started) | Err(_) => "was killed".to_owned(),
        };
        self.failed(format!("{words} before it was ready"))
    }

    fn failed(&self, why: String) -> NotReady {
        NotReady::Failed { name: self.service.name.clone(), why }
    }

    fn wait_for_end(mut self) -> bool {
        let mut is_tidy = false;
        while let Ok(told) = receive(&mut self.socket) {
            if let Told::Ended { tidy, .. } = told {
                is_tidy = tidy;
            }
        }
        // Its end is all that is wanted.
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
        is_tidy
    }
}

fn is_readable(events: &[PollFd<'_>], patience: Timespec) -> bool {
    let mut events = events.to_vec();
    poll(&mut events, Some(&patience)).is_ok_and(|count| count > 0)
}

fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TRY).is_ok()
}

/// The life of a server's own process.
fn become_service(
    service: &ServiceSpec,
    mut helper: UnixStream,
    tell: Option<OwnedFd>,
    main: &mut UnixStream,
    parent: i32,
) -> ! {
    let how = attend(&service.spec, service.ready.clone().zip(tell), &mut helper, main, parent);
    let tidy = workplace::tidy(&service.spec.work).is_ok();
    // If nobody listens any more there is nobody to tell either.
    let _ = send(&helper, &Told::Ended { how, tidy });
    match sys::exit(0) {}
}

fn attend(
    spec: &Spec,
    ready: Option<(Vec<String>, OwnedFd)>,
    helper: &mut UnixStream,
    main: &mut UnixStream,
    parent: i32,
) -> Result<Ended, Trouble> {
    die_with(parent)?;
    // What it writes must not be taken for what the test writes.
    rustix::stdio::dup2_stdout(std::io::stderr().as_fd())
        .map_err(Trouble::at("keep the service's output apart"))?;
    keep_mounts_to_itself()?;
    let mut room = Room::furnish(spec, ready, main)?;
    room.begin()?;
    send(&*helper, &Told::Started).map_err(Trouble::at("tell that the service runs"))?;
    Ok(room.supervise(None, helper)?.ended)
}
