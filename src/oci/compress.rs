//! Compression in blocks of a fixed size, each by itself, many at once. The bytes depend on the blocks
//! and the level, never on how many threads there are: a gzip member is made of deflate blocks that
//! share no window, a zstd stream of frames (RFC 1952; RFC 8878, section 3).

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use flate2::{Compress, Compression as Level, Crc, FlushCompress, Status};
use rayon::prelude::*;

use crate::oci::descriptor::Kind;
use crate::oci::image::Compression;

/// Bytes. A part of every packed layer's name: another size is another format.
pub(crate) const BLOCK: usize = 2 << 20;

/// Blocks in memory at most, however many threads there are.
const MOST_AT_ONCE: usize = 16;

impl Compression {
    pub const fn layer_kind(self) -> Kind {
        match self {
            Compression::None => Kind::Layer,
            Compression::Gzip { .. } => Kind::LayerGzip,
            Compression::Zstd { .. } => Kind::LayerZstd,
        }
    }
}

/// Takes blocks of `BLOCK` bytes, the last one shorter, one at least, until the sender is gone.
pub(crate) fn compress(
    blocks: &Receiver<Vec<u8>>,
    compression: Compression,
    out: &mut dyn Write,
) -> io::Result<()> {
    match compression {
        Compression::None => blocks.iter().try_for_each(|block| out.write_all(&block)),
        Compression::Gzip { level } => gzip(blocks, level, out),
        Compression::Zstd { level } => {
            for batch in batches(blocks) {
                for frame in in_parallel(&batch, |block| zstd::bulk::compress(block, level))? {
                    out.write_all(&frame)?;
                }
            }
            Ok(())
        }
    }
}

/// No time, no name, unknown system: nothing of the machine is in the header.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last block of deflate (RFC 1951, section 3.2.6).
const DEFLATE_END: [u8; 2] = [3, 0];

fn gzip(blocks: &Receiver<Vec<u8>>, level: u32, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&GZIP_HEADER)?;
    let mut crc = Crc::new();
    for batch in batches(blocks) {
        for block in &batch {
            crc.update(block);
        }
        for deflated in in_parallel(&batch, |block| deflate(block, level))? {
            out.write_all(&deflated)?;
        }
    }
    out.write_all(&DEFLATE_END)?;
    out.write_all(&crc.sum().to_le_bytes())?;
    out.write_all(&crc.amount().to_le_bytes())
}

fn deflate(block: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut deflater = Compress::new(Level::new(level.min(9)), false);
    let mut out = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let taken = usize::try_from(deflater.total_in()).map_err(io::Error::other)?;
        let status = deflater.compress_vec(&block[taken..], &mut out, FlushCompress::Sync)?;
        let all_taken = deflater.total_in() == block.len() as u64;
        if all_taken && out.len() < out.capacity() {
            return Ok(out);
        }
        debug_assert_ne!(status, Status::StreamEnd, "bug: a synchronised block ends no stream");
        out.reserve(block.len() / 4 + 64);
    }
}

/// As many blocks as are there, one at least; waits only for the first.
fn batches(blocks: &Receiver<Vec<u8>>) -> impl Iterator<Item = Vec<Vec<u8>>> + '_ {
    let most = rayon::current_num_threads().clamp(1, MOST_AT_ONCE);
    std::iter::from_fn(move || {
        let first = blocks.recv().ok()?;
        let mut batch = vec![first];
        batch.extend(blocks.try_iter().take(most - 1));
        Some(batch)
    })
}

fn in_parallel(
    batch: &[Vec<u8>],
    work: impl Fn(&[u8]) -> io::Result<Vec<u8>> + Sync,
) -> io::Result<Vec<Vec<u8>>> {
    match batch {
        [block] => Ok(vec![work(block)?]),
        batch => batch.par_iter().map(|block| work(block)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::mpsc;

    use super::*;

    /// Bytes that compress somewhat.
    fn bytes(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 27) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn packed(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let (sender, receiver) = mpsc::channel();
        for block in bytes.chunks(BLOCK) {
            sender.send(block.to_vec()).unwrap();
        }
        drop(sender);
        let mut out = Vec::new();
        compress(&receiver, compression, &mut out).unwrap();
        out
    }

    fn unpacked(packed: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::None => out = packed.to_vec(),
            Compression::Gzip { .. } => {
                let count = flate2::bufread::GzDecoder::new(packed).read_to_end(&mut out).unwrap();
                assert_eq!(count, out.len());
            }
            Compression::Zstd { .. } => out = zstd::decode_all(packed).unwrap(),
        }
        out
    }

    const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip { level: 0 },
        Compression::Gzip { level: 6 },
        Compression::Zstd { level: 1 },
        Compression::Zstd { level: 3 },
    ];

    #[test]
    fn unpacks_to_the_same_bytes() {
        for length in [1, BLOCK, 2 * BLOCK + 77] {
            let bytes = bytes(length);
            for compression in ALL {
                assert!(
                    unpacked(&packed(&bytes, compression), compression) == bytes,
                    "{compression:?} {length}"
                );
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let bytes = bytes(5 * BLOCK + 3);
        for compression in ALL {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| packed(&bytes, compression))
            };
            let one = with(1);
            assert!(one == with(2) && one == with(7), "{compression:?}");
        }
    }
}
