//! The calls by which one process answers for another: seccomp's listener (seccomp_unotify(2)), the other's memory,
//! its limits, and the facts of its files. Knows nothing of what is answered.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use libc::{c_int, c_long, c_ulong};

use super::{add_filter, check};

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP` (Linux 6.6): whoever is answered goes on where the answer was given.
const SYNC_WAKE_UP: c_ulong = 1;

const PAGE: u64 = 4096;

/// The numbers of an inode, as the kernel gives them (statx(2)).
pub(in crate::exec::sandbox) struct Facts {
    bytes: [u8; size_of::<libc::statx>()],
}

impl Facts {
    /// All zero.
    pub(in crate::exec::sandbox) fn nothing() -> Facts {
        Facts { bytes: [0; size_of::<libc::statx>()] }
    }

    pub(in crate::exec::sandbox) fn numbers(&self) -> libc::statx {
        // SAFETY: any bytes are a `statx`, which is numbers only, and there are enough of them.
        unsafe { self.bytes.as_ptr().cast::<libc::statx>().read_unaligned() }
    }

    pub(in crate::exec::sandbox) fn bytes(&self) -> &[u8; size_of::<libc::statx>()] {
        &self.bytes
    }
}

const FLAGS: c_ulong = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

/// Whether this kernel gives listeners (Linux 5.19), as far as it can be told without having one: what it knows, it
/// looks for a program for.
pub(in crate::exec::sandbox) fn is_there() -> bool {
    let nothing = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: the kernel reads a program, and finds that there is none.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, FLAGS, nothing) };
    check(result).is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT))
}

/// Adds a filter to the calling process, for good, and gives the descriptor at which its questions come.
/// Whoever asks can be interrupted only by being killed, once somebody has received the question.
pub(in crate::exec::sandbox) fn listen(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let listener = add_filter(program, FLAGS)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener as c_int) })
}

/// Kernels that do not know it do without.
pub(in crate::exec::sandbox) fn wake_on_this_processor(listener: BorrowedFd<'_>) {
    // SAFETY: a number only.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// The next question; waits for one.
pub(in crate::exec::sandbox) fn receive(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // SAFETY: plain numbers, and the kernel wants them to be zero.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `seccomp_notif`, which outlives the call.
    check(
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) }.into(),
    )?;
    Ok(asked)
}

/// Whether the asker still waits: then its thread id is still its own.
pub(in crate::exec::sandbox) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number, which outlives the call.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// `error` is a negative number of one, or 0.
pub(in crate::exec::sandbox) fn answer(
    listener: BorrowedFd<'_>,
    id: u64,
    value: i64,
    error: c_int,
    flags: c_ulong,
) -> io::Result<()> {
    let answer = libc::seccomp_notif_resp { id, val: value, error, flags: flags as u32 };
    // SAFETY: the kernel reads one `seccomp_notif_resp`, which outlives the call.
    check(
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) }
            .into(),
    )
}

/// Makes a descriptor of the asker's for what `file` is: its number there.
pub(in crate::exec::sandbox) fn give(
    listener: BorrowedFd<'_>,
    id: u64,
    file: BorrowedFd<'_>,
    flags: c_int,
) -> io::Result<c_int> {
    let given = libc::seccomp_notif_addfd {
        id,
        flags: 0,
        srcfd: file.as_raw_fd() as u32,
        newfd: 0,
        newfd_flags: flags as u32,
    };
    // SAFETY: the kernel reads one `seccomp_notif_addfd`, which outlives the call.
    let number =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const given) };
    check(number.into())?;
    Ok(number)
}

/// How much of the buffer could be filled from the memory of a thread's process.
pub(in crate::exec::sandbox) fn read_memory(
    thread: i32,
    address: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let own = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let (pieces, count) = pieces(address, buffer.len());
    // SAFETY: the kernel writes to the buffer only, and no more than fits.
    let read = unsafe { libc::process_vm_readv(thread, &raw const own, 1, pieces.as_ptr(), count, 0) };
    check(read as c_long)?;
    Ok(read as usize)
}

/// A text may end where the page does, and the next page may not be there: what is read stops at such a border.
fn pieces(address: u64, length: usize) -> ([libc::iovec; 2], c_ulong) {
    let first = length.min((PAGE - address % PAGE) as usize);
    let piece =
        |start: u64, length: usize| libc::iovec { iov_base: start as *mut libc::c_void, iov_len: length };
    let rest = length - first;
    let pieces = [piece(address, first), piece(address.wrapping_add(first as u64), rest)];
    (pieces, if rest > 0 { 2 } else { 1 })
}

/// The hard limit of a thread's process, and the soft one made equal to it where a new one is given (prlimit(2)).
pub(in crate::exec::sandbox) fn hard_limit(thread: i32, resource: u32, new: Option<u64>) -> io::Result<u64> {
    let new = new.map(|limit| libc::rlimit64 { rlim_cur: limit, rlim_max: limit });
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads one limit, if there is one, and writes another; both outlive the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, thread, resource, new, &raw mut old) })?;
    Ok(old.rlim_max)
}

/// `flags` are `AT_*`, `mask` is `STATX_*`.
pub(in crate::exec::sandbox) fn facts(
    folder: BorrowedFd<'_>,
    path: &CStr,
    flags: c_int,
    mask: u32,
) -> io::Result<Facts> {
    let mut facts = Facts::nothing();
    // SAFETY: the kernel reads a string and writes one `statx`; both outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_statx,
            folder.as_raw_fd(),
            path.as_ptr(),
            flags,
            mask,
            facts.bytes.as_mut_ptr(),
        )
    })?;
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_up_to_where_it_ends() {
        // SAFETY: a fresh mapping of two pages, of which the second is taken away again.
        let page = unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                2 * PAGE as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED);
            assert_eq!(libc::munmap(page.byte_add(PAGE as usize), PAGE as usize), 0);
            page as u64
        };
        let own = std::process::id().cast_signed();
        let end = page + PAGE - 3;
        // SAFETY: the last three bytes of the page.
        unsafe { std::ptr::copy_nonoverlapping(b"abc".as_ptr(), end as *mut u8, 3) };
        let mut buffer = [0; 4096];
        assert_eq!(read_memory(own, end, &mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"abc");
        assert!(read_memory(own, 8, &mut buffer).is_err());
        // SAFETY: nobody knows of the page.
        unsafe { libc::munmap(page as *mut libc::c_void, PAGE as usize) };
    }

    #[test]
    fn limits_are_read_and_lowered() {
        let own = std::process::id().cast_signed();
        let limit = hard_limit(own, libc::RLIMIT_LOCKS, None).unwrap();
        assert_eq!(hard_limit(own, libc::RLIMIT_LOCKS, Some(limit)).unwrap(), limit);
    }
}
