//! One connection out of a sandbox: what it is for is told by the address that it was made to, and by its first bytes.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::exec::proxy::exchange::Exchange;
use crate::exec::proxy::open::Served;
use crate::exec::proxy::server::Place;
use crate::exec::proxy::tunnel::{Carried, carry};
use crate::exec::proxy::{PROXY_ADDRESS, PROXY_PORT, Shared};
use crate::net::hosts::{USUAL_PORTS, canonical};
use crate::net::outside::Outside;
use crate::net::outside::{NotReached, Reached};

/// For the first word where the other side speaks first in some protocols.
const FIRST_WORD: Duration = Duration::from_millis(300);
/// Where the client always does.
const FIRST_WORD_OF_HTTP: Duration = Duration::from_secs(30);

/// Until it is closed. Its errors are nobody's but the two that speak through it.
pub(super) fn serve(shared: &Shared, served: &Served<'_>, client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let local = client.local_addr()?;
    let place = |host: String| Place { host, port: local.port(), is_secret: false };
    match shared.names.name(local.ip()) {
        Some(host) if says_http(client, local.port())? => {
            Exchange::new(shared, served, client, Some(place(host))).serve().map(drop)
        }
        Some(host) => {
            // Whoever expects something else than HTTP can't be told why.
            if let Ok(reached) = reach(shared, &place(host.clone())) {
                pass(shared, served, client, &place(host), Vec::new(), reached);
            }
            Ok(())
        }
        None if (local.ip(), local.port()) == (PROXY_ADDRESS.into(), PROXY_PORT) => {
            let Some((place, first)) = Exchange::new(shared, served, client, None).serve()? else {
                return Ok(());
            };
            tunnel(shared, served, client, &place, first)
        }
        // A port of the sandbox's own, at which nobody of its own listens.
        None => Ok(()),
    }
}

/// After `CONNECT`.
fn tunnel(
    shared: &Shared,
    served: &Served<'_>,
    mut client: &TcpStream,
    place: &Place,
    first: Vec<u8>,
) -> io::Result<()> {
    match reach(shared, place) {
        Ok(reached) => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            pass(shared, served, client, place, first, reached);
            Ok(())
        }
        Err(error) => {
            let status = match error {
                NotReached::NotListed | NotReached::Inside(_) => "403 Forbidden",
                _ => "502 Bad Gateway",
            };
            let words = format!("memobuild: {} is not reached: {error}\n", place.host);
            let length = words.len();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
            client.write_all(format!("{head}Connection: close\r\n\r\n{words}").as_bytes())
        }
    }
}

fn reach(shared: &Shared, place: &Place) -> Result<Reached, NotReached> {
    let Place { host, port, .. } = place;
    let reached = shared.outside.tunnel(host, *port, shared.given(host));
    if let Err(error) = &reached {
        shared.note_refusal(host, Some(*port), error);
    }
    reached
}

fn pass(
    shared: &Shared,
    served: &Served<'_>,
    client: &TcpStream,
    place: &Place,
    first: Vec<u8>,
    reached: Reached,
) {
    let Reached { stream: server, is_inside, .. } = reached;
    served.reaches(&server);
    let may = |name: &str| may_be_meant(&shared.outside, place, name);
    let Carried { sent, received, refused } = carry(client, &server, first, may);
    shared.ledger.carried(&place.host, place.port, sent, received, is_inside);
    if let Some(name) = refused {
        shared.note_refusal(&name, Some(place.port), &NotReached::NotListed);
    }
}

/// The host itself, or another one that could be asked for as well.
fn may_be_meant(outside: &Outside, place: &Place, name: &str) -> bool {
    use crate::net::hosts::Standing;
    let name = canonical(name);
    name == place.host || outside.standing(&name, place.port) != Standing::NotListed
}

/// Whether it begins as a request does. Nothing is taken from it.
fn says_http(client: &TcpStream, port: u16) -> io::Result<bool> {
    let is_usual = USUAL_PORTS.contains(&port);
    client.set_read_timeout(Some(if is_usual { FIRST_WORD_OF_HTTP } else { FIRST_WORD }))?;
    let mut first = [0; 16];
    let count = match client.peek(&mut first) {
        Ok(count) => count,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
        Err(error) => return Err(error),
    };
    client.set_read_timeout(None)?;
    Ok(is_method(&first[..count]))
}

fn is_method(first: &[u8]) -> bool {
    let letters = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    letters > 0 && first.get(letters).is_none_or(|byte| *byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_begin_with_a_method() {
        for (first, expected) in [
            (&b"GET / HTTP/1.1"[..], true),
            (b"OPTIONS * HTTP/1", true),
            (b"GE", true),
            (b"SSH-2.0-OpenSSH", false),
            (b"", false),
            (b"\x16\x03\x01", false),
            (b"get / ", false),
        ] {
            assert_eq!(is_method(first), expected, "{first:?}");
        }
    }
}
