//! Which system calls a command may make. Two filters: calls that do not exist for it (new ones, and
//! other ways of calling), and calls that exist and are refused.
//!
//! The first is written by hand since it is one comparison: whatever is numbered beyond what we have
//! looked at gives ENOSYS, so that a newer kernel opens no side door.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

/// `file_setattr` of Linux 6.17, the last one that was looked at.
const LAST_KNOWN: u32 = 469;
// Calls that the `libc` crate does not name yet: Linux 6.8 and 6.15, the same on every architecture.
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;
const OPEN_TREE_ATTR: i64 = 467;

/// Mounts and namespaces: what a privileged run may do.
const NAMESPACES: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    STATMOUNT,
    LISTMOUNT,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// What is refused to every run, whatever the arguments are.
const REFUSED: &[i64] = &[
    // Files by other ways than names.
    libc::SYS_open_by_handle_at,
    // Keys belong to users, not to namespaces.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large parts of the kernel that no build needs, and that filters do not see into.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    // The machine as a whole.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];

/// No namespace holds these: they reach the hypervisor, and the kernel's crypto.
const REFUSED_SOCKETS: [i32; 2] = [libc::AF_VSOCK, libc::AF_ALG];

/// Types on the terminal of whoever started the build.
const REFUSED_IOCTLS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Ways to give a file to somebody.
pub(super) const GIVING: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    libc::SYS_fchown,
    libc::SYS_fchownat,
];

/// System V's and POSIX's own shared things: the whole machine or container has one set of them.
const MACHINE_WIDE: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Holds for the calling process and all that come from it. Sets `no_new_privs`.
pub(super) fn restrict() -> Result<(), seccompiler::Error> {
    apply_filter(&unknown_calls(Some(libc::SYS_clone3)))?;
    // The later of two filters that both give an error decides which one.
    let mut rules = refused_calls()?;
    rules.extend(NAMESPACES.iter().map(|&call| (call, Vec::new())));
    rules.insert(libc::SYS_clone, new_namespaces()?);
    apply_filter(&refusing(rules)?)
}

/// The same for a run that may mount and make namespaces.
pub(super) fn restrict_to_namespaces() -> Result<(), seccompiler::Error> {
    apply_filter(&unknown_calls(None))?;
    apply_filter(&refusing(refused_calls()?)?)
}

/// What namespaces would hold back: other machines, the processes of the whole machine, and its shared memory, which
/// outlives those who made it. To be followed by `restrict`.
pub(super) fn restrict_without_namespaces(has_network: bool) -> Result<(), seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        MACHINE_WIDE.iter().map(|&call| (call, Vec::new())).collect();
    // 0 is the caller itself.
    let of_another = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0);
    rules.insert(libc::SYS_prlimit64, any_of([of_another])?);
    if !has_network {
        let local = libc::AF_UNIX as u64;
        let others = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, local);
        rules.insert(libc::SYS_socket, any_of([others])?);
    }
    let refuse = SeccompAction::Errno(libc::EACCES as u32);
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture())?.try_into()?;
    apply_filter(&program)
}

/// Answers that a file has a new owner, and does nothing: for a run whose files all become 0:0, in a place
/// where no other owner exists. Without it `cp -a` of a file of the machine's root fails.
pub(super) fn ignore_ownership() -> Result<(), seccompiler::Error> {
    let rules = GIVING.iter().map(|&call| (call, Vec::new())).collect();
    let done = SeccompAction::Errno(0);
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, done, architecture())?.try_into()?;
    apply_filter(&program)
}

/// `hidden` does not exist for it either: its flags lie in memory, where no filter can look; libraries fall back to
/// `clone`.
fn unknown_calls(hidden: Option<i64>) -> Vec<sock_filter> {
    const NUMBER: u32 = 0;
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD, NUMBER, 0, 0),
        // x32 calls have bit 30 set, so they are above as well.
        line(ABOVE, LAST_KNOWN, 2, 0),
        line(IS, hidden.map_or(u32::MAX, |call| call as u32), 1, 0),
        line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        line(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
    ]
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn refused_calls() -> Result<Rules, seccompiler::Error> {
    let mut rules: Rules = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let socket = REFUSED_SOCKETS.map(|family| equals(0, family as u64));
    rules.insert(libc::SYS_socket, any_of(socket)?);
    let ioctl = REFUSED_IOCTLS.map(|request| equals(1, request));
    rules.insert(libc::SYS_ioctl, any_of(ioctl)?);
    Ok(rules)
}

fn new_namespaces() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    any_of(NEW_NAMESPACES.map(|flag| {
        let flag = flag as u64;
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
    }))
}

/// Kills on calls in another architecture's way: their numbers mean other things.
fn refusing(rules: Rules) -> Result<BpfProgram, seccompiler::Error> {
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture())?;
    Ok(filter.try_into()?)
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn equals(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn any_of(
    conditions: impl IntoIterator<Item = Condition>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    conditions.into_iter().map(|condition| SeccompRule::new(vec![condition?])).collect()
}

const fn architecture() -> TargetArch {
    #[cfg(target_arch = "x86_64")]
    return TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    return TargetArch::aarch64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_is_small() {
        let program = refusing(refused_calls().unwrap()).unwrap();
        assert!(program.len() < 400, "{} instructions", program.len());
    }

    #[test]
    fn refused_calls_lie_in_the_known_range() {
        // One that is above gives ENOSYS already, and its line here would say nothing.
        for &call in REFUSED.iter().chain(NAMESPACES) {
            assert!(call <= i64::from(LAST_KNOWN), "{call}");
        }
    }
}
