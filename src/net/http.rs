//! One client for all that is asked over HTTP: it waits, follows redirects, tells what went wrong and tries again.
//! It knows nothing of registries. Redirects are followed here and not by `reqwest`, since each host has its own
//! certificates, and what is meant for one host must not be shown to another.

use std::future::{Future, poll_fn};
use std::io;
use std::io::Read;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::base::cancel::Cancel;
use crate::net::credentials::Used;
use crate::net::error::{NetError, Said};
use crate::net::patience::{self, Patience};
use crate::net::send::{self, Sending};
use crate::net::traffic::Traffic;
use crate::net::transport::{Transports, host, trouble};

const MOST_REDIRECTS: usize = 10;
/// Of an answer that says why something is refused, bytes.
const LONGEST_REFUSAL: u64 = 64 << 10;
/// How soon a raised `Cancel` is seen.
const GLANCE: Duration = Duration::from_millis(20);

/// How to reach servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub patience: Patience,
    /// Folders with `HOST[:PORT]/*.crt`, later ones beside the earlier.
    pub certificates: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Settings {
        let certificates = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from).to_vec();
        Settings { patience: Patience::default(), certificates }
    }
}

/// Cheap to clone; all clones share connections. Makes threads, so make it when it is first needed.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    /// Taken only when the client ends.
    runtime: Option<Runtime>,
    transports: Transports,
    patience: Patience,
    traffic: Traffic,
}

/// One request. `what` says in messages what it is about.
pub(in crate::net) struct Request<'a> {
    pub(in crate::net) method: Method,
    pub(in crate::net) url: Url,
    pub(in crate::net) headers: HeaderMap,
    pub(in crate::net) body: Body<'a>,
    pub(in crate::net) what: &'a str,
    /// For the head of the answer, counted from the last byte sent.
    pub(in crate::net) answer: Option<Duration>,
}

#[derive(Clone, Copy)]
pub(in crate::net) enum Body<'a> {
    Bytes(&'a [u8]),
    /// That many bytes; opened anew for each try.
    Stream {
        size: u64,
        open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    },
}

impl<'a> Request<'a> {
    pub(in crate::net) fn new(method: Method, url: Url, what: &'a str) -> Request<'a> {
        Request { method, url, headers: HeaderMap::new(), body: Body::Bytes(b""), what, answer: None }
    }
}

impl Client {
    /// `traffic` counts what comes and goes.
    pub fn new(settings: Settings, traffic: Traffic) -> Result<Client, NetError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("network")
            .enable_all()
            .build()
            .map_err(|error| NetError::Setup(error.to_string()))?;
        let transports = Transports::new(settings.certificates, settings.patience.connect);
        let patience = settings.patience;
        Ok(Client(Arc::new(Shared { runtime: Some(runtime), transports, patience, traffic })))
    }

    pub(in crate::net) fn patience(&self) -> &Patience {
        &self.0.patience
    }

    /// Where async ends: blocks until the work is done, or soon after `cancel` is raised.
    pub(in crate::net) fn run<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = Result<T, NetError>>,
    ) -> Result<T, NetError> {
        let runtime = self.0.runtime.as_ref().expect("bug: a client that has ended is used");
        runtime.block_on(async {
            let mut work = pin!(work);
            let mut cancelled = pin!(raised(cancel));
            poll_fn(|task| match cancelled.as_mut().poll(task) {
                Poll::Ready(()) => Poll::Ready(Err(NetError::Cancelled)),
                Poll::Pending => work.as_mut().poll(task),
            })
            .await
        })
    }

    /// Repeats what may pass, with growing pauses.
    pub(in crate::net) async fn retrying<T>(
        &self,
        attempt: impl AsyncFn() -> Result<T, NetError>,
    ) -> Result<T, NetError> {
        let mut failures = 0;
        loop {
            let error = match attempt().await {
                Err(error) if error.passes() => error,
                done => return done,
            };
            failures += 1;
            match self.patience().pause(failures, error.wait(), patience::chance()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// Sends it once, redirects followed. Statuses that may pass are errors, all others answers.
    pub(in crate::net) async fn once(&self, request: &Request<'_>) -> Result<Response, NetError> {
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        for _ in 0..MOST_REDIRECTS {
            let response = self.hop(request, &url, &headers).await?;
            let Some(next) = response.redirect(&request.method, &url)? else {
                return response.settled().await;
            };
            if next.origin() != url.origin() {
                headers.remove(header::AUTHORIZATION);
            }
            url = next;
        }
        Err(NetError::Redirect { host: host(&request.url), what: request.what.to_owned(), why: "in circles" })
    }

    async fn hop(&self, request: &Request<'_>, url: &Url, headers: &HeaderMap) -> Result<Response, NetError> {
        let host = host(url);
        let client = self.0.transports.to(url)?;
        let mut building = client.request(request.method.clone(), url.clone()).headers(headers.clone());
        let mut sending = None;
        match &request.body {
            // An empty body has a length too: servers ask for it where one may be.
            Body::Bytes(b"") if matches!(request.method, Method::GET | Method::HEAD | Method::DELETE) => {}
            Body::Bytes(bytes) => {
                building = building.header(header::CONTENT_LENGTH, bytes.len()).body(bytes.to_vec());
            }
            Body::Stream { size, open } => {
                // Whoever opens may ask for something here himself.
                let source = tokio::task::block_in_place(open)
                    .map_err(|source| NetError::Read { host: host.clone(), source })?;
                let (body, watched) = send::stream(source, *size, self.0.traffic.clone());
                building = building.header(header::CONTENT_LENGTH, *size).body(body);
                sending = Some(watched);
            }
        }
        let mut answer = pin!(building.send());
        let limit = request.answer.unwrap_or(self.patience().answer);
        loop {
            let sent = sending.as_ref().map(Sending::sent);
            match timeout(limit, answer.as_mut()).await {
                Ok(Ok(inner)) => {
                    let (what, stall) = (request.what.to_owned(), self.patience().stall);
                    let traffic = self.0.traffic.clone();
                    return Ok(Response { inner, host, what, used: Used::Nothing, stall, traffic });
                }
                Ok(Err(error)) => {
                    if let Some(source) = sending.as_ref().and_then(Sending::failure) {
                        return Err(NetError::Read { host, source });
                    }
                    return Err(trouble(&error, &host, request.what, self.patience().connect));
                }
                Err(_) if sending.as_ref().map(Sending::sent) != sent => {}
                Err(_) => {
                    return Err(NetError::Stalled { host, what: request.what.to_owned(), waited: limit });
                }
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn raised(cancel: &Cancel) {
    while !cancel.is_raised() {
        sleep(GLANCE).await;
    }
}

/// An answer whose body is still to come.
pub(in crate::net) struct Response {
    inner: reqwest::Response,
    /// Who answered, after all redirects.
    pub(in crate::net) host: String,
    pub(in crate::net) what: String,
    /// With what it was asked.
    pub(in crate::net) used: Used,
    stall: Duration,
    traffic: Traffic,
}

impl Response {
    pub(in crate::net) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(in crate::net) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Where it came from, without the user that a URL may name.
    pub(in crate::net) fn url(&self) -> &Url {
        self.inner.url()
    }

    /// `None` where it is not there, or is no text.
    pub(in crate::net) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next bytes of the body; `None` at its end.
    pub(in crate::net) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, NetError> {
        match timeout(self.stall, self.inner.chunk()).await {
            Ok(Ok(chunk)) => {
                self.traffic.note_received(chunk.as_ref().map_or(0, |chunk| chunk.len()));
                Ok(chunk)
            }
            Ok(Err(error)) => Err(trouble(&error, &self.host, &self.what, self.stall)),
            Err(_) => Err(NetError::Stalled {
                host: self.host.clone(),
                what: self.what.clone(),
                waited: self.stall,
            }),
        }
    }

    /// All of the body, which may have `limit` bytes.
    pub(in crate::net) async fn whole(&mut self, limit: u64) -> Result<Vec<u8>, NetError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (whole.len() + chunk.as_ref().len()) as u64 > limit {
                return Err(NetError::TooLarge { host: self.host.clone(), what: self.what.clone(), limit });
            }
            whole.extend_from_slice(chunk.as_ref());
        }
        Ok(whole)
    }

    /// Why the server did not do what was asked, in its own words where it has some.
    pub(in crate::net) async fn refusal(mut self) -> NetError {
        let said = Said::of(&self.whole(LONGEST_REFUSAL).await.unwrap_or_default());
        let (host, what, status) = (self.host.clone(), self.what.clone(), self.status().as_u16());
        match status {
            401 | 403 => NetError::Denied { host, what, used: self.used, said },
            404 | 410 => NetError::NotFound { host, what, said },
            429 => NetError::TooManyRequests { host, wait: self.retry_after(), said },
            _ => NetError::Answer { host, what, status, wait: self.retry_after(), said },
        }
    }

    async fn settled(self) -> Result<Response, NetError> {
        match self.status().as_u16() {
            408 | 429 | 500.. => Err(self.refusal().await),
            _ => Ok(self),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        patience::retry_after(self.header(header::RETRY_AFTER)?, SystemTime::now())
    }

    /// Where to ask instead. What is sent is sent again only where the status demands it (RFC 9110, 15.4).
    fn redirect(&self, method: &Method, from: &Url) -> Result<Option<Url>, NetError> {
        let follows = match self.status().as_u16() {
            301..=303 => matches!(*method, Method::GET | Method::HEAD),
            307 | 308 => true,
            _ => false,
        };
        match self.header(header::LOCATION).filter(|_| follows) {
            Some(location) => {
                let refuse =
                    |why| NetError::Redirect { host: self.host.clone(), what: self.what.clone(), why };
                next_hop(from, location).map(Some).map_err(refuse)
            }
            None => Ok(None),
        }
    }
}

/// What was asked safely is not asked over plain HTTP then.
fn next_hop(from: &Url, location: &str) -> Result<Url, &'static str> {
    let to = from.join(location).map_err(|_| "to what is no URL")?;
    match (from.scheme(), to.scheme()) {
        ("https", "https") | ("http", "http" | "https") => Ok(to),
        ("https", "http") => Err("to plain HTTP"),
        _ => Err("to what is no URL of http or https"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects() {
        for (from, location, expected) in [
            ("https://h.io/a/b", "c", Ok("https://h.io/a/c")),
            ("https://h.io/a", "//s.io/c", Ok("https://s.io/c")),
            ("http://h.io/a", "https://s.io/c", Ok("https://s.io/c")),
            ("https://h.io/a", "http://h.io/c", Err("to plain HTTP")),
            ("http://h.io/a", "file:///c", Err("to what is no URL of http or https")),
            ("http://h.io/a", "http://", Err("to what is no URL")),
        ] {
            let found = next_hop(&Url::parse(from).unwrap(), location);
            assert_eq!(found.map(String::from), expected.map(str::to_owned), "{from} {location}");
        }
    }
}
