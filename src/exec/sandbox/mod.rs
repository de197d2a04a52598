//! The closed room a command runs in. A process of its own makes it, watches it and keeps what came of it;
//! the main process with its many threads never forks.
//!
//! Three processes: the zygote, which is this program started again as `__sandbox`, once for all sandboxes; for
//! each of them a helper outside, which holds the mounts; and `init` inside, the first process of the room.
//! The zygote dies with the main process, a helper with the zygote, `init` with the helper, and all else with `init`.

mod account;
mod agents;
mod authority;
mod births;
mod caches;
mod copies;
mod command;
mod devices;
mod emulation;
mod filter;
mod user_namespace;
mod gift;
mod host_root;
mod init;
mod landlock;
pub(crate) mod lent;
mod limits;
mod lockup;
mod mounts;
mod moved;
mod names;
pub(crate) mod network;
mod notify;
mod ownership;
mod overlay;
mod lost;
mod place;
mod places;
mod plain;
mod probe;
mod processes;
mod results;
pub(crate) mod rights;
mod root;
mod seccomp;
mod secrets;
mod service;
mod snapshots;
mod sockets;
pub(crate) mod spec;
pub(crate) mod session;
mod supervise;
pub(crate) mod trial;
mod usage;
mod ward;
mod watch;
mod sys;
mod workplace;

use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, set_parent_process_death_signal, umask};
use rustix::thread::UnshareFlags;

use crate::base::hidden::Hidden;
use crate::base::remove;
use crate::exec::identity::{Identity, map_single};
use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::authority::Believed;
use crate::exec::sandbox::copies::Copies;
use crate::exec::sandbox::init::{End, Inherited, Plan, Rights};
use crate::exec::sandbox::moved::Moved;
use crate::exec::sandbox::ownership::Ownership;
use crate::exec::sandbox::ownership::shown::Shown;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::service::{NotReady, Running};
use crate::exec::sandbox::spec::{Done, Duty, Ended, Reply, Root, Spec, Trouble, Walls, receive, send, word};
use crate::exec::sandbox::supervise::Init;
use crate::exec::sandbox::sys::{Cloned, Side};
use crate::exec::sandbox::ward::Ward;
use crate::exec::sandbox::watch::Watch;

pub(crate) use authority::CERTIFICATES;
pub(crate) use ownership::can_be_told as owners_can_be_told;

/// The hidden first argument that makes this program a zygote.
pub const ARGUMENT: &str = "__sandbox";

/// Tells commands that have the machine's own root where the folder is that stands for theirs.
const BARE_ROOT: &str = "MEMOBUILD_ROOT";

/// What `main` calls when the first argument is `ARGUMENT`. Standard input is a socket to the main process.
pub fn sandbox_main() -> ExitCode {
    // Nothing that was left open by who started the main process may live as long as a sandbox.
    match sys::close_between(3, u32::MAX).and_then(|()| take_socket()) {
        Ok(wishes) => births::live(wishes),
        Err(_) => ExitCode::FAILURE,
    }
}

/// The life of a helper: a whole sandbox, from spec to reply. Standard output and error are the command's.
fn attend(mut main: UnixStream, parent: i32) -> ExitCode {
    let Ok(duty) = receive(&mut main) else { return ExitCode::FAILURE };
    let reply = match duty {
        Duty::Run(spec) => run(&spec, parent, &mut main).map(|done| Reply::Done(Box::new(done))),
        Duty::Remove { identity, folder } => {
            remove(parent, &identity, &folder, &mut main).map(|()| Reply::Removed)
        }
    };
    let reply = reply.unwrap_or_else(Reply::Trouble);
    match send(&main, &reply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Moves the socket away from where commands have their standard input.
fn take_socket() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(socket)
}

fn run(spec: &Spec, parent: i32, main: &mut UnixStream) -> Result<Done, Trouble> {
    umask(Mode::from_raw_mode(0o022));
    let done = if spec.walls.has_namespaces() {
        die_with(parent)?;
        enter_identity(&spec.identity, keeps_groups(spec), main)?;
        die_with(parent)?;
        keep_mounts_to_itself()?;
        session::take_input(spec, main)?;
        run_in_private(spec, main)
    } else {
        // This process notices by itself that the main one is gone: were it killed for that, as others are, nobody
        // would be left to end what a command has started.
        set_parent_process_death_signal(None).map_err(Trouble::at("outlive its parent"))?;
        run_in_ward(spec, Ward::begin(parent)?, main)
    };
    let tidy = workplace::tidy(&spec.work).is_ok();
    Ok(Done { tidy, ..done? })
}

/// From now on nobody else sees what this process mounts.
fn keep_mounts_to_itself() -> Result<(), Trouble> {
    sys::unshare(UnshareFlags::NEWNS).map_err(Trouble::at("make a mount namespace"))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Trouble::at("keep its mounts to itself"))
}

/// With ids and mounts that nobody else has.
fn run_in_private(spec: &Spec, main: &mut UnixStream) -> Result<Done, Trouble> {
    if spec.has_services_of_its_own_network() {
        sys::unshare(UnshareFlags::NEWNET).map_err(Trouble::at("make a network namespace"))?;
        sys::bring_loopback_up().map_err(Trouble::at("bring up the loopback network"))?;
    }
    let mut services = service::start(&spec.services, main)?;
    let mut room = Room::furnish(spec, None, None, main)?;
    let mut done = match service::wait_until_ready(&mut services, main) {
        Ok(()) => run_in(&mut room, &services, main)?,
        Err(NotReady::Failed { name, why }) => {
            Done { no_service: Some((name, why)), ..Done::new(Ended::NoService, 0) }
        }
        Err(NotReady::Stopped) => Done::new(Ended::Cancelled, 0),
        Err(NotReady::Trouble(trouble)) => return Err(trouble),
    };
    done.tidy_services = service::stop(services);
    Ok(done)
}

/// In no namespace of its own.
fn run_in_ward(spec: &Spec, ward: Ward, main: &mut UnixStream) -> Result<Done, Trouble> {
    run_in(&mut Room::furnish(spec, None, Some(ward), main)?, &[], main)
}

fn run_in(room: &mut Room<'_>, services: &[Running<'_>], main: &mut UnixStream) -> Result<Done, Trouble> {
    let spec = room.spec;
    room.begin()?;
    let start = Instant::now();
    let End { command, ended, tried } = room.supervise(spec.timeout, main)?;
    let ended_services = service::ended(services);
    let mut done =
        Done { tried, was_full: room.watch.was_full(), ended_services, ..Done::new(ended, command) };
    if spec.session.is_some() {
        return Ok(done);
    }
    let inodes = room.ownership.take().map(Ownership::finish).transpose()?;
    let top = room.top()?;
    let unchanged = room.believed.take_back(top.as_fd(), spec)?;
    let results = results::Results::new(spec, start.elapsed(), inodes, unchanged);
    if ended == Ended::Exit(spec.exit) {
        (done.outputs, done.lacking) = results.outputs(top.as_fd())?;
        done.absent = results.absent(top.as_fd());
        done.lost = lost::lost(spec, &room.folders, &room.copies);
        let bare = bare_root(spec, top.as_fd())?;
        drop(top);
        if spec.walls.has_namespaces() {
            workplace::unmount(&spec.work)?;
        }
        done.change = results.change(&room.stubs, bare.as_ref().map(OwnedFd::as_fd), &room.copies)?;
    } else if spec.is_test && ended != Ended::Cancelled {
        (done.outputs, _) = results.outputs(top.as_fd())?;
    }
    Ok(done)
}

/// The root without what hangs in it, where somebody tells whose the files of a stack of layers are. Elsewhere nothing
/// keeps the stack mounted while they are read.
fn bare_root(spec: &Spec, top: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Trouble> {
    spec.has_ground().then(|| mounts::view_of(top)).transpose().map_err(Trouble::at("view the root"))
}

/// A sandbox with everything in its place, and its first process, which waits for its plan.
struct Room<'s> {
    spec: &'s Spec,
    init: Init,
    watch: Watch<'s>,
    /// Where the spec's snapshots are.
    folders: Vec<PathBuf>,
    /// The root's top, until it is given away.
    top: Option<OwnedFd>,
    stubs: Stubs,
    copies: Copies,
    believed: Believed,
    plan: Plan,
    /// Values of the plan's secret variables.
    secrets: Vec<Hidden>,
    /// Moved back when all is over: `init` comes before it.
    _moved: Vec<Moved>,
    /// Who owns what, where the disk cannot show it.
    ownership: Option<Ownership>,
    /// Keeps the terminal of who sits at it open.
    _terminal: Option<OwnedFd>,
    /// Held until all is over.
    _locks: Vec<OwnedFd>,
}

impl<'s> Room<'s> {
    /// `ready` is a command that says when the service in it is ready, and where that is told. `ward`: where no
    /// namespaces are made.
    fn furnish(
        spec: &'s Spec,
        ready: Option<(Vec<String>, OwnedFd)>,
        ward: Option<Ward>,
        main: &mut UnixStream,
    ) -> Result<Room<'s>, Trouble> {
        let (ready, tell) = ready.unzip();
        let locks = lent::take_locks(spec, main)?;
        if ward.is_some() {
            plain::refuse(spec)?;
        }
        let line = if spec.network.has_proxy() { Some(sockets::hand_over(main)?) } else { None };
        let inherited = Inherited { tell, locks: &locks, calls: None, line };
        // Made before anything that may start threads, since it is a fork.
        let mut init = match ward {
            None => start_init(spec, inherited)?,
            Some(ward) => start_in_ward(ward, inherited)?,
        };
        let mut watch = Watch::new(spec, init.pid)?;
        let lent::Values { files, variables } = lent::take_values(spec, main)?;
        let folders = snapshots::folders(spec, main)?;
        caches::make(spec, main)?;
        let told = main.try_clone().map_err(Trouble::at("listen to the main process"))?;
        let root::Assembled { top, stubs, gifts, copies, moved, believed } =
            root::assemble(spec, &folders, &files, &|| is_spoken_to(&told))?;
        drop(files);
        let account = look_up_account(spec, top.as_fd())?;
        if !spec.tells_owners {
            account::check(
                &spec.identity,
                &[&[account.uid, account.gid], account.groups.as_slice()].concat(),
            )?;
        }
        let mut ownership = match init.calls.take() {
            Some(calls) => {
                let shown = Shown::new(spec, &folders, top.as_fd())?;
                Some(Ownership::new(calls, &account, shown, &copies.noted)?)
            }
            None => None,
        };
        gift::give(gifts, top.as_fd(), &account, &spec.identity, ownership.as_mut())?;
        agents::give(spec, &account)?;
        let terminal = match spec.session.as_ref().and_then(|session| session.terminal) {
            Some(size) => Some(session::open_terminal(top.as_fd(), size, &account, main)?),
            None => None,
        };
        let plan = Plan { ready, ..plan(spec, account) };
        watch.begin();
        Ok(Room {
            spec,
            init,
            watch,
            folders,
            top: Some(top),
            stubs,
            copies,
            believed,
            plan,
            secrets: variables,
            _moved: moved,
            ownership,
            _terminal: terminal,
            _locks: locks,
        })
    }

    /// Lets the commands run.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.init.tell(&self.plan, std::mem::take(&mut self.secrets))
    }

    /// Until nothing inside lives any more. `above` says when to end.
    fn supervise(&mut self, timeout: Option<u64>, above: &mut UnixStream) -> Result<End, Trouble> {
        supervise::supervise(&mut self.init, above, timeout, &mut self.watch, self.ownership.as_mut())
    }

    /// Nothing may hold it when the root is unmounted.
    fn top(&mut self) -> Result<OwnedFd, Trouble> {
        self.top.take().ok_or_else(|| Trouble::environment("the root was left already"))
    }
}

fn remove(parent: i32, identity: &Identity, folder: &Path, main: &mut UnixStream) -> Result<(), Trouble> {
    die_with(parent)?;
    enter_identity(identity, false, main)?;
    die_with(parent)?;
    remove::remove(folder).map_err(Trouble::at(format!("remove {}", folder.display())))
}

/// The zygote may have died before the kernel was told to tell. A change of ids makes the kernel forget it.
fn die_with(parent: i32) -> Result<(), Trouble> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Trouble::at("watch its parent"))?;
    match getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        // Only a main process that is not gone hears it.
        _ => Err(Trouble::environment("the process that sandboxes are born from was killed")),
    }
}

/// Who may use a device is often a group that the caller is in, and that has no number inside.
fn keeps_groups(spec: &Spec) -> bool {
    !spec.devices.is_empty() && spec.identity.has_namespace()
}

fn enter_identity(identity: &Identity, keeps_groups: bool, main: &mut UnixStream) -> Result<(), Trouble> {
    if !identity.has_namespace() {
        return Ok(());
    }
    sys::unshare(UnshareFlags::NEWUSER).map_err(Trouble::at("make a user namespace"))?;
    if let Identity::Single { uid, gid } = identity {
        return map_single(*uid, *gid).map_err(Trouble::at("map its user id"));
    }
    ask(main, &Reply::WantsIds)?;
    become_root(keeps_groups)
}

/// Waits until the main process has done what only it can do.
fn ask(main: &mut UnixStream, wish: &Reply) -> Result<(), Trouble> {
    send(&*main, wish).map_err(Trouble::at("ask the main process"))?;
    let mut said = [0];
    main.read_exact(&mut said).map_err(Trouble::at("wait for the main process"))?;
    match said[0] {
        word::HERE => Ok(()),
        _ => Err(Trouble::environment("the sandbox was stopped before it began")),
    }
}

/// Until then it is nobody in the namespace.
fn become_root(keeps_groups: bool) -> Result<(), Trouble> {
    use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let root = || {
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
        if keeps_groups { Ok(()) } else { set_thread_groups(&[]) }
    };
    root().map_err(Trouble::at("become root inside"))
}

/// What is `inherited` is its own from now on.
fn start_init(spec: &Spec, mut inherited: Inherited<'_>) -> Result<Init, Trouble> {
    let cannot = || Trouble::at::<std::io::Error>("start its first process");
    let (ours, theirs) = UnixStream::pair().map_err(cannot())?;
    let calls = spec.tells_owners.then(UnixStream::pair).transpose().map_err(cannot())?;
    let (our_calls, their_calls) = calls.unzip();
    let mut namespaces =
        UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWCGROUP;
    if spec.network.is_own() && spec.services.is_empty() && !spec.is_service {
        namespaces |= UnshareFlags::NEWNET;
    }
    match sys::clone_into(namespaces).map_err(cannot())? {
        Cloned { side: Side::Child, .. } => {
            drop((ours, our_calls));
            inherited.calls = their_calls;
            init::live(OwnedFd::from(theirs), inherited)
        }
        Cloned { side: Side::Parent { pid }, pidfd } => {
            let pidfd = pidfd.expect("bug: the parent of a clone has its pidfd");
            Ok(Init { pid, pidfd, socket: ours, ward: None, calls: our_calls })
        }
    }
}

/// The same in no namespace.
fn start_in_ward(ward: Ward, inherited: Inherited<'_>) -> Result<Init, Trouble> {
    let cannot = || Trouble::at::<std::io::Error>("start its first process");
    let (ours, theirs) = UnixStream::pair().map_err(cannot())?;
    match sys::fork().map_err(cannot())? {
        Side::Child => {
            drop(ours);
            init::live(OwnedFd::from(theirs), inherited)
        }
        Side::Parent { pid } => {
            let number = Pid::from_raw(pid).expect("bug: fork gives a positive number");
            let pidfd =
                pidfd_open(number, PidfdFlags::empty()).map_err(Trouble::at("watch its first process"))?;
            Ok(Init { pid, pidfd, socket: ours, ward: Some(ward), calls: None })
        }
    }
}

/// Whether the main process has said something, or is gone: either way, it wants no more of this.
fn is_spoken_to(main: &UnixStream) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(main, PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0)
}

/// In the root's own files; where commands have the machine's root, in the machine's.
fn look_up_account(spec: &Spec, top: BorrowedFd<'_>) -> Result<Account, Trouble> {
    let user = spec.user.as_deref();
    if spec.walls != Walls::Bare {
        return account::look_up(top, user);
    }
    let machine = workplace::open(Path::new("/")).map_err(Trouble::at("open /"))?;
    let account = account::look_up(machine.as_fd(), user)?;
    // What a command keeps at home is none of the user's.
    Ok(Account { home: workplace::copied_root(&spec.work).to_string_lossy().into_owned(), ..account })
}

/// Who is root of the machine inside, too, could change the machine by files of /proc alone: there, what covers them
/// is put where it cannot be taken away.
fn rights(spec: &Spec) -> Rights {
    match (&spec.identity, spec.privileged) {
        (_, false) => Rights::Few,
        (Identity::Single { uid, .. } | Identity::Ranges { uid, .. }, true) if *uid != 0 => Rights::All,
        (_, true) => Rights::AllBelow,
    }
}

fn plan(spec: &Spec, account: Account) -> Plan {
    let mut environment = spec.environment.clone();
    if !environment.iter().any(|(name, _)| name == "HOME") {
        environment.push(("HOME".to_owned(), account.home.clone()));
    }
    let folders = match &spec.root {
        Root::Host { folders, .. } => folders.clone(),
        Root::Layers { .. } => Vec::new(),
    };
    let is_single = matches!(spec.identity, Identity::Single { .. });
    let root = match spec.walls.has_namespaces() {
        true => workplace::root(&spec.work),
        false => workplace::copied_root(&spec.work),
    };
    if spec.walls == Walls::Bare {
        environment.push((BARE_ROOT.to_owned(), root.to_string_lossy().into_owned()));
    }
    Plan {
        walls: spec.walls,
        root,
        folders,
        commands: spec.commands.clone(),
        environment,
        secret_variables: spec.lent.secret_variables.clone(),
        workdir: spec.workdir.clone(),
        account,
        ids: !is_single,
        hostname: spec.hostname.clone(),
        network: spec.network,
        ports: spec.ports.clone(),
        emulator: spec.emulator.clone(),
        has_namespace: spec.identity.has_namespace(),
        rights: rights(spec),
        keeps_groups: keeps_groups(spec),
        processes: spec.bounds.pids,
        session: spec.session.clone(),
        ready: None,
        answers_names: !spec.is_service,
        processors: spec.bounds.processors,
        ignore_ownership: is_single && matches!(spec.root, Root::Host { .. }),
    }
}
