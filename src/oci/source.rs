//! Where images are pulled from: documents that lead to layers, and the layers' bytes. What it gives is only
//! believed when its digest holds.

use std::io::{self, Write};
use std::path::Path;

use crate::oci::choose::by_reference;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::layout_reader::LayoutReader;
use crate::oci::manifest::Listed;

pub struct Source(Place);

enum Place {
    /// An image layout (image-spec, image-layout.md).
    Layout(LayoutReader),
}

impl Source {
    pub fn layout(folder: &Path) -> Result<Source, OciError> {
        Ok(Source(Place::Layout(LayoutReader::open(folder)?)))
    }

    /// What a tag or a digest names; without one there must be a single image. Several stand for one image on
    /// several platforms.
    pub(crate) fn named(&self, reference: Option<&str>) -> Result<Vec<Listed>, OciError> {
        match &self.0 {
            Place::Layout(layout) => by_reference(layout.index()?, reference),
        }
    }

    /// A manifest, an index or a configuration, verified.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        match &self.0 {
            Place::Layout(layout) => layout.read(descriptor),
        }
    }

    /// A blob's bytes, not verified; one byte more than the descriptor says at most.
    pub(crate) fn copy(&self, descriptor: &Descriptor, out: &mut dyn Write) -> Result<(), OciError> {
        match &self.0 {
            Place::Layout(layout) => {
                io::copy(&mut layout.blob(descriptor)?, out).map_err(OciError::stream("reading a layer"))?;
                Ok(())
            }
        }
    }
}
