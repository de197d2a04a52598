//! What is written to registries: blobs, whole or from another repository, then manifests. Never asks a mirror. An upload
//! that breaks goes on from where the registry says it stands; only where it does not know, it begins anew.

use std::io::{self, Read};

use reqwest::header::{self, HeaderValue};
use reqwest::{Method, Url};
use tokio::time::sleep;

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::auth::{Access, May};
use crate::net::error::NetError;
use crate::net::http::{Body, Response};
use crate::net::patience;
use crate::net::pull::CONTENT_DIGEST;
use crate::net::reference::Reference;
use crate::net::registry::{Asking, Place, Registries, Server, lock};

/// How often an upload may begin: anew where a registry forgot it, or says that what came is not what was sent.
const MOST_SESSIONS: u32 = 3;

/// A blob on its way. `open` gives its bytes from an offset on, and may be called again.
struct Upload<'a> {
    registries: &'a Registries,
    server: &'a Server,
    access: &'a Access<'a>,
    digest: OciDigest,
    size: u64,
    open: &'a dyn Fn(u64) -> io::Result<Box<dyn Read + Send>>,
    what: String,
}

/// Where an upload stands.
struct Session {
    location: Url,
    offset: u64,
    /// Something broke: only the registry knows what it has.
    is_unsure: bool,
}

impl Registries {
    /// Whether the repository of `image` has the blob.
    pub fn has_blob(&self, image: &Reference, digest: OciDigest, cancel: &Cancel) -> Result<bool, NetError> {
        let (server, what) = (self.origin(&image.host), format!("the blob {digest} of `{}`", image.name()));
        let access = server.access(image, May::PullAndPush, cancel);
        self.client.run(cancel, self.is_there(&server, &access, digest, &what))
    }

    /// Makes the blob of another repository of that registry be in that of `image` too. `false`: the registry can't, and
    /// it must be uploaded.
    pub fn mount(
        &self,
        image: &Reference,
        digest: OciDigest,
        from: &str,
        cancel: &Cancel,
    ) -> Result<bool, NetError> {
        let (server, what) = (self.origin(&image.host), format!("the blob {digest} of `{}`", image.name()));
        let mut access = server.access(image, May::PullAndPush, cancel);
        access.scope.from = Some(from.to_owned());
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        self.client.run(cancel, async {
            let asking = Asking::new(Method::POST, Place::Path(&path), &what);
            let response = self.ask(&server, &access, &asking).await?;
            match response.status().as_u16() {
                201 => Ok(true),
                202 => {
                    lock(&self.begun).insert((image.name(), digest), location(&response)?);
                    Ok(false)
                }
                // Not allowed to read there, or never heard of mounting.
                400 | 403 | 404 | 405 => Ok(false),
                _ => Err(response.refusal().await),
            }
        })
    }

    /// Sends a blob to the repository of `image`. `open` gives its bytes from that offset on.
    pub fn upload(
        &self,
        image: &Reference,
        digest: OciDigest,
        size: u64,
        open: &dyn Fn(u64) -> io::Result<Box<dyn Read + Send>>,
        cancel: &Cancel,
    ) -> Result<(), NetError> {
        let server = self.origin(&image.host);
        let access = server.access(image, May::PullAndPush, cancel);
        let what = format!("the upload of {digest} to `{}`", image.name());
        let upload = Upload { registries: self, server: &server, access: &access, digest, size, open, what };
        let begun = lock(&self.begun).remove(&(image.name(), digest));
        let session = begun.map(|location| Session { location, offset: 0, is_unsure: false });
        self.client.run(cancel, upload.deliver(session))
    }

    /// Gives the manifest the tag of `image`, or its digest alone. The last thing of a push: only now others see it.
    pub fn put_manifest(
        &self,
        image: &Reference,
        media_type: &str,
        bytes: &[u8],
        cancel: &Cancel,
    ) -> Result<OciDigest, NetError> {
        let (server, what) = (self.origin(&image.host), format!("the image `{image}`"));
        let access = server.access(image, May::PullAndPush, cancel);
        let (digest, path) = (OciDigest::of(bytes), format!("manifests/{}", image.version()));
        let mut asking = Asking::new(Method::PUT, Place::Path(&path), &what);
        let media_type = HeaderValue::from_str(media_type).map_err(|_| NetError::Malformed {
            host: image.host.clone(),
            what: what.clone(),
            why: format!("`{media_type}` is no media type"),
        })?;
        asking.headers.insert(header::CONTENT_TYPE, media_type);
        asking.body = Body::Bytes(bytes);
        self.client.run(cancel, async {
            let response = self.ask(&server, &access, &asking).await?;
            if !response.status().is_success() {
                return Err(response.refusal().await);
            }
            match response.header(CONTENT_DIGEST).and_then(|said| said.parse().ok()) {
                Some(found) if found != digest => {
                    Err(NetError::WrongDigest { host: response.host, what: response.what, found })
                }
                _ => Ok(digest),
            }
        })
    }

    async fn is_there(
        &self,
        server: &Server,
        access: &Access<'_>,
        digest: OciDigest,
        what: &str,
    ) -> Result<bool, NetError> {
        let path = format!("blobs/{digest}");
        let response = self.ask(server, access, &Asking::new(Method::HEAD, Place::Path(&path), what)).await?;
        match response.status().as_u16() {
            200..300 => Ok(true),
            404 => Ok(false),
            _ => Err(response.refusal().await),
        }
    }
}

impl Upload<'_> {
    async fn deliver(&self, mut session: Option<Session>) -> Result<(), NetError> {
        let (mut failures, mut sessions, mut furthest) = (0, 0, 0);
        loop {
            sessions += u32::from(session.is_none());
            let error = match self.go_on(&mut session).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let may_begin_anew = session.is_some() && is_of_session(&error) && sessions < MOST_SESSIONS;
            if may_begin_anew {
                session = None;
            } else if !error.passes() {
                return Err(error);
            }
            let offset = session.as_ref().map_or(0, |session| session.offset);
            failures = if offset > furthest { 1 } else { failures + 1 };
            furthest = furthest.max(offset);
            match self.registries.client.patience().pause(failures, error.wait(), patience::chance()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// One try, from where the upload stands to its end.
    async fn go_on(&self, session: &mut Option<Session>) -> Result<(), NetError> {
        let session = match session {
            None => session.insert(self.begin().await?),
            Some(session) if session.is_unsure => {
                // What broke may have been the answer to the end.
                if session.offset == self.size
                    && self.registries.is_there(self.server, self.access, self.digest, &self.what).await?
                {
                    return Ok(());
                }
                match self.look(session).await {
                    Err(error) if is_of_session(&error) => {
                        *session = self.begin().await?;
                    }
                    looked => looked?,
                }
                session
            }
            Some(session) => session,
        };
        if session.offset < self.size {
            session.is_unsure = true;
            self.send(session).await?;
        }
        session.is_unsure = true;
        self.commit(session).await
    }

    async fn begin(&self) -> Result<Session, NetError> {
        let asking = Asking::new(Method::POST, Place::Path("blobs/uploads/"), &self.what);
        let response = self.registries.once(self.server, self.access, &asking).await?;
        match response.status().as_u16() {
            202 => Ok(Session { location: location(&response)?, offset: 0, is_unsure: false }),
            _ => Err(response.refusal().await),
        }
    }

    /// Asks how much of it the registry has.
    async fn look(&self, session: &mut Session) -> Result<(), NetError> {
        let location = session.location.clone();
        let asking = Asking::new(Method::GET, Place::Given(&location), &self.what);
        let response = self.registries.once(self.server, self.access, &asking).await?;
        if response.status() != 204 {
            return Err(response.refusal().await);
        }
        session.move_to(&response, self.size)
    }

    /// The rest in one piece, which no `OCI-Chunk-Min-Length` forbids, since the last may be as short as it is.
    async fn send(&self, session: &mut Session) -> Result<(), NetError> {
        let (location, offset) = (session.location.clone(), session.offset);
        let open = || (self.open)(offset);
        let mut asking = Asking::new(Method::PATCH, Place::Given(&location), &self.what);
        asking.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        // Not said of the whole: some registries take that for a wish to send more pieces.
        if offset > 0 {
            let range = HeaderValue::try_from(format!("{offset}-{}", self.size - 1));
            asking.headers.insert(header::CONTENT_RANGE, range.expect("bug: digits are no header"));
        }
        asking.body = Body::Stream { size: self.size - offset, open: &open };
        let response = self.registries.once(self.server, self.access, &asking).await?;
        if !matches!(response.status().as_u16(), 201 | 202 | 204) {
            return Err(response.refusal().await);
        }
        session.move_to(&response, self.size)?;
        // Of one byte, `0-0` says both that it is there and that nothing is.
        if self.size > 1 && session.offset < self.size {
            let why = format!("it has {} of {} bytes", session.offset, self.size);
            return Err(NetError::Broken { host: response.host, what: response.what, cause: why });
        }
        session.offset = self.size;
        Ok(())
    }

    async fn commit(&self, session: &Session) -> Result<(), NetError> {
        let mut location = session.location.clone();
        location.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        let mut asking = Asking::new(Method::PUT, Place::Given(&location), &self.what);
        asking.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        asking.answer = Some(self.registries.client.patience().commit);
        let response = self.registries.once(self.server, self.access, &asking).await?;
        match response.status().as_u16() {
            200..300 => Ok(()),
            _ => Err(response.refusal().await),
        }
    }
}

impl Session {
    /// What an answer says of where it stands, and where to go on.
    fn move_to(&mut self, response: &Response, size: u64) -> Result<(), NetError> {
        if response.header(header::LOCATION).is_some() {
            self.location = location(response)?;
        }
        let sent = response.header(header::RANGE).map_or(Some(size), received);
        match sent.filter(|offset| *offset <= size) {
            Some(offset) => self.offset = offset,
            None => return Err(malformed(response, "it has more than was sent")),
        }
        self.is_unsure = false;
        Ok(())
    }
}

/// What a registry means by "go away and begin anew": it does not know the upload, or what came is not what was sent.
fn is_of_session(error: &NetError) -> bool {
    match error {
        NetError::NotFound { .. } => true,
        NetError::Answer { status, .. } => matches!(status, 400 | 416),
        _ => false,
    }
}

/// How much `0-9` is. Registries say `0-0` where they have nothing, for want of a better word.
fn received(range: &str) -> Option<u64> {
    let end: u64 = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?.parse().ok()?;
    Some(if end == 0 { 0 } else { end + 1 })
}

fn location(response: &Response) -> Result<Url, NetError> {
    let given =
        response.header(header::LOCATION).ok_or_else(|| malformed(response, "it says no location"))?;
    next_place(response.url(), given).map_err(|why| malformed(response, why))
}

/// Where an upload goes on. Registries behind a proxy that ends TLS often don't know that they are asked by it.
fn next_place(from: &Url, given: &str) -> Result<Url, &'static str> {
    let mut to = from.join(given).map_err(|_| "its location is no URL")?;
    if (from.scheme(), to.scheme()) == ("https", "http") && from.host() == to.host() {
        let port = from.port();
        to.set_scheme("https").and_then(|()| to.set_port(port)).map_err(|()| "its location has no host")?;
    }
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(to),
        _ => Err("its location is not reached over HTTPS"),
    }
}

fn malformed(response: &Response, why: &str) -> NetError {
    NetError::Malformed { host: response.host.clone(), what: response.what.clone(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has() {
        for (range, expected) in [
            ("0-0", Some(0)),
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0--1", None),
            ("5-9", None),
            ("", None),
        ] {
            assert_eq!(received(range), expected, "{range}");
        }
    }

    #[test]
    fn where_uploads_go_on() {
        for (from, given, expected) in [
            ("https://h.io/v2/a/", "/v2/a/1?s=%3D", Some("https://h.io/v2/a/1?s=%3D")),
            ("https://h.io/v2/a/", "1", Some("https://h.io/v2/a/1")),
            ("https://h.io/v2/a/", "http://h.io/1", Some("https://h.io/1")),
            ("https://h.io:5000/v2/a/", "http://h.io/1", Some("https://h.io:5000/1")),
            ("https://h.io/v2/a/", "https://s.io/1", Some("https://s.io/1")),
            ("https://h.io/v2/a/", "http://s.io/1", None),
            ("http://h.io/v2/a/", "http://s.io/1", Some("http://s.io/1")),
            ("http://h.io/v2/a/", "file:///1", None),
            ("https://h.io/v2/a/", "https://", None),
        ] {
            let found = next_place(&Url::parse(from).unwrap(), given);
            assert_eq!(found.ok().map(String::from).as_deref(), expected, "{from} {given}");
        }
    }
}
