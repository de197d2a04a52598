//! An image on its way out: every document is written and every layer has its digest, for one platform or for
//! several under one index. Layers that were pulled go out as they came in, others are packed once and
//! remembered; the rest is a few hundred bytes of JSON. Sends nothing: `export.rs` does.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::base::cancel::Cancel;
use crate::base::digest::{OciDigest, TreeDigest};
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, Image, Layer, PackedLayer, Packing, Platform};
use crate::oci::layer::{self, pack, pack_into};
use crate::oci::manifest::{Annotations, Listed, Stored, index, write};
use crate::oci::sink::{Bytes, Sink};
use crate::oci::stoppable::Stoppable;
use crate::oci::supply::Supply;

/// What is to leave as one image.
pub struct Order<'o> {
    /// One for each platform, in the order in which the index lists them.
    pub images: &'o [Leaving<'o>],
    /// Seconds since 1970, for images that do not say when they were created.
    pub created: u64,
    pub listing: Listing,
}

/// An image for one platform.
pub struct Leaving<'o> {
    pub image: &'o Image,
    /// What made each layer, lowest first, for its history; `None` for those of a base, which has its own.
    pub made_by: Vec<Option<String>>,
}

/// In whose words several images are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// As the images' format has it.
    OfFormat,
    /// In the specification's, as a layout wants: readers look in its index for no other media types.
    OfLayout,
}

pub struct Outgoing {
    /// Over all platforms; `None` where the only manifest is all.
    pub index: Option<Document>,
    pub images: Vec<Packed>,
}

/// A manifest, and all that it names.
pub struct Packed {
    pub platform: Platform,
    pub manifest: Document,
    pub config: Document,
    /// Lowest first.
    pub layers: Vec<OutgoingLayer>,
    /// Of the manifest where it is listed.
    pub annotations: Annotations,
}

pub struct Document {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingLayer {
    /// In the words of the image's format.
    pub descriptor: Descriptor,
    /// SHA-256 of the unpacked tar.
    pub diff_id: OciDigest,
    bytes: Kept,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kept {
    /// Packed again as it is read, from the segments in the store.
    Made(TreeDigest, Compression),
    /// Perhaps nowhere here.
    Pulled(PackedLayer),
}

impl Outgoing {
    /// Packs what was not packed before.
    pub fn new(supply: &Supply, order: &Order<'_>) -> Result<Outgoing, OciError> {
        Outgoing::packed(supply, order, None)
    }

    /// As `new`; layers that are packed now go to the sink at once, where it can take them so.
    pub fn into(supply: &Supply, order: &Order<'_>, sink: &dyn Sink) -> Result<Outgoing, OciError> {
        Outgoing::packed(supply, order, Some(sink))
    }

    fn packed(supply: &Supply, order: &Order<'_>, sink: Option<&dyn Sink>) -> Result<Outgoing, OciError> {
        let images = order.images.iter();
        let images = images.map(|leaving| packed_image(supply, leaving, order.created, sink));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        Ok(Outgoing { index: over(order, &images), images })
    }

    /// What its names stand for: the index, or the only manifest.
    pub fn top(&self) -> &Document {
        self.index.as_ref().unwrap_or_else(|| &self.images[0].manifest)
    }

    /// How an index lists it: under each of the names, or once without.
    pub fn entries(&self, names: &[Annotations]) -> Vec<Listed> {
        let plain = match self.images.as_slice() {
            [only] if self.index.is_none() => listed(only),
            _ => Listed {
                descriptor: self.top().descriptor.clone(),
                platform: None,
                annotations: Annotations::new(),
            },
        };
        if names.is_empty() {
            return vec![plain];
        }
        let named = |name: &Annotations| {
            let annotations = plain.annotations.iter().chain(name);
            let annotations = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
            Listed { annotations, ..plain.clone() }
        };
        names.iter().map(named).collect()
    }

    /// Bytes of all layers and documents, each once.
    pub fn size(&self) -> u64 {
        let documents = self.images.iter().flat_map(|image| [&image.config, &image.manifest]);
        let documents = documents.chain(&self.index).map(|document| &document.descriptor);
        let layers = self.images.iter().flat_map(|image| &image.layers).map(|layer| &layer.descriptor);
        let sizes: BTreeMap<_, _> = documents.chain(layers).map(|blob| (blob.digest, blob.size)).collect();
        sizes.into_values().sum()
    }
}

/// Over several platforms; over one where something is to be said of it that only an index can say.
fn over(order: &Order<'_>, images: &[Packed]) -> Option<Document> {
    let mut annotations = Annotations::new();
    for leaving in order.images.iter().rev() {
        annotations.extend(leaving.image.index_annotations.clone());
    }
    let format = order.images.first()?.image.packing.format;
    let is_foreign = order.listing == Listing::OfLayout && format == Format::Docker;
    if images.len() == 1 && annotations.is_empty() && !is_foreign {
        return None;
    }
    let format = if order.listing == Listing::OfLayout { Format::Oci } else { format };
    let listed: Vec<Listed> = images.iter().map(listed).collect();
    Some(Document::new(Kind::Index.media_type(format), index(&listed, &annotations, format)))
}

fn listed(image: &Packed) -> Listed {
    Listed {
        descriptor: image.manifest.descriptor.clone(),
        platform: Some(image.platform.clone()),
        annotations: image.annotations.clone(),
    }
}

fn packed_image(
    supply: &Supply,
    leaving: &Leaving<'_>,
    created: u64,
    sink: Option<&dyn Sink>,
) -> Result<Packed, OciError> {
    let image = leaving.image;
    let Packing { format, compression } = image.packing;
    if format == Format::Docker && matches!(compression, Compression::Zstd { .. }) {
        return Err(OciError::DockerZstd);
    }
    let layers = image.rootfs.layers.iter();
    let layers = layers.map(|layer| packed_layer(supply, layer, image.packing, sink));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let made = config::Made { created: image.created.unwrap_or(created), by: &leaving.made_by };
    let config = config::write(&image.rootfs.config, &image.platform, &diff_ids, &made);
    let config = Document::new(Kind::Config.media_type(format), config);
    let stored = Stored {
        config: config.descriptor.clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: image.annotations.clone(),
    };
    Ok(Packed {
        platform: image.platform.clone(),
        manifest: Document::new(Kind::Manifest.media_type(format), write(&stored, format)),
        config,
        layers,
        annotations: image.descriptor_annotations.clone(),
    })
}

/// Media types in the words of the image's format: an OCI layer of gzip is a Docker layer too.
fn packed_layer(
    supply: &Supply,
    layer: &Layer,
    packing: Packing,
    sink: Option<&dyn Sink>,
) -> Result<OutgoingLayer, OciError> {
    let (mut media_type, digest, size, diff_id, bytes) = match layer.clone() {
        Layer::Pulled(layer) => {
            (layer.media_type.clone(), layer.digest, layer.size, layer.diff_id, Kept::Pulled(layer))
        }
        Layer::Made(tree) => {
            let PackedLayer { media_type, digest, size, diff_id } =
                made_layer(supply, tree, packing.compression, sink)?;
            (media_type, digest, size, diff_id, Kept::Made(tree, packing.compression))
        }
    };
    let kind = Kind::of(&media_type);
    if packing.format == Format::Docker && kind == Some(Kind::LayerZstd) {
        return Err(OciError::DockerZstd);
    }
    if let Some(kind) = kind {
        kind.media_type(packing.format).clone_into(&mut media_type);
    }
    Ok(OutgoingLayer { descriptor: Descriptor { media_type, digest, size }, diff_id, bytes })
}

/// Written while it is packed, where it was never packed before and the sink takes it so.
fn made_layer(
    supply: &Supply,
    tree: TreeDigest,
    compression: Compression,
    sink: Option<&dyn Sink>,
) -> Result<PackedLayer, OciError> {
    let (memo, cancel) = (supply.memo(), supply.cancel());
    match (layer::recall(memo, tree, compression)?, sink) {
        (Some(layer), _) => Ok(layer),
        (None, None) => pack(memo, tree, compression, cancel),
        (None, Some(sink)) => sink.layer(&mut |out| match out {
            Some(out) => pack_into(memo, tree, compression, out, cancel),
            None => pack(memo, tree, compression, cancel),
        }),
    }
}

impl OutgoingLayer {
    /// Fetches what is not here yet. Fails as soon as the build is cancelled, however long it is.
    pub(crate) fn open(&self, supply: &Supply) -> Result<Bytes, OciError> {
        let (memo, cancel) = (supply.memo(), supply.cancel());
        let stream = match &self.bytes {
            Kept::Made(tree, compression) => layer::open(memo, *tree, *compression, cancel),
            Kept::Pulled(layer) => memo.open_blob(supply.blob(layer)?)?,
        };
        Ok(Box::new(Cancellable { stream, cancel: supply.cancel().clone() }))
    }
}

/// As `Stoppable`, for whoever takes it along.
struct Cancellable {
    stream: Bytes,
    cancel: Cancel,
}

impl Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Stoppable { stream: &mut self.stream, cancel: &self.cancel }.read(buffer)
    }
}

impl Document {
    fn new(media_type: &str, bytes: Vec<u8>) -> Document {
        Document { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}
