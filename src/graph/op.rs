//! What the engine can do. The language is wide and lowers to these; a new node kind needs no new op.
//!
//! An op names its inputs by index into the node's list of inputs (`graph.rs`).

use serde::{Deserialize, Serialize};

use crate::base::tree_path::TreePath;
use crate::graph::image_settings::ImageSettings;
use crate::graph::late::LateText;
pub use crate::graph::origin::{Fetch, ImageSource, LayoutForm, Pull};
use crate::tree::scan::Scan;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Local files → tree. A source: looked at in every build.
    Scan(Scan),
    /// This machine's programs → host. A source.
    Host(Host),
    /// A URL or a commit → tree.
    Fetch(Fetch),
    /// An image that exists already → image.
    Pull(Pull),
    /// Trees → tree, rootfs or image. Starts no process.
    Assemble(Assemble),
    /// A command in a sandbox → outputs, and what it changed on its root.
    Run(Box<Run>),
    /// Facts that must hold for an image or a rootfs → text. Starts no process.
    Check(Check),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Host {
    /// Folders of this machine that runs see beside its program folders: absolute paths.
    pub include: Vec<HostFolder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HostFolder {
    pub path: String,
    /// It may be missing.
    pub optional: bool,
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
        mode: Option<Mode>,
        /// Symbolic links are replaced by what they lead to inside the input.
        #[serde(default, skip_serializing_if = "is_false")]
        follow: bool,
    },
    /// The content of an archive (tar, plain or compressed), with its own modes and owners.
    Extract {
        /// Index of a tree input that is one file.
        input: usize,
        to: TreePath,
        /// Leading path segments that are dropped from the archive's names.
        strip: u32,
    },
    Merge {
        inputs: Vec<usize>,
        /// One path with two different contents is an error.
        conflicts_fail: bool,
    },
    /// Copies of one line, which takes a node at every value of an axis: one path with two contents is an
    /// error.
    Each {
        copies: Vec<Place>,
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

/// What a copied file's mode becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Mode {
    Exact(u32),
    /// As chmod(1) reads it: `u=rwX,go=rX`.
    Symbolic(String),
}

/// `user`, `user:group`, `0`, `0:0`; names are looked up in the root that the files land on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Owner(pub String);

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    pub from: From,
    /// Whether the root's env, workdir, user and shell are obeyed.
    pub inherit: bool,
    pub commands: Vec<Command>,
    /// For this run only; `None` removes an inherited name.
    pub env: Vec<(String, Option<LateText>)>,
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
    /// It executes in every build.
    pub rerun: bool,
    pub caches: Vec<CacheMount>,
    pub secrets: Vec<SecretMount>,
    /// Names of agents; the empty one is the caller's own.
    pub ssh: Vec<String>,
    pub tmpfs: Vec<Tmpfs>,
    /// Names and addresses that /etc/hosts tells.
    pub add_hosts: Vec<(String, String)>,
    pub privileged: bool,
    pub devices: Vec<String>,
    /// How often a failed run is tried again. Not in the key.
    pub retry: u32,
    pub services: Vec<Service>,
    /// What the lock file holds of what it asks for (`network intercept`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<Pin>,
}

/// What an address is to answer a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pin {
    pub url: String,
    pub status: u16,
    /// Hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A folder that outlives the run. Only its name and place are facts: its content must not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CacheMount {
    pub name: String,
    pub at: TreePath,
    pub sharing: Sharing,
    /// `Some`: of this package only; `None`: of the workspace.
    pub package: Option<String>,
    /// The coordinate by which it is divided, as `python=3.12`.
    pub per: Option<String>,
    pub owner: Option<Owner>,
    pub mode: Option<u32>,
    /// Index of the tree input that a new one begins with.
    pub seed: Option<usize>,
}

/// What asks for more comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Any number of runs at once.
    #[default]
    Shared,
    /// One run at a time.
    Locked,
    /// Each run at the same time has its own.
    Private,
}

/// A value that enters no key, no record and no image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SecretMount {
    pub name: String,
    pub target: SecretTarget,
    pub optional: bool,
    pub owner: Option<Owner>,
    pub mode: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecretTarget {
    File(TreePath),
    Env(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tmpfs {
    pub at: TreePath,
    /// Bytes.
    pub size: Option<u64>,
}

/// A server that runs beside a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Service {
    /// The host name by which the test reaches it.
    pub name: String,
    /// Index of its rootfs or image input.
    pub from: usize,
    pub port: u16,
    pub env: Vec<(String, Option<LateText>)>,
    pub cmd: Option<Vec<String>>,
    pub mounts: Vec<Mount>,
    pub ready: Option<Ready>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ready {
    pub command: Command,
    /// Seconds.
    pub timeout: Option<u64>,
}

/// What must hold for an image or a rootfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// Index of the rootfs or image input.
    pub of: usize,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    Has {
        path: TreePath,
        mode: Option<u32>,
        owner: Option<Owner>,
    },
    Lacks(TreePath),
    /// Bytes of file content in all layers together.
    MaxSize(u64),
    User(String),
    Label(String, String),
    MaxLayers(u64),
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
    /// What the build's own proxy lets through.
    Proxy,
    /// The same, and it sees what TLS hides.
    Intercept,
    /// The network is allowed since the digests of all outputs are known beforehand.
    Locked,
}

impl Network {
    /// Whether the run sees no network but its own.
    pub fn is_own(self) -> bool {
        matches!(self, Network::None | Network::Proxy | Network::Intercept)
    }

    /// Whether a proxy leads out of it.
    pub fn has_proxy(self) -> bool {
        matches!(self, Network::Proxy | Network::Intercept)
    }
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
    /// The digest that the lock file holds for it (`network locked`); another result is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<String>,
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
    /// A regular expression that is found somewhere in what was written to standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_match: Option<String>,
    /// Files that must be there after the last command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<TreePath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Limits {
    /// Seconds.
    pub timeout: Option<u64>,
    /// Processors.
    pub cpu: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    pub pids: Option<u64>,
    /// Bytes written to the disk, beside what is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

/// The path of a device: `kvm` stands for `/dev/kvm`. `None` where it would lie elsewhere.
pub fn device_path(name: &str) -> Option<String> {
    let path = if name.starts_with('/') { name.to_owned() } else { format!("/dev/{name}") };
    let below = path.strip_prefix("/dev/")?;
    let is_plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    below.split('/').all(is_plain).then_some(path)
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
            Op::Host(_) => "host",
            Op::Fetch(_) => "fetch",
            Op::Pull(_) => "pull",
            Op::Assemble(_) => "assemble",
            Op::Run(_) => "run",
            Op::Check(_) => "check",
        }
    }

    /// Sources are looked at in every build; their values, not their keys, decide what follows.
    pub const fn is_source(&self) -> bool {
        matches!(self, Op::Scan(_) | Op::Host(_))
    }

    /// What it is asked for may lie with a server.
    pub const fn is_remote(&self) -> bool {
        match self {
            Op::Pull(pull) => !pull.source.is_local(),
            Op::Fetch(_) => true,
            _ => false,
        }
    }

    /// It executes in every build: what the memo knows of it is never taken for its result.
    pub fn reruns(&self) -> bool {
        matches!(self, Op::Run(run) if run.rerun)
    }
}

/// For serde: what is not said is not written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(truth: &bool) -> bool {
    !truth
}
