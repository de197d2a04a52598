//! An image as a value → blobs in a sink. Layers that were pulled go out as they came in, others are
//! packed once and remembered; the rest is a few hundred bytes of JSON.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, OciDigest};
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, Image, Layer, LayerBlob, Packing};
use crate::oci::layer::{Packed, open, pack};
use crate::oci::manifest::{Listed, REFERENCE, Stored, write};
use crate::oci::sink::Sink;
use crate::store::memo::Memo;

/// What went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub manifest: OciDigest,
    pub config: OciDigest,
    /// Lowest first.
    pub layers: Vec<LayerBlob>,
    /// Bytes of the image: layers, configuration and manifest, each once.
    pub size: u64,
}

/// `created`, in seconds since 1970, is for images that do not say it themselves.
pub fn export(
    memo: &Memo,
    image: &Image,
    created: u64,
    sink: &mut dyn Sink,
    cancel: &Cancel,
) -> Result<Exported, OciError> {
    let Packing { format, compression } = image.packing;
    if format == Format::Docker && matches!(compression, Compression::Zstd { .. }) {
        return Err(OciError::DockerZstd);
    }
    let mut layers = Vec::new();
    for layer in &image.rootfs.layers {
        layers.push(packed(memo, layer, image.packing, cancel)?);
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
    let exported = exported(&stored, &entry.descriptor, layers);
    for ((descriptor, layer), packed) in stored.layers.iter().zip(&image.rootfs.layers).zip(&exported.layers) {
        if !sink.has(descriptor)? {
            let bytes = match &layer.pulled {
                Some(_) => memo.open_blob(packed.blob)?,
                None => open(memo, layer.tree, compression, cancel),
            };
            sink.blob(descriptor, &mut Cancellable { bytes, cancel })?;
        }
    }
    for (descriptor, bytes) in [(&stored.config, config), (&entry.descriptor, manifest)] {
        if !sink.has(descriptor)? {
            sink.blob(descriptor, &mut bytes.as_slice())?;
        }
    }
    sink.finish(entry)?;
    Ok(exported)
}

/// Media types in the words of the image's format: an OCI layer of gzip is a Docker layer too.
fn packed(memo: &Memo, layer: &Layer, packing: Packing, cancel: &Cancel) -> Result<LayerBlob, OciError> {
    let mut blob = match &layer.pulled {
        Some(pulled) => pulled.clone(),
        None => {
            let Packed { digest, size, diff_id } = pack(memo, layer.tree, packing.compression, cancel)?;
            let media_type = packing.compression.layer_kind().media_type(packing.format).to_owned();
            LayerBlob { media_type, digest, size, diff_id, blob: BlobDigest::from_bytes([0; 32]) }
        }
    };
    let kind = Kind::of(&blob.media_type);
    if packing.format == Format::Docker && kind == Some(Kind::LayerZstd) {
        return Err(OciError::DockerZstd);
    }
    if let Some(kind) = kind {
        kind.media_type(packing.format).clone_into(&mut blob.media_type);
    }
    Ok(blob)
}

fn descriptor(layer: &LayerBlob) -> Descriptor {
    Descriptor { media_type: layer.media_type.clone(), digest: layer.digest, size: layer.size }
}

fn exported(stored: &Stored, manifest: &Descriptor, layers: Vec<LayerBlob>) -> Exported {
    let blobs = stored.layers.iter().chain([&stored.config, manifest]);
    let sizes: BTreeMap<_, _> = blobs.map(|blob| (blob.digest, blob.size)).collect();
    Exported {
        manifest: manifest.digest,
        config: stored.config.digest,
        layers,
        size: sizes.into_values().sum(),
    }
}

/// Fails as soon as the build is cancelled, however large the blob.
struct Cancellable<'a, R> {
    bytes: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_raised() {
            return Err(io::Error::other(OciError::Cancelled));
        }
        self.bytes.read(buffer)
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
