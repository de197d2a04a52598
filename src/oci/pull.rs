//! An image as a value, out of what a source says of it: manifest and configuration, each verified. Its layers are
//! neither fetched nor unpacked here.

use std::collections::BTreeMap;

use crate::base::digest::OciDigest;
use crate::oci::choose::{by_platform, distance, show};
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Format, Image, Layer, PackedLayer, Packing, Platform, Rootfs};
use crate::oci::manifest;
use crate::oci::source::Source;

/// The digest of the manifest that `pull` would take now. Reads only what leads to it.
pub fn resolve(
    source: &Source,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<OciDigest, OciError> {
    Ok(find(source, reference, digest, platform)?.digest)
}

/// The digest that pins an image for all platforms at once: of its index, or of its only manifest. `None`
/// where the source lists a manifest for each platform beside each other.
pub fn pinning(source: &Source, reference: Option<&str>) -> Result<Option<OciDigest>, OciError> {
    let found = source.named(reference, None)?;
    Ok(if let [only] = found.as_slice() { Some(only.descriptor.digest) } else { None })
}

/// `reference` is a tag or `sha256:…`; without one the source must hold a single image.
/// `digest`, where given, is what the manifest or the index that leads to it must have.
pub fn pull(
    source: &Source,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Image, OciError> {
    let descriptor = find(source, reference, digest, platform)?;
    let manifest = manifest::read(&source.document(&descriptor)?)?;
    let config = config::read(&source.document(&manifest.config)?)?;
    check_platform(&config.platform, platform)?;
    if config.diff_ids.len() != manifest.layers.len() {
        let reason = format!(
            "it has {} diff ids, the manifest {} layers",
            config.diff_ids.len(),
            manifest.layers.len()
        );
        return Err(OciError::Malformed { what: "the image's configuration".to_owned(), reason });
    }
    let layers = manifest.layers.iter().zip(&config.diff_ids).map(|(layer, diff_id)| pulled(layer, *diff_id));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let docker = descriptor.media_type == Kind::Manifest.media_type(Format::Docker);
    let format = if docker { Format::Docker } else { Format::Oci };
    Ok(Image {
        rootfs: Rootfs { layers, config: config.config },
        platform: config.platform,
        packing: Packing { format, ..Packing::DEFAULT },
        names: Vec::new(),
        annotations: manifest.annotations,
        index_annotations: BTreeMap::new(),
        descriptor_annotations: BTreeMap::new(),
        created: None,
    })
}

/// Indexes inside indexes, at most.
const NESTED_MOST: usize = 8;

fn find_manifest(
    source: &Source,
    reference: Option<&str>,
    wanted: Option<OciDigest>,
    platform: &Platform,
) -> Result<Descriptor, OciError> {
    let mut candidates = source.named(reference, wanted)?;
    let mut seen = Vec::new();
    for _ in 0..NESTED_MOST {
        let found = match candidates.len() {
            1 if seen.is_empty() => candidates.remove(0),
            _ => by_platform(candidates, platform)?,
        };
        let descriptor = found.descriptor;
        seen.push(descriptor.digest);
        match Kind::of(&descriptor.media_type) {
            Some(Kind::Manifest) => {
                return match wanted {
                    Some(expected) if !seen.contains(&expected) => {
                        Err(OciError::OtherDigest { expected, found: descriptor.digest })
                    }
                    _ => Ok(descriptor),
                };
            }
            Some(Kind::Index) => candidates = manifest::read_index(&source.document(&descriptor)?)?,
            _ => {
                let reason = format!("its media type is {}", descriptor.media_type);
                return Err(OciError::Malformed { what: format!("manifest {}", descriptor.digest), reason });
            }
        }
    }
    let reason = format!("more than {NESTED_MOST} indexes are nested");
    Err(OciError::Malformed { what: "the index".to_owned(), reason })
}

fn find(
    source: &Source,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Descriptor, OciError> {
    let wanted =
        digest.map(|text| text.parse().map_err(|_| OciError::BadDigest(text.to_owned()))).transpose()?;
    find_manifest(source, reference, wanted, platform)
}

fn check_platform(found: &Platform, wanted: &Platform) -> Result<(), OciError> {
    let unsaid = found.os.is_empty() || found.architecture.is_empty();
    if unsaid || distance(wanted, found).is_some() {
        return Ok(());
    }
    Err(OciError::NoPlatform { wanted: show(wanted), held: vec![show(found)] })
}

fn pulled(layer: &Descriptor, diff_id: OciDigest) -> Result<Layer, OciError> {
    if !matches!(Kind::of(&layer.media_type), Some(Kind::Layer | Kind::LayerGzip | Kind::LayerZstd)) {
        let reason = format!("its media type is {}", layer.media_type);
        return Err(OciError::Malformed { what: format!("layer {}", layer.digest), reason });
    }
    let Descriptor { media_type, digest, size } = layer.clone();
    Ok(Layer::Pulled(PackedLayer { media_type, digest, size, diff_id }))
}
