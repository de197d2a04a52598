//! TLS with both sides of it: as the server that a run believes it speaks to, with an authority made for that run
//! alone, whose key is never written; and as the client of the real one, which must prove who it is as to anybody.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::net::transport::authorities;

/// All that is spoken through it.
const PROTOCOL: &[u8] = b"http/1.1";

/// Vouches for every host, to whoever trusts it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Of all hosts: making one takes longer than signing.
    key: KeyPair,
    certificate: String,
    made: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    pub fn new() -> Result<Authority, TlsError> {
        let mut params = params(Vec::new(), "memobuild, for one run")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = KeyPair::generate()?;
        let certificate = params.self_signed(&own)?.pem();
        let issuer = Issuer::new(params, own);
        Ok(Authority { issuer, key: KeyPair::generate()?, certificate, made: Mutex::default() })
    }

    /// As files of trusted certificates hold it (RFC 7468).
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Speaks as whom `who` says, which is told who was asked for; `None` ends it.
    pub fn accept<S: Read + Write>(
        &self,
        mut stream: S,
        who: impl FnOnce(Option<&str>) -> Option<String>,
    ) -> Result<Secret<S>, TlsError> {
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            if acceptor.read_tls(&mut stream)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => break accepted,
                Err((error, mut alert)) => {
                    alert.write_all(&mut stream)?;
                    return Err(error.into());
                }
            }
        };
        let host = who(accepted.client_hello().server_name()).ok_or(TlsError::Refused)?;
        match accepted.into_connection(self.config(&host)?) {
            Ok(connection) => Ok(Secret(Side::Server(Box::new(StreamOwned::new(connection, stream))))),
            Err((error, mut alert)) => {
                alert.write_all(&mut stream)?;
                Err(error.into())
            }
        }
    }

    fn config(&self, host: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = made.get(host) {
            return Ok(config.clone());
        }
        let mut params = params(vec![host.to_owned()], "memobuild")?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&self.key, &self.issuer)?.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(made.entry(host.to_owned()).or_insert(Arc::new(config)).clone())
    }
}

fn params(names: Vec<String>, name: &str) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    // Whatever a run's clock says.
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    Ok(params)
}

/// Whom this machine believes.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The system's certificates and, of the folders `certificates`, the authorities for `host` or `host:port` alone, as
    /// other connections of this program have them.
    pub fn of(certificates: &[PathBuf], host: &str) -> Result<Trust, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in authorities(certificates, host).map_err(TlsError::Authority)? {
            for authority in CertificateDer::pem_slice_iter(&pem) {
                let authority = authority.map_err(|error| TlsError::Authority(error.to_string()))?;
                roots.add(authority)?;
            }
        }
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Trust(Arc::new(config)))
    }

    /// Blocks until the other side has proved that it is `host`.
    pub fn connect<S: Read + Write>(&self, host: &str, mut stream: S) -> Result<Secret<S>, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let mut connection = ClientConnection::new(self.0.clone(), name)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(cause)?;
        }
        Ok(Secret(Side::Client(Box::new(StreamOwned::new(connection, stream)))))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What is wrong with the other side's certificate is in the middle of an error of input and output.
fn cause(error: io::Error) -> TlsError {
    match error.downcast::<rustls::Error>() {
        Ok(error) => TlsError::Protocol(error),
        Err(error) => TlsError::Io(error),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("{0}")]
    Protocol(#[from] rustls::Error),
    #[error("an authority of the host's own cannot be read: {0}")]
    Authority(String),
    #[error("another host is asked for than the one that was connected to")]
    Refused,
    #[error("`{0}` is no name of a server")]
    Name(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A connection whose content nobody on the way reads. The other side hears when it ends.
pub struct Secret<S: Read + Write>(Side<S>);

enum Side<S: Read + Write> {
    Server(Box<StreamOwned<ServerConnection, S>>),
    Client(Box<StreamOwned<ClientConnection, S>>),
}

impl<S: Read + Write> Read for Secret<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Side::Server(stream) => stream.read(into),
            Side::Client(stream) => stream.read(into),
        }
    }
}

impl<S: Read + Write> Write for Secret<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Side::Server(stream) => stream.write(bytes),
            Side::Client(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Side::Server(stream) => stream.flush(),
            Side::Client(stream) => stream.flush(),
        }
    }
}

impl<S: Read + Write> Drop for Secret<S> {
    fn drop(&mut self) {
        match &mut self.0 {
            Side::Server(stream) => stream.conn.send_close_notify(),
            Side::Client(stream) => stream.conn.send_close_notify(),
        }
        // It may have gone already.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn trusting(authority: &Authority) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Trust(Arc::new(config))
    }

    /// What a client hears who asks for `asked`, of a server that speaks as `spoken`.
    fn said(authority: &Authority, trust: &Trust, spoken: &str, asked: &str) -> Result<String, TlsError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut secret = authority
                    .accept(listener.accept().unwrap().0, |name| {
                        assert_eq!(name, asked.parse::<std::net::IpAddr>().is_err().then_some(asked));
                        Some(spoken.to_owned())
                    })
                    .unwrap();
                let _ = secret.write_all(b"hello");
            });
            let mut secret = trust.connect(asked, TcpStream::connect(address).unwrap())?;
            let mut heard = String::new();
            secret.read_to_string(&mut heard)?;
            Ok(heard)
        })
    }

    #[test]
    fn an_authority_vouches_for_names_and_addresses() {
        let authority = Authority::new().unwrap();
        let trust = trusting(&authority);
        for host in ["a.example", "192.0.2.7", "::1"] {
            assert_eq!(said(&authority, &trust, host, host).unwrap(), "hello", "{host}");
        }
        assert!(matches!(said(&authority, &trust, "a.example", "b.example"), Err(TlsError::Protocol(_))));
        let other = trusting(&Authority::new().unwrap());
        assert!(matches!(said(&authority, &other, "a.example", "a.example"), Err(TlsError::Protocol(_))));
        assert!(authority.certificate().starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(!authority.certificate().contains("PRIVATE"));
    }
}
