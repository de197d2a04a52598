//! BLAKE3 of open files. Large ones are hashed by all idle cores, each reading its own part of the file
//! into memory that stays in its cache: no mapping, which a shrinking file would turn into a crash.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;

use blake3::hazmat::{self, ChainingValue, HasherExt as _, Mode};
use rustix::io::{Errno, pread};

use crate::base::digest::BlobDigest;

/// What one core reads and hashes at a time: fits the cache, and is a power of two of BLAKE3's chunks.
const PART: usize = 128 * 1024;
/// Below this, cores are better used on several files.
const LARGE: u64 = 8 * PART as u64;

/// Of all bytes of a regular file that has `size` of them. `None` where it holds more or fewer.
pub(crate) fn hash_file(file: BorrowedFd<'_>, size: u64) -> io::Result<Option<BlobDigest>> {
    if size < LARGE {
        return hash_whole(file, size);
    }
    let left = hazmat::left_subtree_len(size);
    let halves = rayon::join(|| hash_part(file, 0, left), || hash_part(file, left, size - left));
    Ok(match (halves.0?, halves.1?) {
        (Some(left), Some(right)) => {
            let root = hazmat::merge_subtrees_root(&left, &right, Mode::Hash);
            Some(BlobDigest::from_bytes(*root.as_bytes()))
        }
        _ => None,
    })
}

fn hash_whole(file: BorrowedFd<'_>, size: u64) -> io::Result<Option<BlobDigest>> {
    with_buffer(|buffer| {
        let mut hasher = blake3::Hasher::new();
        let mut offset = 0;
        while offset <= size {
            let count = fill(file, buffer, offset)?;
            hasher.update(&buffer[..count]);
            offset += count as u64;
            if count < buffer.len() {
                break;
            }
        }
        Ok((offset == size).then(|| BlobDigest::from_bytes(*hasher.finalize().as_bytes())))
    })
}

/// A part that is a subtree of BLAKE3's tree, but never the whole of it.
fn hash_part(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<Option<ChainingValue>> {
    if length > PART as u64 {
        let left = hazmat::left_subtree_len(length);
        let halves =
            rayon::join(|| hash_part(file, offset, left), || hash_part(file, offset + left, length - left));
        return Ok(match (halves.0?, halves.1?) {
            (Some(left), Some(right)) => Some(hazmat::merge_subtrees_non_root(&left, &right, Mode::Hash)),
            _ => None,
        });
    }
    with_buffer(|buffer| {
        let part = &mut buffer[..length as usize];
        let count = fill(file, part, offset)?;
        let mut hasher = blake3::Hasher::new();
        let whole = count == part.len();
        Ok(whole.then(|| hasher.set_input_offset(offset).update(part).finalize_non_root()))
    })
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match pread(file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(filled)
}

/// One buffer a thread. `work` must not give its thread to other work that hashes.
fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; PART].into());
    }
    BUFFER.with_borrow_mut(|buffer| work(buffer))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use super::*;

    /// Sizes around every border of the tree.
    #[test]
    fn agrees_with_plain_blake3() {
        let borders = [0, 1, 1024, PART, LARGE as usize, 2 * LARGE as usize, 3 * PART + LARGE as usize];
        for size in borders.iter().flat_map(|size| [size.saturating_sub(1), *size, size + 1]) {
            let bytes: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let hash = |size: usize| hash_file(file.as_fd(), size as u64).unwrap();
            assert_eq!(hash(size), Some(BlobDigest::of(&bytes)), "{size} bytes");
            assert_eq!(hash(size + 1), None, "{size} bytes, one fewer than expected");
        }
    }

    #[test]
    fn a_longer_small_file_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        assert_eq!(hash_file(file.as_fd(), 2).unwrap(), None);
    }
}
