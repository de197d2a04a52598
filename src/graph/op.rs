//! What the engine can do. The language is wide and lowers to these; a new node kind needs no new op.
//!
//! An op names its inputs by index into the node's list of inputs (`graph.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::tree_path::TreePath;
use crate::oci::image::{Config, Healthcheck, Packing};
use crate::tree::scan::Scan;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Local files → tree. A source: looked at in every build.
    Scan(Scan),
    /// This machine's programs → host. A source.
    Host,
    /// A local image layout → image.
    Pull(Pull),
    /// Trees → tree, rootfs or image. Starts no process.
    Assemble(Assemble),
    /// A command in a sandbox → outputs, and what it changed on its root.
    Run(Box<Run>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pull {
    /// An image layout (image-spec, image-layout.md), below the workspace's root or absolute.
    pub layout: String,
    /// Tag (`org.opencontainers.image.ref.name`) or `sha256:…`; `None` where the layout holds one image.
    pub reference: Option<String>,
    pub digest: Option<String>,
}

/// Composes files. With `from` the result keeps its layers and adds one for each of `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Assemble {
    pub from: From,
    pub layers: Vec<Vec<Place>>,
    pub result: Composition,
}

/// What something stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// Nothing: the result is a tree.
    #[default]
    Nothing,
    /// An empty root filesystem.
    Scratch,
    /// The host input at this index (a `Run` only).
    Host(usize),
    /// The rootfs or image input at this index.
    Input(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// One tree (all `layers` in one), when `from` is `Nothing`.
    Tree,
    Rootfs,
    Image(Box<ImageSettings>),
}

/// One tree operation, done in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Copy {
        /// Index of a tree input.
        input: usize,
        to: TreePath,
        /// `to` ended in `/`: a file lands inside it, under `name`.
        into: bool,
        /// The last name of where the file was selected, put out or found; a tree of one file knows none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        owner: Option<Owner>,
        mode: Option<u32>,
    },
    Merge {
        inputs: Vec<usize>,
        /// One path with two different contents is an error.
        conflicts_fail: bool,
    },
    File {
        path: TreePath,
        text: String,
        mode: u32,
    },
    Dir {
        path: TreePath,
        mode: u32,
    },
    Symlink {
        path: TreePath,
        target: String,
    },
    /// Globs, relative to the root of what is composed.
    Remove {
        globs: Vec<String>,
    },
}

/// `user`, `user:group`, `0`, `0:0`; names are looked up in the root that the files land on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Owner(pub String);

/// How an image changes the configuration it inherits. `None` leaves a field alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigEdit {
    /// In order; `None` removes the name.
    pub env: Vec<(String, Option<String>)>,
    pub labels: Vec<(String, Option<String>)>,
    pub entrypoint: Option<Edit<Vec<String>>>,
    pub cmd: Option<Edit<Vec<String>>>,
    pub workdir: Option<Edit<String>>,
    pub user: Option<Edit<String>>,
    pub shell: Option<Edit<Vec<String>>>,
    pub stop_signal: Option<Edit<String>>,
    pub healthcheck: Option<Edit<Healthcheck>>,
    pub author: Option<Edit<String>>,
    pub ports: Vec<String>,
    pub volumes: Vec<String>,
    pub onbuild: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Edit<T> {
    Set(T),
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageSettings {
    pub names: Vec<String>,
    pub config: ConfigEdit,
    pub annotations: BTreeMap<String, String>,
    pub packing: Packing,
    pub created: Option<u64>,
    pub squash: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    pub from: From,
    /// Whether the root's env, workdir, user and shell are obeyed.
    pub inherit: bool,
    pub commands: Vec<Command>,
    /// For this run only; `None` removes an inherited name.
    pub env: Vec<(String, Option<String>)>,
    pub workdir: Option<TreePath>,
    pub user: Option<String>,
    pub shell: Option<Vec<String>>,
    /// `build` where nothing is said.
    pub hostname: Option<String>,
    pub network: Network,
    pub mounts: Vec<Mount>,
    pub outputs: Vec<Output>,
    /// A test: passes when all of this holds.
    pub expect: Option<Expect>,
    /// Not in the key.
    pub limits: Limits,
    /// Any text; another text is another key.
    pub salt: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    Exec(Vec<String>),
    /// The last argument of the shell.
    Sh(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    #[default]
    None,
    /// The machine's own. The result is never shared with other machines.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Mount {
    /// Index of a tree input.
    pub input: usize,
    pub at: TreePath,
    pub access: Access,
    /// `Some` if runs made it: then it looks older than all other mounts, and than this many of the root's
    /// topmost layers (`age.rs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Writes are allowed and thrown away.
    Cow,
    Ro,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Output {
    pub name: String,
    pub path: TreePath,
    pub kind: OutputKind,
    pub optional: bool,
    pub include: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    Dir,
    File,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Expect {
    pub exit: i32,
    pub stdout: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limits {
    /// Seconds.
    pub timeout: Option<u64>,
}

/// Outputs that every run on a rootfs has beside its declared ones.
pub mod free_output {
    /// The rootfs after the run; in references, the node's bare name.
    pub const ROOTFS: &str = "rootfs";
    /// All of its files, as one tree.
    pub const TREE: &str = "tree";
    /// What it wrote, as one tree.
    pub const DIFF: &str = "diff";
    /// What it changed on its root, whiteouts included: how records keep it; not to be referred to.
    pub const CHANGE: &str = "change";
}

impl Op {
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Scan(_) => "scan",
            Op::Host => "host",
            Op::Pull(_) => "pull",
            Op::Assemble(_) => "assemble",
            Op::Run(_) => "run",
        }
    }

    /// Sources are looked at in every build; their values, not their keys, decide what follows.
    pub const fn is_source(&self) -> bool {
        matches!(self, Op::Scan(_) | Op::Host)
    }
}

impl ConfigEdit {
    /// What `config` becomes. `entrypoint` without `cmd` clears an inherited `cmd`.
    pub fn apply(&self, config: &mut Config) {
        for (name, value) in &self.env {
            match value {
                Some(value) => config.set_env(name, value),
                None => config.env.retain(|(key, _)| key != name),
            }
        }
        for (name, value) in &self.labels {
            match value {
                Some(value) => drop(config.labels.insert(name.clone(), value.clone())),
                None => drop(config.labels.remove(name)),
            }
        }
        if self.entrypoint.is_some() {
            config.cmd = None;
        }
        edit(&self.entrypoint, &mut config.entrypoint);
        edit(&self.cmd, &mut config.cmd);
        edit(&self.workdir, &mut config.workdir);
        edit(&self.user, &mut config.user);
        edit(&self.shell, &mut config.shell);
        edit(&self.stop_signal, &mut config.stop_signal);
        edit(&self.healthcheck, &mut config.healthcheck);
        edit(&self.author, &mut config.author);
        config.ports.extend(self.ports.iter().cloned());
        config.volumes.extend(self.volumes.iter().cloned());
        config.onbuild.extend(self.onbuild.iter().cloned());
    }
}

fn edit<T: Clone>(change: &Option<Edit<T>>, field: &mut Option<T>) {
    match change {
        None => {}
        Some(Edit::Set(value)) => *field = Some(value.clone()),
        Some(Edit::Remove) => *field = None,
    }
}

impl Default for ImageSettings {
    fn default() -> ImageSettings {
        ImageSettings {
            names: Vec::new(),
            config: ConfigEdit::default(),
            annotations: BTreeMap::new(),
            packing: Packing::DEFAULT,
            created: None,
            squash: false,
        }
    }
}
