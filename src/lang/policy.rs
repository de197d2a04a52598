//! What a workspace lets its builds do, and which nodes do more than that. Looks at the graph only, and only
//! at the nodes that are needed: what runs really do is the sandbox's part.

mod check;

pub use check::{check, mistakes};

use std::fmt;

use crate::lang::code::Code;
use crate::lang::mistake::Mistake;
use crate::lang::settings::replace;
use crate::net::hosts::Hosts;

/// `None`: nobody says, which allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub network: Option<Said<NetworkRule>>,
    pub unpinned: Option<Said<Unpinned>>,
    /// The weakest rung on which runs may execute, as `doctor` names it.
    pub isolation: Option<Said<String>>,
    pub registries: Option<Said<Vec<String>>>,
    /// Whether runs may stand on `host`.
    pub host: Option<Said<bool>>,
    /// Whether `${git.…}` may stand in values.
    pub git_values: Option<Said<bool>>,
    pub lock: Option<Said<LockRule>>,
}

/// A rule, and who set it, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    pub rule: T,
    pub by: By,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    Workspace,
    Profile(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkRule {
    Allow,
    Deny,
    /// Only these may be reached.
    Hosts(Hosts),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpinned {
    Allow,
    Warn,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockRule {
    /// The lock file holds all that it could, and is not written.
    Frozen,
    Update,
}

impl Policy {
    pub fn lay_over(&mut self, over: Policy) {
        let Policy { network, unpinned, isolation, registries, host, git_values, lock } = over;
        replace(&mut self.network, network);
        replace(&mut self.unpinned, unpinned);
        replace(&mut self.isolation, isolation);
        replace(&mut self.registries, registries);
        replace(&mut self.host, host);
        replace(&mut self.git_values, git_values);
        replace(&mut self.lock, lock);
    }

    /// Who forbids that the lock file changes.
    pub fn frozen_by(&self) -> Option<&By> {
        self.lock.as_ref().filter(|said| said.rule == LockRule::Frozen).map(|said| &said.by)
    }

    /// For whoever puts `${git.…}` into a value; the place is added there.
    pub fn git_value(&self, written: &str) -> Option<Mistake> {
        let denied = self.git_values.as_ref().filter(|said| !said.rule)?;
        let message = format!("{} has `git-values deny`, and this uses `{written}`", denied.by);
        Some(Mistake::new(Code::PolicyGitValues, message, "take the value from a param instead"))
    }
}

impl<T> Said<T> {
    pub fn new(rule: T, by: &By) -> Said<T> {
        Said { rule, by: by.clone() }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            By::Workspace => f.write_str("the workspace"),
            By::Profile(name) => write!(f, "profile `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests;
