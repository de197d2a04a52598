//! Answers whoever asks for the address of a name where there is no network: no such name exists. Tools then
//! fail at once, and the build can tell what they wanted to reach. Resolvers that know of no server ask here
//! (resolv.conf(5)). One socket, nothing is ever passed on, and nobody outside can see it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, bind, recvfrom, sendto};

/// Where names are asked for (RFC 1035, section 4.2).
const PORT: u16 = 53;
/// Names that are kept: the first ones tell enough.
const MOST: usize = 8;
/// Questions that are answered before anything else is looked at again.
const AT_ONCE: usize = 64;
/// A question has a header of 12 bytes, a name of at most 255, type and class. Whatever follows may be lost.
const LONGEST: usize = 512;

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
            let _ = sendto(&self.socket, &question.answer, SendFlags::empty(), &asker);
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

#[derive(Debug, PartialEq, Eq)]
struct Question {
    /// In lower case; `None` where it holds what no machine's name holds.
    name: Option<String>,
    answer: Vec<u8>,
}

impl Question {
    /// RFC 1035, sections 4.1.1 and 4.1.2.
    fn read(bytes: &[u8]) -> Option<Question> {
        let header: &[u8; 12] = bytes.first_chunk()?;
        let is_plain_question = header[2] & 0xf8 == 0 && header[4..6] == [0, 1];
        if !is_plain_question {
            return None;
        }
        let (mut labels, mut at) = (Vec::new(), header.len());
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => labels.push(bytes.get(at..at + length)?),
                _ => return None,
            }
            at += length;
        }
        let mut answer = bytes.get(..at + 4)?.to_vec();
        // An answer, from one that could have asked others, and there is no such name.
        answer[2] |= 0x80;
        answer[3] = 0x80 | 3;
        answer[6..12].fill(0);
        Some(Question { name: name(&labels), answer })
    }
}

fn name(labels: &[&[u8]]) -> Option<String> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let is_name = !labels.is_empty() && labels.iter().all(|label| label.iter().all(is_plain));
    is_name.then(|| String::from_utf8_lossy(&labels.join(&b'.')).to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn question(labels: &[&str]) -> Vec<u8> {
        // Number 0x1234, recursion desired, one question, one additional record.
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in labels {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.extend([0, 0, 1, 0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_answered_with_itself() {
        let asked = question(&["Registry", "example"]);
        let mut with_more = asked.clone();
        with_more.extend([0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0]);
        let question = Question::read(&with_more).unwrap();
        assert_eq!(question.name.as_deref(), Some("registry.example"));
        let mut expected = asked;
        (expected[2], expected[3], expected[11]) = (0x81, 0x83, 0);
        assert_eq!(question.answer, expected);
    }

    #[test]
    fn noise_has_no_answer() {
        let asked = question(&["a", "b"]);
        for length in 0..asked.len() {
            assert_eq!(Question::read(&asked[..length]), None, "{length} bytes");
        }
        for (place, value) in [(2, 0x80), (2, 0x08), (5, 2), (5, 0), (12, 64), (12, 0xc0)] {
            let mut broken = asked.clone();
            broken[place] = value;
            assert_eq!(Question::read(&broken), None, "byte {place}");
        }
        assert_eq!(Question::read(&question(&["a\u{1b}[2J", "b"])).unwrap().name, None);
        assert_eq!(Question::read(&question(&[])).unwrap().name, None);
    }

    proptest! {
        /// Whatever is sent, an answer is a question that came, and its name can be shown.
        #[test]
        fn no_bytes_do_harm(mut bytes in vec(any::<u8>(), 0..80), like_a_question in any::<bool>()) {
            if like_a_question && bytes.len() > 12 {
                bytes[2] &= 0x07;
                bytes[4..6].copy_from_slice(&[0, 1]);
                bytes[12..].iter_mut().for_each(|byte| *byte %= 5);
            }
            if let Some(Question { name, answer }) = Question::read(&bytes) {
                prop_assert_eq!(&answer[12..], &bytes[12..answer.len()]);
                prop_assert!(name.is_none_or(|name| name.chars().all(|c| c.is_ascii_graphic())));
            }
        }
    }

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
        assert_eq!(answer[..length], Question::read(&question(&["a", "b"])).unwrap().answer);
        assert_eq!(names.into_asked(), ["a.b"]);
    }
}
