//! What follows a head: so many bytes, chunks, or all until the end (RFC 9112, sections 6 and 7). Read here as the
//! plain content, and written again in a framing of its own.

use std::io::{self, BufRead, Read, Write};

use crate::exec::proxy::head::malformed;

/// Of a chunk's first line, and of what stands behind the last chunk.
const LONGEST_LINE: u64 = 8 << 10;
const PIECE: usize = 32 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// Until the other side closes.
    Close,
}

/// The content, which must be read to its end before anything else is read.
pub(super) struct Body<'r, R> {
    reader: &'r mut R,
    framing: Framing,
    /// Of the chunk that is being read, or of the whole.
    left: u64,
    is_over: bool,
    is_first: bool,
}

impl<'r, R: BufRead> Body<'r, R> {
    pub(super) fn new(reader: &'r mut R, framing: Framing) -> Body<'r, R> {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        Body { reader, framing, left, is_over: framing == Framing::Length(0), is_first: true }
    }

    /// Passes it on piece by piece; `look` sees each. Gives how many bytes there were.
    pub(super) fn relay(
        mut self,
        to: &mut impl Write,
        as_chunks: bool,
        look: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut piece = vec![0; PIECE];
        let mut whole = 0;
        loop {
            let count = self.read(&mut piece)?;
            let bytes = &piece[..count];
            if count == 0 {
                if as_chunks {
                    to.write_all(b"0\r\n\r\n")?;
                }
                to.flush()?;
                return Ok(whole);
            }
            look(bytes)?;
            whole += count as u64;
            if as_chunks {
                to.write_all(&[format!("{count:x}\r\n").as_bytes(), bytes, b"\r\n"].concat())?;
            } else {
                to.write_all(bytes)?;
            }
            to.flush()?;
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if !self.is_first && !self.line()?.is_empty() {
            return Err(malformed("a chunk without an end"));
        }
        self.is_first = false;
        let line = self.line()?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_size = (1..=15).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(size).ok().filter(|_| is_size);
        let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
        self.left = size.ok_or_else(|| malformed("a chunk without a size"))?;
        if self.left == 0 {
            let mut trailers = 0;
            loop {
                let line = self.line()?;
                trailers += line.len() as u64;
                match line.is_empty() {
                    true => break,
                    false if trailers > LONGEST_LINE => return Err(malformed("too much behind the chunks")),
                    false => {}
                }
            }
            self.is_over = true;
        }
        Ok(())
    }

    /// Without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        Read::take(&mut *self.reader, LONGEST_LINE).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            Some(rest) => Ok(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_over || into.is_empty() {
            return Ok(0);
        }
        if self.framing == Framing::Close {
            let count = self.reader.read(into)?;
            self.is_over = count == 0;
            return Ok(count);
        }
        if self.left == 0 {
            self.next_chunk()?;
            if self.is_over {
                return Ok(0);
            }
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        self.is_over = self.left == 0 && self.framing != Framing::Chunked;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn relayed(text: &[u8], framing: Framing, as_chunks: bool) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut rest = text;
        let mut to = Vec::new();
        Body::new(&mut rest, framing).relay(&mut to, as_chunks, &mut |_| Ok(())).ok()?;
        Some((to, rest.to_vec()))
    }

    #[test]
    fn each_framing_ends_where_it_ends() {
        let chunks = b"4\r\nwiki\r\n5;ext=1\r\npedia\r\n0\r\nTrailer: x\r\n\r\nnext";
        for (text, framing, content, rest) in [
            (&b"abcdef"[..], Framing::Length(4), "abcd", "ef"),
            (b"", Framing::Length(0), "", ""),
            (b"abc", Framing::Close, "abc", ""),
            (chunks, Framing::Chunked, "wikipedia", "next"),
            (b"0\r\n\r\n", Framing::Chunked, "", ""),
        ] {
            let (to, left) = relayed(text, framing, false).unwrap();
            assert_eq!((to.as_slice(), left.as_slice()), (content.as_bytes(), rest.as_bytes()));
            let (to, _) = relayed(text, framing, true).unwrap();
            assert_eq!(relayed(&to, Framing::Chunked, false).unwrap().0, content.as_bytes());
        }
    }

    #[test]
    fn what_is_cut_or_odd_is_an_error() {
        let odd: [&[u8]; 9] = [
            b"4\r\nwik",
            b"4\r\nwikix\r\n0\r\n\r\n",
            b"\r\n",
            b"+4\r\nwiki\r\n0\r\n\r\n",
            b"0x4\r\nwiki\r\n0\r\n\r\n",
            b"g\r\n",
            b"fffffffffffffffff\r\n",
            b"0\r\n",
            b"4\r\nwiki\r\n",
        ];
        for text in odd {
            assert_eq!(relayed(text, Framing::Chunked, false), None, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(relayed(b"abc", Framing::Length(4), false), None);
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..100), digits in "[0-9a-f\r\n;]{0,20}") {
            let _ = relayed(&bytes, Framing::Chunked, true);
            let _ = relayed(digits.as_bytes(), Framing::Chunked, true);
        }
    }
}
