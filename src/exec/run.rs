//! A `run` or `test`: its inputs become a sandbox, what the sandbox leaves becomes its outputs.
//! Starts no command where no isolation rung holds: a weaker room is never used silently.

use std::collections::BTreeMap;

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::exec::executor::{Cause, ExecError, Failure, Listener, Made, Stream};
use crate::exec::helper;
use crate::exec::log::LogWriter;
use crate::exec::narrow::narrow;
use crate::exec::prepare::prepare;
use crate::exec::probe::Isolation;
use crate::exec::sandbox::spec::{Done, Ended, as_typed};
use crate::graph::action::ActionInput;
use crate::graph::graph::Select;
use crate::graph::op::{Expect, From, Network, Run, free_output};
use crate::graph::value::Value;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::tree::{Directory, Entry};

/// The one output of a passed test, beside what it declares.
pub const PASSED: &str = "passed";

/// Blocks until the commands have ended and their outputs are in the store.
pub fn run(
    memo: &Memo,
    run: &Run,
    inputs: &[ActionInput],
    isolation: &Isolation,
    cancel: &Cancel,
    listener: &mut dyn Listener,
) -> Result<Made, ExecError> {
    let Some(granted) = &isolation.granted else { return Err(isolation.refusal()) };
    let work = memo.used_work_folder()?;
    let spec = prepare(memo, run, inputs, &granted.identity, work.path(), cancel)?;
    let mut heard = Heard::new(memo, run.expect.as_ref())?;
    let commands = spec.commands.clone();
    let done = helper::run(&isolation.zygote, memo, spec, cancel, &mut |stream, bytes| {
        listener.output(stream, bytes);
        heard.write(stream, bytes)
    })?;
    if done.tidy {
        memo.lay_aside(work);
    }
    let (log, stdout) = heard.finish()?;
    check(&commands, &done, run, &stdout, log)?;
    Ok(Made {
        outputs: values(memo, run, done)?,
        log,
        rung: Some(granted.rung.name().to_owned()),
        // What the machine itself put in is no use to others.
        shareable: run.network != Network::Host && !matches!(run.from, From::Host(_)),
        bytes: 0,
    })
}

/// What the command has written so far.
struct Heard {
    log: LogWriter<crate::store::memo::BlobWriter>,
    /// Kept only as far as a difference to what is expected can be told.
    stdout: Vec<u8>,
    keep: usize,
}

impl Heard {
    fn new(memo: &Memo, expect: Option<&Expect>) -> Result<Heard, ExecError> {
        let expected = expect.and_then(|expect| expect.stdout.as_ref());
        let keep = expected.map_or(0, |text| text.len() + 4096);
        Ok(Heard { log: LogWriter::new(memo)?, stdout: Vec::new(), keep })
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), ExecError> {
        if stream == Stream::Stdout {
            let room = self.keep - self.stdout.len();
            self.stdout.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.log.write(stream, bytes).map_err(|error| ExecError::Environment {
            message: format!("cannot write the command's log into the store: {error}"),
            help: Some("free some room, or name another folder with --store".to_owned()),
        })
    }

    fn finish(self) -> Result<(Option<BlobDigest>, Vec<u8>), StoreError> {
        Ok((self.log.finish()?, self.stdout))
    }
}

/// What is expected of a test is expected of its last command; those before it must succeed.
fn check(
    commands: &[Vec<String>],
    done: &Done,
    run: &Run,
    stdout: &[u8],
    log: Option<BlobDigest>,
) -> Result<(), ExecError> {
    let command = &commands[done.command];
    let is_last = done.command + 1 == commands.len();
    let expect = run.expect.clone().filter(|_| is_last).unwrap_or_default();
    let cause = match done.ended {
        Ended::Cancelled => return Err(ExecError::Cancelled),
        Ended::NotFound => Some(Cause::NotFound),
        Ended::TimedOut => Some(Cause::Timeout(run.limits.timeout.unwrap_or_default())),
        Ended::Signal(signal) => Some(Cause::Signal(signal)),
        Ended::Exit(code) if code != expect.exit && expect.exit == 0 => Some(Cause::Exit(code)),
        Ended::Exit(code) if code != expect.exit => {
            let expected = expect.exit;
            Some(Cause::Expectation(format!("ended with exit code {code}, {expected} is expected")))
        }
        Ended::Exit(_) => expect.stdout.and_then(|expected| stdout_differs(&expected, stdout)),
    };
    match cause {
        Some(cause) => Err(ExecError::Failed(Failure { command: as_typed(command), cause, log })),
        None => Ok(()),
    }
}

fn stdout_differs(expected: &str, found: &[u8]) -> Option<Cause> {
    let differs = expected.as_bytes() != found;
    let found = String::from_utf8_lossy(found);
    differs.then(|| Cause::Expectation(format!("wrote {found:?} to stdout, {expected:?} is expected")))
}

fn values(memo: &Memo, run: &Run, done: Done) -> Result<BTreeMap<String, Value>, ExecError> {
    let mut values = BTreeMap::new();
    for (name, entry) in done.outputs {
        let output = run.outputs.iter().find(|output| output.name == name);
        let include = output.map(|output| output.include.clone()).unwrap_or_default();
        let select = Select { path: None, include, exclude: Vec::new() };
        values.insert(name, narrow(memo, &Value::Tree(entry), &select)?);
    }
    if run.expect.is_some() {
        values.insert(PASSED.to_owned(), Value::Text(PASSED.to_owned()));
    } else if let Some(change) = done.change.filter(|_| !matches!(run.from, From::Host(_))) {
        // A sandbox in which nothing was written has not opened the store.
        encode::save(memo, &Directory::default())?;
        values.insert(free_output::CHANGE.to_owned(), Value::Tree(Entry::directory(change)));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_both_sides() {
        assert_eq!(stdout_differs("a\n", b"a\n"), None);
        let words = "wrote \"b\" to stdout, \"a\\n\" is expected".to_owned();
        assert_eq!(stdout_differs("a\n", b"b"), Some(Cause::Expectation(words)));
    }
}
