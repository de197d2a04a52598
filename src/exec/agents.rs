//! The caller's ssh agents, lent to runs: a socket for each run, behind which this process hands on questions to the
//! agent and answers to the run, while the run lives. Only what a build may ask is handed on: which keys there are,
//! and for a signature. Nobody in a sandbox adds, removes or locks keys (draft-miller-ssh-agent, section 5.1).

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::exec::executor::ExecError;

/// Numbers of messages.
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const EXTENSION: u8 = 27;
/// The one extension that is handed on: it tells the agent for which connection a signature is.
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";

/// What OpenSSH's agent takes at most, in bytes.
const LONGEST: u32 = 256 << 10;

/// Serves one run's socket. When it is dropped nothing more is handed on.
pub(crate) struct Served {
    /// Tells the thread that it is over when it is closed.
    end: Option<OwnedFd>,
    connections: Connections,
    thread: Option<JoinHandle<()>>,
}

/// Both ends of all that are open, so that they can be closed.
type Connections = Arc<Mutex<Vec<UnixStream>>>;

/// Makes a socket in `folder`, which is nobody else's, and serves it. `agent` is the caller's own socket.
pub(crate) fn serve(
    name: &str,
    agent: &Path,
    folder: &Path,
    number: usize,
) -> Result<(PathBuf, Served), ExecError> {
    if let Err(error) = UnixStream::connect(agent) {
        return Err(ExecError::Environment {
            message: format!("{} does not answer at `{}`: {error}", shown(name), agent.display()),
            help: Some(format!("start it, or name another one: --ssh {}=SOCKET", flag(name))),
        });
    }
    let path = folder.join(format!("agent-{number}"));
    let cannot = |error: io::Error| ExecError::Environment {
        message: format!("cannot make a socket for {}: {error}", shown(name)),
        help: Some("name a store on a disk of this machine with --store".to_owned()),
    };
    let listener = bind(folder, &path).map_err(cannot)?;
    let (end, ended) = UnixStream::pair().map_err(cannot)?;
    let connections = Connections::default();
    let (agent, open) = (agent.to_owned(), connections.clone());
    let thread = std::thread::spawn(move || accept(&listener, &ended, &agent, &open));
    Ok((path, Served { end: Some(end.into()), connections, thread: Some(thread) }))
}

/// As messages call the agent.
pub(crate) fn shown(name: &str) -> String {
    if name.is_empty() { "the ssh agent".to_owned() } else { format!("the ssh agent `{name}`") }
}

/// As the command line calls it.
pub(crate) fn flag(name: &str) -> &str {
    if name.is_empty() { DEFAULT } else { name }
}

/// The caller's own agent, where a name is needed.
pub const DEFAULT: &str = "default";

/// A path of a socket has 107 bytes at most; that of a descriptor's folder is always short.
fn bind(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let opened = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = path.file_name().unwrap_or_default();
    let listener =
        UnixListener::bind(Path::new(&format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn accept(listener: &UnixListener, ended: &UnixStream, agent: &Path, open: &Connections) {
    loop {
        let mut events = [PollFd::new(listener, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        if poll(&mut events, None).is_err_and(|error| error != rustix::io::Errno::INTR)
            || !events[1].revents().is_empty()
        {
            return;
        }
        if events[0].revents().is_empty() {
            continue;
        }
        let Ok((run, _)) = listener.accept() else { return };
        // Who finds no agent any more is told by a closed connection.
        let Ok(agent) = UnixStream::connect(agent) else { continue };
        let both = [run.try_clone(), agent.try_clone()];
        let mut known = open.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(both.into_iter().flatten());
        std::thread::spawn(move || hand_on(run, agent));
    }
}

/// Question by question, until either side closes.
fn hand_on(mut run: UnixStream, mut agent: UnixStream) {
    while let Ok(question) = read(&mut run) {
        let answer = if is_allowed(&question) {
            write(&mut agent, &question).and_then(|()| read(&mut agent))
        } else {
            Ok(vec![FAILURE])
        };
        if answer.and_then(|answer| write(&mut run, &answer)).is_err() {
            return;
        }
    }
}

fn is_allowed(question: &[u8]) -> bool {
    match question {
        [REQUEST_IDENTITIES | SIGN_REQUEST, ..] => true,
        [EXTENSION, rest @ ..] => {
            let name = rest
                .split_first_chunk::<4>()
                .and_then(|(length, rest)| rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?));
            name == Some(SESSION_BIND)
        }
        _ => false,
    }
}

/// A message behind its length (32 bits, big-endian).
fn read(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length == 0 || length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message)?;
    Ok(message)
}

fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&[&length.to_be_bytes()[..], message].concat())
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
        // An agent that still asks its user is not waited for.
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_of_builds_are_handed_on() {
        let extension = |name: &[u8]| {
            let length = u32::try_from(name.len()).unwrap().to_be_bytes();
            [&[EXTENSION][..], &length, name, b"more"].concat()
        };
        for (question, expected) in [
            (vec![REQUEST_IDENTITIES], true),
            (vec![SIGN_REQUEST, 0, 0], true),
            (vec![17, 0], false),
            (vec![18], false),
            (vec![19], false),
            (vec![22, 1], false),
            (vec![25], false),
            (extension(SESSION_BIND), true),
            (extension(b"session-bind@openssh.co"), false),
            (extension(b"other@example"), false),
            (vec![EXTENSION, 0xff, 0xff, 0xff, 0xff], false),
            (vec![EXTENSION], false),
            (vec![], false),
        ] {
            assert_eq!(is_allowed(&question), expected, "{question:?}");
        }
    }

    #[test]
    fn questions_go_to_the_agent_and_answers_come_back() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than a socket's path may be.
        let deep = folder.path().join("x".repeat(150));
        std::fs::create_dir(&deep).unwrap();
        let agent = folder.path().join("agent");
        let listener = UnixListener::bind(&agent).unwrap();
        let answering = std::thread::spawn(move || {
            // The first one only looks whether it is there.
            let _ = listener.accept().unwrap();
            let (mut asker, _) = listener.accept().unwrap();
            while let Ok(question) = read(&mut asker) {
                write(&mut asker, &[&[12][..], &question].concat()).unwrap();
            }
        });
        let (path, served) = serve("", &agent, &deep, 0).unwrap();
        let opened = std::fs::File::open(&deep).unwrap();
        let near = format!("/proc/self/fd/{}/{}", opened.as_raw_fd(), path.file_name().unwrap().display());
        let mut asker = UnixStream::connect(&near).unwrap();
        for (question, expected) in
            [(&[11][..], &[12, 11][..]), (&[19], &[FAILURE]), (&[13, 7], &[12, 13, 7])]
        {
            write(&mut asker, question).unwrap();
            assert_eq!(read(&mut asker).unwrap(), expected);
        }
        drop(served);
        assert!(read(&mut asker).is_err(), "it is over");
        assert!(UnixStream::connect(&near).is_err(), "nobody listens");
        answering.join().unwrap();
    }

    #[test]
    fn an_agent_that_is_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let Err(ExecError::Environment { message, help }) =
            serve("work", &folder.path().join("none"), folder.path(), 0)
        else {
            panic!("served")
        };
        assert!(message.starts_with("the ssh agent `work` does not answer at "), "{message}");
        assert_eq!(help.as_deref(), Some("start it, or name another one: --ssh work=SOCKET"));
    }
}
