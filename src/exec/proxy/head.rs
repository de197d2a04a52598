//! Heads of HTTP/1 requests and answers: read strictly, since what two readers take for different things is a way
//! past the one that decides; and written without what concerns one connection only.

use std::io::{self, BufRead};

use crate::exec::proxy::body::Framing;
use crate::net::hosts::{is_name, split};

const LONGEST: usize = 64 << 10;
const MOST_HEADERS: usize = 200;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub method: String,
    pub target: Target,
    /// HTTP/1.0 knows no chunks, and closes.
    pub is_old: bool,
    pub headers: Headers,
}

/// RFC 9112, section 3.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Path and query.
    Origin(String),
    /// `http://host:port/path`
    Absolute { host: String, port: u16, path: String },
    /// Of `CONNECT`.
    Authority { host: String, port: u16 },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub reason: String,
    pub is_old: bool,
    pub headers: Headers,
}

/// In the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headers(pub Vec<(String, Vec<u8>)>);

/// Of one connection only (RFC 9110, section 7.6.1), and what the proxy decides itself.
const OF_ONE_CONNECTION: [&str; 10] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "proxy-authenticate",
    "expect",
];

impl Request {
    /// `None`: the other side has nothing more to ask.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let Some(bytes) = read_head(from)? else { return Ok(None) };
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            _ => return Err(malformed("no request")),
        }
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(malformed("no request"));
        };
        let target = Target::parse(method, target).ok_or_else(|| malformed("no target"))?;
        let headers = Headers::of(parsed.headers);
        Ok(Some(Request { method: method.to_owned(), target, is_old: version == 0, headers }))
    }

    pub(super) fn framing(&self) -> io::Result<Framing> {
        Ok(self.headers.framing()?.unwrap_or(Framing::Length(0)))
    }
}

impl Target {
    fn parse(method: &str, text: &str) -> Option<Target> {
        if method == "CONNECT" {
            let (host, port) = host_and_port(text)?;
            return Some(Target::Authority { host, port: port? });
        }
        if text.starts_with('/') || text == "*" {
            return Some(Target::Origin(text.to_owned()));
        }
        let (scheme, rest) = text.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A login is for the header that says so.
        let (host, port) = host_and_port(authority)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Target::Absolute { host, port: port.unwrap_or(80), path })
    }
}

/// What is surely a name or an address.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = split(text)?;
    let is_host = host.parse::<std::net::IpAddr>().is_ok() || is_name(host.strip_suffix('.').unwrap_or(host));
    is_host.then(|| (host.to_owned(), port))
}

impl Answer {
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Answer> {
        let bytes = read_head(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            _ => return Err(malformed("no answer")),
        }
        Ok(Answer {
            status: parsed.code.ok_or_else(|| malformed("no answer"))?,
            reason: parsed.reason.unwrap_or_default().to_owned(),
            is_old: parsed.version == Some(0),
            headers: Headers::of(parsed.headers),
        })
    }

    /// RFC 9112, section 6.3.
    pub(super) fn framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || self.status < 200 || matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        Ok(self.headers.framing()?.unwrap_or(Framing::Close))
    }

    pub(super) fn keeps_alive(&self) -> bool {
        !self.is_old && !self.headers.has_token("connection", "close")
    }
}

impl Headers {
    fn of(headers: &[httparse::Header<'_>]) -> Headers {
        Headers(headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    /// The one of that name, where it is plain text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = std::str::from_utf8(self.all(name).next()?).ok()?;
        Some(value.trim().to_owned())
    }

    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| {
            let value = String::from_utf8_lossy(value);
            value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    }

    /// The one `Host`, which says nothing but a host.
    pub(super) fn host(&self) -> io::Result<Option<(String, Option<u16>)>> {
        let mut all = self.all("host");
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                let text = std::str::from_utf8(value).map_err(|_| malformed("no host"))?.trim();
                host_and_port(text).map(Some).ok_or_else(|| malformed("no host"))
            }
            (Some(_), Some(_)) => Err(malformed("two hosts")),
        }
    }

    /// Two lengths, or a length and chunks, are read differently by different readers: refused.
    fn framing(&self) -> io::Result<Option<Framing>> {
        let encodings: Vec<&[u8]> = self.all("transfer-encoding").collect();
        let mut lengths: Vec<&[u8]> = self.all("content-length").collect();
        lengths.dedup();
        match (encodings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            ([one], []) if one.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            ([], [length]) => {
                let digits = std::str::from_utf8(length).unwrap_or_default().trim();
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let length = digits.parse().ok().filter(|_| is_number);
                length.map(|length| Some(Framing::Length(length))).ok_or_else(|| malformed("no length"))
            }
            _ => Err(malformed("no one length")),
        }
    }

    /// Without those of one connection, and those that are named.
    pub(super) fn without(&self, names: &[&str]) -> impl Iterator<Item = &(String, Vec<u8>)> {
        let is_left_out = move |name: &str| {
            OF_ONE_CONNECTION.iter().chain(names).any(|other| name.eq_ignore_ascii_case(other))
                || self.has_token("connection", name)
        };
        self.0.iter().filter(move |(name, _)| !is_left_out(name))
    }
}

/// A line and headers, as they go over the wire.
pub(super) fn written<'h>(
    line: &str,
    headers: impl Iterator<Item = &'h (String, Vec<u8>)>,
    more: &[(&str, &str)],
) -> Vec<u8> {
    let mut bytes = format!("{line}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    for (name, value) in more {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

/// Up to the empty line, and no byte more. Empty lines before it are nothing (RFC 9112, section 2.2).
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        read_line(from, &mut head)?;
        let line = &head[start..];
        match line {
            b"" if start == 0 => return Ok(None),
            b"\r\n" | b"\n" if start == 0 => head.clear(),
            b"\r\n" | b"\n" => return Ok(Some(head)),
            line if line.ends_with(b"\n") => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn read_line(from: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<()> {
    let room = (LONGEST - into.len().min(LONGEST)) as u64;
    io::Read::take(&mut *from, room).read_until(b'\n', into)?;
    if into.len() >= LONGEST { Err(malformed("a head without an end")) } else { Ok(()) }
}

pub(super) fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> Option<Request> {
        Request::read(&mut text.as_bytes()).ok().flatten()
    }

    fn target(line: &str) -> Option<Target> {
        request(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")).map(|request| request.target)
    }

    #[test]
    fn targets() {
        let absolute = |host: &str, port, path: &str| {
            Some(Target::Absolute { host: host.to_owned(), port, path: path.to_owned() })
        };
        let authority = |host: &str, port| Some(Target::Authority { host: host.to_owned(), port });
        for (line, expected) in [
            ("GET /a?b", Some(Target::Origin("/a?b".to_owned()))),
            ("OPTIONS *", Some(Target::Origin("*".to_owned()))),
            ("GET http://a.b/c", absolute("a.b", 80, "/c")),
            ("GET HTTP://a.b:8080?x", absolute("a.b", 8080, "/?x")),
            ("GET http://[::1]:81/", absolute("::1", 81, "/")),
            ("CONNECT a.b:443", authority("a.b", 443)),
            ("CONNECT [::1]:443", authority("::1", 443)),
            ("CONNECT a.b", None),
            ("CONNECT http://a.b:443", None),
            ("GET https://a.b/", None),
            ("GET ftp://a.b/", None),
            ("GET http://me:pass@a.b/", None),
            ("GET http:///", None),
            ("GET a.b/c", None),
            ("GET http://a.b:0/", None),
            ("GET http://a b/", None),
            ("GET http://a..b/", None),
        ] {
            assert_eq!(target(line), expected, "{line}");
        }
    }

    #[test]
    fn heads_end_where_they_end() {
        let mut text: &[u8] = b"\r\nGET / HTTP/1.0\nhost: h\r\n\r\nrest";
        let read = Request::read(&mut text).unwrap().unwrap();
        assert!(read.is_old && read.headers.has_token("Host", "h"));
        assert_eq!(text, b"rest");
        assert_eq!(Request::read(&mut &b""[..]).unwrap(), None);
        let endless = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(LONGEST));
        for cut in ["GET / HT", "GET / HTTP/1.1\r\na: b", &endless, "\0\r\n\r\n", "GET / HTTP/2.0\r\n\r\n"] {
            assert!(Request::read(&mut cut.as_bytes()).is_err(), "{}", &cut[..8]);
        }
    }

    #[test]
    fn there_is_one_length() {
        let framing = |headers: &str| {
            request(&format!("POST / HTTP/1.1\r\n{headers}\r\n")).unwrap().framing().map_err(drop)
        };
        for (headers, expected) in [
            ("", Ok(Framing::Length(0))),
            ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
            ("Content-Length: 5\r\ncontent-length: 5\r\n", Ok(Framing::Length(5))),
            ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(())),
            ("Content-Length: 5, 5\r\n", Err(())),
            ("Content-Length: +5\r\n", Err(())),
            ("Content-Length: \r\n", Err(())),
            ("Content-Length: 99999999999999999999\r\n", Err(())),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(())),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(())),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(())),
        ] {
            assert_eq!(framing(headers), expected, "{headers}");
        }
        let answer =
            |text: &str, method| Answer::read(&mut text.as_bytes()).unwrap().framing(method).map_err(drop);
        assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n", "GET"), Ok(Framing::Close));
        assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"), Ok(Framing::Length(0)));
        assert_eq!(answer("HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", "GET"), Ok(Framing::Length(0)));
    }

    #[test]
    fn what_concerns_one_connection_is_not_passed_on() {
        let request = request(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Own, close\r\nX-Own: 1\r\nProxy-Authorization: s\r\n\
             Upgrade: h2c\r\nAccept: a\r\n\r\n",
        )
        .unwrap();
        let bytes = written("GET / HTTP/1.1", request.headers.without(&["host"]), &[("Host", "x")]);
        assert_eq!(bytes, b"GET / HTTP/1.1\r\nAccept: a\r\nHost: x\r\n\r\n");
        let host =
            |text: &str| Request::read(&mut text.as_bytes()).unwrap().unwrap().headers.host().map_err(drop);
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a.b:81\r\n\r\n"), Ok(Some(("a.b".to_owned(), Some(81)))));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Err(()));
        assert_eq!(host("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), Err(()));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200), like_http in any::<bool>()) {
            let bytes = if like_http { [b"GET http://a/ HTTP/1.1\r\n", &bytes[..], b"\r\n\r\n"].concat() } else { bytes };
            let _ = Request::read(&mut &bytes[..]).map(|request| request.map(|request| request.framing()));
            let _ = Answer::read(&mut &bytes[..]);
        }
    }
}
