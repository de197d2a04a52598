//! The first process of a sandbox (pid 1 inside): finishes the room from within, runs the commands one
//! after another, reaps what they leave behind, and says how they ended. When it ends, the kernel kills
//! everything else inside. Single-threaded from birth, so that it may fork.

use std::fs;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, chdir, fchdir, kill_process_group, pivot_root,
    set_dumpable_behavior, set_parent_process_death_signal, wait,
};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::base::tree_path::TreePath;
use crate::exec::bounds::Limit;
use crate::exec::emulation::Emulator;
use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::command::{self, NotStarted, Streams, User};
use crate::exec::sandbox::names::Names;
use crate::exec::sandbox::probe::Probe;
use crate::exec::sandbox::session::Session;
use crate::exec::sandbox::spec::{Ended, Trouble, as_typed, receive, send, word};
use crate::exec::sandbox::{
    emulation, landlock, limits, ownership, processes, seccomp, sockets, sys, user_namespace,
};
use crate::graph::op::Network;

/// What is still to be done when everything outside is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// Where the root hangs.
    pub root: PathBuf,
    pub commands: Vec<Vec<String>>,
    pub environment: Vec<(String, String)>,
    pub workdir: TreePath,
    pub account: Account,
    /// Whether more than one id exists, so that others can be taken.
    pub ids: bool,
    pub hostname: String,
    pub network: Network,
    /// At which the run's proxy listens.
    pub ports: Vec<u16>,
    pub emulator: Option<Emulator>,
    /// Somebody sits at it.
    pub session: Option<Session>,
    /// Succeeds when what the commands serve is ready.
    pub ready: Option<Vec<String>>,
    /// Whether who asks for names is answered, where there is no network.
    pub answers_names: bool,
    /// Whether the sandbox has a user namespace.
    pub has_namespace: bool,
    pub rights: Rights,
    /// Whether it stays in the groups that it came with, as far as nothing else is said.
    pub keeps_groups: bool,
    /// Processes and threads at once, where somebody has to look how many they are.
    pub processes: Option<u64>,
    /// It and what comes from it are kept to so many processors.
    pub processors: Option<u64>,
    /// Whether giving files to others is to look as if it worked.
    pub ignore_ownership: bool,
}

impl Plan {
    /// What the commands read and write.
    fn streams(&self) -> Streams {
        match &self.session {
            Some(Session { terminal: Some(_), .. }) => Streams::Terminal,
            _ => Streams::Inherited,
        }
    }

    fn stop_signal(&self) -> Signal {
        let number = self.session.as_ref().map(|session| session.stop_signal);
        number.and_then(Signal::from_named_raw).unwrap_or(Signal::TERM)
    }

    /// Whom the commands run as.
    pub(super) fn user(&self) -> User<'_> {
        User { account: self.ids.then_some(&self.account), keeps_groups: self.keeps_groups }
    }
}

/// What commands may do in the namespaces that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rights {
    /// What package managers need.
    Few,
    /// Everything. /proc shows all of itself.
    All,
    /// Everything in a user namespace one deeper, where what is mounted so far stays as it is.
    AllBelow,
}

/// What it says: which command it begins with, and in the end how it went, once.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// A command after the first.
    Began(usize),
    Ended(End),
    Trouble(Trouble),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// The last command that was run.
    pub command: usize,
    pub ended: Ended,
    /// Names of machines that were asked for, where there is no network.
    pub tried: Vec<String>,
}

/// The life of the process. `helper` brings the plan, later perhaps `word::END`; when it closes, all is over.
/// Of what is `inherited`, locks are held as long as anything lives.
pub(super) fn live(helper: OwnedFd, inherited: Inherited<'_>) -> ! {
    let mut helper = UnixStream::from(helper);
    let report = match run(&mut helper, inherited) {
        Ok(end) => Report::Ended(end),
        Err(trouble) => Report::Trouble(trouble),
    };
    // If nobody listens any more there is nobody to tell either.
    let _ = send(&helper, &report);
    match sys::exit(code(&report)) {}
}

/// As a shell would report it.
fn code(report: &Report) -> i32 {
    match report {
        Report::Ended(End { ended: Ended::Exit(code), .. }) => *code,
        Report::Ended(End { ended: Ended::Signal(signal), .. }) => 128 + signal,
        Report::Began(_) | Report::Ended(_) => 127,
        Report::Trouble(_) => 125,
    }
}

/// What it has of its helper, by being its copy.
pub(super) struct Inherited<'l> {
    /// Hears when it is ready, where the plan says how to see that.
    pub tell: Option<OwnedFd>,
    pub locks: &'l [OwnedFd],
    /// Takes the listener of who answers its system calls.
    pub calls: Option<UnixStream>,
    /// Leads to the run's proxy, where it has one.
    pub line: Option<UnixStream>,
}

fn run(helper: &mut UnixStream, inherited: Inherited<'_>) -> Result<End, Trouble> {
    let Inherited { tell, locks, calls, line } = inherited;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Trouble::at("watch its parent"))?;
    // A parent that died before that call has closed its end.
    let plan: Plan = receive(&mut *helper).map_err(Trouble::at("read its plan"))?;
    let signals = sys::child_signals().map_err(Trouble::at("watch for ended processes"))?;
    let program = plan.emulator.as_ref().map(emulation::open).transpose()?;
    let names = enter(&plan, line)?;
    let emulator = match (&plan.emulator, program) {
        (Some(emulator), Some(program)) => Some(emulation::register(emulator, program, plan.has_namespace)?),
        _ => None,
    };
    if plan.rights == Rights::AllBelow {
        user_namespace::enter_one_deeper()
            .map_err(Trouble::at("make a user namespace for a privileged run"))?;
    }
    let names_socket = names.as_ref().map(Names::as_fd);
    let emulator = emulator.as_ref().map(OwnedFd::as_fd);
    let teller = tell.as_ref().map(OwnedFd::as_fd);
    let calls_socket = calls.as_ref().map(UnixStream::as_fd);
    let kept = [Some(helper.as_fd()), Some(signals.as_fd()), names_socket, emulator, teller, calls_socket];
    close_all_but(kept.into_iter().flatten().chain(locks.iter().map(OwnedFd::as_fd)))?;
    restrict(&plan, calls)?;
    let probe = plan.ready.as_ref().zip(tell).map(|(command, tell)| Probe::new(command, tell));
    let mut watch = Watch { plan: &plan, helper, signals: &signals, names, probe, told_to_end: false };
    let mut last = (0, Ended::Exit(0));
    for (number, arguments) in plan.commands.iter().enumerate() {
        if number > 0 {
            send(&*watch.helper, &Report::Began(number)).map_err(Trouble::at("tell how far it is"))?;
        }
        last = (number, run_command(&plan, arguments, &mut watch)?);
        if last.1 != Ended::Exit(0) || watch.told_to_end {
            break;
        }
    }
    if let Some(session) = plan.session.as_ref().filter(|_| !watch.told_to_end) {
        if !plan.commands.is_empty() {
            say_how_it_ended(&plan, last);
        }
        last = (plan.commands.len(), run_command(&plan, &session.command, &mut watch)?);
    }
    let (command, ended) = last;
    Ok(End { command, ended, tried: watch.names.map(Names::into_asked).unwrap_or_default() })
}

/// For who waited for it. Nobody may be there any more.
fn say_how_it_ended(plan: &Plan, (command, ended): (usize, Ended)) {
    let how = match ended {
        Ended::Exit(0) => "all commands have succeeded".to_owned(),
        Ended::Exit(code) => format!("`{}` ended with exit code {code}", as_typed(&plan.commands[command])),
        Ended::Signal(signal) => {
            format!("`{}` was killed by signal {signal}", as_typed(&plan.commands[command]))
        }
        _ => format!("`{}` could not be run", as_typed(&plan.commands[command])),
    };
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("memobuild: {how}\r\n").as_bytes());
}

/// What it listens to while a command runs.
struct Watch<'a> {
    plan: &'a Plan,
    helper: &'a mut UnixStream,
    signals: &'a OwnedFd,
    /// Where there is no network.
    names: Option<Names>,
    /// Until it has succeeded.
    probe: Option<Probe<'a>>,
    told_to_end: bool,
}

fn enter(plan: &Plan, line: Option<UnixStream>) -> Result<Option<Names>, Trouble> {
    // A copy of the helper's mounts: the helper's own view stays, for what is captured later.
    sys::unshare(UnshareFlags::NEWNS).map_err(Trouble::at("copy its mounts"))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = openat(CWD, &plan.root, flags | OFlags::DIRECTORY, Mode::empty())
        .map_err(Trouble::at("open its root"))?;
    let null = openat(&root, "dev/null", flags, Mode::empty()).map_err(Trouble::at("open /dev/null"))?;
    let processes = processes::mount(root.as_fd())?;
    if let Some(most) = plan.processes {
        limits::wall_in_processes(processes.as_fd(), most, plan.has_namespace);
    }
    if plan.rights != Rights::All {
        processes::cover_machine(processes.as_fd(), null.as_fd())?;
    }
    let names = if plan.network.is_own() { own_network(plan, line)? } else { None };
    rustix::system::sethostname(plan.hostname.as_bytes()).map_err(Trouble::at("set its host name"))?;
    fchdir(&root).map_err(Trouble::at("enter its root"))?;
    pivot_root(".", ".").map_err(Trouble::at("change its root"))?;
    // Both roots are stacked at `.`: the old one is on top (pivot_root(2), NOTES).
    unmount(".", UnmountFlags::DETACH).map_err(Trouble::at("leave the machine's root"))?;
    chdir("/").map_err(Trouble::at("enter its root"))?;
    // Who sits at it without a terminal has their own.
    if plan.session.as_ref().is_some_and(|session| session.terminal.is_none()) {
        return Ok(names);
    }
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(Trouble::at("open /dev/null"))?;
    rustix::stdio::dup2_stdin(null).map_err(Trouble::at("close its standard input"))?;
    Ok(names)
}

/// Nothing but itself; who answers for names there, if it is this process.
fn own_network(plan: &Plan, line: Option<UnixStream>) -> Result<Option<Names>, Trouble> {
    let socket = sys::bring_loopback_up().map_err(Trouble::at("bring up the loopback network"))?;
    match line {
        Some(line) => sockets::hand_out(&line, &socket, &plan.ports).map(|()| None),
        // Where the machine keeps us from that, commands fail as well, and less is told of it.
        None if plan.answers_names => Ok(Names::listen(socket, &plan.hostname).ok()),
        None => Ok(None),
    }
}

/// Forgets what came from the helper by way of being its copy.
fn close_all_but<'d>(kept: impl Iterator<Item = BorrowedFd<'d>>) -> Result<(), Trouble> {
    let mut kept: Vec<u32> = kept.map(|descriptor| descriptor.as_raw_fd() as u32).collect();
    kept.sort_unstable();
    let mut first = 3;
    for end in kept.into_iter().chain([u32::MAX]) {
        sys::close_between(first, end).map_err(Trouble::at("close inherited descriptors"))?;
        first = end.saturating_add(1);
    }
    Ok(())
}

fn restrict(plan: &Plan, calls: Option<UnixStream>) -> Result<(), Trouble> {
    limits::set_limits()?;
    if let Some(count) = plan.processors {
        limits::keep_to_processors(count)?;
    }
    enter_workdir(&plan.workdir)?;
    if plan.rights == Rights::Few {
        limits::give_up_capabilities()?;
    }
    // It would keep a privileged run from mounting.
    if !plan.network.is_own() && plan.rights == Rights::Few {
        landlock::restrict().map_err(|error| Trouble::environment(format!("landlock: {error}")))?;
    }
    // Nobody inside may look into this process: it is a program of the machine.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Trouble::at("protect its first process"))?;
    if let Some(calls) = calls {
        ownership::begin_as(&plan.account)?;
        ownership::submit(&calls)?;
    }
    let cannot = |error| Trouble::environment(format!("the sandbox cannot filter system calls: {error}"));
    if plan.ignore_ownership {
        seccomp::ignore_ownership().map_err(cannot)?;
    }
    match plan.rights {
        Rights::Few => seccomp::restrict().map_err(cannot),
        Rights::All | Rights::AllBelow => seccomp::restrict_to_namespaces().map_err(cannot),
    }
}

/// Made where it is missing, and kept.
fn enter_workdir(workdir: &TreePath) -> Result<(), Trouble> {
    let path = std::path::Path::new("/").join(workdir.as_path());
    fs::create_dir_all(&path).and_then(|()| std::env::set_current_dir(&path)).map_err(|error| {
        Trouble::input(
            format!("`{workdir}` cannot be the working directory: {error}"),
            "name a folder that the root has, or one that can be made",
        )
    })
}

fn run_command(plan: &Plan, arguments: &[String], watch: &mut Watch<'_>) -> Result<Ended, Trouble> {
    match command::start(arguments, &plan.environment, plan.user(), plan.streams()) {
        Ok(pid) => {
            let ended = watch.wait_for(pid).map_err(Trouble::at("wait for its command"))?;
            // It may have failed at the wall before anybody looked. This process counts for nothing.
            let is_crowded = || plan.processes.is_some_and(|most| processes::count() > most + 1);
            Ok(if ended != Ended::Exit(0) && is_crowded() { Ended::Beyond(Limit::Pids) } else { ended })
        }
        Err(NotStarted::NotFound) => Ok(Ended::NotFound),
        Err(NotStarted::Other(trouble)) => Err(trouble),
    }
}

impl Watch<'_> {
    /// Reaps everything that ends meanwhile: orphans come to the first process.
    fn wait_for(&mut self, pid: Pid) -> Result<Ended, std::io::Error> {
        loop {
            while let Some((ended, status)) = reap()? {
                if ended == pid {
                    return Ok(ended_as(status));
                }
                if self.probe.as_mut().is_some_and(|probe| probe.hear(ended, status)) {
                    self.probe = None;
                }
            }
            if let Some(probe) = &mut self.probe {
                probe.try_now(self.plan);
            }
            if self.listen()? {
                self.told_to_end = true;
                // It may have ended just now.
                let _ = kill_process_group(pid, self.plan.stop_signal());
            }
        }
    }

    /// Returns when a process has ended, or the helper has said something: whether that was to end.
    fn listen(&mut self) -> Result<bool, std::io::Error> {
        let mut events =
            vec![PollFd::new(self.signals, PollFlags::IN), PollFd::new(&*self.helper, PollFlags::IN)];
        events.extend(self.names.as_ref().map(|names| PollFd::new(names, PollFlags::IN)));
        let patience = self.probe.as_ref().and_then(Probe::patience);
        match poll(&mut events, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        if let (Some(names), [_, _, true]) = (&mut self.names, is_ready.as_slice()) {
            names.answer();
        }
        let spoken = is_ready[1];
        let mut pending = [0; 128];
        while rustix::io::read(self.signals, &mut pending[..]).is_ok() {}
        if !spoken {
            return Ok(false);
        }
        let mut said = [0];
        self.helper.read_exact(&mut said)?;
        Ok(said[0] == word::END)
    }
}

fn reap() -> Result<Option<(Pid, WaitStatus)>, Errno> {
    match wait(WaitOptions::NOHANG) {
        Err(Errno::CHILD) => Ok(None),
        other => other,
    }
}

fn ended_as(status: WaitStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Signal(0),
    }
}
