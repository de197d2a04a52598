//! Takes uploads as the specification says, and keeps what came of a piece whose connection broke, which the registry of
//! the other tests forgets.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use memobuild::base::digest::OciDigest;

use crate::registry::proxy::Head;

pub(crate) struct Ledger {
    pub(crate) port: u16,
    /// All that came, of all pieces.
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Ledger {
    pub(crate) fn start() -> Ledger {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = bytes.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let _ = answer(&mut connection.unwrap(), &mut kept.lock().unwrap());
            }
        });
        Ledger { port, bytes }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

fn answer(connection: &mut TcpStream, kept: &mut Vec<u8>) -> io::Result<()> {
    let Some(head) = Head::read(connection)? else { return Ok(()) };
    let status = match head.method.as_str() {
        "POST" => "202 Accepted",
        "GET" => "204 No Content",
        "PATCH" => take(connection, &head, kept)?,
        "PUT" if head.path.contains(&OciDigest::of(kept).to_hex()) => "201 Created",
        _ => "404 Not Found",
    };
    let range = format!("0-{}", kept.len().saturating_sub(1));
    write!(
        connection,
        "HTTP/1.1 {status}\r\nLocation: /v2/session?state=1\r\nRange: {range}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// A piece that does not begin where the last ended is refused.
fn take(connection: &mut TcpStream, head: &Head, kept: &mut Vec<u8>) -> io::Result<&'static str> {
    let start =
        head.header("content-range").map_or(0, |range| range.split('-').next().unwrap().parse().unwrap());
    if start != kept.len() {
        return Ok("416 Range Not Satisfiable");
    }
    let mut piece = [0; 4096];
    let mut left = head.length().unwrap();
    while left > 0 {
        let read = connection.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        kept.extend(&piece[..read]);
        left -= read;
    }
    Ok("202 Accepted")
}
