//! What a command writes: shown and kept without the secrets that it was lent, and compared with what is expected of it
//! as it is.

use crate::base::digest::BlobDigest;
use crate::exec::executor::{ExecError, Listener, Stream};
use crate::exec::log::LogWriter;
use crate::exec::secrets::{Masking, Masks};
use crate::graph::op::Expect;
use crate::store::memo::{BlobWriter, Memo};
use crate::store::object::StoreError;

/// Of what a test writes beyond the text that is expected, so much is told.
const MORE_THAN_EXPECTED: usize = 4096;
/// An expression is looked for in so much of what a test writes.
const MOST_SEARCHED: usize = 16 << 20;

/// What the command has written so far.
pub(crate) struct Heard<'h> {
    log: LogWriter<BlobWriter>,
    /// Kept only as far as is needed to see and tell what is expected of it.
    pub stdout: Vec<u8>,
    pub masks: &'h Masks,
    keep: usize,
    masking: [(Stream, Masking<'h>); 2],
}

impl<'h> Heard<'h> {
    pub(crate) fn new(
        memo: &Memo,
        expect: Option<&Expect>,
        masks: &'h Masks,
    ) -> Result<Heard<'h>, ExecError> {
        let text = expect.and_then(|expect| expect.stdout.as_ref());
        let pattern = expect.and_then(|expect| expect.stdout_match.as_ref());
        let of_text = text.map_or(0, |text| text.len() + MORE_THAN_EXPECTED);
        let keep = of_text.max(if pattern.is_some() { MOST_SEARCHED } else { 0 });
        let masking = [Stream::Stdout, Stream::Stderr].map(|stream| (stream, masks.stream()));
        Ok(Heard { log: LogWriter::new(memo)?, stdout: Vec::new(), masks, keep, masking })
    }

    pub(crate) fn hear(
        &mut self,
        listener: &mut dyn Listener,
        stream: Stream,
        bytes: &[u8],
    ) -> Result<(), ExecError> {
        if stream == Stream::Stdout {
            let room = self.keep - self.stdout.len();
            self.stdout.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        let masking = self.masking.iter_mut().find(|(masked, _)| *masked == stream);
        let (_, masking) = masking.expect("bug: there are two streams");
        let shown = masking.push(bytes);
        self.pass_on(listener, stream, &shown)
    }

    /// No more comes of this attempt.
    pub(crate) fn rest(&mut self, listener: &mut dyn Listener) -> Result<(), ExecError> {
        let rest = self.masking.each_mut().map(|(stream, masking)| (*stream, masking.finish()));
        rest.iter().try_for_each(|(stream, bytes)| self.pass_on(listener, *stream, bytes))
    }

    /// One log has all attempts; what is expected is expected of the last.
    pub(crate) fn begin_again(&mut self, attempt: u32, most: u32) -> Result<(), ExecError> {
        let notice = format!("[it failed; attempt {attempt} of {most}]\n");
        self.stdout.clear();
        self.write(Stream::Stderr, notice.as_bytes())
    }

    fn pass_on(
        &mut self,
        listener: &mut dyn Listener,
        stream: Stream,
        bytes: &[u8],
    ) -> Result<(), ExecError> {
        if bytes.is_empty() {
            return Ok(());
        }
        listener.output(stream, bytes);
        self.write(stream, bytes)
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), ExecError> {
        self.log.write(stream, bytes).map_err(|error| ExecError::Environment {
            message: format!("cannot write the command's log into the store: {error}"),
            help: Some("free some room, or name another folder with --store".to_owned()),
        })
    }

    /// The log, where anything was written.
    pub(crate) fn finish(self) -> Result<Option<BlobDigest>, StoreError> {
        self.log.finish()
    }
}

/// How what was written to standard output differs from what is expected, in words.
pub(crate) fn stdout_differs(expected: &str, found: &[u8], masks: &Masks) -> Option<String> {
    if expected.as_bytes() == found {
        return None;
    }
    let found = masks.masked(&found[..found.len().min(expected.len() + MORE_THAN_EXPECTED)]);
    let found = String::from_utf8_lossy(&found);
    Some(format!("wrote {found:?} to stdout, {expected:?} is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hidden::Hidden;

    #[test]
    fn a_difference_shows_both_sides() {
        let none = Masks::default();
        assert_eq!(stdout_differs("a\n", b"a\n", &none), None);
        let words = "wrote \"b\" to stdout, \"a\\n\" is expected".to_owned();
        assert_eq!(stdout_differs("a\n", b"b", &none), Some(words));
        let long = vec![b'x'; 1 << 20];
        assert!(stdout_differs("a", &long, &none).unwrap().len() < 2 * MORE_THAN_EXPECTED);
    }

    #[test]
    fn a_difference_shows_no_secret() {
        let masks = Masks::of(&[Hidden::new("to\nken")]);
        let words = "wrote \"x***\" to stdout, \"a\" is expected".to_owned();
        assert_eq!(stdout_differs("a", b"xto\nken", &masks), Some(words));
        assert_eq!(stdout_differs("to\nken", b"to\nken", &masks), None, "compared as it is");
    }
}
