//! What else of the machine makes a difference to sandboxes, for `doctor`. Nothing is believed that can be tried: what
//! a process would do to itself is done to a thread that ends with it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr, ioctl_ficlone, statfs};
use serde::Serialize;

use crate::exec::emulation;
use crate::exec::executor::ExecError;
use crate::exec::probe::climb;
use crate::exec::probe::{Isolation, Rung};
use crate::exec::sandbox::trial;
use crate::store::memo::Memo;

/// One thing that a sandbox uses where it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub holds: bool,
    /// What was seen when it was tried.
    pub message: String,
    /// How to get there.
    pub help: Option<String>,
}

/// In the order in which they are told. `isolation` has just been found out.
pub fn facts(memo: &Memo, isolation: &Isolation) -> Result<Vec<Fact>, ExecError> {
    let mut facts = vec![overlay(isolation), user_namespaces(isolation), landlock(), seccomp(), more_ids()];
    facts.extend(filesystem(memo)?);
    facts.push(emulators(memo, isolation));
    Ok(facts)
}

impl Fact {
    fn new(name: &'static str, tried: Result<String, String>, help: &str) -> Fact {
        let holds = tried.is_ok();
        let (Ok(message) | Err(message)) = tried;
        Fact { name, holds, message, help: (!holds).then(|| help.to_owned()) }
    }
}

/// The rungs above D are those with overlays on the store's filesystem.
fn overlay(isolation: &Isolation) -> Fact {
    let mut tried = isolation.findings.iter().filter(|finding| finding.rung < Rung::D);
    let holds = tried.clone().any(|finding| finding.holds);
    let tried = match tried.rfind(|finding| !finding.message.contains("not root")) {
        _ if holds => Ok("layers can be stacked on the store's disk".to_owned()),
        Some(finding) => Err(finding.message.clone()),
        None => Err("no rung with overlays was tried".to_owned()),
    };
    Fact::new("overlay", tried, "put the store on a disk or volume of the machine's own, with --store")
}

fn user_namespaces(isolation: &Isolation) -> Fact {
    let read =
        |name: &str| fs::read_to_string(name).map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned());
    let most = read("/proc/sys/user/max_user_namespaces");
    let made = isolation.findings.iter().find(|finding| finding.rung == Rung::C);
    let tried = match made {
        Some(finding) if finding.holds => Ok(format!("one was made and used; at most {most}")),
        Some(finding) => Err(format!("{}; at most {most}", finding.message)),
        None => Err("not tried".to_owned()),
    };
    let help = "as root: sysctl -w user.max_user_namespaces=10000; in a container, its seccomp profile must allow them";
    Fact::new("user namespaces", tried, help)
}

fn landlock() -> Fact {
    Fact::new(
        "landlock",
        trial::landlock(),
        "use Linux 6.12, with `landlock` among its security modules (`lsm=`)",
    )
}

fn seccomp() -> Fact {
    Fact::new("seccomp", trial::seccomp(), "use a kernel with CONFIG_SECCOMP_FILTER")
}

fn more_ids() -> Fact {
    let run = |program: &str| {
        std::process::Command::new(program).output().map_err(|error| format!("{program}: {error}"))
    };
    let tried = run("newuidmap").and_then(|_| run("newgidmap"));
    let tried = tried.map(|_| "newuidmap and newgidmap can be started".to_owned());
    Fact::new("newuidmap", tried, "install newuidmap and newgidmap (package `uidmap` or `shadow-utils`)")
}

/// Each that a sandbox would need is registered for one.
fn emulators(memo: &Memo, isolation: &Isolation) -> Fact {
    let mut works = Vec::new();
    let mut refused = None;
    for (processor, emulator) in emulation::all() {
        let tried = match (&isolation.granted, emulator) {
            (_, None) => Ok(()),
            (Some(granted), Some(emulator)) => {
                climb::attempt(memo, &isolation.zygote, granted, Some(emulator))
            }
            (None, Some(_)) => continue,
        };
        match tried {
            Ok(()) => works.push(processor),
            Err(error) => refused = Some(format!("{processor}: {error}")),
        }
    }
    let tried = match (works.is_empty(), refused) {
        (false, _) => Ok(format!("commands for {} can run", works.join(", "))),
        (true, Some(refused)) => Err(refused),
        (true, None) => Err("only commands for this processor can run".to_owned()),
    };
    Fact::new("emulators", tried, "install qemu-user-static")
}

/// What the store's filesystem can do.
fn filesystem(memo: &Memo) -> Result<[Fact; 2], ExecError> {
    let work = memo.work_folder()?;
    let name = name_of(work.path());
    let attributes = attributes_work(work.path())
        .map(|()| format!("{name}, which keeps extended attributes"))
        .map_err(|error| format!("{name}, which keeps no extended attributes: {error}"));
    let clones = clones_work(work.path())
        .map(|()| "copies share their blocks with what they are copies of".to_owned())
        .map_err(|error| format!("copies are copied byte by byte: {error}"));
    let help = "put the store on ext4, xfs or btrfs, with --store";
    let sooner = "only rungs D and E would gain by it: put the store on xfs or btrfs";
    Ok([Fact::new("store", attributes, help), Fact::new("clones", clones, sooner)])
}

/// statfs(2).
fn name_of(folder: &Path) -> String {
    let Ok(stat) = statfs(folder) else { return "an unknown filesystem".to_owned() };
    match stat.f_type as u32 {
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0x794c_7630 => "overlay".to_owned(),
        0x6969 => "nfs".to_owned(),
        0x6573_5546 => "fuse".to_owned(),
        0x2fc1_2fc1 => "zfs".to_owned(),
        other => format!("filesystem {other:#x}"),
    }
}

pub(super) fn attributes_work(folder: &Path) -> std::io::Result<()> {
    let file = File::create(folder.join("attributes"))?;
    Ok(fsetxattr(&file, "user.memobuild", b"x", XattrFlags::empty())?)
}

fn clones_work(folder: &Path) -> std::io::Result<()> {
    let (one, other) = (folder.join("one"), folder.join("other"));
    fs::write(&one, [1; 4096])?;
    let clone = File::create(&other)?;
    ioctl_ficlone(&clone, File::open(&one)?)?;
    let mut bytes = Vec::new();
    File::open(&other)?.read_to_end(&mut bytes)?;
    if bytes == [1; 4096] {
        Ok(())
    } else {
        Err(std::io::Error::other("a clone is not what it was cloned from"))
    }
}
