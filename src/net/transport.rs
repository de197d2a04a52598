//! One `reqwest` client for each way to trust: the system's certificates, a host's own beside them, or none at all for
//! plain HTTP, which must work where no certificates are installed. Loading them takes long, so it is done when needed.

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity, Url, redirect};
use rustls::AlertDescription;

use crate::net::error::NetError;
use crate::net::reference::is_loopback;

pub(in crate::net) struct Transports {
    /// Where `HOST[:PORT]/*.crt` and `HOST[:PORT]/*.cert` with `*.key` are looked for.
    certificates: Vec<PathBuf>,
    connect: Duration,
    made: Mutex<HashMap<Trust, reqwest::Client>>,
}

/// Whom a client trusts, and whether it goes around the system's proxy: what is on this machine needs none.
#[derive(PartialEq, Eq, Hash)]
struct Trust {
    roots: Roots,
    is_direct: bool,
}

#[derive(PartialEq, Eq, Hash)]
enum Roots {
    /// Nothing is encrypted.
    Plain,
    System,
    /// The host's own files beside the system's.
    Own(String),
}

impl Transports {
    pub(in crate::net) fn new(certificates: Vec<PathBuf>, connect: Duration) -> Transports {
        // Another part of the process may have installed one already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Transports { certificates, connect, made: Mutex::default() }
    }

    /// The client for that URL, with its pool of connections.
    pub(in crate::net) fn to(&self, url: &Url) -> Result<reqwest::Client, NetError> {
        let host = host(url);
        let folders = folders_of(&self.certificates, &host);
        let roots = match url.scheme() {
            "http" => Roots::Plain,
            _ if folders.is_empty() => Roots::System,
            _ => Roots::Own(host.clone()),
        };
        let trust = Trust { roots, is_direct: is_loopback(&host) };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&trust) {
            return Ok(client.clone());
        }
        let client = self.make(&trust, &folders, &host)?;
        made.insert(trust, client.clone());
        Ok(client)
    }

    fn make(&self, trust: &Trust, folders: &[PathBuf], host: &str) -> Result<reqwest::Client, NetError> {
        let bare = || {
            let builder = ClientBuilder::new()
                .user_agent(concat!("memobuild/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(self.connect)
                .tcp_nodelay(true);
            if trust.is_direct { builder.no_proxy() } else { builder }
        };
        let setup = |error: reqwest::Error| NetError::Setup(root_cause(&error));
        if trust.roots == Roots::Plain {
            return bare().tls_certs_only([]).build().map_err(setup);
        }
        let own =
            own_files(folders).map_err(|why| NetError::Certificate { host: host.to_owned(), cause: why })?;
        let with = |mut builder: ClientBuilder| {
            if let Some(identity) = own.identity.clone() {
                builder = builder.identity(identity);
            }
            builder
        };
        // Where the system has no certificates at all, only the host's own are trusted.
        let system = with(bare()).tls_certs_merge(own.roots.clone()).build();
        system.or_else(|_| with(bare()).tls_certs_only(own.roots.clone()).build()).map_err(setup)
    }
}

/// `host` or `host:port`, without the user whom a URL may name.
pub(in crate::net) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Those that there are for a host.
fn folders_of(certificates: &[PathBuf], host: &str) -> Vec<PathBuf> {
    let folders = certificates.iter().map(|folder| folder.join(host));
    folders.filter(|folder| folder.is_dir()).collect()
}

/// The authorities that vouch for `host` or `host:port` alone, as PEM; nothing of what we would show it.
pub(in crate::net) fn authorities(certificates: &[PathBuf], host: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for path in files_in(&folders_of(certificates, host))? {
        if path.extension().is_some_and(|extension| extension == "crt") {
            found.push(read(&path)?);
        }
    }
    Ok(found)
}

#[derive(Default)]
struct OwnFiles {
    roots: Vec<Certificate>,
    identity: Option<Identity>,
}

/// `*.crt` are authorities; `*.cert` with `*.key` are what we show (containers-certs.d(5)).
fn own_files(folders: &[PathBuf]) -> Result<OwnFiles, String> {
    let mut own = OwnFiles::default();
    for path in files_in(folders)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let roots = Certificate::from_pem_bundle(&read(&path)?);
                own.roots.extend(roots.map_err(|error| unreadable(&path, &error))?);
            }
            Some("cert") => {
                let pem = [read(&path)?, read(&path.with_extension("key"))?].concat();
                own.identity = Some(Identity::from_pem(&pem).map_err(|error| unreadable(&path, &error))?);
            }
            _ => {}
        }
    }
    Ok(own)
}

fn files_in(folders: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for folder in folders {
        let entries = folder.read_dir().map_err(|error| unreadable(folder, &error))?;
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("`{}`: {why}", path.display())
}

/// What an error of the transport means to the user.
pub(in crate::net) fn trouble(error: &reqwest::Error, host: &str, what: &str, connect: Duration) -> NetError {
    let host = host.to_owned();
    match tls_error(error) {
        Some(tls @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
            return NetError::Certificate { host, cause: tls.to_string() };
        }
        Some(
            tls @ rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            ),
        ) => return NetError::OwnCertificate { host, cause: tls.to_string() },
        Some(tls @ rustls::Error::InvalidMessage(_)) => {
            return NetError::NotTls { host, cause: tls.to_string() };
        }
        _ => {}
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => NetError::Unreachable {
            host,
            cause: format!("no connection within {} seconds", connect.as_secs()),
        },
        (true, false) => NetError::Unreachable { host, cause: root_cause(error) },
        (false, _) => NetError::Broken { host, what: what.to_owned(), cause: root_cause(error) },
    }
}

fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The innermost message: the outer ones say what we know, and show the URL.
fn root_cause(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(cause) => cause.to_string(),
        None => "it sent no valid answer".to_owned(),
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// An `io::Error` calls the source of what is in it its own, and so leaves that out.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(error.source(), |&cause: &Cause<'_>| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as Cause<'_>).or_else(|| cause.source())
    })
}
