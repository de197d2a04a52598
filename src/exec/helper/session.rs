//! The main process's side of a sandbox that somebody sits at: carries bytes between them and it, the size of their
//! window, and what asks it to end. Their terminal is as it was when this is over.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::base::cancel::Cancel;
use crate::exec::executor::ExecError;
use crate::exec::helper::{Aid, Heard, Helper, Outcome, PIPE_GRACE, Seated, TICK};
use crate::exec::sandbox::rights;
use crate::exec::sandbox::session::Size;
use crate::exec::sandbox::spec::{Done, Duty, Spec, Trouble, word};
use crate::exec::zygote::Zygote;

/// Where somebody sits.
pub struct Seat<'s> {
    pub input: BorrowedFd<'s>,
    pub output: BorrowedFd<'s>,
    pub errors: BorrowedFd<'s>,
    /// Whether both input and output are a terminal.
    pub is_terminal: bool,
}

impl Seat<'_> {
    /// Of their window; `None` where there is none.
    pub(crate) fn size(&self) -> Option<Size> {
        let size = || tcgetwinsize(self.input).map_or(Size { rows: 24, columns: 80 }, Size::of_window);
        self.is_terminal.then(size)
    }
}

/// Until the sandbox is over.
pub(crate) fn sit(
    zygote: &Zygote,
    spec: Spec,
    aid: Aid<'_>,
    seat: &Seat<'_>,
    cancel: &Cancel,
) -> Result<Done, ExecError> {
    let mut helper = Helper::start(zygote, &Duty::Run(Box::new(spec)))?;
    let (mut input, mut room) = (None, None);
    if !seat.is_terminal {
        let cannot = || Trouble::at::<Errno>("make a pipe for what is typed");
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot())?;
        input = Some(theirs);
        room = Some(Room::new(ours).map_err(cannot())?);
    }
    let mut table =
        Table { helper: &mut helper, seat, input, room, raw: None, size: seat.size(), heard_all: false };
    let outcome = table.attend(aid, cancel);
    drop(table);
    let done = helper.finish(outcome, cancel)?;
    Ok(*done.expect("bug: a run is never answered by a removal"))
}

/// Between the two of them.
struct Table<'a> {
    helper: &'a mut Helper,
    seat: &'a Seat<'a>,
    /// What the sandbox is to have as its standard input, until it asks for that.
    input: Option<OwnedFd>,
    /// Where what they type goes; gone when either has no more of it.
    room: Option<Room>,
    raw: Option<Raw<'a>>,
    size: Option<Size>,
    /// They will type no more.
    heard_all: bool,
}

impl Table<'_> {
    fn attend(&mut self, mut aid: Aid<'_>, cancel: &Cancel) -> Result<Option<Outcome>, ExecError> {
        let (mut outcome, mut until) = (None, None);
        while self.helper.goes_on(outcome.is_some(), until) {
            let ready = self.wait(outcome.is_none()).map_err(Trouble::at("listen"))?;
            self.carry(&ready).map_err(Trouble::at("carry what is typed and shown"))?;
            if ready.socket {
                match self.helper.answer(&mut aid)? {
                    Heard::Answered => {}
                    Heard::Asked(Seated::Input) => self.hand_over_input()?,
                    Heard::Asked(Seated::Terminal) => {
                        self.take_terminal().map_err(Trouble::at("take the terminal"))?;
                    }
                    Heard::Over(how) => (outcome, until) = (Some(how), Some(Instant::now() + PIPE_GRACE)),
                    Heard::Gone => break,
                }
            }
            self.follow_window();
            self.helper.pass_on(cancel.urgency());
        }
        if self.raw.is_some() {
            self.show_rest();
        }
        Ok(outcome)
    }

    /// Asked for, so that it comes between no other words.
    fn hand_over_input(&mut self) -> Result<(), ExecError> {
        self.helper.say(word::HERE)?;
        let Some(input) = self.input.take() else { return Ok(()) };
        let sent = rights::send(&self.helper.socket, b"i", &[input.as_fd()]);
        Ok(sent.map_err(Trouble::at("hand over the standard input"))?)
    }

    fn wait(&self, with_socket: bool) -> Result<Ready, Errno> {
        let mut ready = Ready::default();
        let mut events = Vec::with_capacity(5);
        let mut of: Vec<fn(&mut Ready, PollFlags)> = Vec::with_capacity(5);
        if let Some(pipe) = &self.helper.pipes[0] {
            events.push(PollFd::new(pipe, PollFlags::IN));
            of.push(|ready, _| ready.stdout = true);
        }
        if let Some(pipe) = &self.helper.pipes[1] {
            events.push(PollFd::new(pipe, PollFlags::IN));
            of.push(|ready, _| ready.stderr = true);
        }
        if with_socket {
            events.push(PollFd::new(&self.helper.socket, PollFlags::IN));
            of.push(|ready, _| ready.socket = true);
        }
        if let Some(room) = &self.room {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::OUT, !room.pending.is_empty());
            wanted.set(PollFlags::IN, self.raw.is_some());
            events.push(PollFd::new(&room.far, wanted));
            of.push(|ready, found| {
                ready.screen = found.contains(PollFlags::IN);
                ready.is_closed = found.contains(PollFlags::ERR);
            });
            if room.pending.is_empty() && !self.heard_all {
                events.push(PollFd::from_borrowed_fd(self.seat.input, PollFlags::IN));
                of.push(|ready, _| ready.keys = true);
            }
        }
        match poll(&mut events, Some(&TICK)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(ready),
            Err(error) => return Err(error),
        }
        for (event, note) in events.iter().zip(of) {
            if !event.revents().is_empty() {
                note(&mut ready, event.revents());
            }
        }
        Ok(ready)
    }

    fn carry(&mut self, ready: &Ready) -> io::Result<()> {
        for (number, is_ready, to) in
            [(0, ready.stdout, self.seat.output), (1, ready.stderr, self.seat.errors)]
        {
            let mut buffer = [0; 64 << 10];
            let Some(pipe) = self.helper.pipes[number].as_mut().filter(|_| is_ready) else { continue };
            match pipe.read(&mut buffer)? {
                0 => self.helper.pipes[number] = None,
                count => write_all(to, &buffer[..count])?,
            }
        }
        if ready.screen {
            self.show()?;
        }
        let Some(room) = &mut self.room else { return Ok(()) };
        if ready.keys {
            let mut buffer = [0; 4096];
            match rustix::io::read(self.seat.input, &mut buffer[..]) {
                Ok(0) | Err(Errno::IO) => self.heard_all = true,
                Ok(count) => room.pending.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_closed = ready.is_closed || !room.send();
        // The end of what they type is the end of a pipe. A terminal is theirs until the sandbox is over.
        if self.raw.is_none() && (is_closed || (self.heard_all && room.pending.is_empty())) {
            self.room = None;
        }
        Ok(())
    }

    /// Whether there may be more.
    fn show(&self) -> io::Result<bool> {
        let Some(room) = &self.room else { return Ok(false) };
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(&room.far, &mut buffer[..]) {
            Ok(count) if count > 0 => write_all(self.seat.output, &buffer[..count]).map(|()| true),
            _ => Ok(false),
        }
    }

    /// What the last ones wrote before they ended.
    fn show_rest(&self) {
        while self.show().unwrap_or(false) {}
    }

    /// From now on all that they type is for the sandbox, ^C too.
    fn take_terminal(&mut self) -> io::Result<()> {
        let (_, [far]) = rights::receive::<1, 1>(&self.helper.socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.room = Some(Room::new(far)?);
        self.raw = Some(Raw::new(self.seat.input)?);
        Ok(())
    }

    fn follow_window(&mut self) {
        if let (Some(room), Some(_)) = (&self.room, &self.raw)
            && let Some(size) = self.seat.size().filter(|size| self.size != Some(*size))
        {
            self.size = Some(size);
            let _ = tcsetwinsize(&room.far, size.as_window());
        }
    }
}

#[derive(Default)]
struct Ready {
    stdout: bool,
    stderr: bool,
    socket: bool,
    /// There is something to be read from the sandbox's terminal.
    screen: bool,
    /// Something was typed.
    keys: bool,
    is_closed: bool,
}

/// The way in.
struct Room {
    far: OwnedFd,
    /// Typed and not taken yet.
    pending: Vec<u8>,
}

impl Room {
    fn new(far: OwnedFd) -> Result<Room, Errno> {
        fcntl_setfl(&far, fcntl_getfl(&far)? | OFlags::NONBLOCK)?;
        Ok(Room { far, pending: Vec::new() })
    }

    /// As much as it takes now; whether it is still open.
    fn send(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.far, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// A terminal that gives every key as it comes, until this is dropped.
struct Raw<'s> {
    terminal: BorrowedFd<'s>,
    before: Termios,
}

impl<'s> Raw<'s> {
    fn new(terminal: BorrowedFd<'s>) -> Result<Raw<'s>, Errno> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Drain, &raw)?;
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Who reads may be slow, and may have said that nobody waits for them.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
