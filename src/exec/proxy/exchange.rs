//! HTTP between a run and other machines: one request after the other, each to the host that it names, if it may.
//! The answer's content is hashed on its way. A connection to a server is kept for the next request to the same host.

use std::io::{self, BufReader, Read, Write};

use crate::exec::proxy::Shared;
use crate::exec::proxy::body::{Body, Framing};
use crate::exec::proxy::content::Content;
use crate::exec::proxy::head::{Answer, Request, Target, malformed, written};
use crate::exec::proxy::open::Served;
use crate::exec::proxy::pins::{self, NoAnswer};
use crate::exec::proxy::server::{Place, Server};
use crate::net::hosts::canonical;
use crate::net::outside::NotReached;
use crate::store::traffic;

pub(super) struct Exchange<'s, C> {
    shared: &'s Shared,
    served: &'s Served<'s>,
    client: BufReader<C>,
    /// Whom the connection is for, where that is known beforehand; `None`: each request says it, as to a proxy.
    meant: Option<Place>,
    /// The one that was asked last.
    server: Option<Server<'s>>,
}

/// How it goes on after a request.
enum Next {
    Request,
    Nothing,
    /// What follows is not for us.
    Tunnel(Place),
}

/// Why a request has no answer.
enum Trouble {
    NotReached(NotReached),
    /// The server, or the way to it.
    Server(io::Error),
    Client(io::Error),
}

impl<'s, C: Read + Write> Exchange<'s, C> {
    pub(super) fn new(
        shared: &'s Shared,
        served: &'s Served<'s>,
        client: C,
        meant: Option<Place>,
    ) -> Exchange<'s, C> {
        Exchange { shared, served, client: BufReader::new(client), meant, server: None }
    }

    /// Until one side has enough: where a tunnel is to lead, if that is how it ended, and what was said into it.
    pub(super) fn serve(mut self) -> io::Result<Option<(Place, Vec<u8>)>> {
        loop {
            match self.next() {
                Ok(Next::Request) => {}
                Ok(Next::Nothing) => return Ok(None),
                Ok(Next::Tunnel(place)) => return Ok(Some((place, self.client.buffer().to_vec()))),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.refuse(400, &format!("the build's proxy finds here {error}"), false)?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn next(&mut self) -> io::Result<Next> {
        let Some(request) = Request::read(&mut self.client)? else { return Ok(Next::Nothing) };
        let place = |host: &str, port| Place { host: canonical(host), port, is_secret: false };
        let (place, path) = match (&request.target, &self.meant) {
            (Target::Authority { host, port }, None) => return Ok(Next::Tunnel(place(host, *port))),
            (Target::Absolute { host, port, path }, None) => (place(host, *port), path.clone()),
            (Target::Origin(path) | Target::Absolute { path, .. }, Some(meant)) => {
                (asked_for(&request, meant)?, path.clone())
            }
            (Target::Authority { .. }, Some(_)) | (Target::Origin(_), None) => {
                self.refuse(400, "this is the build's proxy, and no server", false)?;
                return Ok(Next::Nothing);
            }
        };
        let framing = request.framing()?;
        // Where content is still to come, it would be taken for a request.
        let may_go_on = framing == Framing::Length(0);
        if let Some(next) = self.replay(&request, &place, &path, may_go_on)? {
            return Ok(next);
        }
        let (status, words) = match self.pass_on(&request, framing, &place, &path) {
            Ok(next) => return Ok(next),
            Err(Trouble::Client(error)) => return Err(error),
            Err(Trouble::NotReached(error)) => {
                self.shared.note_refusal(&place.host, Some(place.port), &error);
                let is_refused = matches!(error, NotReached::NotListed | NotReached::Inside(_));
                (if is_refused { 403 } else { 502 }, format!("is not reached: {error}"))
            }
            Err(Trouble::Server(error)) => (502, format!("gave no answer: {error}")),
        };
        self.refuse(status, &format!("{} {words}", place.authority()), may_go_on)?;
        Ok(if may_go_on { Next::Request } else { Next::Nothing })
    }

    /// `None` where the lock file holds nothing of it.
    fn replay(
        &mut self,
        request: &Request,
        place: &Place,
        path: &str,
        may_go_on: bool,
    ) -> io::Result<Option<Next>> {
        let url = format!("{}://{}{path}", place.scheme(), place.authority());
        let Some(opened) = &self.shared.opened else { return Ok(None) };
        let Some(pin) = opened.pins.get(&request.method, &url) else { return Ok(None) };
        let is_head = request.method == "HEAD";
        match pins::answer(self.shared, self.served, (pin, place, path), is_head, self.client.get_mut()) {
            Ok(()) => {}
            Err(NoAnswer::Client(error)) => return Err(error),
            Err(NoAnswer::Refused(words)) => self.refuse(502, &words, may_go_on)?,
        }
        let stays = may_go_on && !request.is_old && !request.headers.has_token("connection", "close");
        Ok(Some(if stays { Next::Request } else { Next::Nothing }))
    }

    fn pass_on(
        &mut self,
        request: &Request,
        sent: Framing,
        place: &Place,
        path: &str,
    ) -> Result<Next, Trouble> {
        let (mut server, answer) = self.ask(request, sent, place, path)?;
        let framing = answer.framing(&request.method).map_err(Trouble::Server)?;
        let as_chunks = framing == Framing::Chunked && !request.is_old;
        let may_stay = !request.is_old && !request.headers.has_token("connection", "close");
        let stays = may_stay && (as_chunks || matches!(framing, Framing::Length(_)));
        let head = answer_head(&answer, framing, &request.method, as_chunks, stays);
        self.client.get_mut().write_all(&head).map_err(Trouble::Client)?;
        let mut seen = self.content(&request.method).map_err(Trouble::Server)?;
        let body = Body::new(&mut server.reader, framing);
        let relayed = body.relay(self.client.get_mut(), as_chunks, &mut |bytes| seen.add(bytes));
        // The answer has begun: that it breaks off is all that can be said.
        let size = relayed.map_err(Trouble::Client)?;
        let sha256 = seen.finish().map_err(|error| Trouble::Client(io::Error::other(error)))?;
        self.shared.ledger.answered(traffic::Answer {
            url: format!("{}://{}{path}", place.scheme(), place.authority()),
            method: request.method.clone(),
            status: answer.status,
            sha256,
            size,
            media_type: answer.headers.text("content-type"),
            location: answer.headers.text("location"),
            is_hidden: false,
        });
        if framing != Framing::Close && answer.keeps_alive() {
            self.server = Some(server);
        }
        Ok(if stays { Next::Request } else { Next::Nothing })
    }

    fn content(&self, method: &str) -> io::Result<Content> {
        match self.shared.opened.as_ref().filter(|_| self.shared.keeps_answers(method)) {
            Some(opened) => Content::kept(&opened.memo).map_err(io::Error::other),
            None => Ok(Content::seen()),
        }
    }

    /// Asks the server that was asked before, if it is the same. It may have closed meanwhile, so nothing is asked
    /// of it that could not be asked again.
    fn ask(
        &mut self,
        request: &Request,
        framing: Framing,
        place: &Place,
        path: &str,
    ) -> Result<(Server<'s>, Answer), Trouble> {
        let is_repeatable =
            framing == Framing::Length(0) && matches!(request.method.as_str(), "GET" | "HEAD");
        let kept = self.server.take().filter(|server| server.place == *place && is_repeatable);
        if let Some(mut server) = kept
            && let Ok(answer) = server.ask(request, path, &[]).and_then(|()| server.hear())
        {
            return Ok((server, answer));
        }
        let mut server = Server::open(self.shared, self.served, place).map_err(Trouble::NotReached)?;
        let length;
        let more: &[(&str, &str)] = match framing {
            Framing::Length(0) if matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS") => &[],
            Framing::Length(count) => {
                length = count.to_string();
                &[("Content-Length", &length)]
            }
            Framing::Chunked | Framing::Close => &[("Transfer-Encoding", "chunked")],
        };
        server.ask(request, path, more).map_err(Trouble::Server)?;
        if framing != Framing::Length(0) {
            if request.headers.has_token("expect", "100-continue") {
                self.client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(Trouble::Client)?;
            }
            let body = Body::new(&mut self.client, framing);
            body.relay(server.reader.get_mut(), framing == Framing::Chunked, &mut |_| Ok(()))
                .map_err(Trouble::Client)?;
        }
        let answer = server.hear().map_err(Trouble::Server)?;
        Ok((server, answer))
    }

    fn refuse(&mut self, status: u16, words: &str, stays: bool) -> io::Result<()> {
        let reason = match status {
            400 => "Bad Request",
            403 => "Forbidden",
            _ => "Bad Gateway",
        };
        let words = format!("memobuild: {words}\n");
        let length = words.len().to_string();
        let connection = if stays { "keep-alive" } else { "close" };
        let more =
            [("Content-Type", "text/plain"), ("Content-Length", length.as_str()), ("Connection", connection)];
        let mut bytes = written(&format!("HTTP/1.1 {status} {reason}"), std::iter::empty(), &more);
        bytes.extend(words.into_bytes());
        self.client.get_mut().write_all(&bytes)
    }
}

/// Another host than the one connected to may be meant by `Host`: it is that one which is judged and asked.
fn asked_for(request: &Request, meant: &Place) -> io::Result<Place> {
    match request.headers.host()? {
        Some((host, _)) => Ok(Place { host: canonical(&host), ..meant.clone() }),
        None if request.is_old => Ok(meant.clone()),
        None => Err(malformed("no host")),
    }
}

fn answer_head(answer: &Answer, content: Framing, method: &str, as_chunks: bool, stays: bool) -> Vec<u8> {
    let length;
    let mut more = vec![("Connection", if stays { "keep-alive" } else { "close" })];
    let mut left_out = vec!["content-length"];
    match content {
        Framing::Chunked if as_chunks => more.push(("Transfer-Encoding", "chunked")),
        // It tells of what would come, or there is nothing to tell.
        Framing::Length(0) if method == "HEAD" || matches!(answer.status, 204 | 304) => left_out.clear(),
        Framing::Length(count) => {
            length = count.to_string();
            more.push(("Content-Length", &length));
        }
        Framing::Chunked | Framing::Close => {}
    }
    let line = format!("HTTP/1.1 {} {}", answer.status, answer.reason);
    written(&line, answer.headers.without(&left_out), &more)
}
