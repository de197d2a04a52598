//! The other machine, as one connection of HTTP to it: what goes there and what comes from there is counted, and told
//! to the ledger when the connection ends.

use std::io::{self, BufReader, Read, Write};
use std::net::IpAddr;

use crate::exec::proxy::Shared;
use crate::exec::proxy::head::{Answer, Request, written};
use crate::exec::proxy::open::Served;
use crate::net::hosts::Standing;
use crate::net::outside::{NotReached, Outside};
use crate::net::proxies::ProxyServer;

/// With which a request asks for less than all there is, or for another form of it.
const CONDITIONS: [&str; 7] = [
    "accept-encoding",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
];

/// Whom somebody wants to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Canonical.
    pub host: String,
    pub port: u16,
    /// Whether it is spoken to in TLS.
    pub is_secret: bool,
}

impl Place {
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secret { "https" } else { "http" }
    }

    /// As `Host` and URLs say it.
    pub(super) fn authority(&self) -> String {
        let is_v6 = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let host = if is_v6 { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.is_secret { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

pub(super) struct Server<'s> {
    pub place: Place,
    pub reader: BufReader<Counted>,
    shared: &'s Shared,
    /// The machine's own proxy, which is told whole URLs.
    through: Option<ProxyServer>,
    is_inside: bool,
    /// What comes is known, so that who is asked is no matter of the policy.
    is_pinned: bool,
}

impl<'s> Server<'s> {
    pub(super) fn open(
        shared: &'s Shared,
        served: &Served<'_>,
        place: &Place,
    ) -> Result<Server<'s>, NotReached> {
        Server::through(shared, served, &shared.outside, place)
    }

    /// Whatever the policy says, but this machine's own.
    pub(super) fn open_pinned(
        shared: &'s Shared,
        served: &Served<'_>,
        place: &Place,
    ) -> Result<Server<'s>, NotReached> {
        let is_listed = shared.outside.standing(&place.host, place.port) != Standing::NotListed;
        let hosts = shared.outside.hosts.clone().filter(|_| is_listed);
        let outside = Outside { hosts, proxies: shared.outside.proxies.clone() };
        let mut server = Server::through(shared, served, &outside, place)?;
        server.is_pinned = true;
        Ok(server)
    }

    fn through(
        shared: &'s Shared,
        served: &Served<'_>,
        outside: &Outside,
        place: &Place,
    ) -> Result<Server<'s>, NotReached> {
        let Place { host, port, is_secret } = place;
        let at = shared.given(host);
        let reached = match is_secret {
            true => outside.tunnel(host, *port, at),
            false => outside.open(host, *port, at),
        }?;
        served.reaches(&reached.stream);
        let wire: Box<dyn Wire> = match shared.opened.as_ref().filter(|_| *is_secret) {
            Some(opened) => {
                let secret = opened.trust(place).and_then(|trust| trust.connect(host, reached.stream));
                Box::new(secret.map_err(|error| NotReached::Io(io::Error::other(error)))?)
            }
            None => Box::new(reached.stream),
        };
        let counted = Counted { wire, sent: 0, received: 0 };
        Ok(Server {
            place: place.clone(),
            reader: BufReader::new(counted),
            shared,
            through: reached.through,
            is_inside: reached.is_inside,
            is_pinned: false,
        })
    }

    /// The head of a request; `more` are headers that say how its content comes. Where answers are kept, whole ones
    /// are asked for, as they are.
    pub(super) fn ask(&mut self, request: &Request, path: &str, more: &[(&str, &str)]) -> io::Result<()> {
        let authority = self.place.authority();
        let mut own = vec![("Host", authority.as_str())];
        own.extend(more);
        let mut left_out = vec!["host", "content-length"];
        if self.shared.keeps_answers(&request.method) {
            left_out.extend(CONDITIONS);
            own.push(("Accept-Encoding", "identity"));
        }
        let target = match &self.through {
            Some(proxy) => {
                own.extend(proxy.authorization.as_deref().map(|value| ("Proxy-Authorization", value)));
                format!("{}://{authority}{path}", self.place.scheme())
            }
            None => path.to_owned(),
        };
        let line = format!("{} {target} HTTP/1.1", request.method);
        let head = written(&line, request.headers.without(&left_out), &own);
        self.reader.get_mut().write_all(&head)
    }

    /// The head of its answer. What only says that more is to come is left out.
    pub(super) fn hear(&mut self) -> io::Result<Answer> {
        loop {
            let answer = Answer::read(&mut self.reader)?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if self.is_pinned {
            return;
        }
        let (sent, received) = (self.reader.get_ref().sent, self.reader.get_ref().received);
        self.shared.ledger.carried(&self.place.host, self.place.port, sent, received, self.is_inside);
    }
}

/// A connection, encrypted or not.
pub(super) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

pub(super) struct Counted {
    wire: Box<dyn Wire>,
    sent: u64,
    received: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.wire.read(into)?;
        self.received += count as u64;
        Ok(count)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.wire.write(bytes)?;
        self.sent += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
