//! Debian's `docker-registry` on a free port of this machine, with each way of telling who asks. Ends with its value.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memobuild::net::http::{self, Client};
use memobuild::net::patience::Patience;
use memobuild::net::registry::Registries;
use memobuild::net::settings::Settings;
use memobuild::net::traffic::Traffic;
use tempfile::TempDir;

use crate::registry::certificates;
use crate::registry::tokens::TokenServer;
use crate::space::have;

pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "correct horse";
/// Of `PASSWORD`, by bcrypt with the least rounds.
const PASSWORD_HASH: &str = "$2y$04$KIzEurKx3nRodKQS2Gi8XOEZ74wXIo/oROUbI1XwI80uiUlbYpLCK";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// HTTP, for everybody.
    Plain,
    /// HTTPS, for everybody.
    Tls,
    /// HTTPS, for who shows a certificate of its authority.
    Mutual,
    /// HTTP, with a password.
    Basic,
    /// HTTP, with tokens of a service that knows the password.
    Token,
}

pub(crate) struct Registry {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) tokens: Option<TokenServer>,
    kind: Kind,
    _program: Program,
}

/// Ends with its value.
struct Program(Child);

impl Registry {
    /// `None`, aloud, where this machine has no registry.
    pub(crate) fn start(kind: Kind) -> Option<Registry> {
        if !have(&["docker-registry", "openssl"]) {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("memobuild-registry-").tempdir().unwrap();
        if matches!(kind, Kind::Tls | Kind::Mutual) {
            certificates::make(folder.path());
        }
        let tokens = (kind == Kind::Token).then(|| TokenServer::start(folder.path()));
        // Another process may take the port before the registry does.
        let (port, program) =
            (0..5).find_map(|_| serve(kind, folder.path(), tokens.as_ref())).expect("no registry came up");
        Some(Registry { folder, port, tokens, kind, _program: program })
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// As one would set them who may do everything there.
    pub(crate) fn settings(&self) -> Settings {
        self.settings_by(&self.host())
    }

    /// The same for the registry behind another port.
    pub(crate) fn settings_by(&self, host: &str) -> Settings {
        let mut settings = quick_settings();
        match self.kind {
            Kind::Tls | Kind::Mutual => {
                settings.http.certificates = vec![certificates::trust(self.folder.path(), host)];
            }
            _ => settings.plain_http = [host.to_owned()].into(),
        }
        if matches!(self.kind, Kind::Basic | Kind::Token) {
            let file = self.folder.path().join("auth.json");
            fs::write(&file, login(host, USER, PASSWORD)).unwrap();
            settings.credentials.registry_auth_file = Some(file);
        }
        settings
    }

    pub(crate) fn registries(&self) -> Registries {
        registries(self.settings())
    }

    /// The bytes of a blob as the registry's disk has them.
    pub(crate) fn blob_file(&self, digest: &str) -> Option<Vec<u8>> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        fs::read(blobs.join(&hex[..2]).join(hex).join("data")).ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn registries(settings: Settings) -> Registries {
    Registries::new(Client::new(settings.http.clone(), Traffic::default()).unwrap(), settings)
}

/// Nothing of this machine's own, and pauses that no test has to wait for.
pub(crate) fn quick_settings() -> Settings {
    let patience = Patience {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        commit: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        tries: 4,
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_secs(2),
    };
    Settings { http: http::Settings { patience, certificates: Vec::new() }, ..Settings::default() }
}

/// What `docker login` writes.
pub(crate) fn login(host: &str, user: &str, password: &str) -> String {
    let auth = crate::registry::tokens::base64(format!("{user}:{password}").as_bytes());
    format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#)
}

fn serve(kind: Kind, folder: &Path, tokens: Option<&TokenServer>) -> Option<(u16, Program)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = folder.display();
    let mut config = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {at}/storage\n  \
         delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n"
    );
    match kind {
        Kind::Plain => {}
        Kind::Tls | Kind::Mutual => {
            config.push_str(&format!("  tls:\n    certificate: {at}/server.crt\n    key: {at}/server.key\n"));
            if kind == Kind::Mutual {
                config.push_str(&format!("    clientcas: [{at}/ca.crt]\n"));
            }
        }
        Kind::Basic => {
            fs::write(folder.join("htpasswd"), format!("{USER}:{PASSWORD_HASH}\n")).unwrap();
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: here\n    path: {at}/htpasswd\n"));
        }
        Kind::Token => {
            let realm = tokens.unwrap().realm();
            config.push_str(&format!(
                "auth:\n  token:\n    realm: {realm}\n    service: here\n    issuer: tests\n    \
                 rootcertbundle: {at}/signer.crt\n"
            ));
        }
    }
    let file = folder.join("config.yml");
    fs::write(&file, config).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut program = Program(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if program.0.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() && listens(program.0.id(), port) {
            return Some((port, program));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the registry does not answer: {}", fs::read_to_string(folder.join("log")).unwrap());
}

/// Whether it is that process and no other that has the port.
fn listens(process: u32, port: u16) -> bool {
    let local = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let words = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // State 0A is listening; the tenth word is the socket.
    let mut own = words.filter(|words| words.len() > 9 && words[1] == local && words[3] == "0A");
    let Some(socket) = own.next().map(|words| format!("socket:[{}]", words[9])) else { return false };
    let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to.as_os_str() == socket.as_str())
}
