//! Ownership where a sandbox has one user id only: calls that give files away, that change or tell who a process is,
//! and that make or show files are answered as if there were all ids, and what would have come of them is kept
//! (`inodes.rs`) for when the files are captured. On the disk all stays one user's.
//!
//! Who a process believes to be decides what it may make, and what it may open in the same call; to all else about
//! files it may do what root may.

mod credentials;
mod filter;
mod give;
mod inodes;
mod make;
mod people;
mod places;
mod show;
pub(super) mod shown;
mod whose;
mod who;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::notify::{Answer, Call, Listener};
use crate::exec::sandbox::ownership::people::People;
use crate::exec::sandbox::ownership::places::Places;
use crate::exec::sandbox::ownership::shown::Shown;
use crate::exec::sandbox::rights;
use crate::exec::sandbox::seccomp::GIVING;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys::listener::{is_there, listen};
use crate::tree::disk::copy::Noted;
use crate::tree::disk::owned::{Identity, Owned};

pub(super) use crate::exec::sandbox::ownership::inodes::Inodes;
pub(super) use crate::exec::sandbox::ownership::people::begin_as;
pub(super) use crate::exec::sandbox::ownership::whose::Seen;

/// What answers the calls of one sandbox.
pub(super) struct Ownership {
    /// Where the listener comes from, until it has come.
    arrival: Option<UnixStream>,
    listener: Option<Listener>,
    places: Places,
    people: People,
    shown: Shown,
    inodes: Inodes,
}

/// Whether owners can be told of files on the disk that the store is on: where the kernel gives listeners, and an inode
/// can be told from the next that has its number.
pub(crate) fn can_be_told(store: &Path) -> bool {
    let of_disk = || {
        let store = openat(CWD, store, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Identity::of(store.as_fd(), b"")
    };
    is_there() && of_disk().is_ok_and(|disk| disk.born != (0, 0))
}

/// Called by the first process: from here on, it and all that it starts are answered by whoever has the other end.
pub(super) fn submit(to: &UnixStream) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<std::io::Error>("have its system calls answered");
    let listener = listen(&filter::asking().program()).map_err(cannot())?;
    rights::send(to, b"l", &[listener.as_fd()]).map_err(cannot())
}

impl Ownership {
    /// `account` is whom the commands start as, `copied` what was noted of files that are copies.
    pub(super) fn new(
        arrival: UnixStream,
        account: &Account,
        shown: Shown,
        copied: &[Noted],
    ) -> Result<Ownership, Trouble> {
        Ok(Ownership {
            arrival: Some(arrival),
            listener: None,
            places: Places::new()?,
            people: People::new(account)?,
            shown,
            inodes: Inodes::of_copies(copied),
        })
    }

    /// Whose something is that was made for the run.
    pub(super) fn note(&mut self, place: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Trouble> {
        let facts = self.places.facts_of(place).map_err(Trouble::at("look at what it made"))?;
        self.inodes.record(&facts.numbers(), None, Owned { uid, gid, device: None });
        Ok(())
    }

    /// What to wait at; `None` where nobody asks any more.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        let arrival = self.arrival.as_ref().map(UnixStream::as_fd);
        self.listener.as_ref().map(Listener::as_fd).or(arrival)
    }

    /// Nobody is left who could ask.
    pub(super) fn close(&mut self) {
        (self.arrival, self.listener) = (None, None);
    }

    /// When something is there to be heard.
    pub(super) fn attend(&mut self) -> Result<(), Trouble> {
        let cannot = || Trouble::at::<std::io::Error>("answer a system call");
        let Some(listener) = &self.listener else { return self.take_listener() };
        if let Some(call) = listener.receive().map_err(cannot())? {
            let answer = self.answer(&call)?;
            let listener = self.listener.as_ref().expect("bug: it was there a moment ago");
            listener.answer(&call, answer).map_err(cannot())?;
        }
        Ok(())
    }

    /// A first process that has failed before sends none.
    fn take_listener(&mut self) -> Result<(), Trouble> {
        if let Some(arrival) = self.arrival.take() {
            let received = rights::receive::<1, 1>(&arrival).map_err(Trouble::at("receive a listener"))?;
            self.listener = received.map(|(_, [listener])| Listener::new(listener));
        }
        Ok(())
    }

    /// What is known in the end. This process has its own root again.
    pub(super) fn finish(mut self) -> Result<Inodes, Trouble> {
        self.places.leave()?;
        self.shown.read_into(&mut self.inodes)?;
        self.inodes.let_go();
        Ok(self.inodes)
    }

    fn answer(&mut self, call: &Call) -> Result<Answer, Trouble> {
        if let Some(answer) = self.answer_about_people(call) {
            return Ok(answer);
        }
        self.shown.read_into(&mut self.inodes)?;
        Ok(match call.number {
            libc::SYS_chroot => {
                self.places.expect_other_roots();
                Answer::GoOn
            }
            number if GIVING.contains(&number) => self.give(call, give::asked(call)).unwrap_or(Answer::GoOn),
            number if filter::SHOWING.contains(&number) => self.show(call).unwrap_or(Answer::GoOn),
            _ => match make::asked(call) {
                Ok(Some((folder, path, making))) => self.make(call, folder, path, &making),
                _ => Answer::GoOn,
            },
        })
    }

    /// Asked before anything is done for a caller, after all that was read or opened of it.
    fn is_waiting(&self, call: &Call) -> bool {
        self.listener.as_ref().is_some_and(|listener| listener.is_waiting(call))
    }

    fn hand_over(&self, call: &Call, file: OwnedFd, close_on_exec: bool) -> Answer {
        match &self.listener {
            Some(listener) => listener.hand_over(call, file, close_on_exec),
            None => Answer::Nobody,
        }
    }

    /// The memory is opened first, so that it is the caller's and no successor's.
    fn write(&self, call: &Call, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let memory = self.places.open_memory(call.thread)?;
        if !self.is_waiting(call) {
            return Err(Errno::SRCH);
        }
        match rustix::io::pwrite(memory, bytes, address) {
            Ok(count) if count == bytes.len() => Ok(()),
            _ => Err(Errno::FAULT),
        }
    }
}
