//! What the first process of a sandbox gives up before anything foreign runs: capabilities, the way
//! to new ones, and the inherited limits.

use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, CpuSet, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, sched_getaffinity, sched_setaffinity, set_capabilities,
    set_no_new_privs,
};

use crate::base::kernel;
use crate::exec::sandbox::spec::Trouble;

/// What package managers need of root. All of it ends at the sandbox's own files and processes.
pub(super) const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// The soft limits that Linux itself starts with: a build must not depend on who called it.
const OPEN_FILES: u64 = 1024;
const STACK_BYTES: u64 = 8 << 20;

/// More processes than its limit a run may have before somebody looks: as many as that takes no machine down.
const MORE_PROCESSES: u64 = 64;
/// The kernel keeps these numbers for itself, once all have been used (`RESERVED_PIDS`).
const RESERVED_NUMBERS: u64 = 300;

/// Less than any dump takes. Where the machine hands dumps to a program, 0 would be no limit, and this is none at all
/// (core(5)): what a command knows must not be kept by the machine.
const NO_DUMP: u64 = 1;

/// Numbers that the kernel may know; it answers EINVAL for those it doesn't.
const MOST_CAPABILITIES: u32 = 64;

/// Where no namespace holds them: by a second change of the root, one gets out of the first.
pub(super) const WITHOUT_NAMESPACES: CapabilitySet = KEPT.difference(CapabilitySet::SYS_CHROOT);

/// What of `kept` the process has, and nothing else.
pub(super) fn keep_capabilities(kept: CapabilitySet) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<rustix::io::Errno>("drop capabilities");
    let kept = kept & capabilities(None).map_err(cannot())?.permitted;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(cannot())
}

/// The same, and no way leads to others.
pub(super) fn give_up_capabilities(kept: CapabilitySet) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<rustix::io::Errno>("drop capabilities");
    for number in 0..MOST_CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !kept.contains(capability) => {
                remove_capability_from_bounding_set(capability).map_err(cannot())?;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    keep_capabilities(kept)?;
    set_no_new_privs(true).map_err(cannot())
}

/// A wall behind the eyes that watch: while a run makes processes without end, nobody else gets to look. Where the
/// kernel has no such wall there is none. `processes` is the sandbox's own /proc.
pub(super) fn wall_in_processes(processes: BorrowedFd<'_>, most: u64, has_namespace: bool) {
    let most = most.saturating_add(MORE_PROCESSES);
    // Counted for each user namespace; before, for each user of the machine.
    if has_namespace && kernel::is_since(5, 14) {
        let _ = setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: Some(most) });
    }
    // Of each process namespace; before, of the machine.
    if kernel::is_since(6, 14) {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let highest = (RESERVED_NUMBERS + most).to_string();
        let _ = openat(processes, "sys/kernel/pid_max", flags, Mode::empty())
            .and_then(|file| rustix::io::write(file, highest.as_bytes()));
    }
}

/// Keeps all that comes from this process to `count` of its processors. A share of all of them, which a control
/// group gives, would let it run at more than `count` at once; this never does.
pub(super) fn keep_to_processors(count: u64) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<rustix::io::Errno>("keep to its processors");
    let mut processors = sched_getaffinity(None).map_err(cannot())?;
    let mut kept = 0;
    for number in 0..CpuSet::MAX_CPU {
        if processors.is_set(number) {
            kept += 1;
            if kept > count {
                processors.unset(number);
            }
        }
    }
    sched_setaffinity(None, &processors).map_err(cannot())
}

pub(super) fn set_limits() -> Result<(), Trouble> {
    umask(Mode::from_raw_mode(0o022));
    let cannot = || Trouble::at::<rustix::io::Errno>("set limits");
    setrlimit(Resource::Core, Rlimit { current: Some(NO_DUMP), maximum: Some(NO_DUMP) }).map_err(cannot())?;
    for (resource, soft) in [(Resource::Nofile, OPEN_FILES), (Resource::Stack, STACK_BYTES)] {
        let maximum = getrlimit(resource).maximum;
        let current = Some(maximum.map_or(soft, |maximum| maximum.min(soft)));
        setrlimit(resource, Rlimit { current, maximum }).map_err(cannot())?;
    }
    Ok(())
}
