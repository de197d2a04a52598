//! Answers whoever asks for the address of a name where there is no network: no such name exists. Tools then
//! fail at once, and the build can tell what they wanted to reach. Resolvers that know of no server ask here
//! (resolv.conf(5)). One socket, nothing is ever passed on, and nobody outside can see it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, bind, recvfrom, sendto};

use crate::exec::question::{LONGEST, PORT, Question};

/// Names that are kept: the first ones tell enough.
const MOST: usize = 8;
/// Questions that are answered before anything else is looked at again.
const AT_ONCE: usize = 64;

pub(super) struct Names {
    socket: OwnedFd,
    /// The sandbox's own host name, which is nowhere to be reached.
    own: String,
    asked: Vec<String>,
}

impl Names {
    /// `socket` is a datagram socket that does not block.
    pub(super) fn listen(socket: OwnedFd, own: &str) -> Result<Names, Errno> {
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))?;
        Ok(Names { socket, own: own.to_lowercase(), asked: Vec::new() })
    }

    /// What is waiting; a question that cannot be read stays without an answer.
    pub(super) fn answer(&mut self) {
        let mut bytes = [0; LONGEST];
        for _ in 0..AT_ONCE {
            let Ok((length, _, Some(asker))) = recvfrom(&self.socket, &mut bytes[..], RecvFlags::empty())
            else {
                return;
            };
            let Some(question) = Question::read(&bytes[..length]) else { continue };
            let _ = sendto(&self.socket, &question.no_such_name(), SendFlags::empty(), &asker);
            if let Some(name) = question.name {
                self.note(name);
            }
        }
    }

    /// The names that were asked for first, each once.
    pub(super) fn into_asked(self) -> Vec<String> {
        self.asked
    }

    fn note(&mut self, name: String) {
        let is_local = name == self.own || name == "localhost" || name.ends_with(".arpa");
        if !is_local && self.asked.len() < MOST && !self.asked.contains(&name) {
            self.asked.push(name);
        }
    }
}

impl AsFd for Names {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::exec::question::tests::question;

    #[test]
    fn the_first_names_are_kept_each_once() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut names = Names { socket: socket.into(), own: "build".to_owned(), asked: Vec::new() };
        for name in ["one", "build", "two", "one", "localhost", "1.0.0.127.in-addr.arpa"] {
            names.note(name.to_owned());
        }
        (0..20).for_each(|number| names.note(format!("n{number}")));
        assert_eq!(names.into_asked(), ["one", "two", "n0", "n1", "n2", "n3", "n4", "n5"]);
    }

    #[test]
    fn whoever_asks_is_answered_at_once() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let there = socket.local_addr().unwrap();
        let mut names = Names { socket: socket.into(), own: "build".to_owned(), asked: Vec::new() };
        asker.send_to(&question(&["a", "b"]), there).unwrap();
        asker.send_to(b"noise", there).unwrap();
        names.answer();
        let mut answer = [0; LONGEST];
        let length = asker.recv(&mut answer).unwrap();
        assert_eq!(answer[..length], Question::read(&question(&["a", "b"])).unwrap().no_such_name());
        assert_eq!(names.into_asked(), ["a.b"]);
    }
}
