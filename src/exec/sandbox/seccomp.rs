//! Which system calls a command may make: those of the known ones that are not refused. Whatever is numbered beyond
//! what we have looked at does not exist for it, so that a newer kernel opens no side door.

use std::io;

use crate::exec::sandbox::filter::{Filter, Test, Verdict};
use crate::exec::sandbox::sys;

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

const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

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

const REFUSE: Verdict = Verdict::Errno(libc::EPERM);
const ABSENT: Verdict = Verdict::Errno(libc::ENOSYS);

/// Holds for the calling process and all that come from it. Sets `no_new_privs`, as all others here do.
pub(super) fn restrict() -> io::Result<()> {
    sys::filter(&usual().program())
}

/// The same for a run that may mount and make namespaces.
pub(super) fn restrict_to_namespaces() -> io::Result<()> {
    sys::filter(&known().program())
}

/// What namespaces would hold back: other machines, the processes of the whole machine, and its shared memory, which
/// outlives those who made it. To be followed by `restrict`.
pub(super) fn restrict_without_namespaces(has_network: bool) -> io::Result<()> {
    let refuse = Verdict::Errno(libc::EACCES);
    // 0 is the caller itself.
    let of_another = Test::IsNot(0, 0);
    let filter = Filter::new(Verdict::Kill).on(MACHINE_WIDE, refuse).on_one(
        libc::SYS_prlimit64,
        &[of_another],
        refuse,
    );
    let filter = match has_network {
        true => filter,
        false => filter.on_one(libc::SYS_socket, &[Test::IsNot(0, libc::AF_UNIX as u32)], refuse),
    };
    sys::filter(&filter.program())
}

/// Answers that a file has a new owner, and does nothing: for a run whose files all become 0:0, in a place
/// where no other owner exists. Without it `cp -a` of a file of the machine's root fails.
pub(super) fn ignore_ownership() -> io::Result<()> {
    sys::filter(&Filter::new(Verdict::Kill).on(GIVING, Verdict::Errno(0)).program())
}

/// Without the calls that no run may make.
fn known() -> Filter {
    // x32 calls have bit 30 set, so they are beyond as well.
    let mut filter = Filter::new(Verdict::Kill).beyond(LAST_KNOWN, ABSENT).on(REFUSED, REFUSE);
    for family in REFUSED_SOCKETS {
        filter = filter.on_one(libc::SYS_socket, &[Test::Is(0, family as u32)], REFUSE);
    }
    for request in REFUSED_IOCTLS {
        filter = filter.on_one(libc::SYS_ioctl, &[Test::Is(1, request as u32)], REFUSE);
    }
    filter
}

/// Without mounts and namespaces too. `clone3` does not exist, since its flags lie in memory, where no filter can look:
/// libraries fall back to `clone`.
fn usual() -> Filter {
    known().on(NAMESPACES, REFUSE).on(&[libc::SYS_clone3], ABSENT).on_one(
        libc::SYS_clone,
        &[Test::Has(0, NEW_NAMESPACES as u32)],
        REFUSE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::sandbox::filter::tests::{FOREIGN, HERE};

    #[test]
    fn what_becomes_of_calls() {
        let unshares = libc::CLONE_NEWUSER as u64 | libc::SIGCHLD as u64;
        let with = |first: u64, second: u64| [first, second, 0, 0, 0, 0];
        // The call, its arguments, and what becomes of it: usually, and where a run may make namespaces.
        let table = [
            (libc::SYS_read, with(0, 0), Verdict::Allow, Verdict::Allow),
            (libc::SYS_mount, with(0, 0), REFUSE, Verdict::Allow),
            (libc::SYS_clone3, with(0, 0), ABSENT, Verdict::Allow),
            (libc::SYS_clone, with(libc::SIGCHLD as u64, 0), Verdict::Allow, Verdict::Allow),
            (libc::SYS_clone, with(unshares, 0), REFUSE, Verdict::Allow),
            (libc::SYS_bpf, with(0, 0), REFUSE, REFUSE),
            (libc::SYS_ioctl, with(0, libc::TIOCSTI), REFUSE, REFUSE),
            (libc::SYS_ioctl, with(0, libc::TIOCSTI | 1 << 32), REFUSE, REFUSE),
            (libc::SYS_ioctl, with(0, libc::TIOCGWINSZ), Verdict::Allow, Verdict::Allow),
            (libc::SYS_socket, with(libc::AF_VSOCK as u64, 0), REFUSE, REFUSE),
            (libc::SYS_socket, with(libc::AF_INET as u64, 0), Verdict::Allow, Verdict::Allow),
            (i64::from(LAST_KNOWN) + 1, with(0, 0), ABSENT, ABSENT),
            // x32.
            (libc::SYS_read | 1 << 30, with(0, 0), ABSENT, ABSENT),
        ];
        for (call, arguments, usually, with_namespaces) in table {
            assert_eq!(usual().verdict(HERE, call, arguments), usually, "{call} {arguments:?}");
            assert_eq!(known().verdict(HERE, call, arguments), with_namespaces, "{call} {arguments:?}");
        }
        assert_eq!(usual().verdict(FOREIGN, libc::SYS_read, with(0, 0)), Verdict::Kill);
    }

    #[test]
    fn refused_calls_lie_in_the_known_range() {
        // One that is above gives ENOSYS already, and its line here would say nothing.
        for &call in REFUSED.iter().chain(NAMESPACES) {
            assert!(call <= i64::from(LAST_KNOWN), "{call}");
        }
    }
}
