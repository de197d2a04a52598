//! A command's log: both of its streams as they came, in one blob. Written while the command runs, read
//! by `memobuild log` and by whoever shows the last lines of a failure.
//!
//! After a header line come chunks: stream (1 byte: 1 or 2), milliseconds since the start (32 bits),
//! length (32 bits), bytes; numbers are little-endian. Frames keep the order in which the streams were read,
//! which two separate texts would lose.

use std::io::{self, Read, Write};
use std::time::Instant;

use crate::base::digest::BlobDigest;
use crate::exec::executor::Stream;
use crate::store::memo::{BlobWriter, Memo};
use crate::store::object::StoreError;

const HEADER: &[u8] = b"memobuild log 1\n";
/// What a log keeps of a command's output.
const MOST_BYTES: u64 = 64 << 20;
const NOTICE: &[u8] = b"\n[the log ends here: the command wrote more than 64 MiB]\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub stream: Stream,
    /// Since the command's start.
    pub milliseconds: u32,
    pub bytes: Vec<u8>,
}

/// Keeps what it is given until the log is full, and then one notice.
pub(crate) struct LogWriter<W> {
    to: W,
    start: Instant,
    room: u64,
    is_empty: bool,
}

impl LogWriter<BlobWriter> {
    pub(crate) fn new(memo: &Memo) -> Result<LogWriter<BlobWriter>, StoreError> {
        Ok(LogWriter::to(memo.blob_writer()?))
    }

    /// `None` where nothing was written.
    pub(crate) fn finish(self) -> Result<Option<BlobDigest>, StoreError> {
        if self.is_empty { Ok(None) } else { Ok(Some(self.to.finish()?.blob)) }
    }
}

impl<W: Write> LogWriter<W> {
    fn to(to: W) -> LogWriter<W> {
        LogWriter { to, start: Instant::now(), room: MOST_BYTES, is_empty: true }
    }

    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.room == 0 || bytes.is_empty() {
            return Ok(());
        }
        if self.is_empty {
            self.to.write_all(HEADER)?;
            self.is_empty = false;
        }
        let kept = &bytes[..bytes.len().min(usize::try_from(self.room).unwrap_or(usize::MAX))];
        self.chunk(stream, kept)?;
        self.room -= kept.len() as u64;
        if self.room == 0 { self.chunk(stream, NOTICE) } else { Ok(()) }
    }

    fn chunk(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let number = match stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let milliseconds = u32::try_from(self.start.elapsed().as_millis()).unwrap_or(u32::MAX);
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.to.write_all(&[number])?;
        self.to.write_all(&milliseconds.to_le_bytes())?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(bytes)
    }
}

/// All that a command wrote, both streams as they came.
pub fn text(memo: &Memo, log: BlobDigest) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    let each = |chunk: Chunk| {
        text.extend_from_slice(&chunk.bytes);
        Ok(())
    };
    read(memo.open_blob(log)?, each).map_err(StoreError::io("cannot read the log in", memo.folder()))?;
    Ok(text)
}

/// Its last lines, `most` of them; control characters come out harmless to a terminal.
pub fn tail(memo: &Memo, log: BlobDigest, most: usize) -> Result<Vec<String>, StoreError> {
    let text = text(memo, log)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(most)..];
    Ok(last.iter().map(|line| harmless(line)).collect())
}

/// Control characters of a command must not move the cursor or recolour the terminal of who reads.
pub fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Reads a log back, chunk by chunk; `InvalidData` where it is none.
pub fn read(mut log: impl Read, mut each: impl FnMut(Chunk) -> io::Result<()>) -> io::Result<()> {
    let mut header = [0; HEADER.len()];
    log.read_exact(&mut header)?;
    if header != HEADER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while let Some(chunk) = read_chunk(&mut log)? {
        each(chunk)?;
    }
    Ok(())
}

fn read_chunk(log: &mut impl Read) -> io::Result<Option<Chunk>> {
    let mut number = [0];
    if log.read(&mut number)? == 0 {
        return Ok(None);
    }
    let stream = match number {
        [1] => Stream::Stdout,
        [2] => Stream::Stderr,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let (mut milliseconds, mut length) = ([0; 4], [0; 4]);
    log.read_exact(&mut milliseconds)?;
    log.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let mut bytes = Vec::new();
    // Not a buffer of the length that the log claims: it may lie.
    if log.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(Chunk { stream, milliseconds: u32::from_le_bytes(milliseconds), bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(log: &[u8]) -> io::Result<Vec<(Stream, Vec<u8>)>> {
        let mut chunks = Vec::new();
        read(log, |chunk| {
            chunks.push((chunk.stream, chunk.bytes));
            Ok(())
        })?;
        Ok(chunks)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut log = LogWriter::to(Vec::new());
        log.write(Stream::Stdout, b"one\n").unwrap();
        log.write(Stream::Stderr, b"two").unwrap();
        log.write(Stream::Stdout, b"").unwrap();
        let expected = [(Stream::Stdout, b"one\n".to_vec()), (Stream::Stderr, b"two".to_vec())];
        assert_eq!(chunks(&log.to).unwrap(), expected);
    }

    #[test]
    fn a_full_log_says_so_once() {
        let mut log = LogWriter::to(Vec::new());
        log.room = 5;
        for _ in 0..3 {
            log.write(Stream::Stdout, b"abc").unwrap();
        }
        let texts: Vec<_> = chunks(&log.to).unwrap().into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(texts, [b"abc".to_vec(), b"ab".to_vec(), NOTICE.to_vec()]);
    }

    #[test]
    fn other_bytes_are_no_log() {
        let mut log = LogWriter::to(Vec::new());
        log.write(Stream::Stdout, b"abc").unwrap();
        for broken in [&b"something else......"[..], &log.to[..log.to.len() - 1], b""] {
            assert!(chunks(broken).is_err());
        }
    }
}
