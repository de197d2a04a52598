//! What this machine allows: the isolation ladder. Found out by doing, once per boot: a rung holds where a
//! whole sandbox could be made that way, not where some setting says so. Never asked for in a build that runs nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::exec::bounds::Bounds;
use crate::exec::executor::ExecError;
use crate::exec::grants::Grants;
use crate::exec::helper;
use crate::exec::identity::{Identity, range};
use crate::exec::sandbox::lent::Lent;
use crate::exec::sandbox::spec::{Ended, Root, Spec};
use crate::exec::zygote::Zygote;
use crate::graph::op::Network;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

/// This program, whatever its file is called by now.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Where the answer is kept, in the store's folder.
const KEPT_IN: &str = "isolation.json";

/// How strong a sandbox is; the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rung {
    /// Root: the machine's own ids.
    A,
    /// A user namespace with a range of ids.
    B,
    /// A user namespace with one id.
    C,
}

/// How runs are isolated here, and why not better.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// `None`: no command may run.
    pub granted: Option<Granted>,
    /// One for each rung, the strongest first.
    pub findings: Vec<Finding>,
    /// What sandboxes are born from.
    pub zygote: Arc<Zygote>,
    /// What runs may have beyond their sandbox.
    pub grants: Grants,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub rung: Rung,
    pub identity: Identity,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rung: Rung,
    pub holds: bool,
    /// Why it does not hold, or what it gives.
    pub message: String,
    /// How to get there.
    pub help: Option<String>,
}

/// What the kept answer holds for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    boot: String,
    kernel: String,
    uid: u32,
    version: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: Machine,
    granted: Option<Granted>,
    findings: Vec<Finding>,
}

impl Rung {
    pub const fn name(self) -> &'static str {
        match self {
            Rung::A => "A",
            Rung::B => "B",
            Rung::C => "C",
        }
    }

    pub fn named(name: &str) -> Option<Rung> {
        [Rung::A, Rung::B, Rung::C].into_iter().find(|rung| rung.name() == name)
    }

    /// Whether a result made on the rung `made_on` is what this rung gives too. With one id everybody may do what root
    /// may, and file capabilities are missing. A result from above is always right.
    pub fn accepts(self, made_on: &str) -> bool {
        self == Rung::C || made_on != Rung::C.name()
    }

    const fn gives(self) -> &'static str {
        match self {
            Rung::A => "root: all user ids",
            Rung::B => "a user namespace with a range of user ids",
            Rung::C => {
                "a user namespace with one user id: all others are remembered, and may do what root may"
            }
        }
    }
}

/// The best rung that holds, from the store if this machine was asked since it started.
pub fn isolation(memo: &Memo) -> Result<Isolation, ExecError> {
    let path = memo.folder().join(KEPT_IN);
    let machine = machine();
    let kept = fs::read(&path).ok().and_then(|json| serde_json::from_slice::<Kept>(&json).ok());
    if let Some(kept) = kept.filter(|kept| kept.machine == machine && kept.granted.is_some()) {
        return Ok(Isolation {
            granted: kept.granted,
            findings: kept.findings,
            zygote: Arc::new(Zygote::new(THIS_PROGRAM.into())),
            grants: Grants::default(),
        });
    }
    let isolation = doctor(memo, Path::new(THIS_PROGRAM))?;
    let kept = Kept { machine, granted: isolation.granted.clone(), findings: isolation.findings.clone() };
    let json = serde_json::to_vec_pretty(&kept).expect("bug: findings are always JSON");
    // Two processes may write at once: both write the same, and each whole or in place of the other's.
    let fresh = memo.work_folder()?;
    let file = fresh.path().join(KEPT_IN);
    fs::write(&file, json)
        .and_then(|()| fs::rename(&file, &path))
        .map_err(StoreError::io("cannot write", &path))?;
    Ok(isolation)
}

/// Tries every rung, whatever is known.
pub fn doctor(memo: &Memo, program: &Path) -> Result<Isolation, ExecError> {
    let zygote = Arc::new(Zygote::new(program.to_owned()));
    let (granted, findings) = climb(memo, &zygote)?;
    Ok(Isolation { granted: granted.into_iter().next(), findings, zygote, grants: Grants::default() })
}

/// Every rung that holds, the strongest first.
pub fn every(memo: &Memo, program: &Path) -> Result<Vec<Granted>, ExecError> {
    Ok(climb(memo, &Zygote::new(program.to_owned()))?.0)
}

fn climb(memo: &Memo, zygote: &Zygote) -> Result<(Vec<Granted>, Vec<Finding>), ExecError> {
    let (mut granted, mut findings) = (Vec::new(), Vec::new());
    for (rung, candidate) in candidates() {
        let finding = match candidate {
            Err(why_not) => why_not.finding(rung),
            Ok(identity) => match attempt(memo, zygote, &identity) {
                Ok(()) => {
                    granted.push(Granted { rung, identity });
                    Finding { rung, holds: true, message: rung.gives().to_owned(), help: None }
                }
                Err(ExecError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    let why_not = WhyNot { message: error.to_string(), help: help_for(rung) };
                    why_not.finding(rung)
                }
            },
        };
        findings.push(finding);
    }
    Ok((granted, findings))
}

impl Isolation {
    /// For a run where no rung holds.
    pub fn refusal(&self) -> ExecError {
        let reasons: Vec<String> = self
            .findings
            .iter()
            .map(|finding| format!("rung {}: {}", finding.rung.name(), finding.message))
            .collect();
        ExecError::Environment {
            message: format!("no command can be isolated on this machine ({})", reasons.join("; ")),
            help: Some("`memobuild doctor` tells how to get there".to_owned()),
        }
    }
}

struct WhyNot {
    message: String,
    help: Option<String>,
}

impl WhyNot {
    fn finding(self, rung: Rung) -> Finding {
        Finding { rung, holds: false, message: self.message, help: self.help }
    }
}

fn candidates() -> [(Rung, Result<Identity, WhyNot>); 3] {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let real = if uid == 0 {
        Ok(Identity::Real)
    } else {
        Err(WhyNot { message: "this is not root".to_owned(), help: None })
    };
    [(Rung::A, real), (Rung::B, ranges(uid, gid)), (Rung::C, Ok(Identity::Single { uid, gid }))]
}

fn ranges(uid: u32, gid: u32) -> Result<Identity, WhyNot> {
    let name = user_name(uid);
    let of = |file: &str| range(Path::new(file), uid, name.as_deref());
    match (of("/etc/subuid"), of("/etc/subgid")) {
        (Some(uids), Some(gids)) => Ok(Identity::Ranges { uid, gid, uids, gids }),
        _ => {
            let user = name.unwrap_or_else(|| uid.to_string());
            Err(WhyNot {
                message: format!("/etc/subuid and /etc/subgid give `{user}` no range of user ids"),
                help: Some(format!(
                    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
                )),
            })
        }
    }
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// A whole sandbox that runs no command.
fn attempt(memo: &Memo, zygote: &Zygote, identity: &Identity) -> Result<(), ExecError> {
    let work = memo.work_folder()?;
    let spec = Spec {
        store: memo.folder().to_owned(),
        work: work.path().to_owned(),
        identity: identity.clone(),
        snapshots: Vec::new(),
        root: Root::Host { folders: Vec::new(), hidden: Vec::new() },
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        lent: Lent::default(),
        commands: Vec::new(),
        environment: Vec::new(),
        workdir: TreePath::root(),
        user: None,
        hostname: "probe".to_owned(),
        emulator: None,
        network: Network::None,
        ports: Vec::new(),
        authority: None,
        add_hosts: Vec::new(),
        outputs: Vec::new(),
        exit: 0,
        expected_files: Vec::new(),
        is_test: false,
        privileged: false,
        devices: Vec::new(),
        timeout: Some(10),
        bounds: Bounds::default(),
        session: None,
        services: Vec::new(),
        is_service: false,
    };
    let done = helper::run(zygote, memo, spec, &[], &Cancel::default(), &mut |_, _| Ok(()), &mut |_| Ok(()))?;
    match done.ended {
        Ended::Exit(0) => Ok(()),
        ended => Err(ExecError::Environment {
            message: format!("an empty sandbox did not end by itself ({ended:?})"),
            help: None,
        }),
    }
}

fn help_for(rung: Rung) -> Option<String> {
    if rung == Rung::A {
        return Some("root lacks CAP_SYS_ADMIN here: in a container, start it `--privileged`".to_owned());
    }
    let setting = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Some("as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".to_owned());
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Some("as root: sysctl -w kernel.unprivileged_userns_clone=1".to_owned());
    }
    if setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return Some("as root: sysctl -w user.max_user_namespaces=10000".to_owned());
    }
    match rung {
        Rung::B => Some("install newuidmap and newgidmap (package `uidmap` or `shadow-utils`)".to_owned()),
        _ => Some("use Linux 5.19 or later, and a store on a disk of the machine's own".to_owned()),
    }
}

fn machine() -> Machine {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    Machine {
        boot: boot.trim().to_owned(),
        kernel: format!("{} {}", text(name.release()), text(name.version())),
        uid: rustix::process::geteuid().as_raw(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_there_is_one_id_are_results_of_one_id_believed() {
        let rungs = [Rung::A, Rung::B, Rung::C];
        for (here, expected) in rungs.into_iter().zip([[true, true, false], [true, true, false], [true; 3]]) {
            assert_eq!(rungs.map(|made_on| here.accepts(made_on.name())), expected, "{here:?}");
        }
    }
}
