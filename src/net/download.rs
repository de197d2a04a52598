//! A body that is written while it comes, and goes on where it broke. What is written is never asked for again where the
//! server knows ranges; where it does not, it is compared with what comes again, so that no two versions mix.

use std::io::Write;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::error::NetError;
use crate::net::http::{Client, Request, Response};
use crate::net::patience;
use crate::net::version::Version;

/// However often it goes on, a body that breaks this many times is given up.
const MOST_BREAKS: u32 = 100;

/// A file that is wanted from a URL.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Of http or https; may name a user, who is never shown.
    pub url: &'a str,
    pub size: Option<u64>,
    pub digest: Option<OciDigest>,
    /// Bytes that it may have.
    pub limit: u64,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Got {
    pub size: u64,
    pub digest: OciDigest,
}

impl Client {
    /// Writes what the URL holds to `out`. Fails where it is not what was wanted; `out` then holds nothing of worth.
    pub fn download(
        &self,
        wanted: &Wanted<'_>,
        out: &mut dyn Write,
        cancel: &Cancel,
    ) -> Result<Got, NetError> {
        let come = self.download_newer(wanted, &Version::default(), out, cancel)?;
        Ok(come.expect("bug: an answer to a condition that was not made").0)
    }

    /// As `download`, with what the server says of the version; `None`, and nothing written, where it is `known` still.
    pub fn download_newer(
        &self,
        wanted: &Wanted<'_>,
        known: &Version,
        out: &mut dyn Write,
        cancel: &Cancel,
    ) -> Result<Option<(Got, Version)>, NetError> {
        let url = web_url(wanted.url)?;
        let what = shown(&url);
        let expected = Expected { size: wanted.size, digest: wanted.digest, limit: wanted.limit };
        let mut download = Download { known: known.clone(), ..Download::new(&expected, out) };
        self.run(cancel, async {
            let ask = async |headers| {
                let mut request = Request::new(Method::GET, url.clone(), &what);
                request.headers = headers;
                self.once(&request).await
            };
            self.complete(&mut download, ask).await
        })?;
        Ok((!download.is_known).then(|| (download.got(), download.said.clone())))
    }

    /// Asks again and again for what is still missing, until all is there or nothing more comes.
    pub(in crate::net) async fn complete(
        &self,
        download: &mut Download<'_>,
        ask: impl AsyncFn(HeaderMap) -> Result<Response, NetError>,
    ) -> Result<(), NetError> {
        let (mut failures, mut breaks) = (0, 0);
        loop {
            let before = download.written;
            let attempt = async { download.go_on(ask(download.headers()).await?).await };
            let error = match attempt.await {
                Err(error) if error.passes() => error,
                done => return done,
            };
            failures = if download.written > before { 1 } else { failures + 1 };
            breaks += 1;
            match self.patience().pause(failures, error.wait(), patience::chance()) {
                Some(pause) if breaks < MOST_BREAKS => sleep(pause.max(Duration::ZERO)).await,
                _ => return Err(error),
            }
        }
    }
}

/// What the whole must be.
#[derive(Debug, Clone)]
pub(in crate::net) struct Expected {
    pub(in crate::net) size: Option<u64>,
    pub(in crate::net) digest: Option<OciDigest>,
    pub(in crate::net) limit: u64,
}

/// How far it is. Survives breaks, and a change of the server too where a digest says what the whole is.
pub(in crate::net) struct Download<'a> {
    expected: &'a Expected,
    out: &'a mut dyn Write,
    written: u64,
    hasher: Sha256,
    /// The strong `ETag` of what was written so far.
    version: Option<HeaderValue>,
    /// Which one need not come again, and whether the server says that it is this one.
    known: Version,
    is_known: bool,
    /// What was said of the one that comes.
    said: Version,
}

impl<'a> Download<'a> {
    pub(in crate::net) fn new(expected: &'a Expected, out: &'a mut dyn Write) -> Download<'a> {
        Download {
            expected,
            out,
            written: 0,
            hasher: Sha256::new(),
            version: None,
            known: Version::default(),
            is_known: false,
            said: Version::default(),
        }
    }

    /// The next answers come from another server, which gives other names to versions.
    pub(in crate::net) fn change_server(&mut self) {
        self.version = None;
    }

    pub(in crate::net) fn got(&self) -> Got {
        let digest = OciDigest::from_bytes(self.hasher.clone().finalize().into());
        Got { size: self.written, digest }
    }

    /// Asks for the rest only where what comes then is sure to fit to what is there.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.written == 0 {
            self.known.condition(&mut headers);
        }
        if self.written > 0 && (self.version.is_some() || self.expected.digest.is_some()) {
            let range = HeaderValue::try_from(format!("bytes={}-", self.written));
            headers.insert(header::RANGE, range.expect("bug: digits are no header"));
            if let Some(version) = &self.version {
                headers.insert(header::IF_RANGE, version.clone());
            }
        }
        headers
    }

    async fn go_on(&mut self, mut response: Response) -> Result<(), NetError> {
        match response.status().as_u16() {
            200 => {
                let length = response.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
                self.check_total(&response, length)?;
                let rest = self.skip(&mut response).await?;
                self.version = strong_version(response.headers());
                self.said = Version::of(response.headers());
                self.write(&response, &rest)?;
            }
            206 => {
                let range = response.header(header::CONTENT_RANGE).and_then(content_range);
                if range.is_none_or(|(start, _)| start != self.written) {
                    return Err(malformed(&response, "it is another range than the one that was asked for"));
                }
                self.check_total(&response, range.and_then(|(_, total)| total))?;
            }
            304 if self.written == 0 && self.known != Version::default() => {
                self.is_known = true;
                return Ok(());
            }
            416 if self.written > 0 => {
                let total = response.header(header::CONTENT_RANGE).and_then(unsatisfied_range);
                return if total == Some(self.written) {
                    self.check(&response)
                } else {
                    Err(changed(&response))
                };
            }
            201..=205 | 207..400 => return Err(malformed(&response, "it has no content")),
            _ => return Err(response.refusal().await),
        }
        while let Some(chunk) = response.chunk().await? {
            self.write(&response, chunk.as_ref())?;
        }
        self.check(&response)
    }

    /// Reads again what is written already, which must be the same, and gives what of a piece is beyond.
    async fn skip(&self, response: &mut Response) -> Result<Vec<u8>, NetError> {
        let mut again = Sha256::new();
        let mut left = self.written;
        while left > 0 {
            let Some(chunk) = response.chunk().await? else { return Err(changed(response)) };
            let chunk = chunk.as_ref();
            let known = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            again.update(&chunk[..known]);
            left -= known as u64;
            if left == 0 {
                let is_same = again.finalize() == self.hasher.clone().finalize();
                return if is_same { Ok(chunk[known..].to_vec()) } else { Err(changed(response)) };
            }
        }
        Ok(Vec::new())
    }

    fn write(&mut self, response: &Response, bytes: &[u8]) -> Result<(), NetError> {
        let after = self.written + bytes.len() as u64;
        self.check_total(response, Some(after.max(self.expected.size.unwrap_or(0))))?;
        let failed = |source| NetError::Write { host: response.host.clone(), source };
        self.out.write_all(bytes).map_err(failed)?;
        self.hasher.update(bytes);
        self.written = after;
        Ok(())
    }

    /// What the whole is said or seen to have.
    fn check_total(&self, response: &Response, total: Option<u64>) -> Result<(), NetError> {
        let (host, what) = (response.host.clone(), response.what.clone());
        let Some(found) = total else { return Ok(()) };
        match self.expected.size {
            Some(expected) if expected != found => Err(NetError::WrongSize { host, what, expected, found }),
            _ if found > self.expected.limit => {
                Err(NetError::TooLarge { host, what, limit: self.expected.limit })
            }
            _ => Ok(()),
        }
    }

    fn check(&self, response: &Response) -> Result<(), NetError> {
        let (host, what) = (response.host.clone(), response.what.clone());
        let Got { size, digest } = self.got();
        match (self.expected.size, self.expected.digest) {
            // A body without a length ends where its connection does.
            (Some(expected), _) if size < expected => {
                Err(NetError::Broken { host, what, cause: "it ended too early".to_owned() })
            }
            (_, Some(expected)) if digest != expected => {
                Err(NetError::WrongDigest { host, what, found: digest })
            }
            _ => Ok(()),
        }
    }
}

fn changed(response: &Response) -> NetError {
    NetError::Changed { host: response.host.clone(), what: response.what.clone() }
}

fn malformed(response: &Response, why: &str) -> NetError {
    NetError::Malformed { host: response.host.clone(), what: response.what.clone(), why: why.to_owned() }
}

/// Only a strong tag says that every byte is the same (RFC 9110, 13.1.5).
fn strong_version(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned()
}

/// First byte and total of `bytes 5-9/10`; the total may be unknown.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

/// The total of `bytes */10`.
fn unsatisfied_range(value: &str) -> Option<u64> {
    value.strip_prefix("bytes */")?.parse().ok()
}

pub(in crate::net) fn web_url(text: &str) -> Result<Url, NetError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| NetError::Url { url: without_user(text) })
}

/// A text that may be a wrong URL, without what could be a password.
fn without_user(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    }
}

/// For messages: no user, and no query, in which services put signatures.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    format!("`{url}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (value, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5-/10", None),
        ] {
            assert_eq!(content_range(value), expected, "{value}");
        }
        assert_eq!(unsatisfied_range("bytes */10"), Some(10));
        assert_eq!(unsatisfied_range("bytes 0-9/10"), None);
    }

    #[test]
    fn urls_show_no_secret() {
        for (url, expected) in [
            ("https://user:secret@h.io/a?token=secret#secret", Ok("`https://h.io/a`")),
            ("http://h.io:8080", Ok("`http://h.io:8080/`")),
            ("ftp://user:secret@h.io/a", Err("…@h.io/a")),
            ("user:secret@h.io", Err("…@h.io")),
            ("https://", Err("https://")),
        ] {
            match (web_url(url), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(shown(&url), expected),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), format!("`{expected}` is not a URL of http or https"));
                }
                (found, _) => panic!("{url}: {found:?}"),
            }
        }
    }

    /// What is written asks for a range only where nothing can mix.
    #[test]
    fn what_is_asked_for() {
        let asked = |digest: Option<OciDigest>, version: Option<&'static str>, written: u64| {
            let expected = Expected { size: None, digest, limit: 10 };
            let mut out = Vec::new();
            let mut download = Download::new(&expected, &mut out);
            download.version = version.map(HeaderValue::from_static);
            download.written = written;
            let headers = download.headers();
            [header::RANGE, header::IF_RANGE]
                .map(|name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()))
        };
        let known = Some(OciDigest::of(b""));
        for (digest, version, written, expected) in [
            (known, None, 0, [None, None]),
            (known, None, 5, [Some("bytes=5-"), None]),
            (None, Some("\"a\""), 5, [Some("bytes=5-"), Some("\"a\"")]),
            (None, None, 5, [None, None]),
        ] {
            assert_eq!(asked(digest, version, written), expected.map(|text| text.map(str::to_owned)));
        }
        let strong = |tag| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ETAG, HeaderValue::from_static(tag));
            strong_version(&headers).is_some()
        };
        assert!(strong("\"a\"") && !strong("W/\"a\""));
    }
}
