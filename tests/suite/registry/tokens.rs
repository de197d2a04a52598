//! A token service: gives a token for what is asked to who knows the password, and for reading to everybody. It signs
//! with `openssl`, and the registry believes it (token authentication specification).

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::registry::certificates;
use crate::registry::proxy::Head;
use crate::registry::server::{PASSWORD, USER};

/// Stands for the password, and is given in its place.
pub(crate) const IDENTITY: &str = "an identity";
/// For how long a registry believes a token that has run out.
const LEEWAY: i64 = 60;

pub(crate) struct TokenServer {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// Seconds for which the registry believes tokens; they say that it is longer.
    life: Arc<AtomicI64>,
}

impl TokenServer {
    pub(crate) fn start(folder: &Path) -> TokenServer {
        certificates::make_signer(folder);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, life) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicI64::new(300)));
        let service = Service { folder: folder.to_owned(), asked: asked.clone(), life: life.clone() };
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let _ = service.answer(connection.unwrap());
            }
        });
        TokenServer { port, asked, life }
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// Each request: who asked, and for what.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn live_for(&self, seconds: i64) {
        self.life.store(seconds, Ordering::SeqCst);
    }
}

struct Service {
    folder: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    life: Arc<AtomicI64>,
}

impl Service {
    fn answer(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let Some(head) = Head::read(&mut connection)? else { return Ok(()) };
        let mut body = vec![0; head.length().unwrap_or(0)];
        connection.read_exact(&mut body)?;
        let body = String::from_utf8(body).unwrap();
        let query = if head.method == "POST" { &body } else { head.path.split_once('?').unwrap().1 };
        let fields: Vec<(String, String)> = query.split('&').map(field).collect();
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let password = format!("Basic {}", base64(format!("{USER}:{PASSWORD}").as_bytes()));
        let who = match (head.header("authorization"), field("refresh_token")) {
            (None, None) => "nobody",
            (Some(header), None) if header == password => "user",
            (None, Some(IDENTITY)) => "identity",
            _ => "stranger",
        };
        let scopes = fields.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
        let scopes: Vec<&str> = scopes.collect();
        self.asked.lock().unwrap().push(format!("{who} {}", scopes.join(" ")));
        let (status, answer) = match who {
            "stranger" => ("401 Unauthorized", json!({"details": "wrong password"})),
            _ => ("200 OK", json!({"token": self.token(&scopes, who != "nobody"), "expires_in": 300})),
        };
        let answer = answer.to_string();
        write!(
            connection,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn token(&self, scopes: &[&str], may_write: bool) -> String {
        let access = scopes.iter().map(|scope| {
            let parts: Vec<&str> = scope.split(':').collect();
            let actions: Vec<&str> =
                parts[2].split(',').filter(|action| may_write || *action == "pull").collect();
            json!({"type": parts[0], "name": parts[1], "actions": actions})
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let claims = json!({
            "iss": "tests", "aud": "here", "sub": "user", "nbf": now - 1000, "iat": now - 1000,
            "exp": now - LEEWAY + self.life.load(Ordering::SeqCst), "jti": "1", "access": access.collect::<Vec<_>>(),
        });
        let certificate = fs::read_to_string(self.folder.join("signer.crt")).unwrap();
        let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]});
        let text =
            format!("{}.{}", url64(header.to_string().as_bytes()), url64(claims.to_string().as_bytes()));
        let signature = self.sign(text.as_bytes());
        format!("{text}.{}", url64(&signature))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let mut command = Command::new("openssl");
        command.args(["dgst", "-sha256", "-sign"]).arg(self.folder.join("signer.key"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap().stdout
    }
}

fn field(pair: &str) -> (String, String) {
    let (key, value) = pair.split_once('=').unwrap();
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || (rest.next().unwrap() as char).to_digit(16).unwrap() as u8;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit() << 4 | digit(),
            byte => byte,
        });
    }
    (key.to_owned(), String::from_utf8(bytes).unwrap())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const SYMBOLS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let symbol = SYMBOLS[(number >> (18 - 6 * at)) as usize & 63] as char;
            text.push(if at <= three.len() { symbol } else { '=' });
        }
    }
    text
}

fn url64(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}
