//! What can go wrong between us and a server, one variant per cause. Names the host and what was asked of it; never
//! shows a secret, nor what else a URL says of its user.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::digest::OciDigest;
use crate::net::credentials::Used;

#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("`{text}` names no image: {why}")]
    Reference { text: String, why: &'static str },
    #[error("`{url}` is not a URL of http or https")]
    Url { url: String },
    #[error("{host} does not have {what}{said}")]
    NotFound { host: String, what: String, said: Said },
    #[error("{host} refuses {what}{used}{said}")]
    Denied { host: String, what: String, used: Used, said: Said },
    #[error("{host} gets too many requests{}{said}", waiting(.wait))]
    TooManyRequests { host: String, wait: Option<Duration>, said: Said },
    #[error("{host} cannot be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} does not speak TLS: {cause}")]
    NotTls { host: String, cause: String },
    #[error("the certificate of {host} is not trusted: {cause}")]
    Certificate { host: String, cause: String },
    #[error("{host} does not accept the certificate of this machine: {cause}")]
    OwnCertificate { host: String, cause: String },
    #[error("{host} sent nothing for {} seconds, asked for {what}", .waited.as_secs())]
    Stalled { host: String, what: String, waited: Duration },
    #[error("the connection to {host} broke at {what}: {cause}")]
    Broken { host: String, what: String, cause: String },
    /// A status that nothing here expects.
    #[error("{host} answered {status} for {what}{said}")]
    Answer { host: String, what: String, status: u16, wait: Option<Duration>, said: Said },
    /// An answer that the specification does not allow.
    #[error("{host} gave an answer for {what} that cannot be used: {why}")]
    Malformed { host: String, what: String, why: String },
    #[error("{host} gave other bytes for {what} than were asked for: they are {found}")]
    WrongDigest { host: String, what: String, found: OciDigest },
    #[error("{host} has {found} bytes for {what}, not {expected}")]
    WrongSize { host: String, what: String, expected: u64, found: u64 },
    #[error("{what} of {host} has more than the {limit} bytes that are allowed")]
    TooLarge { host: String, what: String, limit: u64 },
    #[error("{what} of {host} changed while it was downloaded")]
    Changed { host: String, what: String },
    #[error("{host} redirects {what} {why}")]
    Redirect { host: String, what: String, why: &'static str },
    #[error("the registry's credentials in `{}` cannot be read: {why}", .path.display())]
    Credentials { path: PathBuf, why: String },
    #[error("`{program}` gave no credentials for {host}: {why}")]
    Helper { program: String, host: String, why: String },
    #[error("what was to be sent to {host} cannot be read")]
    Read { host: String, source: io::Error },
    #[error("what {host} sent cannot be written")]
    Write { host: String, source: io::Error },
    #[error("{origin}; its mirror failed too: {mirror}")]
    Mirrored { origin: Box<NetError>, mirror: Box<NetError> },
    #[error("the network cannot be used: {0}")]
    Setup(String),
    #[error("cancelled")]
    Cancelled,
}

impl NetError {
    /// One action to take.
    pub fn help(&self) -> String {
        match self {
            NetError::Reference { .. } => "write it as \"docker.io/library/alpine:3.22\"".to_owned(),
            NetError::Url { .. } => "write it as \"https://HOST/PATH\"".to_owned(),
            NetError::NotFound { .. } => "look for a mistake in its name, or push it first".to_owned(),
            NetError::Denied { host, used, .. } => used.help(host),
            NetError::TooManyRequests { host, .. } => {
                format!("wait, log in to {host}, or set a mirror for it")
            }
            NetError::Unreachable { host, .. } => {
                format!("look whether {host} is up and this machine's network and proxy settings reach it")
            }
            NetError::NotTls { host, .. } => {
                format!(
                    "if it is meant to be plain HTTP: remote registry \"{host}\" for=\"{host}\" insecure=#true"
                )
            }
            NetError::Certificate { host, .. } => {
                format!(
                    "put its authority into /etc/containers/certs.d/{host}/ca.crt, or name it in SSL_CERT_FILE"
                )
            }
            NetError::OwnCertificate { host, .. } => {
                format!(
                    "put the one it wants into /etc/containers/certs.d/{host}/client.cert, and client.key beside it"
                )
            }
            NetError::Stalled { .. } | NetError::Broken { .. } => {
                "try again; what is complete is kept".to_owned()
            }
            NetError::Answer { host, status: 500.., .. } => format!("{host} has trouble: try again later"),
            NetError::Answer { host, .. }
            | NetError::Malformed { host, .. }
            | NetError::Redirect { host, .. } => {
                format!("look whether {host} is the server that you mean")
            }
            NetError::WrongDigest { host, .. } | NetError::WrongSize { host, .. } => {
                format!("tell whoever runs {host}, or take another source")
            }
            NetError::TooLarge { .. } => "name a smaller one, or raise the limit".to_owned(),
            NetError::Changed { .. } => "try again, or name one that does not change".to_owned(),
            NetError::Credentials { .. } => {
                "make it a file of `docker login` or `podman login` that you may read".to_owned()
            }
            NetError::Helper { program, .. } => {
                format!("install `{program}`, or take its name out of the file that asks for it")
            }
            NetError::Read { .. } | NetError::Write { .. } => {
                "look at the disk: space and permissions".to_owned()
            }
            NetError::Mirrored { origin, .. } => origin.help(),
            NetError::Setup(_) => "look at this machine's limits for threads and open files".to_owned(),
            NetError::Cancelled => "start it again".to_owned(),
        }
    }

    /// Whether what came was complete but wrong, so that all of it may be asked for once more.
    pub fn is_of_content(&self) -> bool {
        matches!(self, NetError::WrongDigest { .. } | NetError::WrongSize { .. } | NetError::Changed { .. })
    }

    /// Whether the same request may go well a moment later.
    pub(in crate::net) fn passes(&self) -> bool {
        match self {
            NetError::TooManyRequests { .. }
            | NetError::Unreachable { .. }
            | NetError::Stalled { .. }
            | NetError::Broken { .. } => true,
            NetError::Answer { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the server asks to wait.
    pub(in crate::net) fn wait(&self) -> Option<Duration> {
        match self {
            NetError::TooManyRequests { wait, .. } | NetError::Answer { wait, .. } => *wait,
            _ => None,
        }
    }
}

fn waiting(wait: &Option<Duration>) -> String {
    wait.map(|wait| format!(", and says to wait {} seconds", wait.as_secs())).unwrap_or_default()
}

/// What a server said about its refusal, if anything, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said(pub Option<String>);

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(said) => write!(f, ", saying \"{said}\""),
            None => Ok(()),
        }
    }
}

impl Said {
    const LONGEST: usize = 200;

    /// `errors[].message` (distribution-spec, "Error Codes") or `message`; other texts are for machines.
    pub(in crate::net) fn of(body: &[u8]) -> Said {
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return Said(None) };
        let message = |value: &serde_json::Value| {
            let field =
                |name| value.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
            field("message").or(field("details")).or(field("error_description")).map(str::to_owned)
        };
        let errors = answer.get("errors").and_then(serde_json::Value::as_array);
        let mut messages: Vec<String> = errors.into_iter().flatten().filter_map(message).collect();
        messages.dedup();
        messages.extend(if messages.is_empty() { message(&answer) } else { None });
        Said(if messages.is_empty() { None } else { Some(Said::fit(&messages.join("; "))) })
    }

    fn fit(text: &str) -> String {
        let plain = text.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol });
        let mut shown: String = plain.clone().take(Said::LONGEST).collect();
        if plain.count() > Said::LONGEST {
            shown.push('…');
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says() {
        let long = "x".repeat(300);
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"A","message":"no such name"}]}"#.to_owned(),
                Some("no such name".to_owned()),
            ),
            (
                r#"{"errors":[{"message":"a"},{"message":"b\u001b[31m"}]}"#.to_owned(),
                Some("a; b [31m".to_owned()),
            ),
            (r#"{"details":"wrong password"}"#.to_owned(), Some("wrong password".to_owned())),
            (format!(r#"{{"errors":[{{"message":"{long}"}}]}}"#), Some(format!("{}…", "x".repeat(200)))),
            (r#"{"errors":[]}"#.to_owned(), None),
            ("<html>".to_owned(), None),
        ] {
            assert_eq!(Said::of(body.as_bytes()), Said(expected), "{body}");
        }
    }
}
