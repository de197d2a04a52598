//! `docker-credential-NAME get`: the host on its standard input, JSON on its standard output. Never waits for more than
//! a minute, and not after a cancel.

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::base::cancel::Cancel;
use crate::net::credentials::{Login, Secret};
use crate::net::error::NetError;

const LONGEST: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);
/// How helpers say that all is well, but they know none.
const UNKNOWN: &str = "credentials not found";
/// In the place of a user where the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// `None` where the helper knows none. `path` is where it is looked for.
pub(super) fn get(
    program: &str,
    server: &str,
    path: Option<&OsStr>,
    cancel: &Cancel,
) -> Result<Option<Login>, NetError> {
    let failed = |why: String| NetError::Helper { program: program.to_owned(), host: server.to_owned(), why };
    if !program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err(failed("a helper's name has only letters, digits, `-`, `.` and `_`".to_owned()));
    }
    let output = run(program, server, path, cancel)?.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("there is no such program".to_owned()),
        io::ErrorKind::TimedOut => failed("it did not end within a minute".to_owned()),
        _ => failed(error.to_string()),
    })?;
    if !output.status.success() {
        // Helpers say on standard output what is wrong; on success it holds the secret.
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let said = said.lines().next().unwrap_or_default();
        if said.contains(UNKNOWN) {
            return Ok(None);
        }
        let said: String = said.chars().filter(|symbol| !symbol.is_control()).take(200).collect();
        return Err(failed(format!("{} {said}", output.status).trim_end().to_owned()));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("it printed no JSON with `Username` and `Secret`".to_owned()))?;
    let secret = Secret(answer.secret);
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => Login::IdentityToken(secret),
        _ => Login::Password { user: answer.username, password: secret },
    }))
}

fn run(
    program: &str,
    server: &str,
    path: Option<&OsStr>,
    cancel: &Cancel,
) -> Result<io::Result<Output>, NetError> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    let output = talk(&mut child, server);
    let deadline = Instant::now() + LONGEST;
    let stdout = loop {
        match output.recv_timeout(GLANCE) {
            Ok(read) => break read,
            Err(RecvTimeoutError::Timeout) if cancel.is_raised() => {
                end(&mut child);
                return Err(NetError::Cancelled);
            }
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(_) => {
                end(&mut child);
                return Ok(Err(io::ErrorKind::TimedOut.into()));
            }
        }
    };
    let status = child.wait();
    Ok(stdout.and_then(|stdout| Ok(Output { status: status?, stdout, stderr: Vec::new() })))
}

/// Writes and reads on a thread of its own, so that neither waits for the other nor we for both.
fn talk(child: &mut Child, server: &str) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (give, take) = mpsc::channel();
    let (stdin, stdout, server) = (child.stdin.take(), child.stdout.take(), server.to_owned());
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // A helper that does not read what it is asked says so by its answer.
        stdin.map(|mut stdin| stdin.write_all(server.as_bytes()));
        let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut text));
        let _ = give.send(read.map(|_| text));
    });
    take
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
