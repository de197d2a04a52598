//! The system calls that no crate wraps safely; all `unsafe` of the sandbox is in this file and below it.
//! Knows nothing of sandboxes: each function is one call, or the few that make no sense apart.

pub(super) mod listener;

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a `clone3` or `fork` this is.
pub(super) enum Side {
    Parent { pid: i32 },
    Child,
}

/// The new process, told apart from any later one of the same number.
pub(super) struct Cloned {
    pub side: Side,
    /// In the parent only.
    pub pidfd: Option<OwnedFd>,
}

/// Makes a process in the new namespaces that `flags` name. The caller must have one thread only:
/// the child has a copy of its memory and may hold locks of threads that do not exist in it.
pub(super) fn clone_into(flags: UnshareFlags) -> io::Result<Cloned> {
    let mut pidfd: i32 = -1;
    // SAFETY: `clone_args` is plain numbers, for which zero means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.bits()) | libc::CLONE_PIDFD as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: no new stack and no shared memory are asked for, so this is a fork; the kernel writes
    // only to `pidfd`, which lives longer than the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned { side: Side::Child, pidfd: None }),
        pid => {
            // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned { side: Side::Parent { pid: pid as i32 }, pidfd: Some(pidfd) })
        }
    }
}

/// A plain fork; one thread only, as `clone_into`.
pub(super) fn fork() -> io::Result<Side> {
    // SAFETY: the caller has one thread, so the child may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent { pid }),
    }
}

pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: only unsharing the table of descriptors is unsafe, and nobody here asks for that.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Sets attributes (`MOUNT_ATTR_*`) on a mount, and on the mounts below it if `reach` is `AT_RECURSIVE`.
pub(super) fn set_mount_attributes(mount: BorrowedFd<'_>, attributes: u64, reach: i32) -> io::Result<()> {
    let set = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | reach;
    // SAFETY: the kernel reads a string and a structure that both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const set,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Blocks `SIGCHLD` and gives a descriptor that is readable while one is pending.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set lives on our stack and is initialised by `sigemptyset` before it is used;
    // `signalfd` gives a descriptor that nobody else knows of.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(descriptor.into())?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Every signal as a fresh process has it: none blocked, none ignored.
pub(super) fn reset_signals() {
    // SAFETY: only default dispositions are set, so no handler can run; signals that cannot be
    // changed give an error that means nothing here.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Marks every descriptor from `first` on to be closed by the next `exec`.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes the descriptors from `first` up to but not including `end`. Only for a process that will
/// not drop their owners: it must leave by `exit`.
pub(super) fn close_between(first: u32, end: u32) -> io::Result<()> {
    if first < end { close_range(first, end - 1, 0) } else { Ok(()) }
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: numbers only; what closing means for owners is in the contract of `close_between`.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// Becomes another program. Returns only if that did not work.
pub(super) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let list = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: both lists end with a null pointer, and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Lets a filter judge all calls of the calling process from now on, for good.
pub(super) fn filter(program: &[libc::sock_filter]) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    add_filter(program, 0).map(drop)
}

/// What the kernel gives depends on the flags (seccomp(2)).
fn add_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel only reads the program, which outlives the call.
    let given =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    check(given).map(|()| given)
}

/// Ends the process at once: nothing is dropped, flushed or run.
pub(super) fn exit(code: i32) -> Infallible {
    // SAFETY: ends the process; there is nothing left that could be unsound.
    unsafe { libc::_exit(code) }
}

/// Brings `lo` up in the current network namespace. Gives the socket that it took, which does not block.
pub(super) fn bring_loopback_up() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
    // SAFETY: `ifreq` is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())?;
    Ok(socket)
}

/// Kills every process that the caller may signal but itself, in one moment, if `outsider` is not among them: a
/// living process of the caller's own user, which it may not signal only where landlock forbids it. Says whether.
pub(super) fn kill_all_but_outsiders(outsider: Pid) -> io::Result<bool> {
    if rustix::process::test_kill_process(outsider) != Err(Errno::PERM) {
        return Ok(false);
    }
    // SAFETY: numbers only. Who is meant by -1 is in kill(2).
    match check(unsafe { libc::kill(-1, libc::SIGKILL) }.into()) {
        // There is nobody.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(true),
        killed => killed.map(|()| true),
    }
}

/// One more address for `lo`: where 127.0.0.1 is all there is, programs that ask only for kinds of addresses which the
/// machine has (`AI_ADDRCONFIG`) take it for one that has none.
pub(super) fn add_loopback_address(socket: &OwnedFd, address: Ipv4Addr) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, byte) in request.ifr_name.iter_mut().zip(b"lo:1") {
        *to = *byte as libc::c_char;
    }
    let own = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: both are structures of 16 bytes that begin with a family, which says what the rest is.
    request.ifr_ifru.ifru_addr = unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(own) };
    // SAFETY: the kernel reads one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) }.into())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
