//! The seam between deciding and doing: the engine hands over an action, an executor makes its outputs.

use std::collections::BTreeMap;

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::base::size::size_text;
use crate::graph::action::Action;
use crate::graph::op::Op;
use crate::graph::value::Value;
use crate::lang::code::Code;
use crate::oci::image::Platform;
use crate::store::object::StoreError;
use crate::store::record::Lost;
use crate::store::traffic::{Refused, Traffic};

pub trait Executor: Sync {
    /// Fills in what a name points to now (an image's digest for its tag), so that the key holds it.
    fn pin(&self, op: &mut Op, platform: &Platform) -> Result<(), ExecError>;

    /// Whether a result made on that isolation rung is as good as one that would be made here.
    fn accepts(&self, rung: &str) -> Result<bool, ExecError>;

    /// Whether a run that reached that, and was refused that, would do just so here.
    fn would_reach(&self, traffic: &Traffic) -> bool;

    /// Hears what a node came to, made or recalled: of a pulled image, where its layers lie.
    fn settled(&self, op: &Op, outputs: &BTreeMap<String, Value>);

    /// Keeps what it learned of the sources for the next build.
    fn finish(&self) -> Result<(), ExecError>;

    /// Blocks until the action is done. `listener` hears what a command writes, as it comes.
    fn execute(
        &self,
        action: &Action,
        cancel: &Cancel,
        listener: &mut dyn Listener,
    ) -> Result<Made, ExecError>;
}

pub trait Listener: Send {
    /// Bytes as they come, not yet cut into lines.
    fn output(&mut self, stream: Stream, bytes: &[u8]);

    /// An attempt failed so, and attempt number `attempt` begins. Who shows nothing need not care.
    fn retries(&mut self, failure: &Failure, attempt: u32, most: u32) {
        let _ = (failure, attempt, most);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What an action made. Everything it names is in the store.
#[derive(Debug, Clone)]
pub struct Made {
    pub outputs: BTreeMap<String, Value>,
    pub log: Option<BlobDigest>,
    /// Isolation rung (`A` to `F`), where a process ran.
    pub rung: Option<String>,
    /// Whether other machines may use the result.
    pub shareable: bool,
    /// Bytes of file content that a scan read or a command wrote.
    pub bytes: u64,
    /// How often it was run until it did not fail.
    pub attempts: u32,
    /// What a run wrote below its copy-on-write mounts.
    pub lost: Lost,
    /// What a run reached through its proxy.
    pub traffic: Traffic,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The user's own command or test failed.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// Rules of the user's own `check` that do not hold: each with what was found.
    #[error("{}", .0.join("; "))]
    Unmet(Vec<String>),
    /// What the user wrote does not fit what the inputs hold; second, one action to take.
    #[error("{message}")]
    Input { message: String, help: String },
    /// The same, for what has a code of its own; `label` is told under `words` of the node, or under its first.
    #[error("{message}")]
    Mistake { code: Code, message: String, words: Option<String>, label: &'static str, help: String },
    /// Disk, kernel, permissions; with what to do about it, where that is known.
    #[error("{message}")]
    Environment { message: String, help: Option<String> },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
}

impl ExecError {
    /// What was damaged is put aside by now; a file that no longer holds what the scan found is read again.
    pub fn is_mended_by_another_attempt(&self) -> bool {
        matches!(
            self,
            ExecError::Store(StoreError::Damaged(_) | StoreError::Missing(_) | StoreError::Changed { .. })
        )
    }

    /// Names the slot whose input does not fit: who looked at the input did not know for what it was.
    pub fn about(self, slot: &str) -> ExecError {
        match self {
            ExecError::Input { message, help } => {
                ExecError::Input { message: format!("`{slot}`: {message}"), help }
            }
            error => error,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Failure {
    /// The command as a shell would show it.
    pub command: String,
    pub cause: Cause,
    /// All it wrote.
    pub log: Option<BlobDigest>,
    /// Names of machines that it asked for, the first few: it has no network.
    pub tried: Vec<String>,
    /// Whom its proxy did not let it through to.
    pub refused: Vec<Refused>,
    /// How often it was tried.
    pub attempts: u32,
    /// The limit on processes, if it wanted more of them at once.
    pub processes: Option<u64>,
    /// Services that had ended before it did.
    pub ended_services: Vec<String>,
    /// Outputs that a failed test left all the same, by name; they are in the store, and nothing remembers them.
    pub kept: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    Exit(i32),
    Signal(i32),
    /// Seconds.
    Timeout(u64),
    NotFound,
    /// A service that it needs was not ready.
    NoService {
        name: String,
        why: String,
    },
    /// All its processes together wanted more than this many bytes of memory.
    OutOfMemory(u64),
    /// It had more than this many processes at once.
    TooManyProcesses(u64),
    /// It wrote more than this many bytes.
    TooMuchWritten(u64),
    /// A test's expectation that did not hold, in words.
    Expectation(String),
}

impl Failure {
    /// Nothing is known but how the command ended.
    pub fn new(command: impl Into<String>, cause: Cause) -> Failure {
        Failure {
            command: command.into(),
            cause,
            log: None,
            tried: Vec::new(),
            refused: Vec::new(),
            attempts: 1,
            processes: None,
            ended_services: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// The word of `limits` that would have to be greater, if one was too small.
    pub fn limit(&self) -> Option<&'static str> {
        match self.cause {
            Cause::OutOfMemory(_) => Some("memory"),
            Cause::TooManyProcesses(_) => Some("pids"),
            Cause::TooMuchWritten(_) => Some("disk"),
            Cause::Timeout(_) => Some("timeout"),
            _ => self.processes.map(|_| "pids"),
        }
    }

    /// Whether trying again has any sense: what does not exist will not exist then.
    pub fn may_pass_again(&self) -> bool {
        self.cause != Cause::NotFound
    }

    /// The command, where it is a script by its first line.
    pub fn shown(&self) -> String {
        let mut lines = self.command.lines();
        let first = lines.next().unwrap_or_default();
        if lines.next().is_some() { format!("{first} …") } else { first.to_owned() }
    }
}

impl From<Failure> for ExecError {
    fn from(failure: Failure) -> ExecError {
        ExecError::Failed(Box::new(failure))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let command = self.shown();
        match &self.cause {
            Cause::Exit(code) => write!(f, "`{command}` ended with exit code {code}"),
            Cause::Signal(signal) => write!(f, "`{command}` was killed by signal {signal}"),
            Cause::Timeout(seconds) => write!(f, "`{command}` did not end within {seconds} s"),
            Cause::NotFound => write!(f, "`{command}`: there is no such program in its root filesystem"),
            Cause::NoService { name, why } => {
                write!(f, "`{command}` was not started: its service `{name}` {why}")
            }
            Cause::OutOfMemory(bytes) => {
                write!(f, "`{command}` was killed: out of memory, its limit is {}", size_text(*bytes))
            }
            Cause::TooManyProcesses(most) => {
                write!(f, "`{command}` was killed: it had more processes than its limit of {most}")
            }
            Cause::TooMuchWritten(bytes) => {
                write!(f, "`{command}` wrote more to the disk than its limit of {}", size_text(*bytes))
            }
            Cause::Expectation(words) => write!(f, "`{command}` {words}"),
        }?;
        for name in &self.ended_services {
            write!(f, "; its service `{name}` had ended before")?;
        }
        if let Some(most) = self.processes {
            write!(f, "; it was refused more processes than its limit of {most}")?;
        }
        if self.attempts > 1 {
            write!(f, ", at its last of {} attempts", self.attempts)?;
        }
        Ok(())
    }
}
