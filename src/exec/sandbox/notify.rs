//! System calls that a sandbox's own process answers in place of the kernel (seccomp_unotify(2)): a call is
//! received, its arguments are read from the caller's memory, and it is answered or let go on. What calls mean is
//! not known here. Whoever acts on what it has read or opened of a caller asks `is_waiting` first: the number of one
//! that has died may be another's by then.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::exec::sandbox::sys::listener;

/// What the kernel takes of a path (limits.h, `PATH_MAX`), with the NUL byte.
const LONGEST_PATH: usize = 4096;
/// Most paths are shorter: so much is read first.
const USUAL_PATH: usize = 256;

/// Where the calls come that a filter hands over.
pub(super) struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    id: u64,
    /// As the machine counts.
    pub thread: i32,
    pub number: i64,
    pub arguments: [u64; 6],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel makes the call as if nobody had looked.
    GoOn,
    /// What the call gives.
    Done(i64),
    Failed(Errno),
    /// Nobody waits for an answer any more.
    Nobody,
}

impl From<Result<(), Errno>> for Answer {
    fn from(result: Result<(), Errno>) -> Answer {
        result.map_or_else(Answer::Failed, |()| Answer::Done(0))
    }
}

impl Listener {
    pub(super) fn new(listener: OwnedFd) -> Listener {
        listener::wake_on_this_processor(listener.as_fd());
        Listener(listener)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Waits for a call. `None`: the caller has died meanwhile.
    pub(super) fn receive(&self) -> io::Result<Option<Call>> {
        match listener::receive(self.as_fd()) {
            Ok(asked) => Ok(Some(Call {
                id: asked.id,
                thread: asked.pid.cast_signed(),
                number: asked.data.nr.into(),
                arguments: asked.data.args,
            })),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the caller still lives and waits.
    pub(super) fn is_waiting(&self, call: &Call) -> bool {
        listener::is_waiting(self.as_fd(), call.id)
    }

    pub(super) fn answer(&self, call: &Call, answer: Answer) -> io::Result<()> {
        let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as libc::c_ulong;
        let (value, error, flags) = match answer {
            Answer::GoOn => (0, 0, go_on),
            Answer::Done(value) => (value, 0, 0),
            Answer::Failed(error) => (0, -error.raw_os_error(), 0),
            Answer::Nobody => return Ok(()),
        };
        match listener::answer(self.as_fd(), call.id, value, error, flags) {
            // The caller has been killed.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            answered => answered,
        }
    }

    /// Gives the caller a descriptor for an open file, and answers with its number. The file is closed here before
    /// the caller goes on.
    pub(super) fn hand_over(&self, call: &Call, file: OwnedFd, close_on_exec: bool) -> Answer {
        let flags = if close_on_exec { libc::O_CLOEXEC } else { 0 };
        match listener::give(self.as_fd(), call.id, file.as_fd(), flags) {
            Ok(number) => Answer::Done(number.into()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Answer::Nobody,
            Err(error) => Answer::Failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
}

impl Call {
    #[cfg(test)]
    pub(super) fn new(number: i64, arguments: [u64; 6]) -> Call {
        Call { id: 0, thread: 0, number, arguments }
    }

    /// An argument that is a number of 32 bits.
    pub(super) fn number_at(&self, argument: usize) -> u32 {
        self.arguments[argument] as u32
    }

    /// An argument that is a descriptor, or `AT_FDCWD`.
    pub(super) fn descriptor(&self, argument: usize) -> i32 {
        self.arguments[argument] as i32
    }

    /// The path that an argument points to.
    pub(super) fn path(&self, argument: usize) -> Result<CString, Errno> {
        let mut path = vec![0; USUAL_PATH];
        let mut known = 0;
        loop {
            let address = self.arguments[argument].wrapping_add(known as u64);
            let count =
                listener::read_memory(self.thread, address, &mut path[known..]).map_err(|_| Errno::FAULT)?;
            let end = path[known..known + count].iter().position(|&byte| byte == 0);
            if let Some(end) = end {
                path.truncate(known + end);
                return CString::new(path).map_err(|_| Errno::INVAL);
            }
            known += count;
            if known >= LONGEST_PATH {
                return Err(Errno::NAMETOOLONG);
            }
            path.resize((known + USUAL_PATH).max(LONGEST_PATH), 0);
        }
    }

    /// Exactly as many bytes as the buffer has.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let mut known = 0;
        while known < buffer.len() {
            let from = address.wrapping_add(known as u64);
            match listener::read_memory(self.thread, from, &mut buffer[known..]) {
                Ok(count) if count > 0 => known += count,
                _ => return Err(Errno::FAULT),
            }
        }
        Ok(())
    }
}
