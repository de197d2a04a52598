//! What a run is lent beside its inputs: nothing of it is kept with the run's results. What is no secret of it stands
//! in the spec; descriptors and values follow the spec on the same socket, and nothing ever writes them down.

use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use serde::{Deserialize, Serialize};

use crate::base::digest::TreeDigest;
use crate::base::hidden::Hidden;
use crate::base::tree_path::TreePath;
use crate::exec::sandbox::spec::{Reply, Spec, Trouble};
use crate::exec::sandbox::{ask, rights};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lent {
    pub caches: Vec<CacheFolder>,
    /// How many descriptors follow the spec: the locks of the caches, held by the sandbox as well, so that nobody
    /// else has them while anything in it lives.
    pub locks: usize,
    pub secret_files: Vec<SecretFile>,
    /// Names of variables.
    pub secret_variables: Vec<String>,
    pub agents: Vec<AgentSocket>,
}

/// A folder of the store's that runs may write to, and find again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CacheFolder {
    pub at: TreePath,
    /// Where it is, or is to be made. Whoever made the spec holds its lock.
    pub folder: PathBuf,
    /// Whose a new one is, `user` or `user:group`; the run's user's where nothing is said.
    pub owner: Option<String>,
    pub mode: u32,
    /// What a new one begins with.
    pub seed: Option<TreeDigest>,
}

/// A secret that is seen as a file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecretFile {
    pub at: TreePath,
    pub owner: Option<String>,
    pub mode: u32,
}

/// A socket behind which the main process hands on to an ssh agent, while the run lives.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AgentSocket {
    pub at: TreePath,
    /// In the run's own folder.
    pub socket: PathBuf,
}

/// What follows a spec when it is asked for, in this order.
#[derive(Default)]
pub(crate) struct Handed<'a> {
    pub locks: Vec<BorrowedFd<'a>>,
    /// As the spec has them: of files, then of variables.
    pub values: Vec<&'a Hidden>,
}

/// The values of secrets, as the spec has them.
pub(super) struct Values {
    pub files: Vec<Hidden>,
    pub variables: Vec<Hidden>,
}

impl Handed<'_> {
    pub(crate) fn send(&self, to: &UnixStream) -> io::Result<()> {
        self.locks.iter().try_for_each(|lock| rights::send(to, b"l", &[*lock]))?;
        self.values.iter().try_for_each(|value| send_value(to, value))
    }
}

/// The first of what follows a spec. It is asked for, so that no other word of the main process comes between.
pub(super) fn take_locks(spec: &Spec, main: &mut UnixStream) -> Result<Vec<OwnedFd>, Trouble> {
    let Lent { locks, secret_files, secret_variables, .. } = &spec.lent;
    if locks + secret_files.len() + secret_variables.len() > 0 {
        ask(main, &Reply::WantsHanded)?;
    }
    let take = |_| match rights::receive::<1, 1>(&*main) {
        Ok(Some((_, [lock]))) => Ok(lock),
        Ok(None) => Err(Trouble::environment("the main process is gone")),
        Err(error) => Err(Trouble::at("take what the main process holds")(error)),
    };
    (0..*locks).map(take).collect()
}

/// The rest. From now on nobody may look into this process, and no crash writes it to a disk.
pub(super) fn take_values(spec: &Spec, main: &UnixStream) -> Result<Values, Trouble> {
    let Lent { secret_files, secret_variables, .. } = &spec.lent;
    if secret_files.len() + secret_variables.len() > 0 {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Trouble::at("protect itself"))?;
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).map_err(Trouble::at("protect itself"))?;
    }
    let take = |count: usize| (0..count).map(|_| receive_value(main)).collect::<io::Result<Vec<Hidden>>>();
    let take = |count| take(count).map_err(Trouble::at("take the values of secrets"));
    Ok(Values { files: take(secret_files.len())?, variables: take(secret_variables.len())? })
}

pub(super) fn send_value(mut to: impl Write, value: &Hidden) -> io::Result<()> {
    let bytes = value.bytes();
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(bytes)
}

pub(super) fn receive_value(mut from: impl Read) -> io::Result<Hidden> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes)?;
    Ok(Hidden::new(bytes))
}
