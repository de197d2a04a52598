//! What the main process and the sandbox's own process say to each other: one spec in, one reply out,
//! both JSON behind a length, and single bytes for what may happen in between.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::bounds::{Bounds, Limit};
use crate::exec::emulation::Emulator;
use crate::exec::executor::ExecError;
use crate::exec::identity::Identity;
use crate::exec::sandbox::lent::Lent;
use crate::exec::sandbox::session::Session;
use crate::graph::op::{Access, Network, Output, Tmpfs};
use crate::store::object::{Object, StoreError};
use crate::store::record::Lost;
use crate::tree::disk::snapshot::Age;
use crate::tree::error::TreeError;
use crate::tree::tree::Entry;
use crate::tree::xattr::Flavour;

/// What a sandbox's own process is there for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Duty {
    Run(Box<Spec>),
    /// Removes a folder whose files may belong to users of a user namespace.
    Remove {
        identity: Identity,
        folder: PathBuf,
    },
}

impl Duty {
    pub(crate) fn identity(&self) -> &Identity {
        match self {
            Duty::Run(spec) => &spec.identity,
            Duty::Remove { identity, .. } => identity,
        }
    }
}

/// Everything a sandbox needs to know. Nothing else reaches it but its two output pipes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The store's folder, for what is captured.
    pub store: PathBuf,
    /// A folder of this run's own, on the store's filesystem; empty, or as `Done::tidy` says.
    pub work: PathBuf,
    pub identity: Identity,
    pub walls: Walls,
    /// Of all that is stacked and mounted.
    pub snapshots: Vec<Snapshot>,
    pub root: Root,
    /// Sorted by `at`, so that what lies below comes later.
    pub mounts: Vec<Mounted>,
    /// Folders in memory, sorted like the mounts, among which they lie.
    pub tmpfs: Vec<Tmpfs>,
    pub lent: Lent,
    /// Argument lists, run in order until one fails.
    pub commands: Vec<Vec<String>>,
    /// `HOME` is added by the sandbox, which knows the user, where it is not given.
    pub environment: Vec<(String, String)>,
    pub workdir: TreePath,
    /// `user`, `user:group`, by name or number.
    pub user: Option<String>,
    pub hostname: String,
    /// For commands that are of another processor.
    pub emulator: Option<Emulator>,
    pub network: Network,
    /// At which its proxy listens, where it has one.
    pub ports: Vec<u16>,
    /// The certificate of one whom the run is to believe, beside those whom its root does.
    pub authority: Option<String>,
    /// Names and addresses that `/etc/hosts` tells before all others.
    pub add_hosts: Vec<(String, String)>,
    pub outputs: Vec<Output>,
    /// The exit code that counts as success.
    pub exit: i32,
    /// Looked for after the last command.
    pub expected_files: Vec<TreePath>,
    /// Its outputs are kept also when it fails.
    pub is_test: bool,
    /// Its rights in its own namespaces are not taken from it.
    pub privileged: bool,
    /// Owners that the disk cannot show are told by the sandbox's own process.
    pub tells_owners: bool,
    /// Paths of the machine's devices that it sees.
    pub devices: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
    pub bounds: Bounds,
    /// Somebody sits at it, and nothing of it is kept.
    pub session: Option<Session>,
    /// Servers that run beside it, in its network.
    pub services: Vec<ServiceSpec>,
    /// It is such a server itself.
    pub is_service: bool,
}

/// A server beside a test.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceSpec {
    pub name: String,
    /// That it is ready is seen by this port, where there is no command for it.
    pub port: u16,
    /// Succeeds, inside, when it is ready.
    pub ready: Option<Vec<String>>,
    /// Seconds that it has for that.
    pub patience: u64,
    pub spec: Spec,
}

impl ServiceSpec {
    /// As the test is: they are within its limits together.
    pub(crate) fn bound(mut self, emulator: Option<&Emulator>, bounds: &Bounds) -> ServiceSpec {
        self.spec.emulator = emulator.cloned();
        self.spec.bounds = bounds.clone();
        self
    }
}

impl Spec {
    /// Whether a network namespace is made that is not the commands' alone.
    pub(crate) fn has_services_of_its_own_network(&self) -> bool {
        !self.services.is_empty() && self.network.is_own()
    }
}

impl Spec {
    /// Whether what lies under all layers is one of the snapshots: then the numbers of inodes hold in the whole root,
    /// since all of it is on one filesystem. So it is where somebody tells the owners of a stack of layers.
    pub(crate) fn has_ground(&self) -> bool {
        self.tells_owners && self.walls == Walls::Mounted
    }
}

/// What closes a sandbox off, and so what its root can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Walls {
    /// Namespaces; the root is a stack of mounts.
    Mounted,
    /// Namespaces; the root is a copy, where the kernel stacks nothing.
    Copied,
    /// No namespace and no mount: the root is a copy, and its processes are locked into it.
    Chrooted,
    /// None: processes have the machine's own root, and a folder for what they are given and make.
    Bare,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Root {
    Layers {
        /// Those of `Spec::snapshots` that are stacked, lowest first; at most `MOST_LOWERS`, and the ground.
        stack: Vec<usize>,
        /// The same root as trees, lowest first: what the captured change is relative to.
        trees: Vec<TreeDigest>,
    },
    /// This machine's own programs.
    Host {
        /// Folders that are shown beside them, where they are; those above others first.
        folders: Vec<String>,
        /// Paths, as bytes, of what is not to be seen in any of them.
        hidden: Vec<Vec<u8>>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mounted {
    pub at: TreePath,
    pub source: Source,
    pub access: Access,
}

/// What of a snapshot is mounted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Source {
    /// In `Spec::snapshots`.
    pub snapshot: usize,
    pub part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    All,
    /// Its one entry, `WRAPPED`.
    Folder,
    File,
}

/// Name of the one entry in a snapshot made around something that is no plain directory.
pub(crate) const WRAPPED: &str = "entry";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Snapshot {
    At(PathBuf),
    /// Where files can be given to their owners only inside the sandbox's user namespace.
    ToBeMade {
        tree: TreeDigest,
        age: Age,
    },
}

impl Spec {
    /// In which its snapshots are made.
    pub(crate) fn flavour(&self) -> Flavour {
        self.walls.flavour(&self.identity)
    }
}

impl Walls {
    /// Of the snapshots for runs behind them.
    pub(crate) fn flavour(self, identity: &Identity) -> Flavour {
        match self {
            Walls::Mounted if identity.has_namespace() => Flavour::User,
            Walls::Mounted => Flavour::Trusted,
            _ => Flavour::Own,
        }
    }

    pub(crate) const fn has_namespaces(self) -> bool {
        matches!(self, Walls::Mounted | Walls::Copied)
    }
}

/// From the sandbox to the main process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The user namespace is there and waits for its id ranges.
    WantsIds,
    /// It is ready to take what the spec is followed by.
    WantsHanded,
    /// What somebody types comes through it; sent with the next byte.
    WantsInput,
    /// Some of the tree's content is not in the store itself.
    WantsTree(TreeDigest),
    /// It is sent with the next byte.
    Terminal,
    /// Next come one byte and a descriptor: where the run's sockets come from, for its proxy.
    Line,
    Done(Box<Done>),
    Removed,
    Trouble(Trouble),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub ended: Ended,
    /// Which of the commands `ended` speaks of.
    pub command: usize,
    /// Names of machines that were asked for, where there is no network.
    pub tried: Vec<String>,
    /// Whether it was refused more processes than its limit.
    pub was_full: bool,
    /// Declared outputs that were made; empty where the command failed, unless it is a test.
    pub outputs: BTreeMap<String, Entry>,
    /// What is wrong with the first output that is not among them and should be.
    pub lacking: Option<Trouble>,
    /// The first file that is expected and was not there.
    pub absent: Option<TreePath>,
    /// Written below copy-on-write mounts, and thrown away.
    pub lost: Lost,
    /// What changed on the root; `None` where the command failed or the root is the host.
    pub change: Option<TreeDigest>,
    /// Whether the work folder holds nothing of this run, so that another may have it.
    pub tidy: bool,
    /// The same of each service's.
    pub tidy_services: Vec<bool>,
    /// The service that was not ready, and why, in words.
    pub no_service: Option<(String, String)>,
    /// Services that had ended before the commands did.
    pub ended_services: Vec<String>,
}

impl Done {
    /// Nothing came of it.
    pub(crate) fn new(ended: Ended, command: usize) -> Done {
        Done {
            ended,
            command,
            tried: Vec::new(),
            was_full: false,
            outputs: BTreeMap::new(),
            lacking: None,
            absent: None,
            lost: Lost::default(),
            change: None,
            tidy: false,
            tidy_services: Vec::new(),
            no_service: None,
            ended_services: Vec::new(),
        }
    }
}

/// How the last command that ran came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
    NotFound,
    /// A service was not ready, so that none was started.
    NoService,
    TimedOut,
    /// It was more than its limits allow.
    Beyond(Limit),
    Cancelled,
}

/// What keeps a command from running, in a form that crosses a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    Input {
        message: String,
        help: String,
    },
    Environment {
        message: String,
        help: Option<String>,
    },
    /// The main process begins again without it.
    Damaged(Object),
    Missing(Object),
}

/// From the main process to the sandbox, one byte each.
pub(crate) mod word {
    /// Ask the commands to end, give them five seconds.
    pub(crate) const END: u8 = b'e';
    /// Kill them.
    pub(crate) const KILL: u8 = b'k';
    /// What was wanted is there.
    pub(crate) const HERE: u8 = b'h';
}

/// An overlay with more lower folders than this is slow for names that are in none of them. Where layers are
/// merged, all in them get one time, so there are as many as any sensible image has.
pub(crate) const MOST_LOWERS: usize = 64;

/// A length that no spec and no reply comes near.
const MOST_BYTES: u32 = 256 << 20;

pub(crate) fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(json);
    to.write_all(&frame)
}

pub(crate) fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MOST_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// A command as a shell would take it.
pub(crate) fn as_typed(command: &[String]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    let quoted = |word: &String| match word.as_bytes() {
        bytes if !bytes.is_empty() && bytes.iter().copied().all(plain) => word.clone(),
        _ => format!("'{}'", word.replace('\'', r"'\''")),
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

impl Trouble {
    pub(crate) fn input(message: impl Into<String>, help: impl Into<String>) -> Trouble {
        Trouble::Input { message: message.into(), help: help.into() }
    }

    pub(crate) fn environment(message: impl Into<String>) -> Trouble {
        Trouble::Environment { message: message.into(), help: None }
    }

    /// Says of which service it is.
    pub(crate) fn of_service(self, name: &str) -> Trouble {
        match self {
            Trouble::Input { message, help } => {
                Trouble::Input { message: format!("service `{name}`: {message}"), help }
            }
            Trouble::Environment { message, help } => {
                Trouble::Environment { message: format!("service `{name}`: {message}"), help }
            }
            other => other,
        }
    }

    /// For a call that the kernel refused: `action` says what was to be done.
    pub(crate) fn at<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Trouble {
        move |error| {
            let (action, error) = (action.into(), error.into());
            let help = match error.raw_os_error() {
                Some(libc::ENOSPC) => Some("free some space on the store's disk".to_owned()),
                _ => Some("`memobuild doctor` tells what this machine allows".to_owned()),
            };
            Trouble::Environment { message: format!("the sandbox cannot {action}: {error}"), help }
        }
    }
}

impl From<Trouble> for ExecError {
    fn from(trouble: Trouble) -> ExecError {
        match trouble {
            Trouble::Input { message, help } => ExecError::Input { message, help },
            Trouble::Environment { message, help } => ExecError::Environment { message, help },
            Trouble::Damaged(object) => ExecError::Store(StoreError::Damaged(object)),
            Trouble::Missing(object) => ExecError::Store(StoreError::Missing(object)),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        match error {
            StoreError::Damaged(object) => Trouble::Damaged(object),
            StoreError::Missing(object) => Trouble::Missing(object),
            error => Trouble::environment(error.to_string()),
        }
    }
}

impl From<TreeError> for Trouble {
    fn from(error: TreeError) -> Trouble {
        match error {
            TreeError::Store(error) => error.into(),
            error => Trouble::environment(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_sent() {
        let mut pipe = Vec::new();
        send(&mut pipe, &Reply::WantsIds).unwrap();
        send(&mut pipe, &Reply::Trouble(Trouble::environment("no"))).unwrap();
        let mut pipe = pipe.as_slice();
        assert!(matches!(receive(&mut pipe).unwrap(), Reply::WantsIds));
        assert!(matches!(receive(&mut pipe).unwrap(), Reply::Trouble(_)));
        assert_eq!(receive::<Reply>(&mut pipe).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let error = receive::<Reply>(&[0xff_u8; 8][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let words = ["cc", "-o", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(as_typed(&words), r"cc -o 'a b' 'it'\''s' ''");
    }
}
