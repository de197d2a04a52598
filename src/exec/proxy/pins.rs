//! What the lock file holds of a run's answers: a request for one of these is answered with just that, from the store
//! where it has the bytes, else from the server, whose bytes the run does not see before they are what they must be.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::base::digest::OciDigest;
use crate::exec::proxy::Shared;
use crate::exec::proxy::body::{Body, Framing};
use crate::exec::proxy::content::Content;
use crate::exec::proxy::head::{Headers, Request, Target, host_and_port, written};
use crate::exec::proxy::ledger::Differs;
use crate::exec::proxy::open::Served;
use crate::exec::proxy::server::{Place, Server};
use crate::graph::op::Pin;
use crate::net::hosts::canonical;
use crate::oci::kept::kept;
use crate::store::memo::Written;
use crate::store::traffic::Answer;

#[derive(Default)]
pub(super) struct Pins {
    by_url: BTreeMap<String, Pin>,
}

impl Pins {
    pub(super) fn new(pins: &[Pin]) -> Pins {
        Pins { by_url: pins.iter().map(|pin| (pin.url.clone(), pin.clone())).collect() }
    }

    pub(super) fn get(&self, method: &str, url: &str) -> Option<&Pin> {
        self.by_url.get(url).filter(|_| matches!(method, "GET" | "HEAD"))
    }

    /// Whether something of that host is pinned.
    pub(super) fn has_host(&self, host: &str) -> bool {
        self.by_url.keys().any(|url| {
            let authority = url.split_once("://").map_or("", |(_, rest)| rest).split('/').next();
            let host_of_url = authority.and_then(host_and_port).map(|(host, _)| canonical(&host));
            host_of_url.as_deref() == Some(host)
        })
    }
}

/// Why a pinned request has no answer.
pub(super) enum NoAnswer {
    /// In words, for the client.
    Refused(String),
    Client(io::Error),
}

/// Answers a request for what is pinned.
pub(super) fn answer(
    shared: &Shared,
    served: &Served<'_>,
    (pin, place, path): (&Pin, &Place, &str),
    is_head: bool,
    client: &mut impl Write,
) -> Result<(), NoAnswer> {
    let refused =
        |error: &dyn std::fmt::Display| NoAnswer::Refused(format!("{} is pinned: {error}", pin.url));
    let opened = shared.opened.as_ref().expect("bug: only what is opened is pinned");
    let digest: OciDigest = format!("sha256:{}", pin.sha256).parse().map_err(|error| refused(&error))?;
    let known = kept(&opened.memo, digest).map_err(|error| refused(&error))?;
    let file = match known {
        Some(file) => Some(file),
        // What a server says of an error is seldom the same twice, and of no use.
        None if !(200..300).contains(&pin.status) => None,
        None => Some(fetch(shared, served, pin, place, path, digest).map_err(|error| refused(&error))?),
    };
    let size = file.as_ref().map_or(0, |file| file.size);
    let length = size.to_string();
    let mut headers = vec![("Content-Length", length.as_str()), ("Connection", "keep-alive")];
    headers.extend(pin.media_type.as_deref().map(|text| ("Content-Type", text)));
    headers.extend(pin.location.as_deref().map(|text| ("Location", text)));
    let line = format!("HTTP/1.1 {} Pinned", pin.status);
    client.write_all(&written(&line, std::iter::empty(), &headers)).map_err(NoAnswer::Client)?;
    if let Some(file) = file.filter(|_| !is_head) {
        let mut bytes = opened.memo.open_blob(file.blob).map_err(|error| refused(&error))?;
        io::copy(&mut bytes, client).map_err(NoAnswer::Client)?;
    }
    shared.ledger.answered(Answer {
        method: if is_head { "HEAD" } else { "GET" }.to_owned(),
        status: pin.status,
        sha256: digest,
        size: pin.size,
        media_type: pin.media_type.clone(),
        location: pin.location.clone(),
        ..Answer::of(&pin.url)
    });
    Ok(())
}

/// From the server, whatever the policy says of it: what may come is known.
fn fetch(
    shared: &Shared,
    served: &Served<'_>,
    pin: &Pin,
    place: &Place,
    path: &str,
    digest: OciDigest,
) -> Result<Written, String> {
    let opened = shared.opened.as_ref().expect("bug: only what is opened is pinned");
    let mut server = Server::open_pinned(shared, served, place).map_err(|error| error.to_string())?;
    let request = Request {
        method: "GET".to_owned(),
        target: Target::Origin(path.to_owned()),
        is_old: false,
        headers: Headers(vec![("Accept".to_owned(), b"*/*".to_vec())]),
    };
    let said = |error: io::Error| error.to_string();
    server.ask(&request, path, &[]).map_err(said)?;
    let answer = server.hear().map_err(said)?;
    let framing = answer.framing("GET").map_err(said)?;
    let mut content = Content::kept(&opened.memo).map_err(|error| error.to_string())?;
    let body = Body::new(&mut server.reader, framing);
    body.relay(&mut io::sink(), framing == Framing::Chunked, &mut |bytes| content.add(bytes))
        .map_err(said)?;
    let found = content.finish().map_err(|error| error.to_string())?;
    if (answer.status, found) != (pin.status, digest) {
        shared.ledger.differs(Differs {
            url: pin.url.clone(),
            expected: digest,
            found,
            status: answer.status,
        });
        return Err("the server answers something else now".to_owned());
    }
    kept(&opened.memo, digest).ok().flatten().ok_or_else(|| "the store has lost it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_known_by_its_url() {
        let pin = |url: &str| Pin { url: url.to_owned(), ..Pin::default() };
        let pins = Pins::new(&[pin("https://A.example:8443/x"), pin("http://[::1]/y")]);
        assert!(pins.get("GET", "https://A.example:8443/x").is_some());
        assert!(pins.get("HEAD", "http://[::1]/y").is_some());
        assert!(pins.get("POST", "http://[::1]/y").is_none());
        for (host, expected) in [("a.example", true), ("::1", true), ("b.example", false), ("", false)] {
            assert_eq!(pins.has_host(host), expected, "{host}");
        }
    }
}
