//! One segment of a layer, compressed by itself: a gzip member (RFC 1952, section 2.2) or a zstd frame (RFC 8878,
//! section 3); a layer is one after another. The bytes depend on the segment and the level alone.
//!
//! Members, not blocks of a single one: each carries its own checksum, so that one can be taken from another layer and
//! nothing need be known of the rest. Every reader of layers takes them, since eStargz layers have always been so.
//! What does not become smaller is framed as it is, in bytes of our own making, and need not be kept anywhere.

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use crate::base::facts::FactSink;
use crate::oci::descriptor::Kind;
use crate::oci::image::Compression;

impl Compression {
    pub const fn layer_kind(self) -> Kind {
        match self {
            Compression::None => Kind::Layer,
            Compression::Gzip { .. } => Kind::LayerGzip,
            Compression::Zstd { .. } => Kind::LayerZstd,
        }
    }

    /// Its name and its level.
    pub(crate) fn words(self) -> (String, String) {
        let (name, level) = match self {
            Compression::None => ("none", 0),
            Compression::Gzip { level } => ("gzip", i64::from(level)),
            Compression::Zstd { level } => ("zstd", i64::from(level)),
        };
        (name.to_owned(), level.to_string())
    }

    pub(crate) fn write_facts(self, sink: &mut dyn FactSink) {
        let (name, level) = self.words();
        sink.fact("compression", name.as_bytes());
        sink.fact("level", level.as_bytes());
    }
}

/// `None` where that would not make it smaller: then it is to be framed.
pub(crate) fn compress(segment: &[u8], compression: Compression) -> io::Result<Option<Vec<u8>>> {
    if compression == Compression::None || !seems_compressible(segment)? {
        return Ok(None);
    }
    let packed = match compression {
        Compression::None | Compression::Gzip { level: 0 } => return Ok(None),
        Compression::Gzip { level } => gzip(segment, level)?,
        Compression::Zstd { level } => zstd::bulk::compress(segment, level)?,
    };
    Ok(Some(packed).filter(|packed| packed.len() < segment.len()))
}

/// Takes back what `compress` gave, which had `size` bytes.
pub(crate) fn decompress(packed: &[u8], compression: Compression, size: u64) -> io::Result<Vec<u8>> {
    let capacity = usize::try_from(size).map_err(io::Error::other)?;
    let segment = match compression {
        Compression::None => packed.to_vec(),
        Compression::Gzip { .. } => {
            let mut segment = vec![0; capacity];
            let length =
                Decompressor::new().gzip_decompress(packed, &mut segment).map_err(io::Error::other)?;
            segment.truncate(length);
            segment
        }
        Compression::Zstd { .. } => zstd::bulk::decompress(packed, capacity)?,
    };
    match segment.len() as u64 == size {
        true => Ok(segment),
        false => Err(io::Error::other("a segment has another size than it should")),
    }
}

/// A segment that no compression makes smaller. `checksum` is `frame_checksum`'s.
pub(crate) fn write_frame(
    segment: &[u8],
    compression: Compression,
    checksum: u32,
    out: &mut dyn Write,
) -> io::Result<()> {
    match compression {
        Compression::None => out.write_all(segment),
        Compression::Gzip { .. } => {
            out.write_all(&GZIP_HEADER)?;
            let mut blocks = segment.chunks(STORED_MOST).peekable();
            while let Some(block) = blocks.next() {
                let length = block.len() as u16;
                let [low, high] = length.to_le_bytes();
                out.write_all(&[u8::from(blocks.peek().is_none()), low, high, !low, !high])?;
                out.write_all(block)?;
            }
            out.write_all(&checksum.to_le_bytes())?;
            out.write_all(&(segment.len() as u32).to_le_bytes())
        }
        Compression::Zstd { .. } => {
            out.write_all(&ZSTD_HEADER)?;
            out.write_all(&(segment.len() as u32).to_le_bytes())?;
            let mut blocks = segment.chunks(RAW_MOST).peekable();
            while let Some(block) = blocks.next() {
                let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
                out.write_all(&header.to_le_bytes()[..3])?;
                out.write_all(block)?;
            }
            Ok(())
        }
    }
}

/// What a frame needs to know of all its bytes; for other threads than the one that writes.
pub(crate) fn frame_checksum(segment: &[u8], compression: Compression) -> u32 {
    match compression {
        Compression::Gzip { .. } => libdeflater::crc32(segment),
        Compression::None | Compression::Zstd { .. } => 0,
    }
}

/// No time, no name, unknown system: nothing of the machine is in the header.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Bytes of a stored block (RFC 1951, section 3.2.4).
const STORED_MOST: usize = 0xffff;
/// The magic number, and a descriptor that says: one segment, its size in four bytes, no checksum.
const ZSTD_HEADER: [u8; 5] = [0x28, 0xb5, 0x2f, 0xfd, 0xa0];
/// Bytes of a block (RFC 8878, section 3.1.1.2.4).
const RAW_MOST: usize = 128 << 10;

/// Bytes that are tried, of each `SAMPLED`.
const SAMPLE: usize = 16 << 10;
const SAMPLED: usize = 128 << 10;

/// Whether any of the samples becomes smaller by a hundredth: what is compressed already costs gzip most.
fn seems_compressible(segment: &[u8]) -> io::Result<bool> {
    for part in segment.chunks(SAMPLED) {
        let sample = &part[..part.len().min(SAMPLE)];
        if zstd::bulk::compress(sample, 1)?.len() < sample.len() - sample.len() / 100 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Each byte depends on the segment alone, not on what the processor can do.
fn gzip(segment: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level.min(9).cast_signed()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(segment.len())];
    let length = compressor.gzip_compress(segment, &mut packed).map_err(io::Error::other)?;
    packed.truncate(length);
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::base::digest::OciDigest;

    /// Bytes that compress somewhat, or, with `bits` of 8, not at all.
    fn bytes(length: usize, bits: u32) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> (64 - bits)) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn packed(segment: &[u8], compression: Compression) -> Vec<u8> {
        compress(segment, compression).unwrap().unwrap_or_else(|| framed(segment, compression))
    }

    fn framed(segment: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        write_frame(segment, compression, frame_checksum(segment, compression), &mut out).unwrap();
        out
    }

    fn unpacked(packed: &[u8], compression: Compression) -> Vec<u8> {
        let mut out = Vec::new();
        match compression {
            Compression::None => out = packed.to_vec(),
            Compression::Gzip { .. } => {
                flate2::bufread::MultiGzDecoder::new(packed).read_to_end(&mut out).map(drop).unwrap();
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
    fn segments_one_after_another_unpack_to_the_same_bytes() {
        for length in [1, STORED_MOST, STORED_MOST + 1, RAW_MOST, 1_000_000] {
            let (some, none) = (bytes(length, 5), bytes(length, 8));
            for compression in ALL {
                let layer: Vec<u8> = [&some, &none, &some, &none]
                    .iter()
                    .flat_map(|segment| packed(segment, compression))
                    .collect();
                let expected = [&some[..], &none, &some, &none].concat();
                assert!(unpacked(&layer, compression) == expected, "{compression:?} {length}");
                assert!(
                    unpacked(&framed(&some, compression), compression) == some,
                    "{compression:?} {length}"
                );
                if let Some(packed) = compress(&some, compression).unwrap() {
                    assert!(decompress(&packed, compression, length as u64).unwrap() == some);
                    assert!(decompress(&packed, compression, length as u64 - 1).is_err());
                    assert!(decompress(&packed, compression, length as u64 + 1).is_err());
                }
            }
        }
    }

    #[test]
    fn only_what_becomes_smaller_is_compressed() {
        for (segment, expected) in [(bytes(1_000_000, 8), false), (bytes(1_000_000, 5), true)] {
            for compression in [Compression::Gzip { level: 6 }, Compression::Zstd { level: 1 }] {
                let packed = compress(&segment, compression).unwrap();
                assert_eq!(packed.is_some(), expected, "{compression:?}");
            }
        }
        assert!(compress(&bytes(100_000, 5), Compression::Gzip { level: 0 }).unwrap().is_none());
        assert!(compress(&bytes(100_000, 5), Compression::None).unwrap().is_none());
    }

    /// Another compressor is another format: segments that are lost are made again, to the same bytes. Where this
    /// fails, the names in `segment.rs` and `layer.rs` need a new number.
    #[test]
    fn a_segment_has_these_bytes_for_ever() {
        let segment = [bytes(300_000, 5), b"text and more text, ".repeat(20_000)].concat();
        let digests =
            ALL.map(|compression| OciDigest::of(&packed(&segment, compression)).to_hex()[..16].to_owned());
        insta::assert_debug_snapshot!(digests);
    }
}
