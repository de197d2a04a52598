//! Other programs that take images: run with their output caught, and told of in one sentence where they fail.

use std::io::{ErrorKind, Read as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::oci::error::OciError;

/// What it wrote to standard output, when it ended well.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>, OciError> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_started(program, &error))?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(program, &output.stderr)) }
}

/// A program that reads its standard input from us. Dropped before it has ended, it is killed.
pub(crate) struct Fed {
    program: &'static str,
    child: Child,
}

impl Fed {
    pub(crate) fn start(program: &'static str, arguments: &[String]) -> Result<(Fed, ChildStdin), OciError> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(program, &error))?;
        let stdin = child.stdin.take().expect("bug: its input is ours");
        Ok((Fed { program, child }, stdin))
    }

    /// Waits for its end, after its input has ended.
    pub(crate) fn end(&mut self) -> Result<(), OciError> {
        let broken = || OciError::stream("waiting for a program");
        let mut stderr = Vec::new();
        if let Some(mut said) = self.child.stderr.take() {
            said.read_to_end(&mut stderr).map_err(broken())?;
        }
        let status = self.child.wait().map_err(broken())?;
        if status.success() { Ok(()) } else { Err(failed(self.program, &stderr)) }
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn not_started(program: &str, error: &std::io::Error) -> OciError {
    match error.kind() {
        ErrorKind::NotFound => OciError::Peer {
            message: format!("the program `{program}` is not installed"),
            help: Some("install it, or write the image to oci-archive:FILE".to_owned()),
        },
        _ => OciError::Peer { message: format!("cannot run `{program}`: {error}"), help: None },
    }
}

fn failed(program: &str, stderr: &[u8]) -> OciError {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    // Structured log lines hold the sentence in quotes.
    let last = last.split_once("msg=\"").map_or(last, |(_, said)| said.trim_end_matches('"'));
    let help = if text.contains("ermission denied") {
        Some("run as a user who may use it, or as root".to_owned())
    } else if text.contains("connection refused") || text.contains("no such file or directory") {
        Some("see that its service runs".to_owned())
    } else {
        None
    };
    OciError::Peer { message: format!("`{program}` failed: {last}"), help }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(result: &Result<Vec<u8>, OciError>, expected: &str, has_help: bool) {
        match result {
            Err(OciError::Peer { message, help }) => {
                assert_eq!((message.as_str(), help.is_some()), (expected, has_help));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_are_told() {
        assert_eq!(run("sh", &["-c", "printf here"]).unwrap(), b"here");
        check(&run("no-such-program", &[]), "the program `no-such-program` is not installed", true);
        let script =
            "echo one >&2; echo 'time=\"x\" level=fatal msg=\"dial: permission denied\"' >&2; exit 1";
        check(&run("sh", &["-c", script]), "`sh` failed: dial: permission denied", true);
        check(&run("false", &[]), "`false` failed: it says nothing", false);
    }
}
