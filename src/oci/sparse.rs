//! Sparse files in archives (GNU tar manual, "Storing Sparse Files"): the old GNU format and the three of PAX. Says what
//! of a file is stored and where its holes are; whoever reads it gives zeros for these.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use tar::Header;

use crate::oci::tar_header::{BLOCK, padding};
use crate::oci::tar_reader::number;

/// What is stored of a file, from where it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Offset and length of what is stored and was not read yet, in order.
    stored: VecDeque<(u64, u64)>,
    at: u64,
    /// With its holes.
    size: u64,
}

/// What comes next of a file, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Zeros(u64),
    Stored(u64),
}

/// Where the map of a sparse file is.
pub(super) enum Form {
    /// In the header itself and in blocks after it.
    Old,
    /// In these records, which are no longer there.
    Records { map: Vec<u8>, size: Vec<u8> },
    /// Before the content.
    Ahead { size: Vec<u8> },
}

/// Pieces of one file; more would only serve to fill memory.
const PIECES_MOST: u64 = 1 << 20;

impl Sparse {
    /// `None` where the pieces overlap, reach beyond the file, or are not what is stored.
    pub(super) fn new(pieces: Vec<(u64, u64)>, size: u64, stored: u64) -> Option<Sparse> {
        let (mut end, mut sum) = (0, 0_u64);
        for (offset, length) in &pieces {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(*length).filter(|end| *end <= size)?;
            sum += length;
        }
        let stored_pieces = pieces.into_iter().filter(|(_, length)| *length > 0).collect();
        (sum == stored).then_some(Sparse { stored: stored_pieces, at: 0, size })
    }

    /// `None` at the file's end.
    pub(super) fn next(&self) -> Option<Run> {
        match self.stored.front() {
            Some((offset, length)) if self.at >= *offset => Some(Run::Stored(offset + length - self.at)),
            Some((offset, _)) => Some(Run::Zeros(offset - self.at)),
            None => Some(Run::Zeros(self.size - self.at)).filter(|_| self.at < self.size),
        }
    }

    /// So many bytes of the next run were read.
    pub(super) fn advance(&mut self, count: u64) {
        self.at += count;
        if self.stored.front().is_some_and(|(offset, length)| self.at == offset + length) {
            self.stored.pop_front();
        }
    }
}

impl Form {
    /// `None` of a file that is not sparse.
    pub(super) fn of(kind: u8, records: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Form> {
        if kind == b'S' {
            return Some(Form::Old);
        }
        let mut take = |key: &[u8]| records.remove(&[b"GNU.sparse.", key].concat());
        let (map, size, real) = (take(b"map"), take(b"size"), take(b"realsize"));
        let (major, ..) = (take(b"major"), take(b"minor"), take(b"numblocks"));
        match (major.as_deref(), map, real.or(size)) {
            (Some(b"1"), _, Some(size)) => Some(Form::Ahead { size }),
            (None | Some(b"0"), Some(map), Some(size)) => Some(Form::Records { map, size }),
            _ => None,
        }
    }

    /// Reads the map, and how many bytes that took of `content`. `None` where it makes no sense.
    pub(super) fn read(
        self,
        header: &Header,
        stored: u64,
        blocks: &mut dyn Read,
    ) -> io::Result<Option<(Sparse, u64)>> {
        match self {
            Form::Old => Ok(old(header, stored, blocks)?.map(|sparse| (sparse, 0))),
            Form::Records { map, size } => {
                let numbers: Option<Vec<u64>> = map.split(|byte| *byte == b',').map(decimal).collect();
                let numbers = if map.is_empty() { Some(Vec::new()) } else { numbers };
                let sparse = numbers.zip(decimal(&size));
                let sparse = sparse.and_then(|(numbers, size)| Sparse::new(pairs(&numbers)?, size, stored));
                Ok(sparse.map(|sparse| (sparse, 0)))
            }
            Form::Ahead { size } => {
                let mut read = 0;
                let count = line(blocks, &mut read)?.filter(|count| *count <= PIECES_MOST);
                let Some((count, size)) = count.zip(decimal(&size)) else { return Ok(None) };
                let mut numbers = Vec::new();
                for _ in 0..2 * count {
                    let Some(number) = line(blocks, &mut read)? else { return Ok(None) };
                    numbers.push(number);
                }
                let rest = padding(read) as u64;
                io::copy(&mut blocks.take(rest), &mut io::sink())?;
                let content = stored.checked_sub(read + rest);
                let sparse = content.zip(pairs(&numbers));
                let sparse = sparse.and_then(|(stored, pieces)| Sparse::new(pieces, size, stored));
                Ok(sparse.map(|sparse| (sparse, read + rest)))
            }
        }
    }
}

/// Four pieces in the header, and twenty-one in each block that follows.
fn old(header: &Header, stored: u64, blocks: &mut dyn Read) -> io::Result<Option<Sparse>> {
    let bytes = header.as_bytes();
    let Some(size) = number(&bytes[483..495]) else { return Ok(None) };
    let mut numbers = Vec::new();
    let mut is_valid = read_pieces(&bytes[386..482], &mut numbers);
    let mut is_extended = bytes[482] != 0;
    while is_extended && is_valid && (numbers.len() as u64) < 2 * PIECES_MOST {
        let mut block = [0; BLOCK];
        blocks.read_exact(&mut block)?;
        is_valid = read_pieces(&block[..504], &mut numbers);
        is_extended = block[504] != 0;
    }
    let pieces = pairs(&numbers).filter(|_| is_valid && !is_extended);
    Ok(pieces.and_then(|pieces| Sparse::new(pieces, size, stored)))
}

/// The list ends where a field is empty.
fn read_pieces(fields: &[u8], numbers: &mut Vec<u64>) -> bool {
    for field in fields.chunks_exact(12) {
        if field[0] == 0 {
            return true;
        }
        let Some(number) = number(field) else { return false };
        numbers.push(number);
    }
    true
}

fn pairs(numbers: &[u64]) -> Option<Vec<(u64, u64)>> {
    let pairs = numbers.chunks(2).map(|pair| if let [a, b] = pair { Some((*a, *b)) } else { None });
    pairs.collect()
}

/// A decimal number and its newline; no longer than one of 64 bits.
fn line(input: &mut dyn Read, read: &mut u64) -> io::Result<Option<u64>> {
    let mut digits = Vec::new();
    let mut byte = [0];
    while digits.len() <= 20 {
        input.read_exact(&mut byte)?;
        *read += 1;
        if byte == *b"\n" {
            return Ok(decimal(&digits));
        }
        digits.push(byte[0]);
    }
    Ok(None)
}

fn decimal(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_must_be_in_order_within_the_file_and_all_that_is_stored() {
        for (pieces, size, stored, is_valid) in [
            (vec![], 0, 0, true),
            (vec![], 10, 0, true),
            (vec![(0, 10)], 10, 10, true),
            (vec![(2, 3), (5, 1), (10, 0)], 10, 4, true),
            (vec![(2, 3), (4, 1)], 10, 4, false),
            (vec![(5, 1), (2, 1)], 10, 2, false),
            (vec![(2, 3)], 10, 4, false),
            (vec![(8, 3)], 10, 3, false),
            (vec![(u64::MAX, 2)], u64::MAX, 2, false),
        ] {
            assert_eq!(Sparse::new(pieces.clone(), size, stored).is_some(), is_valid, "{pieces:?} of {size}");
        }
    }

    #[test]
    fn runs() {
        let mut sparse = Sparse::new(vec![(2, 3), (5, 1), (9, 0)], 9, 4).unwrap();
        let mut runs = Vec::new();
        while let Some(run) = sparse.next() {
            let (Run::Zeros(count) | Run::Stored(count)) = run;
            runs.push(run);
            sparse.advance(count);
        }
        assert_eq!(runs, [Run::Zeros(2), Run::Stored(3), Run::Stored(1), Run::Zeros(3)]);
    }
}
