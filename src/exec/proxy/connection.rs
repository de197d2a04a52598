//! One connection out of a sandbox: what it is for is told by the address that it was made to, and by its first bytes.

use std::io::{self, Cursor, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::exec::proxy::exchange::Exchange;
use crate::exec::proxy::open::Served;
use crate::exec::proxy::opened::Opened;
use crate::exec::proxy::server::Place;
use crate::exec::proxy::tunnel::{Carried, carry};
use crate::exec::proxy::{PROXY_ADDRESS, PROXY_PORT, Shared};
use crate::net::hosts::{USUAL_PORTS, canonical};
use crate::net::outside::{NotReached, Reached};
use crate::net::tls::TlsError;

/// For the first word where the other side speaks first in some protocols.
const FIRST_WORD: Duration = Duration::from_millis(300);
/// Where the client always does.
const FIRST_WORD_OF_HTTP: Duration = Duration::from_secs(30);

/// What the client's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http,
    Tls,
    Other,
}

/// Until it is closed. Its errors are nobody's but the two that speak through it.
pub(super) fn serve(shared: &Shared, served: &Served<'_>, client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let local = client.local_addr()?;
    if let Some(host) = shared.names.name(local.ip()) {
        let place = Place { host, port: local.port(), is_secret: false };
        let talk = Talk { shared, served, client, place, first: Vec::new() };
        return match (listen(client, local.port())?, &shared.opened) {
            (Speech::Http, _) => talk.answer(),
            (Speech::Tls, Some(opened)) => talk.open(opened),
            (Speech::Tls | Speech::Other, _) => {
                // Whoever expects something else than HTTP can't be told why.
                if let Ok(reached) = talk.reach() {
                    talk.pass(reached);
                }
                Ok(())
            }
        };
    }
    // At other ports nobody listens, as far as the sandbox knows.
    if (local.ip(), local.port()) == (PROXY_ADDRESS.into(), PROXY_PORT)
        && let Some((place, first)) = Exchange::new(shared, served, client, None).serve()?
    {
        return Talk { shared, served, client, place, first }.tunnel();
    }
    Ok(())
}

/// With whom a client wants to speak, and what it has said already.
struct Talk<'t> {
    shared: &'t Shared,
    served: &'t Served<'t>,
    client: &'t TcpStream,
    place: Place,
    first: Vec<u8>,
}

impl Talk<'_> {
    /// After `CONNECT`.
    fn tunnel(self) -> io::Result<()> {
        const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
        let mut client = self.client;
        let Some(opened) = &self.shared.opened else {
            return match self.reach() {
                Ok(reached) => {
                    client.write_all(GRANTED)?;
                    self.pass(reached);
                    Ok(())
                }
                Err(error) => self.refuse(&error),
            };
        };
        if !self.shared.lets_through(&self.place) {
            self.shared.note_refusal(&self.place.host, Some(self.place.port), &NotReached::NotListed);
            return self.refuse(&NotReached::NotListed);
        }
        client.write_all(GRANTED)?;
        let speech =
            if self.first.is_empty() { listen(client, self.place.port)? } else { speech(&self.first) };
        match speech {
            Speech::Tls => self.open(opened),
            Speech::Http => self.answer(),
            Speech::Other => {
                if let Ok(reached) = self.reach() {
                    self.pass(reached);
                }
                Ok(())
            }
        }
    }

    /// Speaks HTTP as the server.
    fn answer(self) -> io::Result<()> {
        let begun = Begun { first: Cursor::new(self.first), client: self.client };
        Exchange::new(self.shared, self.served, begun, Some(self.place)).serve().map(drop)
    }

    /// The same inside of TLS.
    fn open(self, opened: &Opened) -> io::Result<()> {
        let Talk { shared, served, client, place, first } = self;
        let begun = Begun { first: Cursor::new(first), client };
        let mut other = None;
        let secret = opened.authority.accept(begun, |name| match name {
            Some(name) if !may_be_meant(shared, &place, name) => {
                other = Some(name.to_owned());
                None
            }
            Some(name) => Some(canonical(name)),
            None => Some(place.host.clone()),
        });
        if let Some(other) = other {
            shared.note_refusal(&other, Some(place.port), &NotReached::NotListed);
        }
        let secret = secret.map_err(|error| match error {
            TlsError::Io(error) => error,
            error => io::Error::other(error),
        })?;
        let place = Place { is_secret: true, ..place };
        Exchange::new(shared, served, secret, Some(place)).serve().map(drop)
    }

    fn reach(&self) -> Result<Reached, NotReached> {
        let Place { host, port, .. } = &self.place;
        let reached = self.shared.outside.tunnel(host, *port, self.shared.given(host));
        if let Err(error) = &reached {
            self.shared.note_refusal(host, Some(*port), error);
        }
        reached
    }

    /// Bytes that are not looked at.
    fn pass(self, reached: Reached) {
        let Talk { shared, served, client, place, first } = self;
        let Reached { stream: server, is_inside, .. } = reached;
        served.reaches(&server);
        let may = |name: &str| may_be_meant(shared, &place, name);
        let Carried { sent, received, refused } = carry(client, &server, first, may);
        shared.ledger.carried(&place.host, place.port, sent, received, is_inside);
        if let Some(name) = refused {
            shared.note_refusal(&name, Some(place.port), &NotReached::NotListed);
        }
    }

    fn refuse(&self, error: &NotReached) -> io::Result<()> {
        let status = match error {
            NotReached::NotListed | NotReached::Inside(_) => "403 Forbidden",
            _ => "502 Bad Gateway",
        };
        let words = format!("memobuild: {} is not reached: {error}\n", self.place.host);
        let length = words.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
        let mut client = self.client;
        client.write_all(format!("{head}Connection: close\r\n\r\n{words}").as_bytes())
    }
}

/// The host itself, or another one that could be asked for as well.
fn may_be_meant(shared: &Shared, place: &Place, name: &str) -> bool {
    let name = canonical(name);
    name == place.host || shared.lets_through(&Place { host: name, ..place.clone() })
}

/// Takes nothing of what is said.
fn listen(client: &TcpStream, port: u16) -> io::Result<Speech> {
    let is_usual = USUAL_PORTS.contains(&port);
    client.set_read_timeout(Some(if is_usual { FIRST_WORD_OF_HTTP } else { FIRST_WORD }))?;
    let mut first = [0; 16];
    let count = match client.peek(&mut first) {
        Ok(count) => count,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
        Err(error) => return Err(error),
    };
    client.set_read_timeout(None)?;
    Ok(speech(&first[..count]))
}

fn speech(first: &[u8]) -> Speech {
    let letters = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match first {
        [22, 3, ..] | [22] => Speech::Tls,
        _ if letters > 0 && first.get(letters).is_none_or(|byte| *byte == b' ') => Speech::Http,
        _ => Speech::Other,
    }
}

/// A connection of which something was read already.
struct Begun<'c> {
    first: Cursor<Vec<u8>>,
    client: &'c TcpStream,
}

impl Read for Begun<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.first.read(into)? {
            0 => self.client.read(into),
            count => Ok(count),
        }
    }
}

impl Write for Begun<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words() {
        for (first, expected) in [
            (&b"GET / HTTP/1.1"[..], Speech::Http),
            (b"OPTIONS * HTTP/1", Speech::Http),
            (b"GE", Speech::Http),
            (b"SSH-2.0-OpenSSH", Speech::Other),
            (b"", Speech::Other),
            (b"\x16\x03\x01", Speech::Tls),
            (b"\x16\x00", Speech::Other),
            (b"get / ", Speech::Other),
        ] {
            assert_eq!(speech(first), expected, "{first:?}");
        }
    }
}
