//! An image out of a local layout: every byte verified on its way into the store, every layer unpacked
//! into a change tree and kept packed as it came in. Never changes the layout.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::base::digest::{OciDigest, TreeDigest};
use crate::oci::choose::{by_platform, by_reference, distance, show};
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::{Format, Image, Layer, LayerBlob, Packing, Platform, Rootfs};
use crate::oci::layout_reader::{LayoutReader, verify};
use crate::oci::manifest;
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::{BlobWriter, Memo};

/// The digest of the manifest that `pull` would take now. Reads only what leads to it.
pub fn resolve(
    layout: &Path,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<OciDigest, OciError> {
    let layout = LayoutReader::open(layout)?;
    Ok(find(&layout, reference, digest, platform)?.digest)
}

/// The digest that pins an image for all platforms at once: of its index, or of its only manifest. `None`
/// where the layout lists a manifest for each platform beside each other.
pub fn pinning(layout: &Path, reference: Option<&str>) -> Result<Option<OciDigest>, OciError> {
    let found = by_reference(LayoutReader::open(layout)?.index()?, reference)?;
    Ok(if let [only] = found.as_slice() { Some(only.descriptor.digest) } else { None })
}

/// `reference` is a tag or `sha256:…`; without one the layout must hold a single image.
/// `digest`, where given, is what the manifest or the index that leads to it must have.
pub fn pull(
    memo: &Memo,
    layout: &Path,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Image, OciError> {
    let layout = LayoutReader::open(layout)?;
    let descriptor = find(&layout, reference, digest, platform)?;
    let manifest = manifest::read(&layout.read(&descriptor)?)?;
    let config = config::read(&layout.read(&manifest.config)?)?;
    check_platform(&config.platform, platform)?;
    if config.diff_ids.len() != manifest.layers.len() {
        let reason = format!(
            "it has {} diff ids, the manifest {} layers",
            config.diff_ids.len(),
            manifest.layers.len()
        );
        return Err(OciError::Malformed { what: "the image's configuration".to_owned(), reason });
    }
    let mut layers = Vec::new();
    let mut trees = Vec::new();
    for (descriptor, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        let layer = pull_layer(memo, &layout, descriptor, *diff_id, &trees)?;
        trees.push(layer.tree);
        layers.push(layer);
    }
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
    layout: &LayoutReader,
    reference: Option<&str>,
    wanted: Option<OciDigest>,
    platform: &Platform,
) -> Result<Descriptor, OciError> {
    let mut candidates = match (by_reference(layout.index()?, reference), wanted) {
        // Among several images a digest says which; of a single one it may name a manifest further down.
        (Err(OciError::SeveralImages(_)), Some(digest)) => {
            by_reference(layout.index()?, Some(&digest.to_string()))?
        }
        (candidates, _) => candidates?,
    };
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
            Some(Kind::Index) => candidates = manifest::read_index(&layout.read(&descriptor)?)?,
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
    layout: &LayoutReader,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Descriptor, OciError> {
    let wanted =
        digest.map(|text| text.parse().map_err(|_| OciError::BadDigest(text.to_owned()))).transpose()?;
    find_manifest(layout, reference, wanted, platform)
}

fn check_platform(found: &Platform, wanted: &Platform) -> Result<(), OciError> {
    let unsaid = found.os.is_empty() || found.architecture.is_empty();
    if unsaid || distance(wanted, found).is_some() {
        return Ok(());
    }
    Err(OciError::NoPlatform { wanted: show(wanted), held: vec![show(found)] })
}

fn pull_layer(
    memo: &Memo,
    layout: &LayoutReader,
    descriptor: &Descriptor,
    diff_id: OciDigest,
    lower: &[TreeDigest],
) -> Result<Layer, OciError> {
    if !matches!(Kind::of(&descriptor.media_type), Some(Kind::Layer | Kind::LayerGzip | Kind::LayerZstd)) {
        let reason = format!("its media type is {}", descriptor.media_type);
        return Err(OciError::Malformed { what: format!("layer {}", descriptor.digest), reason });
    }
    let mut packed = Kept { input: layout.blob(descriptor)?, writer: memo.blob_writer()? };
    let unpacked = unpack_packed(memo, &mut packed, lower);
    // Damage explains whatever error it led to, so it is looked for first.
    io::copy(&mut packed, &mut io::sink()).map_err(OciError::stream("reading a layer"))?;
    let written = packed.writer.finish()?;
    verify(descriptor, written.oci, written.size)?;
    let (tree, found) = unpacked?;
    if found != diff_id {
        return Err(OciError::DiffId { layer: descriptor.digest, expected: diff_id, found });
    }
    let pulled = LayerBlob {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest,
        size: descriptor.size,
        diff_id,
        blob: written.blob,
    };
    Ok(Layer { tree, pulled: Some(pulled) })
}

/// The tree, and the SHA-256 of the tar. How the layer is packed is seen in its first bytes: media
/// types are known to lie.
fn unpack_packed(
    memo: &Memo,
    packed: &mut dyn Read,
    lower: &[TreeDigest],
) -> Result<(TreeDigest, OciDigest), OciError> {
    let broken = || OciError::stream("reading a layer");
    let mut packed = BufReader::with_capacity(256 << 10, packed);
    let start = packed.fill_buf().map_err(broken())?;
    let tar: Box<dyn Read + '_> = match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(packed).map_err(broken())?),
        _ => Box::new(packed),
    };
    let mut tar = Hashed { input: tar, hash: Sha256::new() };
    let tree = unpack(memo, &mut tar, lower, Budget::DEFAULT)?;
    Ok((tree, OciDigest::from_bytes(tar.hash.finalize().into())))
}

/// Writes to the store what is read through it.
struct Kept<R> {
    input: R,
    writer: BlobWriter,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.writer.write_all(&buffer[..count])?;
        Ok(count)
    }
}

struct Hashed<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
