//! The process that all sandboxes of this process are born from, seen from here: this program, started once,
//! when the first sandbox is wanted. Starting this program costs more than all else about a small sandbox.
//!
//! It notices the death of this process by its closed socket. The kernel's own notice (`PR_SET_PDEATHSIG`)
//! is for the end of a thread, and the thread that wants the first sandbox ends before others do.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::exec::sandbox::{ARGUMENT, rights};

/// Starts nothing until a sandbox is wanted, and ends what it started when it is dropped.
#[derive(Debug)]
pub struct Zygote {
    program: PathBuf,
    process: Mutex<Option<Process>>,
}

/// A new sandbox's own process, which waits for its duty.
pub(crate) struct Newborn {
    pub socket: UnixStream,
    pub pid: u32,
    pub pidfd: OwnedFd,
    pub stdout: File,
    pub stderr: File,
}

impl Zygote {
    /// `program` is this program, as a path that can be started.
    pub fn new(program: PathBuf) -> Zygote {
        Zygote { program, process: Mutex::default() }
    }

    /// A zygote that has died, for whatever reason, is replaced, maybe by somebody else who wanted something of it.
    pub(crate) fn bear(&self) -> io::Result<Newborn> {
        let mut asked = None;
        match self.try_to_bear(&mut asked) {
            Err(_) if asked.is_some_and(|asked| !self.has(asked)) => self.try_to_bear(&mut asked),
            other => other,
        }
    }

    /// `asked`: which process was.
    fn try_to_bear(&self, asked: &mut Option<u32>) -> io::Result<Newborn> {
        let (socket, socket_end) = UnixStream::pair()?;
        let (stdout, stdout_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_end) = pipe_with(PipeFlags::CLOEXEC)?;
        self.wish(&[socket_end.as_fd(), stdout_end.as_fd(), stderr_end.as_fd()], asked)?;
        drop((socket_end, stdout_end, stderr_end));
        let (pid, [pidfd]) = rights::receive(&socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Newborn {
            socket,
            pid: u32::from_le_bytes(pid),
            pidfd,
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }

    fn wish(&self, dowry: &[BorrowedFd<'_>; 3], asked: &mut Option<u32>) -> io::Result<()> {
        let mut process = self.process.lock().expect("bug: poisoned");
        let process = match &mut *process {
            Some(process) if !process.is_gone() => process,
            gone => gone.insert(Process::start(&self.program)?),
        };
        *asked = Some(process.child.id());
        rights::send(&process.wishes, b"b", dowry)
    }

    /// Whether this process is alive and the one that is asked.
    fn has(&self, id: u32) -> bool {
        let process = self.process.lock().expect("bug: poisoned");
        process.as_ref().is_some_and(|process| process.child.id() == id && !process.is_gone())
    }
}

#[derive(Debug)]
struct Process {
    child: Child,
    wishes: UnixStream,
}

impl Process {
    fn start(program: &Path) -> io::Result<Process> {
        let (wishes, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg(ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the main process, which then says how urgent it is.
            .process_group(0)
            .spawn()?;
        Ok(Process { child, wishes })
    }

    /// Nobody but itself has the other end.
    fn is_gone(&self) -> bool {
        let mut end = [PollFd::new(&self.wishes, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut end, Some(&now)).is_ok() && end[0].revents().contains(PollFlags::HUP)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.wishes.shutdown(Shutdown::Both);
        let _ = self.child.wait();
    }
}
