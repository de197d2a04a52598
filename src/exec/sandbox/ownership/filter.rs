//! Which calls are handed over, as a program for the kernel (seccomp(2), `struct seccomp_data`). Only numbers can be
//! looked at: what is behind a pointer is for whoever answers.
//!
//! All other calls pass, and so do calls in another architecture's way: other filters kill for them.

use libc::sock_filter;

use crate::exec::sandbox::seccomp::GIVING;

/// Which calls of a number are meant.
#[derive(Clone, Copy)]
enum When {
    Always,
    /// The argument has one of these bits.
    Bits {
        argument: u8,
        bits: u32,
    },
    /// The argument is this.
    Value {
        argument: u8,
        value: u32,
    },
}

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

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const HAS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The whole program.
pub(super) fn program() -> Vec<sock_filter> {
    let mut program = vec![
        line(LOAD, MACHINE, 0, 0),
        line(IS, ARCHITECTURE, 1, 0),
        line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        line(LOAD, NUMBER, 0, 0),
    ];
    for call in GIVING.iter().chain(BEING).chain(SHOWING).chain(MAKING).chain(&[libc::SYS_chroot]) {
        program.extend(hand_over(*call, When::Always));
    }
    for &(call, argument) in OPENING {
        program.extend(hand_over(call, When::Bits { argument, bits: MAKES }));
    }
    let keep = When::Value { argument: 0, value: libc::PR_SET_KEEPCAPS as u32 };
    program.extend(hand_over(libc::SYS_prctl, keep));
    program.extend(keep_locks());
    program.push(line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program
}

fn hand_over(call: i64, when: When) -> Vec<sock_filter> {
    let asked = line(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0);
    let (argument, test) = match when {
        When::Always => return vec![line(IS, call as u32, 0, 1), asked],
        When::Bits { argument, bits } => (argument, line(HAS, bits, 0, 1)),
        When::Value { argument, value } => (argument, line(IS, value, 0, 1)),
    };
    let passes = line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0);
    vec![line(IS, call as u32, 0, 4), line(LOAD, low_half(argument), 0, 0), test, asked, passes]
}

/// Who sets the limit that tells who a process is (`people.rs`) is told that it is done: nothing else has been
/// limited by it since Linux 2.4.
fn keep_locks() -> Vec<sock_filter> {
    let limits = libc::SYS_prlimit64 as u32;
    vec![
        line(IS, limits, 0, 6),
        line(LOAD, low_half(1), 0, 0),
        line(IS, libc::RLIMIT_LOCKS, 0, 3),
        line(LOAD, low_half(2), 0, 0),
        line(IS, 0, 1, 0),
        line(RETURN, libc::SECCOMP_RET_ERRNO, 0, 0),
        line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        line(IS, libc::SYS_setrlimit as u32, 0, 4),
        line(LOAD, low_half(0), 0, 0),
        line(IS, libc::RLIMIT_LOCKS, 0, 1),
        line(RETURN, libc::SECCOMP_RET_ERRNO, 0, 0),
        line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
}

/// Both architectures have the low half first.
const fn low_half(argument: u8) -> u32 {
    ARGUMENTS + 8 * argument as u32
}

fn line(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do (bpf(4), in so far as the program uses it).
    fn verdict(machine: u32, call: i64, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend((call as u32).to_le_bytes());
        data.extend(machine.to_le_bytes());
        data.extend([0; 8]);
        arguments.iter().for_each(|argument| data.extend(argument.to_le_bytes()));
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match code {
                LOAD => loaded = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
                IS => at += usize::from(if loaded == k { jt } else { jf }),
                HAS => at += usize::from(if loaded & k != 0 { jt } else { jf }),
                RETURN => return k,
                code => panic!("{code}"),
            }
        }
    }

    const ASKED: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const PASSES: u32 = libc::SECCOMP_RET_ALLOW;
    const DONE: u32 = libc::SECCOMP_RET_ERRNO;

    #[test]
    fn what_is_about_owners_is_handed_over() {
        for &call in [GIVING, BEING, SHOWING, MAKING].concat().iter() {
            assert_eq!(verdict(ARCHITECTURE, call, [0; 6]), ASKED, "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_fchmod, libc::SYS_seccomp, libc::SYS_exit] {
            assert_eq!(verdict(ARCHITECTURE, call, [u64::MAX; 6]), PASSES, "{call}");
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
                assert_eq!(verdict(ARCHITECTURE, call, arguments), expected, "{flags:o}");
            }
        }
    }

    #[test]
    fn one_wish_of_many_is_handed_over() {
        let keep = libc::PR_SET_KEEPCAPS as u64;
        assert_eq!(verdict(ARCHITECTURE, libc::SYS_prctl, [keep, 1, 0, 0, 0, 0]), ASKED);
        assert_eq!(verdict(ARCHITECTURE, libc::SYS_prctl, [libc::PR_SET_NAME as u64, 1, 0, 0, 0, 0]), PASSES);
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
            assert_eq!(verdict(ARCHITECTURE, call, arguments), expected, "{call} {arguments:?}");
        }
    }

    #[test]
    fn other_machines_calls_are_left_to_other_filters() {
        assert_eq!(verdict(0x4000_0003, libc::SYS_fchown, [0; 6]), PASSES);
        // x32.
        assert_eq!(verdict(ARCHITECTURE, libc::SYS_fchown | 0x4000_0000, [0; 6]), PASSES);
    }
}
