//! Reads `docker save` archives. They have no manifest, so one is made of what they say: the same for the same
//! archive, so that its digest can pin the image. Believes nothing before its digest.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::base::digest::OciDigest;
use crate::oci::config;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::image::Format;
use crate::oci::layout_reader::DOCUMENT_MOST;
use crate::oci::manifest::{Annotations, Listed, REFERENCE, Stored, write};
use crate::oci::source::in_full;
use crate::oci::tar_index::{Span, TarIndex};

pub(crate) struct DockerArchiveReader {
    path: PathBuf,
    listed: Vec<Listed>,
    /// Manifests and configurations.
    documents: BTreeMap<OciDigest, Vec<u8>>,
    layers: BTreeMap<OciDigest, Span>,
    /// Digests of compressed layers by name: one that is listed often is read once.
    compressed: BTreeMap<String, (Kind, OciDigest)>,
}

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl DockerArchiveReader {
    pub(crate) fn open(path: &Path) -> Result<DockerArchiveReader, OciError> {
        let tar = TarIndex::open(path)?;
        let mut reader = DockerArchiveReader {
            path: path.to_owned(),
            listed: Vec::new(),
            documents: BTreeMap::new(),
            layers: BTreeMap::new(),
            compressed: BTreeMap::new(),
        };
        let saved: Vec<Saved> = serde_json::from_slice(&reader.document_of(&tar, "manifest.json")?)
            .map_err(|error| reader.refused(format!("its file `manifest.json` is malformed: {error}")))?;
        for image in saved {
            reader.add(&tar, &image)?;
        }
        Ok(reader)
    }

    /// Under each of its names, or once without.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        self.listed.clone()
    }

    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        let found = self.documents.get(&descriptor.digest);
        found.cloned().ok_or(OciError::NoBlob { digest: descriptor.digest })
    }

    /// Not verified.
    pub(crate) fn layer(&self, descriptor: &Descriptor) -> Result<Span, OciError> {
        let found = self.layers.get(&descriptor.digest);
        found.cloned().ok_or(OciError::NoBlob { digest: descriptor.digest })
    }

    fn add(&mut self, tar: &TarIndex, image: &Saved) -> Result<(), OciError> {
        let config = self.document_of(tar, &image.config)?;
        let stored = config::read(&config)?;
        if stored.diff_ids.len() != image.layers.len() {
            let (ids, layers) = (stored.diff_ids.len(), image.layers.len());
            return Err(
                self.refused(format!("its configuration has {ids} diff ids, and it lists {layers} layers"))
            );
        }
        let mut layers = Vec::new();
        for (name, diff_id) in image.layers.iter().zip(&stored.diff_ids) {
            let span = tar.get(name).ok_or_else(|| self.refused(format!("it has no file `{name}`")))?;
            let (kind, digest) = match self.compressed.get(name) {
                Some(known) => *known,
                None => packed(&span, *diff_id)?,
            };
            if kind != Kind::Layer {
                self.compressed.insert(name.clone(), (kind, digest));
            }
            let media_type = kind.media_type(Format::Docker).to_owned();
            layers.push(Descriptor { media_type, digest, size: span.len() });
            self.layers.insert(digest, span);
        }
        let config_descriptor = Descriptor::of(Kind::Config.media_type(Format::Docker), &config);
        self.documents.insert(config_descriptor.digest, config);
        let manifest = Stored { config: config_descriptor, layers, annotations: Annotations::new() };
        let manifest = write(&manifest, Format::Docker);
        let descriptor = Descriptor::of(Kind::Manifest.media_type(Format::Docker), &manifest);
        self.documents.insert(descriptor.digest, manifest);
        let plain = Listed { descriptor, platform: Some(stored.platform), annotations: Annotations::new() };
        let names = image.repo_tags.as_deref().unwrap_or_default();
        self.listed.extend(names.iter().map(|name| Listed {
            annotations: [(REFERENCE.to_owned(), in_full(name))].into(),
            ..plain.clone()
        }));
        if names.is_empty() {
            self.listed.push(plain);
        }
        Ok(())
    }

    fn document_of(&self, tar: &TarIndex, name: &str) -> Result<Vec<u8>, OciError> {
        let span = tar.get(name).ok_or_else(|| self.refused(format!("it has no file `{name}`")))?;
        if span.len() > DOCUMENT_MOST {
            return Err(self.refused(format!("its file `{name}` has more than {DOCUMENT_MOST} bytes")));
        }
        let mut bytes = Vec::new();
        let mut span = span;
        span.read_to_end(&mut bytes).map_err(OciError::io("cannot read", &self.path))?;
        Ok(bytes)
    }

    fn refused(&self, reason: String) -> OciError {
        OciError::NotADockerArchive { path: self.path.clone(), reason }
    }
}

/// How a layer is packed. A plain one has its diff id for a digest, which is verified when it is read; of a compressed
/// one nobody told the digest.
fn packed(span: &Span, diff_id: OciDigest) -> Result<(Kind, OciDigest), OciError> {
    let mut start = Vec::new();
    span.clone().take(4).read_to_end(&mut start).map_err(OciError::stream("reading the archive"))?;
    let kind = match start.as_slice() {
        [0x1f, 0x8b, ..] => Kind::LayerGzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Kind::LayerZstd,
        _ => return Ok((Kind::Layer, diff_id)),
    };
    let mut hash = Hashing(Sha256::new());
    io::copy(&mut span.clone(), &mut hash).map_err(OciError::stream("reading the archive"))?;
    Ok((kind, OciDigest::from_bytes(hash.0.finalize().into())))
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(members: &[(&str, &str)], expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(std::fs::File::create(file.path()).unwrap());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.finish().unwrap();
        let error = DockerArchiveReader::open(file.path()).map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_such_archive_is_refused() {
        let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let manifest = r#"[{"Config":"c","RepoTags":null,"Layers":[]}]"#;
        let of_one = r#"[{"Config":"c","RepoTags":["a:1"],"Layers":["../../l"]}]"#;
        refused(&[], "it has no file `manifest.json`");
        refused(&[("manifest.json", "{}")], "its file `manifest.json` is malformed");
        refused(&[("manifest.json", manifest)], "it has no file `c`");
        refused(&[("manifest.json", of_one), ("c", config)], "has 0 diff ids, and it lists 1 layers");
        let id = format!(r#""diff_ids":["sha256:{}"]"#, "0".repeat(64));
        let other = config.replace(r#""diff_ids":[]"#, &id);
        refused(&[("manifest.json", of_one), ("c", &other)], "it has no file `../../l`");
    }
}
