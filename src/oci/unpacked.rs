//! The bytes of a tar, whatever they are packed by: gzip, bzip2, xz or zstd, or nothing. Which one it is the first
//! bytes say: media types and names are known to lie.

use std::io::{self, BufRead, Read};

/// KiB: more than `xz -9` asks for.
const XZ_MEMORY_MOST: u32 = 256 << 10;

/// All members or frames, one after another. What packed them is checked when the last byte has been read.
pub(crate) fn unpacked<'p>(mut packed: impl BufRead + 'p) -> io::Result<Box<dyn Read + 'p>> {
    Ok(match packed.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(packed)?),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY_MOST))
        }
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        _ => Box::new(packed),
    })
}
