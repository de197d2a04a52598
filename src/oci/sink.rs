//! `Sink`: where an image goes. Whoever adds one (a registry, another archive) implements three methods.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::base::digest::OciDigest;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::layout_reader::verify;
use crate::oci::manifest::Listed;

/// Gets blobs in the order in which nothing names a blob that is not there yet: layers from the lowest,
/// the configuration, the manifest; then `finish`. What was not finished is not an image.
pub trait Sink {
    /// Whether the blob need not be sent.
    fn has(&mut self, descriptor: &Descriptor) -> Result<bool, OciError>;

    /// Takes exactly the descriptor's bytes, and checks them.
    fn blob(&mut self, descriptor: &Descriptor, bytes: &mut dyn Read) -> Result<(), OciError>;

    /// `entry` describes the manifest; its reference is the image's own, and a sink that was opened
    /// with a tag puts that in its place.
    fn finish(&mut self, entry: Listed) -> Result<(), OciError>;
}

/// Copies a blob and verifies it on the way.
pub(crate) fn copy_blob(
    descriptor: &Descriptor,
    bytes: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<(), OciError> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = bytes.take(descriptor.size.saturating_add(1));
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(&buffer[..count]);
                size += count as u64;
                out.write_all(&buffer[..count]).map_err(OciError::stream("writing a blob"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(OciError::stream("reading a blob")(error)),
        }
    }
    verify(descriptor, OciDigest::from_bytes(hash.finalize().into()), size)
}
