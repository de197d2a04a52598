//! `Sink`: where an image goes. Whoever adds one (a registry, another archive) implements three methods, and
//! another two where it can be asked before, or takes several blobs at once.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::base::digest::OciDigest;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::image::PackedLayer;
use crate::oci::layout_reader::verify;
use crate::oci::outgoing::Outgoing;

/// Gets blobs in an order in which nothing names a blob that is not there yet: layers and configurations, then
/// manifests, then the index; then `finish`. What was not finished is not an image.
pub trait Sink: Sync {
    /// Whether every name stands for this image already: then nothing is sent, and nothing finished.
    fn is_current(&self, _outgoing: &Outgoing) -> Result<bool, OciError> {
        Ok(false)
    }

    /// Whether it need not be sent; of a manifest or an index, neither it nor anything that it names.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError>;

    /// Takes exactly the descriptor's bytes, and checks them.
    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError>;

    /// Takes a layer while it is made, so that its bytes need not be made twice. `make` writes them and tells what
    /// they were; whoever can't take bytes that have no name yet lets it write nowhere, and gets the blob later.
    fn layer(&self, make: &mut Make<'_>) -> Result<PackedLayer, OciError> {
        make(None)
    }

    /// Blobs that it takes at the same time.
    fn parallel(&self) -> usize {
        1
    }

    /// Gives the image its names.
    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError>;
}

/// Writes a layer, or only looks what it is.
pub type Make<'a> = dyn FnMut(Option<&mut dyn Write>) -> Result<PackedLayer, OciError> + 'a;

pub type Bytes = Box<dyn Read + Send>;

/// A blob that is wanted. Its bytes are looked for when it is opened, and not before: a layer that was pulled
/// may have to be fetched for it.
pub struct Blob<'a> {
    pub descriptor: &'a Descriptor,
    pub open: &'a (dyn Fn() -> Result<Bytes, OciError> + Sync),
}

impl Blob<'_> {
    /// Copies the blob and verifies it on the way.
    pub fn copy(&self, out: &mut dyn Write) -> Result<(), OciError> {
        copy_blob(self.descriptor, &mut (self.open)()?, out)
    }
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
