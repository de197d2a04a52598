//! An image as a value → blobs in a sink. Layers that were pulled go out as they came in, others are
//! packed once and remembered; the rest is a few hundred bytes of JSON.

use std::collections::BTreeMap;

use crate::base::digest::{BlobDigest, OciDigest};
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, Image, Layer, LayerBlob, PackedLayer, Packing};
use crate::oci::layer::pack;
use crate::oci::manifest::{Listed, REFERENCE, Stored, write};
use crate::oci::sink::Sink;
use crate::oci::stoppable::Stoppable;
use crate::oci::supply::Supply;

/// What went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub manifest: OciDigest,
    pub config: OciDigest,
    /// Lowest first.
    pub layers: Vec<PackedLayer>,
    /// Bytes of the image: layers, configuration and manifest, each once.
    pub size: u64,
}

/// `created`, in seconds since 1970, is for images that do not say it themselves.
pub fn export(
    supply: &Supply,
    image: &Image,
    created: u64,
    sink: &mut dyn Sink,
) -> Result<Exported, OciError> {
    let Packing { format, compression } = image.packing;
    if format == Format::Docker && matches!(compression, Compression::Zstd { .. }) {
        return Err(OciError::DockerZstd);
    }
    let mut layers = Vec::new();
    for layer in &image.rootfs.layers {
        layers.push(packed(supply, layer, image.packing)?);
    }
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.layer.diff_id).collect();
    let created = image.created.unwrap_or(created);
    let config = config::write(&image.rootfs.config, &image.platform, &diff_ids, created);
    let stored = Stored {
        config: Descriptor::of(Kind::Config.media_type(format), &config),
        layers: layers.iter().map(|layer| descriptor(&layer.layer)).collect(),
        annotations: image.annotations.clone(),
    };
    let manifest = write(&stored, format);
    let entry = Listed {
        descriptor: Descriptor::of(Kind::Manifest.media_type(format), &manifest),
        platform: Some(image.platform.clone()),
        annotations: image
            .names
            .first()
            .map(|name| (REFERENCE.to_owned(), tag(name).to_owned()))
            .into_iter()
            .collect(),
    };
    for (descriptor, layer) in stored.layers.iter().zip(&layers) {
        if !sink.has(descriptor)? {
            // What was pulled is fetched only for who lacks it.
            let blob = layer.blob.map_or_else(|| supply.blob(&layer.layer), Ok)?;
            let stream = supply.memo().open_blob(blob)?;
            sink.blob(descriptor, &mut Stoppable { stream, cancel: supply.cancel() })?;
        }
    }
    for (descriptor, bytes) in [(&stored.config, config), (&entry.descriptor, manifest)] {
        if !sink.has(descriptor)? {
            sink.blob(descriptor, &mut bytes.as_slice())?;
        }
    }
    let exported = exported(&stored, &entry.descriptor, layers);
    sink.finish(entry)?;
    Ok(exported)
}

/// A layer, and its bytes where they are in the store for sure.
struct Outgoing {
    layer: PackedLayer,
    blob: Option<BlobDigest>,
}

/// Media types in the words of the image's format: an OCI layer of gzip is a Docker layer too.
fn packed(supply: &Supply, layer: &Layer, packing: Packing) -> Result<Outgoing, OciError> {
    let mut outgoing = match layer {
        Layer::Pulled(layer) => Outgoing { layer: layer.clone(), blob: None },
        Layer::Made(tree) => {
            let LayerBlob { media_type, digest, size, diff_id, blob } =
                pack(supply.memo(), *tree, packing.compression, supply.cancel())?;
            Outgoing { layer: PackedLayer { media_type, digest, size, diff_id }, blob: Some(blob) }
        }
    };
    let media_type = &mut outgoing.layer.media_type;
    let kind = Kind::of(media_type);
    if packing.format == Format::Docker && kind == Some(Kind::LayerZstd) {
        return Err(OciError::DockerZstd);
    }
    if let Some(kind) = kind {
        kind.media_type(packing.format).clone_into(media_type);
    }
    Ok(outgoing)
}

fn descriptor(layer: &PackedLayer) -> Descriptor {
    let PackedLayer { media_type, digest, size, diff_id: _ } = layer.clone();
    Descriptor { media_type, digest, size }
}

fn exported(stored: &Stored, manifest: &Descriptor, layers: Vec<Outgoing>) -> Exported {
    let blobs = stored.layers.iter().chain([&stored.config, manifest]);
    let sizes: BTreeMap<_, _> = blobs.map(|blob| (blob.digest, blob.size)).collect();
    Exported {
        manifest: manifest.digest,
        config: stored.config.digest,
        layers: layers.into_iter().map(|layer| layer.layer).collect(),
        size: sizes.into_values().sum(),
    }
}

/// The tag of a reference `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`; a name without one stands for itself where
/// it is no path, as layouts know only tags, and for `latest` elsewhere.
fn tag(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag,
        None if name.contains('/') => "latest",
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (name, expected) in [
            ("1.0", "1.0"),
            ("app:1.0", "1.0"),
            ("registry.example:5000/team/app:1.0", "1.0"),
            ("registry.example:5000/team/app", "latest"),
            ("team/app:1.0@sha256:00", "1.0"),
        ] {
            assert_eq!(tag(name), expected, "{name}");
        }
    }
}
