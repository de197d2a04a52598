//! Talks to a sandbox's own process, from the main process: spec in, output and reply out.
//! One thread waits for all of it; no thread is made, and nothing is forked.

pub(crate) mod session;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::base::cancel::{Cancel, Urgency};
use crate::base::digest::TreeDigest;
use crate::exec::executor::{ExecError, Stream};
use crate::exec::identity::Identity;
use crate::exec::sandbox::lent::Handed;
use crate::exec::sandbox::rights;
use crate::exec::sandbox::spec::{Done, Duty, Reply, Spec, Trouble, receive, send, word};
use crate::exec::zygote::{Newborn, Zygote};
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::tree::Content;

/// How often the flag is looked at that says "stop".
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// For what is still in the pipes when everything inside is dead.
const PIPE_GRACE: Duration = Duration::from_secs(1);

/// Takes what a command writes, as it comes.
pub(crate) type Hear<'a> = dyn FnMut(Stream, &[u8]) -> Result<(), ExecError> + 'a;

/// Takes the line on which a sandbox sends its sockets.
pub(crate) type Connect<'a> = dyn FnMut(OwnedFd) -> io::Result<()> + 'a;

/// What a sandbox asks its main process for, while it lives.
pub(crate) struct Aid<'a> {
    pub memo: &'a Memo,
    pub handed: &'a Handed<'a>,
    /// Asked where it has a proxy.
    pub connect: &'a mut Connect<'a>,
}

/// How a duty went; `None`: the folder is removed.
type Outcome = Result<Option<Box<Done>>, Trouble>;

/// What came of something that a sandbox said.
enum Heard {
    /// It has what it asked for.
    Answered,
    /// What it asks for only somebody has who sits at it.
    Asked(Seated),
    Over(Outcome),
    /// It is gone, without a last word.
    Gone,
}

enum Seated {
    Input,
    Terminal,
}

/// Removes a folder that a sandbox of this identity left behind.
pub(crate) fn remove(
    zygote: &Zygote,
    memo: &Memo,
    identity: &Identity,
    folder: &Path,
) -> Result<(), ExecError> {
    let duty = Duty::Remove { identity: identity.clone(), folder: folder.to_owned() };
    let aid = Aid { memo, handed: &Handed::default(), connect: &mut |_| Ok(()) };
    attend(zygote, &duty, aid, &Cancel::default(), &mut |_, _| Ok(())).map(drop)
}

/// Runs a whole sandbox. `output` hears what the command writes; its error ends the sandbox.
pub(crate) fn run(
    zygote: &Zygote,
    spec: Spec,
    aid: Aid<'_>,
    cancel: &Cancel,
    output: &mut Hear<'_>,
) -> Result<Done, ExecError> {
    let done = attend(zygote, &Duty::Run(Box::new(spec)), aid, cancel, output)?;
    Ok(*done.expect("bug: a run is never answered by a removal"))
}

fn attend(
    zygote: &Zygote,
    duty: &Duty,
    aid: Aid<'_>,
    cancel: &Cancel,
    output: &mut Hear<'_>,
) -> Result<Option<Box<Done>>, ExecError> {
    let mut helper = Helper::start(zygote, duty)?;
    let outcome = helper.attend(aid, cancel, output);
    helper.finish(outcome, cancel)
}

struct Helper {
    socket: UnixStream,
    pid: u32,
    pidfd: OwnedFd,
    identity: Identity,
    /// `None` once it has closed.
    pipes: [Option<File>; 2],
    /// What it has been told so far.
    told: Urgency,
}

impl Helper {
    fn start(zygote: &Zygote, duty: &Duty) -> Result<Helper, ExecError> {
        let Newborn { socket, pid, pidfd, stdout, stderr } =
            zygote.bear().map_err(Trouble::at("start its own process"))?;
        let pipes = [Some(stdout), Some(stderr)];
        let helper =
            Helper { socket, pid, pidfd, identity: duty.identity().clone(), pipes, told: Urgency::None };
        send(&helper.socket, duty).map_err(unless_it_is_gone("tell its own process what to do"))?;
        Ok(helper)
    }

    /// Until the helper has said how it went, and everything the command wrote is read.
    fn attend(
        &mut self,
        mut aid: Aid<'_>,
        cancel: &Cancel,
        output: &mut Hear<'_>,
    ) -> Result<Option<Outcome>, ExecError> {
        let mut outcome = None;
        let mut until = None;
        while self.goes_on(outcome.is_some(), until) {
            let readable = self.wait(outcome.is_none()).map_err(Trouble::at("listen"))?;
            for (number, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
                if readable[number] {
                    self.pump(number, stream, output)?;
                }
            }
            if readable[2] {
                match self.answer(&mut aid)? {
                    Heard::Answered => {}
                    Heard::Asked(_) => unreachable!("bug: nobody sits at a run"),
                    Heard::Over(how) => (outcome, until) = (Some(how), Some(Instant::now() + PIPE_GRACE)),
                    Heard::Gone => break,
                }
            }
            self.pass_on(cancel.urgency());
        }
        Ok(outcome)
    }

    /// Whether there may be more to hear: when it is over, what is still in the pipes, and no longer than `until`.
    fn goes_on(&self, is_over: bool, until: Option<Instant>) -> bool {
        let is_late = until.is_some_and(|until| Instant::now() >= until);
        !is_late && (!is_over || self.pipes.iter().any(Option::is_some))
    }

    /// To be called when it has said something.
    fn answer(&mut self, aid: &mut Aid<'_>) -> Result<Heard, ExecError> {
        match receive(&mut self.socket) {
            Ok(Reply::WantsIds) => self.write_ids()?,
            Ok(Reply::WantsHanded) => self.hand_over(aid.handed)?,
            Ok(Reply::WantsTree(tree)) => {
                bring_in(aid.memo, tree)?;
                self.say(word::HERE)?;
            }
            Ok(Reply::Line) => self.connect(aid.connect)?,
            Ok(Reply::WantsInput) => return Ok(Heard::Asked(Seated::Input)),
            Ok(Reply::Terminal) => return Ok(Heard::Asked(Seated::Terminal)),
            Ok(Reply::Done(done)) => return Ok(Heard::Over(Ok(Some(done)))),
            Ok(Reply::Removed) => return Ok(Heard::Over(Ok(None))),
            Ok(Reply::Trouble(trouble)) => return Ok(Heard::Over(Err(trouble))),
            Err(_) => return Ok(Heard::Gone),
        }
        Ok(Heard::Answered)
    }

    /// Which of stdout, stderr and the socket can be read.
    fn wait(&self, with_socket: bool) -> Result<[bool; 3], Errno> {
        let mut events = Vec::with_capacity(3);
        let mut numbers = Vec::with_capacity(3);
        for (number, pipe) in self.pipes.iter().enumerate() {
            if let Some(pipe) = pipe {
                events.push(PollFd::new(pipe, PollFlags::IN));
                numbers.push(number);
            }
        }
        if with_socket {
            events.push(PollFd::new(&self.socket, PollFlags::IN));
            numbers.push(2);
        }
        let mut readable = [false; 3];
        match poll(&mut events, Some(&TICK)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(readable),
            Err(error) => return Err(error),
        }
        for (event, &number) in events.iter().zip(&numbers) {
            readable[number] = !event.revents().is_empty();
        }
        Ok(readable)
    }

    fn pump(&mut self, number: usize, stream: Stream, output: &mut Hear<'_>) -> Result<(), ExecError> {
        let mut buffer = [0; 64 << 10];
        let Some(pipe) = &mut self.pipes[number] else { return Ok(()) };
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipes[number] = None,
            Ok(count) => output(stream, &buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::at("read what the command writes")(error).into()),
        }
        Ok(())
    }

    fn pass_on(&mut self, urgency: Urgency) {
        if urgency <= self.told {
            return;
        }
        self.told = urgency;
        let said = if urgency == Urgency::Now { word::KILL } else { word::END };
        // A helper that is gone needs no telling.
        let _ = self.socket.write_all(&[said]);
    }

    /// In one go, so that nothing else comes between.
    fn hand_over(&mut self, handed: &Handed<'_>) -> Result<(), ExecError> {
        self.say(word::HERE)?;
        handed.send(&self.socket).map_err(unless_it_is_gone("hand over what the run is lent"))
    }

    fn connect(&self, connect: &mut Connect<'_>) -> Result<(), ExecError> {
        let line = rights::receive::<1, 1>(&self.socket).and_then(|sent| match sent {
            Some((_, [line])) => connect(line),
            None => Err(ErrorKind::UnexpectedEof.into()),
        });
        line.map_err(unless_it_is_gone("take the line to its proxy"))
    }

    fn say(&mut self, said: u8) -> Result<(), ExecError> {
        self.socket.write_all(&[said]).map_err(unless_it_is_gone("talk to its own process"))
    }

    /// The kernel lets only a privileged program write more than one id (user_namespaces(7)).
    fn write_ids(&mut self) -> Result<(), ExecError> {
        let arguments = self.identity.range_arguments(self.pid).unwrap_or_default();
        for (program, arguments) in ["newuidmap", "newgidmap"].into_iter().zip(arguments) {
            let action = format!("run {program}");
            let made = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .map_err(Trouble::at(action.clone()))?;
            if !made.status.success() && self.is_gone() {
                return Err(ended_without_a_word());
            }
            if !made.status.success() {
                let words = String::from_utf8_lossy(&made.stderr).trim().to_owned();
                return Err(Trouble::environment(format!("{program} refused: {words}")).into());
            }
        }
        self.say(word::HERE)
    }

    fn finish(
        self,
        outcome: Result<Option<Outcome>, ExecError>,
        cancel: &Cancel,
    ) -> Result<Option<Box<Done>>, ExecError> {
        let outcome = outcome?;
        self.wait_for_end().map_err(Trouble::at("wait for its own process"))?;
        match outcome {
            Some(Ok(done)) => Ok(done),
            Some(Err(_)) | None if cancel.is_raised() => Err(ExecError::Cancelled),
            Some(Err(trouble)) => Err(trouble.into()),
            None => Err(ended_without_a_word()),
        }
    }

    fn is_gone(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|count| count > 0)
    }

    /// It is the zygote that reaps it.
    fn wait_for_end(&self) -> Result<(), Errno> {
        loop {
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None) {
                Err(Errno::INTR) => {}
                other => return other.map(drop),
            }
        }
    }
}

fn ended_without_a_word() -> ExecError {
    ExecError::Environment {
        message: "the sandbox's own process ended without a word".to_owned(),
        help: Some("see the kernel's log: the machine may be out of memory".to_owned()),
    }
}

/// What an error in talking to it is: mostly, that there is nobody to talk to.
fn unless_it_is_gone(action: &str) -> impl FnOnce(io::Error) -> ExecError {
    move |error| match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
            ended_without_a_word()
        }
        _ => Trouble::at(action.to_owned())(error).into(),
    }
}

/// Copies what other files than the store's hold of a tree, since only this process knows of them.
fn bring_in(memo: &Memo, tree: TreeDigest) -> Result<(), ExecError> {
    for entry in encode::load(memo, tree)?.entries.into_values() {
        match entry.content {
            Content::Directory { tree, .. } => bring_in(memo, tree)?,
            Content::File { blob, .. } => {
                let mut writer = memo.blob_writer()?;
                io::copy(&mut memo.open_blob(blob)?, &mut writer)
                    .map_err(StoreError::io("cannot copy an input into", memo.folder()))?;
                writer.finish()?;
            }
            Content::Symlink { .. } | Content::Fifo | Content::Device { .. } | Content::Whiteout => {}
        }
    }
    Ok(())
}

/// Whoever is left is of no use any more; with it goes all that it started.
impl Drop for Helper {
    fn drop(&mut self) {
        // Most have ended by themselves.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = self.wait_for_end();
    }
}
