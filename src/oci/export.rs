//! An image as a value → blobs in a sink. Layers that were pulled go out as they came in, others are
//! packed once and remembered; the rest is a few hundred bytes of JSON.

use std::collections::BTreeMap;

use crate::base::digest::OciDigest;
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, Image, Layer, PackedLayer, Packing};
use crate::oci::layer::{open, pack};
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
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let created = image.created.unwrap_or(created);
    let config = config::write(&image.rootfs.config, &image.platform, &diff_ids, created);
    let stored = Stored {
        config: Descriptor::of(Kind::Config.media_type(format), &config),
        layers: layers.iter().map(descriptor).collect(),
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
    for ((descriptor, layer), outgoing) in stored.layers.iter().zip(&image.rootfs.layers).zip(&layers) {
        if !sink.has(descriptor)? {
            let stream = match layer {
                Layer::Made(tree) => open(supply.memo(), *tree, compression, supply.cancel()),
                // What was pulled is fetched only for who lacks it.
                Layer::Pulled(_) => supply.memo().open_blob(supply.blob(outgoing)?)?,
            };
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

/// Media types in the words of the image's format: an OCI layer of gzip is a Docker layer too.
fn packed(supply: &Supply, layer: &Layer, packing: Packing) -> Result<PackedLayer, OciError> {
    let mut packed = match layer {
        Layer::Pulled(layer) => layer.clone(),
        Layer::Made(tree) => pack(supply.memo(), *tree, packing.compression, supply.cancel())?,
    };
    let media_type = &mut packed.media_type;
    let kind = Kind::of(media_type);
    if packing.format == Format::Docker && kind == Some(Kind::LayerZstd) {
        return Err(OciError::DockerZstd);
    }
    if let Some(kind) = kind {
        kind.media_type(packing.format).clone_into(media_type);
    }
    Ok(packed)
}

fn descriptor(layer: &PackedLayer) -> Descriptor {
    let PackedLayer { media_type, digest, size, diff_id: _ } = layer.clone();
    Descriptor { media_type, digest, size }
}

fn exported(stored: &Stored, manifest: &Descriptor, layers: Vec<PackedLayer>) -> Exported {
    let blobs = stored.layers.iter().chain([&stored.config, manifest]);
    let sizes: BTreeMap<_, _> = blobs.map(|blob| (blob.digest, blob.size)).collect();
    Exported {
        manifest: manifest.digest,
        config: stored.config.digest,
        layers,
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
