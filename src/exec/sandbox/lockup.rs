//! What the first process of a sandbox without namespaces does in place of entering them: it locks itself into its
//! root by chroot, into that folder's files by landlock, and out of the network by a filter. Two walls, since root
//! gets over either: what the second chroot would take is given up, and no descriptor leads out.

use std::path::PathBuf;

use ::landlock::RulesetStatus;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{DumpableBehavior, chdir, chroot, fchdir, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use crate::exec::sandbox::init::Plan;
use crate::exec::sandbox::landlock::{self, Allowed};
use crate::exec::sandbox::spec::{Trouble, Walls};
use crate::exec::sandbox::{host_root, limits, seccomp, ward};
use crate::graph::op::Network;

/// Devices and processes of the machine, for commands that have its own root.
const MACHINE: [&str; 2] = ["/dev", "/proc"];

/// From here on, `/` is the sandbox's root, where it has one.
pub(super) fn enter(plan: &Plan) -> Result<(), Trouble> {
    ward::adopt_orphans()?;
    let null = openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(Trouble::at("open /dev/null"))?;
    rustix::stdio::dup2_stdin(null).map_err(Trouble::at("close its standard input"))?;
    if plan.walls == Walls::Bare {
        return Ok(());
    }
    let root = openat(CWD, &plan.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Trouble::at("open its root"))?;
    fchdir(&root).map_err(Trouble::at("enter its root"))?;
    chroot(".").map_err(Trouble::at("change its root"))?;
    chdir("/").map_err(Trouble::at("enter its root"))
}

/// The working directory has been entered.
pub(super) fn restrict(plan: &Plan) -> Result<(), Trouble> {
    let has_network = plan.network != Network::None;
    let status = landlock::lock_into(&places(plan), has_network)
        .map_err(|error| Trouble::environment(format!("landlock: {error}")))?;
    if status.ruleset == RulesetStatus::NotEnforced && plan.walls == Walls::Chrooted {
        return Err(Trouble::Environment {
            message: "this kernel has no landlock to lock root's processes in with".to_owned(),
            help: Some("use Linux 5.13 or later, with `landlock` among its security modules".to_owned()),
        });
    }
    match plan.walls {
        Walls::Bare => limits::keep_capabilities(limits::WITHOUT_NAMESPACES)?,
        _ => limits::give_up_capabilities(limits::WITHOUT_NAMESPACES)?,
    }
    set_no_new_privs(true).map_err(Trouble::at("forbid new rights"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Trouble::at("protect its first process"))?;
    let cannot = |error| Trouble::environment(format!("the sandbox cannot filter system calls: {error}"));
    if plan.ignore_ownership {
        seccomp::ignore_ownership().map_err(cannot)?;
    }
    seccomp::restrict_without_namespaces(has_network).map_err(cannot)?;
    seccomp::restrict().map_err(cannot)
}

fn places(plan: &Plan) -> Vec<(PathBuf, Allowed)> {
    if plan.walls == Walls::Chrooted {
        return vec![("/".into(), Allowed::Everything)];
    }
    let machine = host_root::places().map(|path| (path, Allowed::Reading));
    let folders = plan.folders.iter().map(|folder| (folder.into(), Allowed::Reading));
    let devices = MACHINE.map(|path| (path.into(), Allowed::Using));
    let own = [(plan.root.clone(), Allowed::Everything)];
    own.into_iter().chain(machine).chain(folders).chain(devices).collect()
}
