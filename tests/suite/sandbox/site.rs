//! A machine that runs may want to reach: a web server at this machine's own address, which no loopback network has.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::skipped::skipped;

pub(crate) struct Site {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Bodies by path.
pub(crate) type Pages = BTreeMap<&'static str, &'static str>;

/// The address by which this machine would speak to others; none that is loopback's. `None`, aloud, without one.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let address = socket.connect("192.0.2.254:9").and_then(|()| socket.local_addr()).map(|own| own.ip());
    let address = address.ok().filter(|address| !address.is_loopback() && !address.is_unspecified());
    if address.is_none() {
        skipped("this machine has no address but loopback's");
    }
    address
}

impl Site {
    /// Speaks HTTP: `/chunked/…` comes in chunks, and `POST` is answered with what was sent.
    pub(crate) fn start(pages: Pages) -> Option<Site> {
        let address = own_address()?;
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::default());
        let site = Site { address, port, requests };
        let requests = site.requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (pages, requests, stream) = (pages.clone(), requests.clone(), stream.unwrap());
                // Whoever asked may have gone.
                std::thread::spawn(move || drop(speak(stream, &pages, &requests)));
            }
        });
        Some(site)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}:{}{path}", self.address, self.port)
    }

    /// First lines, and who is `Host`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

/// One connection, with as many requests as come.
pub(crate) fn speak(
    stream: impl Read + Write,
    pages: &Pages,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let first = head.lines().next().unwrap_or_default().to_owned();
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        requests.lock().unwrap().push(format!("{first} {}", header("host").unwrap_or_default()));
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent)?;
        if header("transfer-encoding").is_some() {
            sent = chunks(&mut reader)?;
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        let answer = match (pages.get(path), path.strip_prefix("/chunked/")) {
            _ if first.starts_with("POST") => whole("200 OK", &String::from_utf8_lossy(&sent)),
            (_, Some(text)) => {
                let chunks: String = text.chars().map(|letter| format!("1\r\n{letter}\r\n")).collect();
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
            }
            (Some(page), None) => whole("200 OK", page),
            (None, None) => whole("404 Not Found", "no such page\n"),
        };
        reader.get_mut().write_all(answer.as_bytes())?;
        reader.get_mut().flush()?;
    }
}

fn chunks(reader: &mut impl std::io::BufRead) -> std::io::Result<Vec<u8>> {
    let mut sent = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(sent);
        }
        sent.extend(&chunk[..size]);
    }
}

fn whole(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Keeps a port on which whoever comes first is told something, and asked nothing.
pub(crate) fn greeter(address: IpAddr, words: &'static str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let _ = stream.write_all(words.as_bytes());
        }
    });
    port
}

/// The same pages over TLS, as `host`, and the certificate of whoever vouches for that.
pub(crate) fn secret_site(host: &str, pages: Pages) -> Option<(Site, String)> {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let address = own_address()?;
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = KeyPair::generate().unwrap();
    let authority = params.self_signed(&own).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, own)).unwrap().der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(Mutex::default());
    let site = Site { address, port, requests };
    let requests = site.requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (pages, requests, config) = (pages.clone(), requests.clone(), config.clone());
            let stream = stream.unwrap();
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(config).unwrap();
                drop(speak(rustls::StreamOwned::new(connection, stream), &pages, &requests));
            });
        }
    });
    Some((site, authority))
}
