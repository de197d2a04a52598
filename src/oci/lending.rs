//! An image lent to another program of this machine: a registry of this one image on the loopback interface, under
//! a name that nobody can guess, for as long as the program runs. It takes what it lacks and no more, so that a
//! layer is opened only when it is asked for. Speaks just what pulling needs (distribution-spec, "Pull").

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::outgoing::{Outgoing, OutgoingLayer};
use crate::oci::supply::Supply;

/// Does `then` with the reference under which the image can be pulled meanwhile. What went wrong with a layer
/// goes before what the program made of it.
pub(crate) fn lend<T>(
    supply: &Supply,
    outgoing: &Outgoing,
    then: impl FnOnce(&str) -> Result<T, OciError>,
) -> Result<T, OciError> {
    let broken = || OciError::stream("lending an image to another program");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(broken())?;
    let address = listener.local_addr().map_err(broken())?;
    let shelf = Shelf { supply, outgoing, name: secret()?, failed: Mutex::new(None) };
    let is_over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shelf = &shelf;
                scope.spawn(move || shelf.serve(&stream));
            }
        });
        let result = then(&format!("{address}/{}:latest", shelf.name));
        is_over.store(true, Ordering::SeqCst);
        wake(address);
        result
    });
    match shelf.failed.into_inner().expect("bug: poisoned") {
        Some(error) if result.is_err() => Err(error),
        _ => result,
    }
}

/// For a request to come, and for each piece of an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a request.
const REQUEST_MOST: u64 = 64 << 10;

struct Shelf<'s> {
    supply: &'s Supply,
    outgoing: &'s Outgoing,
    name: String,
    failed: Mutex<Option<OciError>>,
}

impl Shelf<'_> {
    /// One request; the connection then ends.
    fn serve(&self, stream: &TcpStream) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
        let request = read_request(stream);
        // A program that goes away early has what it wanted, or tells why itself.
        if let Some((method, path)) = request {
            let _ = self.answer(stream, &method, &path);
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn answer(&self, mut out: &TcpStream, method: &str, path: &str) -> io::Result<()> {
        let wants_body = method == "GET";
        if path == "/v2/" || path == "/v2" {
            return out.write_all(head("200 OK", "application/json", 0, None).as_bytes());
        }
        let Some(found) = self.find(path) else {
            return out.write_all(head("404 Not Found", "application/json", 0, None).as_bytes());
        };
        let descriptor = found.descriptor();
        let Descriptor { media_type, digest, size } = descriptor;
        let digest = digest.to_string();
        if !wants_body {
            return out.write_all(head("200 OK", media_type, *size, Some(&digest)).as_bytes());
        }
        match found {
            Found::Document(_, bytes) => {
                out.write_all(head("200 OK", media_type, *size, Some(&digest)).as_bytes())?;
                out.write_all(bytes)
            }
            Found::Layer(layer) => match layer.open(self.supply) {
                Ok(bytes) => {
                    out.write_all(head("200 OK", media_type, *size, Some(&digest)).as_bytes())?;
                    let copied = io::copy(&mut Noting { bytes, shelf: self }, &mut out);
                    copied.map(drop)
                }
                Err(error) => {
                    self.note(error);
                    out.write_all(head("500 Internal Server Error", "text/plain", 0, None).as_bytes())
                }
            },
        }
    }

    fn find(&self, path: &str) -> Option<Found<'_>> {
        let path = path.strip_prefix("/v2/")?.strip_prefix(&self.name)?;
        if let Some(reference) = path.strip_prefix("/manifests/") {
            let manifests = self.outgoing.images.iter().map(|image| &image.manifest);
            let mut documents = manifests.chain(&self.outgoing.index);
            let found = match reference {
                "latest" => Some(self.outgoing.top()),
                digest => documents.find(|document| document.descriptor.digest.to_string() == digest),
            }?;
            return Some(Found::Document(&found.descriptor, &found.bytes));
        }
        let digest = path.strip_prefix("/blobs/")?;
        let is_wanted = |descriptor: &Descriptor| descriptor.digest.to_string() == digest;
        let mut images = self.outgoing.images.iter();
        images.find_map(|image| {
            let config = &image.config;
            let config =
                is_wanted(&config.descriptor).then(|| Found::Document(&config.descriptor, &config.bytes));
            config
                .or_else(|| image.layers.iter().find(|layer| is_wanted(&layer.descriptor)).map(Found::Layer))
        })
    }

    fn note(&self, error: OciError) {
        self.failed.lock().expect("bug: poisoned").get_or_insert(error);
    }
}

enum Found<'f> {
    Document(&'f Descriptor, &'f [u8]),
    Layer(&'f OutgoingLayer),
}

impl<'f> Found<'f> {
    fn descriptor(&self) -> &'f Descriptor {
        match self {
            Found::Document(descriptor, _) => descriptor,
            Found::Layer(layer) => &layer.descriptor,
        }
    }
}

/// Keeps an error of a layer's bytes: whoever reads them only sees a connection that breaks.
struct Noting<'n, R> {
    bytes: R,
    shelf: &'n Shelf<'n>,
}

impl<R: Read> Read for Noting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer).map_err(|error| {
            self.shelf.note(OciError::stream("reading a blob")(error));
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

fn head(status: &str, media_type: &str, size: u64, digest: Option<&str>) -> String {
    let digest = digest.map(|digest| format!("Docker-Content-Digest: {digest}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\n{digest}\
         Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n"
    )
}

/// Method and path. `None` for what is no such request; some programs try TLS first.
fn read_request(stream: &TcpStream) -> Option<(String, String)> {
    let mut lines = BufReader::new(stream.take(REQUEST_MOST));
    let mut first = String::new();
    lines.read_line(&mut first).ok()?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let request = (words.next()?, words.next()?);
    let mut line = String::new();
    while lines.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    Some(request)
}

fn secret() -> Result<String, OciError> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| OciError::stream("asking for randomness")(error.into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// So that it sees that it is over.
fn wake(address: SocketAddr) {
    let _ = TcpStream::connect(address);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::fixture::{empty_outgoing, memo};

    fn ask(host: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn only_who_knows_the_name_gets_the_image() {
        let outgoing = empty_outgoing();
        let (_folder, memo) = memo();
        lend(&Supply::of(&memo), &outgoing, |reference| {
            let (host, rest) = reference.split_once('/').unwrap();
            let name = rest.strip_suffix(":latest").unwrap();
            let manifest = String::from_utf8(outgoing.top().bytes.clone()).unwrap();
            let config = outgoing.images[0].config.descriptor.digest;
            for (request, expected) in [
                (format!("GET /v2/{name}/manifests/latest"), Some(manifest.as_str())),
                (format!("HEAD /v2/{name}/manifests/{}", outgoing.top().descriptor.digest), Some("")),
                (format!("HEAD /v2/{name}/blobs/{config}"), Some("")),
                (format!("GET /v2/{name}/blobs/{}", outgoing.top().descriptor.digest), None),
                ("GET /v2/other/manifests/latest".to_owned(), None),
            ] {
                let answer = ask(host, &request);
                let status = if expected.is_some() { "HTTP/1.1 200" } else { "HTTP/1.1 404" };
                assert!(answer.starts_with(status), "{request}: {answer}");
                let body = answer.split_once("\r\n\r\n").unwrap().1;
                assert_eq!(body, expected.unwrap_or_default(), "{request}");
            }
            Ok(())
        })
        .unwrap();
    }
}
