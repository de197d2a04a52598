//! The seam between deciding and doing: the engine hands over an action, an executor makes its outputs.

use std::collections::BTreeMap;

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
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
            kept: BTreeMap::new(),
        }
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
            Cause::Expectation(words) => write!(f, "`{command}` {words}"),
        }
    }
}
