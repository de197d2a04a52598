//! Streams that end with the build.

use std::io::{self, Read, Write};

use crate::base::cancel::Cancel;
use crate::oci::error::OciError;

/// A stream that fails as soon as the build is cancelled, however long it is.
pub(crate) struct Stoppable<'a, S> {
    pub(crate) stream: S,
    pub(crate) cancel: &'a Cancel,
}

impl<S> Stoppable<'_, S> {
    fn check(&self) -> io::Result<()> {
        if self.cancel.is_raised() { Err(io::Error::other(OciError::Cancelled)) } else { Ok(()) }
    }
}

impl<S: Read> Read for Stoppable<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.read(buffer)
    }
}

impl<S: Write> Write for Stoppable<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
