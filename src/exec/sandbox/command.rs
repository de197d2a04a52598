//! Starts one command inside a sandbox: its own session, its own ids, a clean set of signals, and no
//! descriptor but 0, 1 and 2.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{Gid, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, setsid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::session;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys::{self, Side};

pub(super) enum NotStarted {
    /// There is no such program.
    NotFound,
    Other(Trouble),
}

/// What a command's standard streams are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    /// Those of the first process.
    Inherited,
    /// What is written is lost.
    Lost,
    /// The sandbox's first terminal.
    Terminal,
}

/// Whom a command runs as.
#[derive(Clone, Copy)]
pub(super) struct User<'p> {
    /// Whose ids to take, where there is more than one id to choose from.
    pub account: Option<&'p Account>,
    /// Who is in no group stays in those that this process is in.
    pub keeps_groups: bool,
}

pub(super) fn start(
    arguments: &[String],
    environment: &[(String, String)],
    user: User<'_>,
    streams: Streams,
) -> Result<Pid, NotStarted> {
    let command = Command::new(arguments, environment).map_err(NotStarted::Other)?;
    let cannot = || |error: io::Error| NotStarted::Other(Trouble::at("start a command")(error));
    // Closed by a successful `exec`; else it brings the error.
    let (errors, tell) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| cannot()(error.into()))?;
    match sys::fork().map_err(cannot())? {
        Side::Child => become_command(&command, user, streams, tell),
        Side::Parent { pid } => {
            drop(tell);
            let pid = Pid::from_raw(pid).expect("bug: fork gives a positive number");
            let mut error = Vec::new();
            File::from(errors).read_to_end(&mut error).map_err(cannot())?;
            match error.try_into() {
                Ok(number) => Err(refused(&arguments[0], i32::from_le_bytes(number))),
                Err(_) => Ok(pid),
            }
        }
    }
}

fn refused(program: &str, error: i32) -> NotStarted {
    if matches!(error, libc::ENOENT | libc::ENOTDIR) {
        return NotStarted::NotFound;
    }
    let error = io::Error::from_raw_os_error(error);
    NotStarted::Other(Trouble::input(
        format!("`{program}` cannot be run: {error}"),
        "it must be an executable program for this machine, or a script that starts with `#!`",
    ))
}

fn become_command(command: &Command, user: User<'_>, streams: Streams, tell: OwnedFd) -> ! {
    let error = match prepare(user, streams) {
        Ok(()) => command.execute(),
        Err(error) => error,
    };
    let number = error.raw_os_error().unwrap_or(libc::EINVAL);
    let _ = File::from(tell).write_all(&number.to_le_bytes());
    match sys::exit(127) {}
}

fn prepare(user: User<'_>, streams: Streams) -> io::Result<()> {
    if streams == Streams::Lost {
        // Standard input is /dev/null.
        rustix::stdio::dup2_stdout(io::stdin().as_fd())?;
        rustix::stdio::dup2_stderr(io::stdin().as_fd())?;
    }
    // A session of its own has no terminal, and is a process group that can be ended as one.
    setsid()?;
    if streams == Streams::Terminal {
        session::take_terminal()?;
    }
    sys::reset_signals();
    sys::close_on_exec_from(3)?;
    if let Some(account) = user.account {
        let groups: Vec<Gid> = account.groups.iter().map(|&group| Gid::from_raw(group)).collect();
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        if !user.keeps_groups || !groups.is_empty() {
            set_thread_groups(&groups)?;
        }
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    Ok(())
}

struct Command {
    /// Where to look, in order.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn new(arguments: &[String], environment: &[(String, String)]) -> Result<Command, Trouble> {
        let path = environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, path)| path);
        let candidates = match arguments.first() {
            Some(program) => candidates(program, path),
            None => return Err(Trouble::input("a command has no words", "name a program")),
        };
        let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(Command {
            candidates: c_strings(candidates)?,
            arguments: c_strings(arguments.iter().cloned())?,
            environment: c_strings(variables)?,
        })
    }

    /// Tries every candidate; the error that says most is the one that is not "not found".
    fn execute(&self) -> io::Error {
        let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
        for program in &self.candidates {
            let error = sys::execute(program, &self.arguments, &self.environment);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => worst = error,
                _ => return error,
            }
        }
        worst
    }
}

fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| format!("{folder}/{program}")).collect()
}

fn c_strings(texts: impl IntoIterator<Item = String>) -> Result<Vec<CString>, Trouble> {
    let c_string = |text: String| {
        CString::new(text).map_err(|_| Trouble::input("a command holds a NUL byte", "remove it"))
    };
    texts.into_iter().map(c_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert_eq!(candidates("cc", "/a:/b"), ["/a/cc", "/b/cc"]);
        assert_eq!(candidates("cc", "/a:"), ["/a/cc", "./cc"]);
        assert_eq!(candidates("./cc", "/a"), ["./cc"]);
    }
}
