//! The sockets through which a run with a proxy reaches it: made inside, since a socket belongs to the network
//! namespace that it was made in, and handed to the main process, which alone serves them. Nobody inside keeps one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::exec::question;
use crate::exec::sandbox::spec::{Reply, Trouble, send};
use crate::exec::sandbox::{rights, sys};

/// Connections that wait to be taken.
const WAITING: i32 = 256;

/// By the helper: makes a line and gives one end of it to the main process. The other is for the first process inside,
/// whose copies of it are all there are when the helper has forgotten it.
pub(super) fn hand_over(main: &UnixStream) -> Result<UnixStream, Trouble> {
    let hand_over = || {
        let (outside, inside) = UnixStream::pair()?;
        send(main, &Reply::Line)?;
        rights::send(main, b"l", &[outside.as_fd()])?;
        Ok(inside)
    };
    hand_over().map_err(Trouble::at::<io::Error>("hand over the line to its proxy"))
}

/// By the first process inside, whose loopback network is up: each socket with its port. When `line` is closed, that
/// was all of them.
pub(super) fn hand_out(line: &UnixStream, names: &OwnedFd, ports: &[u16]) -> Result<(), Trouble> {
    let cannot = |port: u16| Trouble::at::<io::Error>(format!("listen at its own port {port}"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, question::PORT));
    sys::add_loopback_address(names, Ipv4Addr::new(127, 0, 0, 2))
        .and_then(|()| Ok(bind(names, &address)?))
        .and_then(|()| rights::send(line, &question::PORT.to_le_bytes(), &[names.as_fd()]))
        .map_err(cannot(question::PORT))?;
    for &port in ports {
        let hand_out = || {
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            // At every address: each name has one of its own.
            match bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))) {
                // By a service beside the test: then that is what is to be reached there.
                Err(Errno::ADDRINUSE) => return Ok(()),
                bound => bound?,
            }
            listen(&socket, WAITING)?;
            rights::send(line, &port.to_le_bytes(), &[socket.as_fd()])
        };
        hand_out().map_err(cannot(port))?;
    }
    Ok(())
}
