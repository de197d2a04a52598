//! Which calls are handed over to whoever answers for owners. All others pass, and so do calls in another
//! architecture's way: other filters kill for them.

use crate::exec::sandbox::filter::{Filter, Test, Verdict};
use crate::exec::sandbox::seccomp::GIVING;

/// Ways to become somebody, and to ask who one is.
const BEING: &[i64] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
];

/// Ways to ask whose a file is.
pub(super) const SHOWING: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
];

/// Ways to make a file that is somebody's.
const MAKING: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    libc::SYS_openat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
];

/// Opening is making where a flag says so. `O_TMPFILE` is two bits, of which one is `O_DIRECTORY`.
const OPENING: &[(i64, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
    (libc::SYS_openat, 2),
];
const MAKES: u32 = (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) as u32;

pub(super) fn asking() -> Filter {
    let mut filter = Filter::new(Verdict::Allow);
    for calls in [GIVING, BEING, SHOWING, MAKING, &[libc::SYS_chroot]] {
        filter = filter.on(calls, Verdict::Ask);
    }
    for &(call, flags) in OPENING {
        filter = filter.on_one(call, &[Test::Has(flags, MAKES)], Verdict::Ask);
    }
    let keep = Test::Is(0, libc::PR_SET_KEEPCAPS as u32);
    filter = filter.on_one(libc::SYS_prctl, &[keep], Verdict::Ask);
    // Who sets the limit that tells who a process is (`people.rs`) is told that it is done: nothing else has been
    // limited by it since Linux 2.4.
    let locks = |argument| Test::Is(argument, libc::RLIMIT_LOCKS);
    let done = Verdict::Errno(0);
    filter.on_one(libc::SYS_setrlimit, &[locks(0)], done).on_one(
        libc::SYS_prlimit64,
        &[locks(1), Test::IsNot(2, 0)],
        done,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::exec::sandbox::filter::tests::{FOREIGN, HERE};

    fn verdict(machine: u32, call: i64, arguments: [u64; 6]) -> Verdict {
        asking().verdict(machine, call, arguments)
    }

    const ASKED: Verdict = Verdict::Ask;
    const PASSES: Verdict = Verdict::Allow;
    const DONE: Verdict = Verdict::Errno(0);

    #[test]
    fn what_is_about_owners_is_handed_over() {
        for &call in [GIVING, BEING, SHOWING, MAKING].concat().iter() {
            assert_eq!(verdict(HERE, call, [0; 6]), ASKED, "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_fchmod, libc::SYS_seccomp, libc::SYS_exit] {
            assert_eq!(verdict(HERE, call, [u64::MAX; 6]), PASSES, "{call}");
        }
    }

    #[test]
    fn opening_is_handed_over_where_it_makes() {
        let table = [
            (libc::O_RDONLY, PASSES),
            (libc::O_WRONLY | libc::O_TRUNC, PASSES),
            (libc::O_DIRECTORY, PASSES),
            (libc::O_CREAT, ASKED),
            (libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, ASKED),
            (libc::O_TMPFILE | libc::O_RDWR, ASKED),
        ];
        for (flags, expected) in table {
            for &(call, argument) in OPENING {
                let mut arguments = [0; 6];
                arguments[usize::from(argument)] = flags as u64;
                assert_eq!(verdict(HERE, call, arguments), expected, "{flags:o}");
            }
        }
    }

    #[test]
    fn one_wish_of_many_is_handed_over() {
        let keep = libc::PR_SET_KEEPCAPS as u64;
        assert_eq!(verdict(HERE, libc::SYS_prctl, [keep, 1, 0, 0, 0, 0]), ASKED);
        assert_eq!(verdict(HERE, libc::SYS_prctl, [libc::PR_SET_NAME as u64, 1, 0, 0, 0, 0]), PASSES);
    }

    #[test]
    fn one_limit_cannot_be_set() {
        let locks = u64::from(libc::RLIMIT_LOCKS);
        let files = u64::from(libc::RLIMIT_NOFILE);
        let table = [
            (libc::SYS_prlimit64, [0, locks, 1, 0, 0, 0], DONE),
            (libc::SYS_prlimit64, [0, locks, 0, 1, 0, 0], PASSES),
            (libc::SYS_prlimit64, [0, files, 1, 0, 0, 0], PASSES),
            (libc::SYS_setrlimit, [locks, 1, 0, 0, 0, 0], DONE),
            (libc::SYS_setrlimit, [files, 1, 0, 0, 0, 0], PASSES),
        ];
        for (call, arguments, expected) in table {
            assert_eq!(verdict(HERE, call, arguments), expected, "{call} {arguments:?}");
        }
    }

    #[test]
    fn other_machines_calls_are_left_to_other_filters() {
        assert_eq!(verdict(FOREIGN, libc::SYS_fchown, [0; 6]), PASSES);
        // x32.
        assert_eq!(verdict(HERE, libc::SYS_fchown | 0x4000_0000, [0; 6]), PASSES);
    }
}
