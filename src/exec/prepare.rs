//! From a `run` and its inputs to a sandbox's spec: trees become snapshots, configuration becomes the
//! command's surroundings. Everything that a run sees, and that is no file, is decided here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::bounds::Bounds;
use crate::exec::caches::Claims;
use crate::exec::executor::ExecError;
use crate::exec::grants::Grants;
use crate::exec::identity::Identity;
use crate::exec::inputs::{Inputs, Made};
use crate::exec::probe::Granted;
use crate::exec::proxy;
use crate::exec::sandbox::lent::{CacheFolder, Lent};
use crate::exec::sandbox::spec::{Root, Spec, Walls};
use crate::exec::sandbox::{CERTIFICATES, owners_can_be_told};
use crate::exec::services;
use crate::graph::action::ActionInput;
use crate::graph::late::LateText;
use crate::graph::op::{CacheMount, Command, From, Network, Run, Tmpfs};
use crate::graph::value::Value;
use crate::oci::image::Rootfs;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::tree::disk::snapshot::SnapshotForm;

/// Where every run starts; a root's own configuration and the run's lines come on top. `HOME` follows the user.
/// These and the two below stand in no key: whoever changes one changes the context of `Action::key`.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
    // The time of every file in a layer, so that compilers of byte code check contents instead of times.
    ("SOURCE_DATE_EPOCH", "315532800"),
];
/// In which programs look for the file of those whom they are to believe.
const CERTIFICATE_VARIABLES: [&str; 10] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "NIX_SSL_CERT_FILE",
];
const SHELL: [&str; 3] = ["/bin/sh", "-e", "-c"];
const HOSTNAME: &str = "build";

/// What runs of one action are prepared with.
pub(crate) struct Surroundings<'a> {
    pub supply: &'a Supply,
    pub inputs: &'a [ActionInput],
    pub granted: &'a Granted,
    pub grants: &'a Grants,
    pub cancel: &'a Cancel,
}

/// Whether a run has owners that its disk cannot show. But who is privileged, and may make namespaces of its own, would
/// be told of owners that are not there.
fn tells_owners(run: &Run, granted: &Granted, memo: &Memo) -> bool {
    let is_on_layers = !matches!(run.from, From::Host(_));
    let has_one_id = matches!(granted.identity, Identity::Single { .. });
    let may = granted.rung.walls().has_namespaces() && is_on_layers && !run.privileged;
    may && has_one_id && owners_can_be_told(memo.folder())
}

/// `work` is a folder of the run's own; `claims` are those of its caches.
pub(crate) fn prepare(
    with: &Surroundings<'_>,
    run: &Run,
    work: &Path,
    claims: &mut Claims,
) -> Result<Spec, ExecError> {
    let Surroundings { supply, inputs, granted, grants, cancel } = *with;
    grants.check(run)?;
    let rootfs = match run.from {
        From::Input(index) => rootfs_of(&inputs[index])?.clone(),
        From::Nothing | From::Scratch | From::Host(_) => Rootfs::default(),
    };
    let memo = supply.memo();
    let trees = supply.trees(&rootfs.layers)?;
    let form = snapshot_form(granted);
    let given = Inputs::of(memo, run, inputs, &trees)?;
    let tells_owners = tells_owners(run, granted, memo);
    let is_grounded = tells_owners && granted.rung.walls() == Walls::Mounted;
    let given = if is_grounded { given.grounded(run.network)? } else { given };
    let Made { snapshots, stack, mounts } = given.make(form.as_ref(), claims, cancel)?;
    let root = match run.from {
        From::Host(index) => host_root(&inputs[index])?,
        _ => Root::Layers { stack, trees },
    };
    let inherited = Inherited::of(run, &rootfs)?;
    Ok(Spec {
        store: memo.folder().to_owned(),
        work: work.to_owned(),
        identity: granted.identity.clone(),
        walls: granted.rung.walls(),
        root,
        mounts,
        tmpfs: sorted(&run.tmpfs)?,
        snapshots,
        lent: Lent {
            caches: cache_folders(run, inputs, claims)?,
            locks: claims.locks().len(),
            ..Lent::default()
        },
        commands: run.commands.iter().map(|command| words(command, &inherited.shell)).collect(),
        environment: environment(run, &rootfs, hostname(run)),
        workdir: inherited.workdir,
        user: inherited.user,
        hostname: hostname(run).to_owned(),
        emulator: None,
        network: run.network,
        ports: if run.network.has_proxy() { proxy::ports(supply.network().outside()) } else { Vec::new() },
        authority: None,
        add_hosts: services::hosts(run).chain(own_hosts(run)).collect(),
        outputs: run.outputs.clone(),
        exit: run.expect.as_ref().map_or(0, |expect| expect.exit),
        expected_files: run.expect.as_ref().map_or_else(Vec::new, |expect| expect.files.clone()),
        is_test: run.expect.is_some(),
        privileged: run.privileged,
        tells_owners,
        devices: run.devices.clone(),
        timeout: run.limits.timeout,
        bounds: Bounds::default(),
        session: None,
        services: Vec::new(),
        is_service: false,
    })
}

fn rootfs_of(input: &ActionInput) -> Result<&Rootfs, ExecError> {
    input.value.rootfs().ok_or_else(|| wrong_type(input, "a root filesystem"))
}

fn host_root(input: &ActionInput) -> Result<Root, ExecError> {
    let Value::Host(machine) = &input.value else { return Err(wrong_type(input, "this machine's programs")) };
    let hidden = machine.hidden.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
    Ok(Root::Host { folders: machine.folders.clone(), hidden })
}

pub(crate) fn wrong_type(input: &ActionInput, wanted: &str) -> ExecError {
    let found = input.value.type_of().name();
    ExecError::Input {
        message: format!("`{}` needs {wanted}, and got a {found}", input.slot),
        help: "name another node".to_owned(),
    }
}

/// `None`: they must be made inside the sandbox's user namespace.
fn snapshot_form(granted: &Granted) -> Option<SnapshotForm> {
    let walls = granted.rung.walls();
    let form = match (walls, &granted.identity) {
        (Walls::Chrooted, _) => SnapshotForm::root(),
        (Walls::Bare, _) => SnapshotForm::one_id(),
        (_, Identity::Real) => SnapshotForm::root(),
        (_, Identity::Single { .. }) => SnapshotForm::one_id(),
        (_, Identity::Ranges { .. }) => return None,
    };
    Some(SnapshotForm { flavour: walls.flavour(&granted.identity), ..form })
}

/// What interprets the run's scripts.
pub(crate) fn shell(run: &Run, inputs: &[ActionInput]) -> Result<Vec<String>, ExecError> {
    let rootfs = match run.from {
        From::Input(index) => rootfs_of(&inputs[index])?.clone(),
        From::Nothing | From::Scratch | From::Host(_) => Rootfs::default(),
    };
    Ok(Inherited::of(run, &rootfs)?.shell)
}

/// What the run's own lines override, where the root's configuration is obeyed.
struct Inherited {
    workdir: TreePath,
    user: Option<String>,
    shell: Vec<String>,
}

impl Inherited {
    fn of(run: &Run, rootfs: &Rootfs) -> Result<Inherited, ExecError> {
        let config = run.inherit.then_some(&rootfs.config);
        let workdir = match (&run.workdir, config.and_then(|config| config.workdir.as_deref())) {
            (Some(workdir), _) => workdir.clone(),
            (None, Some(workdir)) => TreePath::parse(workdir).map_err(|error| ExecError::Input {
                message: format!("the root's working directory cannot be used: {error}"),
                help: "set another with `workdir`".to_owned(),
            })?,
            (None, None) => TreePath::root(),
        };
        let shell = run.shell.as_ref().or_else(|| config.and_then(|config| config.shell.as_ref()));
        Ok(Inherited {
            workdir,
            user: run.user.clone().or_else(|| config.and_then(|config| config.user.clone())),
            shell: shell.cloned().unwrap_or_else(|| SHELL.map(str::to_owned).to_vec()),
        })
    }
}

fn words(command: &Command, shell: &[String]) -> Vec<String> {
    match command {
        Command::Exec(words) => words.clone(),
        Command::Sh(script) => shell.iter().chain([script]).cloned().collect(),
    }
}

pub(super) fn hostname(run: &Run) -> &str {
    run.hostname.as_deref().unwrap_or(HOSTNAME)
}

/// Names that a run with a proxy gives to other machines are found by the proxy (`given_hosts`): it gets nowhere else.
fn own_hosts(run: &Run) -> Vec<(String, String)> {
    let given = given_hosts(run);
    run.add_hosts.iter().filter(|(name, _)| !given.contains_key(name)).cloned().collect()
}

/// Names of other machines, with the addresses that the run itself says.
pub(super) fn given_hosts(run: &Run) -> BTreeMap<String, IpAddr> {
    let parsed = |(name, address): &(String, String)| {
        let address = address.parse::<IpAddr>().ok().filter(|address| !address.is_loopback())?;
        Some((name.clone(), address))
    };
    if run.network.has_proxy() {
        run.add_hosts.iter().rev().filter_map(parsed).collect()
    } else {
        BTreeMap::new()
    }
}

fn environment(run: &Run, rootfs: &Rootfs, hostname: &str) -> Vec<(String, String)> {
    let mut environment: Vec<(String, String)> =
        ENVIRONMENT.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut set = |name: &str, value: Option<&str>| {
        environment.retain(|(known, _)| known != name);
        environment.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    };
    if run.inherit {
        for (name, value) in &rootfs.config.env {
            set(name, Some(value));
        }
    }
    if run.network.has_proxy() {
        for (name, value) in proxy::environment(hostname) {
            set(&name, Some(&value));
        }
    }
    if run.network == Network::Intercept {
        CERTIFICATE_VARIABLES.into_iter().for_each(|name| set(name, Some(CERTIFICATES)));
    }
    for (name, value) in &run.env {
        set(name, value.as_ref().map(LateText::known));
    }
    environment
}

/// In the order in which the run has them, which is that of its claims.
fn cache_folders(run: &Run, inputs: &[ActionInput], claims: &Claims) -> Result<Vec<CacheFolder>, ExecError> {
    let folder = |(number, cache): (usize, &CacheMount)| {
        check_place(&cache.at)?;
        let seed = cache.seed.map(|seed| seed_of(&inputs[seed])).transpose()?;
        Ok(CacheFolder {
            at: cache.at.clone(),
            folder: claims.folder(number),
            owner: cache.owner.as_ref().map(|owner| owner.0.clone()),
            mode: cache.mode.unwrap_or(0o755),
            seed,
        })
    };
    run.caches.iter().enumerate().map(folder).collect()
}

fn seed_of(input: &ActionInput) -> Result<TreeDigest, ExecError> {
    match &input.value {
        Value::Tree(entry) => entry.tree().ok_or_else(|| wrong_type(input, "a directory")),
        _ => Err(wrong_type(input, "a directory")),
    }
}

fn sorted(tmpfs: &[Tmpfs]) -> Result<Vec<Tmpfs>, ExecError> {
    tmpfs.iter().try_for_each(|tmpfs| check_place(&tmpfs.at))?;
    let mut sorted = tmpfs.to_vec();
    sorted.sort_by(|one, other| one.at.cmp(&other.at));
    Ok(sorted)
}

/// The sandbox's own places.
pub(crate) fn check_place(at: &TreePath) -> Result<(), ExecError> {
    let first = at.names().next();
    if first.is_some() && first != Some(b"proc") && first != Some(b"dev") {
        return Ok(());
    }
    Err(ExecError::Input {
        message: format!("nothing can be mounted at `{at}`"),
        help: "mount it at a folder of its own, like `/src`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::image::Config;

    fn run() -> Run {
        Run { from: From::Scratch, inherit: true, ..Run::default() }
    }

    fn rootfs() -> Rootfs {
        let env = [("PATH", "/own"), ("LANG", "de")];
        let config = Config {
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            workdir: Some("/app/".to_owned()),
            user: Some("bob".to_owned()),
            shell: Some(vec!["/bin/bash".to_owned(), "-c".to_owned()]),
            ..Config::default()
        };
        Rootfs { layers: Vec::new(), config }
    }

    fn value<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
        environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn environment_in_three_levels() {
        let mut run = run();
        run.env = vec![("LANG".to_owned(), None), ("TZ".to_owned(), Some("CET".into()))];
        let found = environment(&run, &rootfs(), HOSTNAME);
        assert_eq!(value(&found, "PATH"), Some("/own"));
        assert_eq!(value(&found, "LANG"), None);
        assert_eq!(value(&found, "TZ"), Some("CET"));
        assert_eq!(value(&found, "LC_ALL"), Some("C.UTF-8"));
        run.inherit = false;
        assert_eq!(value(&environment(&run, &rootfs(), HOSTNAME), "PATH"), Some(ENVIRONMENT[0].1));
    }

    #[test]
    fn configuration_is_obeyed_where_it_is_inherited() {
        let mut run = run();
        let found = Inherited::of(&run, &rootfs()).unwrap();
        assert_eq!((found.workdir.to_string().as_str(), found.user.as_deref()), ("/app", Some("bob")));
        assert_eq!(words(&Command::Sh("x".to_owned()), &found.shell), ["/bin/bash", "-c", "x"]);
        run.inherit = false;
        run.user = Some("0".to_owned());
        let found = Inherited::of(&run, &rootfs()).unwrap();
        assert_eq!((found.workdir.to_string().as_str(), found.user.as_deref()), ("/", Some("0")));
        assert_eq!(words(&Command::Sh("x".to_owned()), &found.shell), ["/bin/sh", "-e", "-c", "x"]);
    }

    #[test]
    fn the_sandboxs_own_places_are_taken() {
        for (place, free) in [("/", false), ("/proc/x", false), ("/dev", false), ("/device", true)] {
            assert_eq!(check_place(&TreePath::parse(place).unwrap()).is_ok(), free, "{place}");
        }
    }
}
