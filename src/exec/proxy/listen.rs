//! Takes a sandbox's sockets and lets in who comes: a thread for each connection, and one for each name that is asked
//! for, since this machine may need long to find it.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::exec::proxy::Shared;
use crate::exec::proxy::connection;
use crate::exec::question::{LONGEST, PORT, Question};
use crate::exec::sandbox::rights;

/// Names that are looked for at once.
const MOST_ASKING: usize = 64;

/// Until `stopped` is closed on the other side. A sandbox that sends no sockets has none that could be used.
pub(super) fn listen(shared: &Arc<Shared>, line: &UnixStream, stopped: &UnixStream) {
    let Ok(doors) = receive(line) else { return };
    loop {
        let mut events = vec![PollFd::new(stopped, PollFlags::IN)];
        events.extend(doors.iter().map(|door| PollFd::from_borrowed_fd(door.as_fd(), PollFlags::IN)));
        match poll(&mut events, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let is_ready: Vec<bool> = events.iter().map(|event| !event.revents().is_empty()).collect();
        if is_ready[0] {
            return;
        }
        for (door, _) in doors.iter().zip(&is_ready[1..]).filter(|(_, is_ready)| **is_ready) {
            door.open(shared);
        }
    }
}

/// By their ports; `PORT` of the first is that of names.
fn receive(line: &UnixStream) -> io::Result<Vec<Door>> {
    let mut doors = Vec::new();
    while let Some((port, [socket])) = rights::receive::<2, 1>(line)? {
        doors.push(match u16::from_le_bytes(port) {
            PORT => Door::Names(Arc::new(nonblocking_names(socket)?)),
            _ => Door::Connections(nonblocking_listener(socket)?),
        });
    }
    Ok(doors)
}

fn nonblocking_names(socket: OwnedFd) -> io::Result<UdpSocket> {
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn nonblocking_listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

enum Door {
    Names(Arc<UdpSocket>),
    Connections(TcpListener),
}

impl Door {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Door::Names(socket) => socket.as_fd(),
            Door::Connections(listener) => listener.as_fd(),
        }
    }

    /// One who waits there. Whoever finds no thread is turned away, and may come again.
    fn open(&self, shared: &Arc<Shared>) {
        let shared = shared.clone();
        match self {
            Door::Connections(listener) => {
                let Ok((client, _)) = listener.accept() else { return };
                spawn(move || {
                    let Some(served) = shared.open.enter(&client) else { return };
                    if client.set_nonblocking(false).is_ok() {
                        // Both sides see that it is closed, and that is all there is to tell.
                        let _ = connection::serve(&shared, &served, &client);
                    }
                });
            }
            Door::Names(socket) => {
                let mut bytes = [0; LONGEST];
                let Ok((length, asker)) = socket.recv_from(&mut bytes) else { return };
                let Some(question) = Question::read(&bytes[..length]) else { return };
                // Who is not answered asks again.
                if shared.asking.fetch_add(1, Ordering::Relaxed) >= MOST_ASKING {
                    shared.asking.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                let socket = socket.clone();
                let asking = Asking(shared);
                spawn(move || {
                    let shared = &asking.0;
                    let answer =
                        shared.names.answer(&question, &shared.hostname, |name| shared.standing(name));
                    let _ = socket.send_to(&answer, asker);
                });
            }
        }
    }
}

/// One name that is being looked for.
struct Asking(Arc<Shared>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    let _ = std::thread::Builder::new().name("proxy".to_owned()).spawn(work);
}
