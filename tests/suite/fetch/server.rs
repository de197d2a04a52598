//! A web server on loopback that behaves as it is told: files with ranges and versions, failures, redirects, logins,
//! and git repositories in both of git's ways.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What is at a path.
#[derive(Clone)]
pub(crate) enum At {
    File(Vec<u8>),
    /// Breaks off behind that many bytes, and goes on from there when it is asked to.
    Cut(Vec<u8>, usize),
    /// Answers with 503 that many times first.
    Busy(Vec<u8>, usize),
    Redirect(String),
    /// Only for `Basic`, followed by this.
    Private(Vec<u8>, &'static str),
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    at: Mutex<BTreeMap<String, At>>,
    /// `METHOD PATH`, with ` Range` and ` If-None-Match` where those were asked for.
    requests: Mutex<Vec<String>>,
    /// Above the repositories at `/git/`, `/private/` (for `me:pass`), and `/dumb/`.
    repositories: Mutex<Option<PathBuf>>,
    stopped: Mutex<bool>,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if *served.stopped.lock().unwrap() {
                    return;
                }
                let (stream, served) = (stream.unwrap(), served.clone());
                // Whoever asked may have gone.
                std::thread::spawn(move || drop(serve(&stream, &served)));
            }
        });
        Server { address, shared, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, at: At) {
        self.shared.at.lock().unwrap().insert(path.to_owned(), at);
    }

    pub(crate) fn repositories(&self, above: &Path) {
        *self.shared.repositories.lock().unwrap() = Some(above.to_owned());
    }

    /// Those since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }

    /// Nobody answers there any more.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *self.shared.stopped.lock().unwrap() = true;
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let request = read(stream)?;
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let mut line = format!("{} {}", request.method, request.path);
    for name in ["Range", "If-None-Match"] {
        if header(&name.to_lowercase()).is_some() {
            line += &format!(" {name}");
        }
    }
    shared.requests.lock().unwrap().push(line);
    let found = shared.at.lock().unwrap().get_mut(&request.path).map(|at| {
        let now = at.clone();
        if let At::Busy(_, left) = at {
            *left = left.saturating_sub(1);
        }
        now
    });
    match found {
        Some(At::File(bytes)) => file(stream, &request, &bytes, usize::MAX),
        Some(At::Cut(bytes, at)) => file(stream, &request, &bytes, at),
        Some(At::Busy(bytes, 0)) => file(stream, &request, &bytes, usize::MAX),
        Some(At::Busy(..)) => answer(stream, "503 Service Unavailable", &[("Retry-After", "0")], b"busy"),
        Some(At::Redirect(to)) => answer(stream, "302 Found", &[("Location", &to)], b""),
        Some(At::Private(bytes, login)) if header("authorization") == Some(&format!("Basic {login}")) => {
            file(stream, &request, &bytes, usize::MAX)
        }
        Some(At::Private(..)) => answer(stream, "401 Unauthorized", &[("WWW-Authenticate", "Basic")], b""),
        None => repository(stream, &request, shared),
    }
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}

/// With a version, ranges and conditions; breaks off behind the byte `cut`.
fn file(stream: &TcpStream, request: &Request, bytes: &[u8], cut: usize) -> std::io::Result<()> {
    let tag = format!("\"{}-{}\"", bytes.len(), bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    if header("if-none-match") == Some(&tag) {
        return answer(stream, "304 Not Modified", &[("ETag", &tag)], b"");
    }
    let start =
        header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let start: usize = start.unwrap_or(0);
    let range = format!("bytes {start}-{}/{}", bytes.len().max(1) - 1, bytes.len());
    let (status, mut headers) = match start {
        0 => ("200 OK", vec![("ETag", &*tag)]),
        _ => ("206 Partial Content", vec![("ETag", &*tag), ("Content-Range", &*range)]),
    };
    let rest = &bytes[start..];
    let length = rest.len().to_string();
    headers.push(("Content-Length", &length));
    head(stream, status, &headers)?;
    let end = cut.saturating_sub(start).min(rest.len());
    (&*stream).write_all(if start == 0 { &rest[..end] } else { rest })
}

fn answer(stream: &TcpStream, status: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<()> {
    let length = body.len().to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("Content-Length", &*length)]).collect();
    head(stream, status, &headers)?;
    (&*stream).write_all(body)
}

fn head(mut stream: &TcpStream, status: &str, headers: &[(&str, &str)]) -> std::io::Result<()> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n").as_bytes())
}

fn repository(stream: &TcpStream, request: &Request, shared: &Shared) -> std::io::Result<()> {
    let missing = |stream| answer(stream, "404 Not Found", &[], b"");
    let Some(above) = shared.repositories.lock().unwrap().clone() else { return missing(stream) };
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let below = |prefix: &str| path.strip_prefix(prefix).map(str::to_owned);
    if let Some(path) = below("/dumb/") {
        return match std::fs::read(above.join(path)) {
            Ok(bytes) => answer(stream, "200 OK", &[], &bytes),
            Err(_) => missing(stream),
        };
    }
    // `me:pass`
    let has_login = request.headers.get("authorization").is_some_and(|login| login == "Basic bWU6cGFzcw==");
    let path = match (below("/git/"), below("/private/")) {
        (Some(path), _) => path,
        (_, Some(path)) if has_login => path,
        (_, Some(_)) => return answer(stream, "401 Unauthorized", &[("WWW-Authenticate", "Basic")], b""),
        _ => return missing(stream),
    };
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("GIT_PROJECT_ROOT", &above)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&request.body)?;
    let output = child.wait_with_output()?.stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let lines = String::from_utf8_lossy(&output[..end]).into_owned();
    let headers: Vec<(&str, &str)> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = headers.iter().find(|(name, _)| *name == "Status").map_or("200 OK", |(_, status)| status);
    answer(stream, status, &headers, &output[(end + 4).min(output.len())..])
}
