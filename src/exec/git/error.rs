//! What can go wrong with a repository, each with one thing to do about it.

use std::io;

use crate::exec::executor::ExecError;
use crate::store::object::StoreError;

/// Addresses are as they may be shown.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
    #[error("the program `git` is not installed")]
    NoProgram,
    #[error("git cannot be used: {0}")]
    Io(io::Error),
    #[error("`{address}` {reason}")]
    Address { address: String, reason: &'static str, help: &'static str },
    #[error("there is no repository at {address}")]
    NoRepository { address: String },
    #[error("{address} asks for a login, and git has none that it takes")]
    Login { address: String },
    #[error("ssh does not know the host of {address}")]
    HostKey { address: String },
    #[error("{address} cannot be reached: {said}")]
    Network { address: String, said: String },
    #[error("the repository {address} belongs to another user, and git does not trust it")]
    Owner { address: String },
    #[error("git cannot fetch {address}: {said}")]
    Other { address: String, said: String },
    #[error("git refuses what {address} holds: {said}")]
    Malformed { address: String, said: String },
    #[error("{address} has no branch and no tag `{reference}`")]
    NoReference { address: String, reference: String, nearest: Option<String> },
    #[error("{address} does not say which branch is its own")]
    NoHead { address: String, branches: Vec<String> },
    #[error("{address} has no commit {commit}")]
    NoCommit { address: String, commit: String },
    #[error("{commit} of {address} is a {kind}, not a commit")]
    NotACommit { address: String, commit: String, kind: String },
    #[error("`{path}` is not in the commit")]
    NoPath { path: String, nearest: Option<String> },
    #[error("`{path}` leads through `{at}`, which is {what}")]
    Through { path: String, at: String, what: &'static str },
    #[error("`{path}` of the commit {reason}")]
    Entry { path: String, reason: &'static str },
    #[error("the commit has more than {0} files and folders")]
    TooMany(u64),
    #[error("submodule `{path}`: {cause}")]
    Submodule { path: String, cause: Box<GitError> },
    #[error("the submodule `{0}` has no address in .gitmodules")]
    NoUrl(String),
    #[error("submodules lie in each other more than {0} deep")]
    TooDeep(usize),
    #[error(".gitmodules cannot be read: {0}")]
    Modules(String),
    /// What a kept repository holds is not what it should be.
    #[error("git handed over something else than object {0}")]
    Damaged(String),
}

impl GitError {
    /// What the user wrote is to be changed, and not where the machine stands.
    pub(super) fn is_input(&self) -> bool {
        match self {
            GitError::Submodule { cause, .. } => cause.is_input(),
            GitError::Store(_)
            | GitError::Cancelled
            | GitError::NoProgram
            | GitError::Io(_)
            | GitError::Login { .. }
            | GitError::HostKey { .. }
            | GitError::Network { .. }
            | GitError::Owner { .. }
            | GitError::Other { .. }
            | GitError::Damaged(_) => false,
            _ => true,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            GitError::Submodule { cause, .. } => return cause.help(),
            GitError::Store(_) | GitError::Cancelled | GitError::Io(_) => return None,
            GitError::NoProgram => "install git",
            GitError::Address { help, .. } => help,
            GitError::NoRepository { .. } => {
                "correct the address; or, if it is private, let git know a login for it"
            }
            GitError::Login { address } => {
                return Some(format!(
                    "give git a credential helper, or ssh a key, until `git ls-remote {address}` needs no password"
                ));
            }
            GitError::HostKey { .. } => "connect to the host with ssh once, and confirm its key",
            GitError::Network { .. } => {
                "build again when it can be reached; what was fetched before needs no network"
            }
            GitError::Owner { address } => {
                return Some(format!("if you trust it: git config --global --add safe.directory {address}"));
            }
            GitError::Other { address, .. } => {
                return Some(format!("try `git ls-remote {address}`, which git must be able to do"));
            }
            GitError::NoReference { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean ref=\"{nearest}\"?"));
            }
            GitError::NoReference { reference, .. } if is_commit(reference) => {
                return Some(format!("a commit is written as commit=\"{reference}\""));
            }
            GitError::NoReference { .. } => "name a branch or a tag that `git ls-remote` lists",
            GitError::NoHead { branches, .. } => {
                return Some(match branches.first() {
                    Some(branch) => format!("name a branch: ref=\"{branch}\""),
                    None => "it has no commits yet: push one".to_owned(),
                });
            }
            GitError::NoCommit { .. } => "correct the commit, or push it there",
            GitError::NotACommit { .. } => "give the commit, or the tag as ref=\"…\"",
            GitError::NoPath { nearest: Some(nearest), .. } => {
                return Some(format!("did you mean path=\"{nearest}\"?"));
            }
            GitError::NoPath { .. } => "name a folder that is in the commit",
            GitError::Through { what, .. } if *what == SUBMODULE => "add submodules=#true",
            GitError::Through { .. } => "name the folder itself",
            GitError::Malformed { .. } | GitError::Entry { .. } | GitError::TooMany(_) => {
                "fetch another commit, or a part of it with path="
            }
            GitError::NoUrl(_) | GitError::TooDeep(_) | GitError::Modules(_) => {
                "leave `submodules` out, and fetch what is needed with `git` lines of its own"
            }
            GitError::Damaged(_) => "build again",
        };
        Some(help.to_owned())
    }
}

/// For `GitError::Through`.
pub(super) const SUBMODULE: &str = "a submodule";

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl From<io::Error> for GitError {
    fn from(error: io::Error) -> GitError {
        match error.downcast::<StoreError>() {
            Ok(cause) => GitError::Store(cause),
            Err(error) => GitError::Io(error),
        }
    }
}

impl From<GitError> for ExecError {
    fn from(error: GitError) -> ExecError {
        let (message, help) = (error.to_string(), error.help());
        match error {
            GitError::Store(error) => error.into(),
            GitError::Cancelled => ExecError::Cancelled,
            error if error.is_input() => ExecError::Input { message, help: help.unwrap_or_default() },
            _ => ExecError::Environment { message, help },
        }
    }
}
