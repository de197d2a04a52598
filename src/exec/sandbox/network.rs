//! The files under `/etc` that make names of machines work. Synthesised or copied into the run's own
//! folder and mounted, so that they are no part of what the run leaves behind.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::authority::{self, Believed};
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::{self, Stubs};
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::{Root, Spec, Trouble};
use crate::exec::sandbox::workplace::made_files;
use crate::graph::op::Network;

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost\n";

const SERVERS: &str = "etc/resolv.conf";
/// More of it is not looked at.
const LONGEST_SERVERS: u64 = 64 << 10;

/// Files of the machine that a run on the machine's network sees.
const HOSTS: &str = "etc/hosts";
/// Shown only where the root has none of its own.
pub(crate) const WHERE_MISSING: [&str; 2] = ["etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt"];

pub(super) fn mount(root: BorrowedFd<'_>, stubs: &mut Stubs, spec: &Spec) -> Result<Believed, Trouble> {
    let own = made_files(&spec.work);
    match spec.network {
        Network::None | Network::Proxy | Network::Intercept => own_names(root, stubs, spec, &own)?,
        Network::Host | Network::Locked => {
            show_machines(root, stubs, &own, HOSTS, &added_hosts(spec))?;
            show_machines(root, stubs, &own, SERVERS, "")?;
        }
    }
    authority::lay(root, spec, &own)
}

/// What `mount` shows, as files to be put into a root that nothing can be mounted in. Without a network, what the root
/// says of servers stays: nobody can ask them.
pub(super) fn files(root: BorrowedFd<'_>, spec: &Spec) -> Result<Vec<(TreePath, Vec<u8>)>, Trouble> {
    let added = added_hosts(spec);
    if spec.network == Network::None {
        return Ok(vec![(known(HOSTS), (added + LOCAL_HOSTS).into_bytes())]);
    }
    let is_missing = |path: &&str| place::open_following(root, &known(path), OFlags::PATH).is_err();
    let missing = WHERE_MISSING.into_iter().filter(is_missing).map(|path| (path, ""));
    let wanted = [(HOSTS, added.as_str()), (SERVERS, "")].into_iter().chain(missing);
    let mut files = Vec::new();
    for (path, before) in wanted {
        match fs::read(Path::new("/").join(path)) {
            Ok(content) => files.push((known(path), [before.as_bytes(), &content].concat())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::at(format!("read /{path}"))(error)),
        }
    }
    Ok(files)
}

/// What lies under a root that has none of its own: there a command may put another in its place, which a mount would
/// not let it.
pub(super) fn lay_ground(ground: &Path, spec: &Spec) -> Result<(), Trouble> {
    // The host root has the machine's certificates already, read-only.
    if spec.network == Network::None || matches!(spec.root, Root::Host { .. }) {
        return Ok(());
    }
    for path in WHERE_MISSING {
        let lay = || {
            let Ok(content) = fs::read(Path::new("/").join(path)) else { return Ok(()) };
            let place = ground.join(path);
            fs::create_dir_all(place.parent().unwrap_or(ground))?;
            fs::write(place, content)
        };
        lay().map_err(Trouble::at::<io::Error>(format!("copy /{path}")))?;
    }
    Ok(())
}

/// Resolvers find whoever answers inside the sandbox, and nobody else.
fn own_names(root: BorrowedFd<'_>, stubs: &mut Stubs, spec: &Spec, own: &Path) -> Result<(), Trouble> {
    let hosts = added_hosts(spec) + LOCAL_HOSTS;
    show(root, stubs, own, HOSTS, hosts.as_bytes())?;
    match servers(root) {
        Some(file) => hide_servers(own, file.as_fd()),
        None => Ok(()),
    }
}

/// The root's own file that names servers, if it does: nobody could reach them.
fn servers(root: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = fs::File::from(place::open_following(root, &known(SERVERS), flags).ok()?);
    let mut bytes = Vec::new();
    (&file).take(LONGEST_SERVERS).read_to_end(&mut bytes).ok()?;
    bytes.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"nameserver")).then(|| file.into())
}

/// Resolvers that are told of no server ask this machine, whose first process answers at once (`names.rs`).
fn hide_servers(own: &Path, file: BorrowedFd<'_>) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<io::Error>(format!("hide the root's /{SERVERS}"));
    let empty = own.join("no-servers");
    fs::write(&empty, "").map_err(cannot())?;
    let view = mounts::view(&empty).map_err(|error| cannot()(error.into()))?;
    mounts::attach(view.as_fd(), file).map_err(|error| cannot()(error.into()))
}

/// The first line with a name counts.
fn added_hosts(spec: &Spec) -> String {
    spec.add_hosts.iter().map(|(name, address)| format!("{address}\t{name}\n")).collect()
}

/// A copy, since what the machine's file is may change or lead anywhere; `before` stands above it. What the
/// machine has not is left out.
fn show_machines(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    own: &Path,
    path: &str,
    before: &str,
) -> Result<(), Trouble> {
    match fs::read(Path::new("/").join(path)) {
        Ok(content) => show(root, stubs, own, path, &[before.as_bytes(), &content].concat()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && before.is_empty() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            show(root, stubs, own, path, before.as_bytes())
        }
        Err(error) => Err(Trouble::at(format!("read /{path}"))(error)),
    }
}

fn show(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    own: &Path,
    path: &str,
    content: &[u8],
) -> Result<(), Trouble> {
    let copy = own.join(path.replace('/', "-"));
    fs::write(&copy, content).map_err(Trouble::at(format!("copy /{path}")))?;
    let view = mounts::view(&copy).map_err(Trouble::at(format!("show /{path}")))?;
    let under = match stubs.file(root, &known(path)) {
        Ok(under) => under,
        // The root has a link there (to a resolver's own file, mostly): its choice stands.
        Err(Trouble::Input { .. }) => return Ok(()),
        Err(trouble) => return Err(trouble),
    };
    mounts::attach(view.as_fd(), under.as_fd()).map_err(Trouble::at(format!("mount /{path}")))
}
