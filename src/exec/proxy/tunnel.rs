//! Bytes both ways between a run and another machine, unread but for the name in a TLS hello: who asks for one host
//! and then speaks to another through it is cut off.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exec::proxy::hello::{self, Hello};

const PIECE: usize = 32 << 10;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub sent: u64,
    pub received: u64,
    /// The name that `may` did not let through.
    pub refused: Option<String>,
}

/// Until both sides have ended. `first` is what the client has said already.
pub(super) fn carry(
    client: &TcpStream,
    server: &TcpStream,
    first: Vec<u8>,
    may: impl Fn(&str) -> bool,
) -> Carried {
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut refused = None;
    std::thread::scope(|scope| {
        let back = std::thread::Builder::new().name("proxy".to_owned()).spawn_scoped(scope, || {
            let _ = copy(server, client, &received);
            end(server, client);
        });
        if back.is_ok() {
            refused = forward(client, server, first, may, &sent).unwrap_or_default();
        }
        match refused {
            None if back.is_ok() => end(client, server),
            _ => [client, server].into_iter().for_each(cut),
        }
    });
    Carried { sent: sent.into_inner(), received: received.into_inner(), refused }
}

/// The name that is refused, if one is; nothing of that hello is passed on.
fn forward(
    mut client: &TcpStream,
    mut server: &TcpStream,
    first: Vec<u8>,
    may: impl Fn(&str) -> bool,
    sent: &AtomicU64,
) -> io::Result<Option<String>> {
    let mut head = first;
    let mut piece = vec![0; PIECE];
    loop {
        // No word yet may mean that the other side speaks first.
        match hello::read(&head) {
            Hello::Name(name) if !may(&name) => return Ok(Some(name)),
            Hello::Unfinished => {}
            Hello::Name(_) | Hello::Nameless => break,
        }
        match client.read(&mut piece)? {
            0 => break,
            count => head.extend(&piece[..count]),
        }
    }
    server.write_all(&head)?;
    sent.fetch_add(head.len() as u64, Ordering::Relaxed);
    copy(client, server, sent)?;
    Ok(None)
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, counter: &AtomicU64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&piece[..count])?;
                counter.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Nothing more comes from `from`. An error of the one says nothing of the other.
fn end(from: &TcpStream, to: &TcpStream) {
    let _ = from.shutdown(Shutdown::Read);
    let _ = to.shutdown(Shutdown::Write);
}

fn cut(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Two ends that are connected.
    pub(super) fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    fn through(first: &[u8], said: &[u8], answered: &[u8]) -> (Carried, Vec<u8>, Vec<u8>) {
        let ((mut client, near), (far, mut server)) = (pair(), pair());
        let first = first.to_vec();
        let carrying = std::thread::spawn(move || carry(&near, &far, first, |name| name == "a.b"));
        // Who answers before he is asked anything is heard.
        server.write_all(answered).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).unwrap();
        let _ = client.write_all(said);
        let _ = client.shutdown(Shutdown::Write);
        let mut asked = Vec::new();
        let _ = server.read_to_end(&mut asked);
        (carrying.join().unwrap(), asked, heard)
    }

    #[test]
    fn bytes_go_both_ways_and_are_counted() {
        let (carried, asked, heard) = through(b"SSH-", b"2.0-x\r\n", b"welcome");
        assert_eq!((asked.as_slice(), heard.as_slice()), (&b"SSH-2.0-x\r\n"[..], &b"welcome"[..]));
        assert_eq!(carried, Carried { sent: 11, received: 7, refused: None });
    }

    #[test]
    fn a_hello_to_another_host_is_not_passed_on() {
        let hello = hello::tests::hello(Some("other.b"), usize::MAX);
        let (carried, asked, _) = through(&[], &hello, b"");
        assert_eq!((carried.refused.as_deref(), asked.len()), (Some("other.b"), 0));
        let hello = hello::tests::hello(Some("A.b"), usize::MAX);
        let (carried, asked, _) = through(&[], &hello, b"");
        assert_eq!((carried.refused, asked), (None, hello));
    }
}
