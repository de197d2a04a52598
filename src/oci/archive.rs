//! `oci-archive:FILE[:TAG]`: an image layout as one plain tar. Blobs stand in the order in which they come, so that
//! none is held back: `oci-layout`, blobs, `index.json`. Equal images give equal archives.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::image::{Format, PackedLayer};
use crate::oci::layout_reader::{INDEX, MARKER, MARKER_CONTENT};
use crate::oci::manifest::{Annotations, index};
use crate::oci::outgoing::Outgoing;
use crate::oci::sink::{Blob, Make, Sink};
use crate::oci::tar_out::TarOut;

pub struct ArchiveSink {
    names: Vec<Annotations>,
    tar: Mutex<TarOut>,
}

impl ArchiveSink {
    /// Looks, and writes nothing yet. `names` are the annotations under which its index lists the image.
    pub fn open(path: &Path, names: &[Annotations]) -> Result<ArchiveSink, OciError> {
        Ok(ArchiveSink { names: names.to_vec(), tar: Mutex::new(TarOut::file(path)?) })
    }

    pub fn stream(out: Box<dyn Write + Send>, names: &[Annotations]) -> ArchiveSink {
        ArchiveSink { names: names.to_vec(), tar: Mutex::new(TarOut::stream(out)) }
    }
}

fn name(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.to_hex())
}

fn begin(tar: &mut TarOut) -> Result<(), OciError> {
    if tar.is_empty() {
        tar.put(MARKER, MARKER_CONTENT.as_bytes())?;
        tar.folder("blobs")?;
        tar.folder("blobs/sha256")?;
    }
    Ok(())
}

impl Sink for ArchiveSink {
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        Ok(self.tar.lock().expect("bug: poisoned").has(&name(descriptor)))
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        let mut tar = self.tar.lock().expect("bug: poisoned");
        begin(&mut tar)?;
        tar.blob(&name(blob.descriptor), blob)
    }

    fn layer(&self, make: &mut Make<'_>) -> Result<PackedLayer, OciError> {
        let mut tar = self.tar.lock().expect("bug: poisoned");
        begin(&mut tar)?;
        tar.layer(make, |layer| name(&Descriptor::from(layer)))
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        let mut tar = self.tar.lock().expect("bug: poisoned");
        begin(&mut tar)?;
        tar.put(INDEX, &index(&outgoing.entries(&self.names), &Annotations::new(), Format::Oci))?;
        tar.finish()
    }
}
