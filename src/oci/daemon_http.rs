//! HTTP/1.1 to a daemon's socket, as much of it as the Docker Engine API needs: one request for each connection.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::oci::error::OciError;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Bytes of an answer.
const ANSWER_MOST: u64 = 16 << 20;

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the daemon says went wrong.
    pub(crate) fn message(&self) -> String {
        match self.json()["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("it answers {}", self.status),
        }
    }
}

pub(crate) fn request(socket: &Path, method: &str, path: &str) -> Result<Answer, OciError> {
    let mut stream = connect(socket)?;
    let head = format!("{method} {path} HTTP/1.1\r\n{COMMON}Content-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(broken)?;
    answer(&stream)
}

/// A request whose body is written as it comes. The other half reads the answer, after the body's end.
pub(crate) fn upload(socket: &Path, path: &str, media_type: &str) -> Result<(Body, UnixStream), OciError> {
    let mut stream = connect(socket)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\n{COMMON}Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(broken)?;
    let other = stream.try_clone().map_err(broken)?;
    Ok((Body(stream), other))
}

const COMMON: &str = "Host: docker\r\nUser-Agent: memobuild\r\nConnection: close\r\n";

/// Chunks (RFC 9112, section 7.1). Its end is its last flush: a body that breaks off has none.
pub(crate) struct Body(UnixStream);

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.0.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
            self.0.write_all(bytes)?;
            self.0.write_all(b"\r\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.write_all(b"0\r\n\r\n")
    }
}

fn connect(socket: &Path) -> Result<UnixStream, OciError> {
    UnixStream::connect(socket).map_err(|error| {
        let shown = socket.display();
        let (message, help) = match error.kind() {
            ErrorKind::NotFound => (
                format!("there is no Docker daemon at `{shown}`"),
                "start it, or say where it is with DOCKER_HOST",
            ),
            ErrorKind::ConnectionRefused => (
                format!("no Docker daemon answers at `{shown}`"),
                "start it, or say where it is with DOCKER_HOST",
            ),
            ErrorKind::PermissionDenied => (
                format!("this user may not use the Docker daemon at `{shown}`"),
                "become a member of the group that owns the socket, or run as root",
            ),
            _ => (
                format!("cannot reach the Docker daemon at `{shown}`: {error}"),
                "say where it is with DOCKER_HOST",
            ),
        };
        OciError::Peer { message, help: Some(help.to_owned()) }
    })
}

pub(crate) fn answer(stream: &UnixStream) -> Result<Answer, OciError> {
    let mut lines = BufReader::new(stream.take(ANSWER_MOST));
    read_answer(&mut lines).map_err(broken)
}

fn read_answer(from: &mut impl BufRead) -> io::Result<Answer> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(ErrorKind::InvalidData)?;
    let mut is_chunked = false;
    let mut length = None;
    loop {
        line.clear();
        if from.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "content-length" => length = value.trim().parse::<u64>().ok(),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            line.clear();
            from.read_line(&mut line)?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| ErrorKind::InvalidData)?;
            if size == 0 {
                break;
            }
            from.take(size).read_to_end(&mut body)?;
            line.clear();
            from.read_line(&mut line)?;
        }
    } else {
        from.take(length.unwrap_or(ANSWER_MOST)).read_to_end(&mut body)?;
    }
    Ok(Answer { status, body })
}

fn broken(source: io::Error) -> OciError {
    OciError::Stream { action: "talking with the Docker daemon", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKmore", 200, "OK"),
            ("HTTP/1.1 404 Not Found\r\n\r\nall", 404, "all"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                200,
                "abc0123456789",
            ),
        ] {
            let answer = read_answer(&mut text.as_bytes()).unwrap();
            assert_eq!((answer.status, String::from_utf8(answer.body).unwrap().as_str()), (status, body));
        }
        for broken in ["", "SSH-2.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"] {
            assert!(read_answer(&mut broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
