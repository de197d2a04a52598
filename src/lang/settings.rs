//! What is set beside the graph, and who says so. **Which setting wins, in this order:**
//!
//! 1. the flag, 2. the environment variable, 3. the profile, 4. the workspace block, 5. the user's own
//!    settings, 6. the default.
//!
//! | setting | flag | variable | profile, workspace | user | default |
//! |---|---|---|---|---|---|
//! | store | `--store` | `MEMOBUILD_STORE` | `cache { l2 path= }` | `store` | the user's cache folder |
//! | profile | `--profile` | `MEMOBUILD_PROFILE` | | `profile` | none |
//! | jobs | `--jobs` | `MEMOBUILD_JOBS` | | `jobs` | 8, or the processors |
//! | progress | `--progress` | `MEMOBUILD_PROGRESS` | | `progress` | `auto` |
//! | parameters | `--param` | the param's `env=` | `profile { param }` | | `default=` |
//! | caches, remotes | | | yes | yes | none |
//! | ssh agents | `--ssh` | `SSH_AUTH_SOCK` | | | none |
//! | secrets | `--secret` | | yes | yes | none |
//! | `policy`, `host { include }` | | | yes | | all allowed |
//!
//! A user's settings never change a result, nor loosen a policy. The command line puts all of it together
//! (`cli/settings.rs`); here it is only laid over each other.

pub mod profiles;
pub mod user;

use std::collections::BTreeMap;

use crate::base::suggest;
use crate::graph::op::HostFolder;
use crate::lang::code::Code;
use crate::lang::interpolate::Plain;
use crate::lang::mistake::{Mistake, Span, shorten};
use crate::lang::policy::Policy;

/// A `workspace` block: its own settings and its profiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workspace {
    pub base: Settings,
    pub profiles: BTreeMap<String, Settings>,
}

/// `None` and empty: not said here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Of the workspace.
    pub name: Option<String>,
    /// The profile that was asked for.
    pub profile: Option<String>,
    pub cache: Cache,
    /// By the registry that they stand for.
    pub remotes: BTreeMap<String, Remote>,
    pub secrets: BTreeMap<String, SecretSource>,
    pub policy: Policy,
    /// Shown to runs on `host`.
    pub host_folders: Vec<HostFolder>,
    pub params: BTreeMap<String, ProfileParam>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    /// Bytes.
    pub l1_memory: Option<u64>,
    /// Bytes.
    pub l2_max: Option<u64>,
    /// As written: below the workspace's root unless it is absolute.
    pub l2_path: Option<String>,
    pub l3_address: Option<String>,
    pub l3_push: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub host: String,
    pub insecure: bool,
}

/// Where the caller keeps a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Env(String),
    File(String),
    Command(String),
}

/// A parameter's value in a profile, and where it stands in the root file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileParam {
    pub value: Plain,
    pub span: Span,
}

impl Workspace {
    /// What holds under that profile. An unknown one is answered with those that there are.
    pub fn settle(&self, profile: Option<&str>) -> Result<Settings, Box<Mistake>> {
        let Some(name) = profile else { return Ok(self.base.clone()) };
        let (built_in, own) = (profiles::built_in(name), self.profiles.get(name));
        if built_in.is_none() && own.is_none() {
            return Err(Box::new(self.unknown(name)));
        }
        let mut settled = self.base.clone();
        built_in.into_iter().chain(own.cloned()).for_each(|over| settled.lay_over(over));
        settled.profile = Some(name.to_owned());
        Ok(settled)
    }

    fn unknown(&self, name: &str) -> Mistake {
        let mut known: Vec<&str> = profiles::NAMES.to_vec();
        known.extend(self.profiles.keys().map(String::as_str).filter(|own| !profiles::NAMES.contains(own)));
        let help = suggest::help(name, &known, suggest::ticked, "profiles");
        Mistake::new(Code::ProfileUnknown, format!("there is no profile `{}`", shorten(name)), help)
    }
}

impl Settings {
    /// What `over` says wins; folders of the host are added.
    pub fn lay_over(&mut self, over: Settings) {
        let Settings { name, profile, cache, remotes, secrets, policy, host_folders, params } = over;
        replace(&mut self.name, name);
        replace(&mut self.profile, profile);
        self.cache.lay_over(cache);
        self.remotes.extend(remotes);
        self.secrets.extend(secrets);
        self.policy.lay_over(policy);
        for folder in host_folders {
            self.host_folders.retain(|known| known.path != folder.path);
            self.host_folders.push(folder);
        }
        self.params.extend(params);
    }
}

impl Cache {
    fn lay_over(&mut self, over: Cache) {
        let Cache { l1_memory, l2_max, l2_path, l3_address, l3_push } = over;
        replace(&mut self.l1_memory, l1_memory);
        replace(&mut self.l2_max, l2_max);
        replace(&mut self.l2_path, l2_path);
        replace(&mut self.l3_address, l3_address);
        replace(&mut self.l3_push, l3_push);
    }
}

impl SecretSource {
    /// Of the three ways to say it exactly one; else what is wrong.
    pub fn new(
        env: Option<&str>,
        file: Option<&str>,
        command: Option<&str>,
    ) -> Result<SecretSource, &'static str> {
        match (env, file, command) {
            (Some(env), None, None) => Ok(SecretSource::Env(env.to_owned())),
            (None, Some(file), None) => Ok(SecretSource::File(file.to_owned())),
            (None, None, Some(command)) => Ok(SecretSource::Command(command.to_owned())),
            (None, None, None) => Err("needs `from-env=`, `from-file=` or `from-command=`"),
            _ => Err("takes one of `from-env=`, `from-file=` and `from-command=`, not several"),
        }
    }
}

/// What is said later wins.
pub(in crate::lang) fn replace<T>(said: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *said = over;
    }
}

/// The first that says something, in the order at the top of this file.
#[derive(Debug)]
pub struct Choice<T> {
    pub flag: Option<T>,
    pub variable: Option<T>,
    /// Of the profile, else of the workspace block.
    pub workspace: Option<T>,
    pub user: Option<T>,
    pub default: Option<T>,
}

impl<T> Choice<T> {
    pub fn first(self) -> Option<T> {
        self.flag.or(self.variable).or(self.workspace).or(self.user).or(self.default)
    }
}

#[cfg(test)]
mod tests;
