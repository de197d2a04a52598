//! A secret that a program of the machine prints: a password manager, a cloud's own tool. Run by the caller's shell,
//! outside of any sandbox, with the caller's environment and no input.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::base::cancel::Cancel;
use crate::base::hidden::Hidden;
use crate::exec::executor::ExecError;
use crate::exec::secrets::{MOST_BYTES, lacking, too_long};

/// Between two looks at whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// Of what it says when it fails.
const MOST_SAID: u64 = 4096;

pub(super) fn ask(name: &str, line: &str, folder: &Path, cancel: &Cancel) -> Result<Hidden, ExecError> {
    let what = format!("the command `{line}`");
    let failed = |why: String| {
        let help = format!("run it yourself to see why: {line}");
        lacking(format!("the secret `{name}` has no value: {what} {why}"), help)
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, value, said) = std::thread::scope(|scope| {
        let value = scope.spawn(|| take(stdout, MOST_BYTES + 1));
        let said = scope.spawn(|| take(stderr, MOST_SAID));
        let status = wait(&mut child, cancel);
        (status, value.join(), said.join())
    });
    let read = |joined: std::thread::Result<io::Result<Hidden>>| {
        joined.expect("bug: reading panicked").map_err(|error| failed(format!("cannot be read: {error}")))
    };
    let (value, said) = (read(value)?, read(said)?);
    match status.map_err(|error| failed(format!("cannot be waited for: {error}")))? {
        None => Err(ExecError::Cancelled),
        Some(status) if !status.success() => {
            let said = String::from_utf8_lossy(said.bytes()).trim().to_owned();
            let said = said.lines().last().map_or_else(String::new, |last| format!(" and said: {last}"));
            Err(failed(format!("ended with {status}{said}")))
        }
        Some(_) if value.bytes().len() as u64 > MOST_BYTES => Err(too_long(name, &what)),
        Some(_) => Ok(value),
    }
}

/// All that comes, of which `most` is kept.
fn take(from: Option<impl Read>, most: u64) -> io::Result<Hidden> {
    let mut from = from.expect("bug: it has a pipe");
    let mut bytes = Vec::new();
    from.by_ref().take(most).read_to_end(&mut bytes)?;
    io::copy(&mut from, &mut io::sink())?;
    Ok(Hidden::new(bytes))
}

/// `None` where it was stopped.
fn wait(child: &mut Child, cancel: &Cancel) -> io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if cancel.is_raised() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(TICK);
    }
}
