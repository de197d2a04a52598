//! Tries the rungs, from the strongest down: each by a whole sandbox that runs no command.

use std::fs;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::exec::bounds::Bounds;
use crate::exec::emulation::Emulator;
use crate::exec::executor::ExecError;
use crate::exec::helper::{self, Aid};
use crate::exec::identity::{Identity, range};
use crate::exec::probe::{Finding, Granted, Rung, machine};
use crate::exec::sandbox::lent::{Handed, Lent};
use crate::exec::sandbox::spec::{Ended, Root, Spec, Walls};
use crate::exec::zygote::Zygote;
use crate::graph::op::Network;
use crate::store::memo::Memo;

/// Why a rung does not hold, and how to get there.
struct WhyNot {
    message: String,
    help: Option<String>,
}

/// The best rung that holds; the findings are those of the rungs above it.
pub(super) fn up_to_the_first(
    memo: &Memo,
    zygote: &Zygote,
) -> Result<(Option<Granted>, Vec<Finding>), ExecError> {
    let mut findings = Vec::new();
    for rung in [Rung::A, Rung::B, Rung::C, Rung::D, Rung::E] {
        let (granted, finding) = try_out(memo, zygote, rung)?;
        findings.push(finding);
        if granted.is_some() {
            return Ok((granted, findings));
        }
    }
    Ok((None, findings))
}

/// Every rung that holds, the strongest first, and what was found of each.
pub(super) fn all(memo: &Memo, zygote: &Zygote) -> Result<(Vec<Granted>, Vec<Finding>), ExecError> {
    let (mut granted, mut findings) = (Vec::new(), Vec::new());
    for rung in [Rung::A, Rung::B, Rung::C, Rung::D, Rung::E] {
        let (found, finding) = try_out(memo, zygote, rung)?;
        granted.extend(found);
        findings.push(finding);
    }
    Ok((granted, findings))
}

/// The last rung, which always holds.
pub(super) fn nothing() -> Granted {
    let (uid, gid) = caller();
    Granted { rung: Rung::F, identity: Identity::Single { uid, gid } }
}

/// With the first of the identities that it can have.
fn try_out(memo: &Memo, zygote: &Zygote, rung: Rung) -> Result<(Option<Granted>, Finding), ExecError> {
    let mut why_not = None;
    for candidate in candidates(rung) {
        let refusal = match candidate {
            Err(refusal) => refusal,
            Ok(identity) => {
                let granted = Granted { rung, identity };
                match keeps_marks(memo, &granted).and_then(|()| attempt(memo, zygote, &granted, None)) {
                    Ok(()) => return Ok((Some(granted), holding(rung))),
                    Err(ExecError::Store(error)) => return Err(error.into()),
                    Err(error) => WhyNot { message: error.to_string(), help: help_for(rung) },
                }
            }
        };
        // The last one is what anybody could get, and so what help is for.
        why_not = Some(refusal);
    }
    let WhyNot { message, help } = why_not.expect("bug: a rung without candidates");
    Ok((None, Finding { rung, holds: false, message, leaks: Vec::new(), help }))
}

/// An overlay in a user namespace is mounted on a filesystem without attributes too, and fails when it has to mark a
/// folder there: tmpfs before Linux 6.6.
fn keeps_marks(memo: &Memo, granted: &Granted) -> Result<(), ExecError> {
    if granted.rung.walls() != Walls::Mounted || !granted.identity.has_namespace() {
        return Ok(());
    }
    let work = memo.work_folder()?;
    machine::attributes_work(work.path()).map_err(|error| ExecError::Environment {
        message: format!("the store's filesystem keeps no extended attributes: {error}"),
        help: None,
    })
}

fn holding(rung: Rung) -> Finding {
    let leaks = rung.leaks().iter().map(|&leak| leak.to_owned()).collect();
    Finding { rung, holds: true, message: rung.gives().to_owned(), leaks, help: None }
}

fn caller() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Who may be whom inside.
fn candidates(rung: Rung) -> Vec<Result<Identity, WhyNot>> {
    let (uid, gid) = caller();
    let real = || match uid {
        0 => Ok(Identity::Real),
        _ => Err(WhyNot { message: "this is not root".to_owned(), help: None }),
    };
    let single = || Ok(Identity::Single { uid, gid });
    match rung {
        Rung::A | Rung::E => vec![real()],
        Rung::B => vec![ranges(uid, gid)],
        Rung::C | Rung::F => vec![single()],
        Rung::D => vec![real(), ranges(uid, gid), single()],
    }
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
pub(super) fn attempt(
    memo: &Memo,
    zygote: &Zygote,
    granted: &Granted,
    emulator: Option<Emulator>,
) -> Result<(), ExecError> {
    let work = memo.work_folder()?;
    let rung = granted.rung;
    let root = match rung.shows_the_machine() {
        true => Root::Host { folders: Vec::new(), hidden: Vec::new() },
        false => Root::Layers { stack: Vec::new(), trees: Vec::new() },
    };
    let spec = Spec {
        store: memo.folder().to_owned(),
        work: work.path().to_owned(),
        identity: granted.identity.clone(),
        walls: rung.walls(),
        snapshots: Vec::new(),
        root,
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        lent: Lent::default(),
        commands: Vec::new(),
        environment: Vec::new(),
        workdir: TreePath::root(),
        user: None,
        hostname: "probe".to_owned(),
        emulator,
        network: Network::None,
        ports: Vec::new(),
        authority: None,
        add_hosts: Vec::new(),
        outputs: Vec::new(),
        exit: 0,
        expected_files: Vec::new(),
        is_test: false,
        privileged: false,
        tells_owners: false,
        devices: Vec::new(),
        timeout: Some(10),
        bounds: Bounds::default(),
        session: None,
        services: Vec::new(),
        is_service: false,
    };
    let aid = Aid { memo, handed: &Handed::default(), connect: &mut |_| Ok(()) };
    let done = helper::run(zygote, spec, aid, &Cancel::default(), &mut |_, _| Ok(()))?;
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
    if rung == Rung::E {
        return Some("root needs CAP_SYS_CHROOT, and the kernel landlock (Linux 5.13)".to_owned());
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
