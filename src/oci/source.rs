//! Where images are pulled from: documents that lead to layers, and the layers' bytes. What it gives is only
//! believed when its digest holds.

use std::collections::HashMap;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::network::Network;
use crate::net::pull::Manifest;
use crate::net::reference::Reference;
use crate::oci::choose::by_reference;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::docker_archive_reader::DockerArchiveReader;
use crate::oci::error::OciError;
use crate::oci::layout_reader::{DOCUMENT_MOST, LayoutReader, bad};
use crate::oci::manifest::Listed;

pub struct Source(Place);

enum Place {
    /// An image layout (image-spec, image-layout.md).
    Layout(LayoutReader),
    /// What `docker save` writes.
    DockerArchive(DockerArchiveReader),
    Registry(Repository),
}

impl Source {
    pub fn layout(folder: &Path) -> Result<Source, OciError> {
        Ok(Source(Place::Layout(LayoutReader::open(folder)?)))
    }

    /// An image layout in one tar.
    pub fn archive(file: &Path) -> Result<Source, OciError> {
        Ok(Source(Place::Layout(LayoutReader::open_archive(file)?)))
    }

    pub fn docker_archive(file: &Path) -> Result<Source, OciError> {
        Ok(Source(Place::DockerArchive(DockerArchiveReader::open(file)?)))
    }

    /// Asks nobody yet, and makes nothing that could.
    pub fn registry(network: &Network, image: &Reference, cancel: &Cancel) -> Source {
        let (network, image, cancel) = (network.clone(), image.clone(), cancel.clone());
        Source(Place::Registry(Repository { network, image, cancel, manifests: Mutex::default() }))
    }

    /// What a tag or a digest names; without one there must be a single image. Several stand for one image on
    /// several platforms. In a registry, the reference's own tag is what is named, unless `wanted` says which
    /// digest that must have.
    pub(crate) fn named(
        &self,
        reference: Option<&str>,
        wanted: Option<OciDigest>,
    ) -> Result<Vec<Listed>, OciError> {
        match &self.0 {
            Place::Layout(layout) => match (by_reference(layout.index()?, reference), wanted) {
                // Among several images a digest says which; of a single one it may name a manifest further down.
                (Err(OciError::SeveralImages(_)), Some(digest)) => {
                    by_reference(layout.index()?, Some(&digest.to_string()))
                }
                (named, _) => named,
            },
            Place::DockerArchive(archive) => {
                by_reference(archive.listed(), reference.map(in_full).as_deref())
            }
            Place::Registry(repository) => repository.named(wanted),
        }
    }

    /// A manifest, an index or a configuration, verified.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        match &self.0 {
            Place::Layout(layout) => layout.read(descriptor),
            Place::DockerArchive(archive) => archive.document(descriptor),
            Place::Registry(repository) => repository.document(descriptor),
        }
    }

    /// A blob's bytes, not verified; one byte more than the descriptor says at most.
    pub(crate) fn copy(&self, descriptor: &Descriptor, out: &mut dyn Write) -> Result<(), OciError> {
        match &self.0 {
            Place::Layout(layout) => {
                io::copy(&mut layout.blob(descriptor)?, out).map_err(OciError::stream("reading a layer"))?;
                Ok(())
            }
            Place::DockerArchive(archive) => {
                let most = descriptor.size.saturating_add(1);
                io::copy(&mut archive.layer(descriptor)?.take(most), out)
                    .map_err(OciError::stream("reading a layer"))?;
                Ok(())
            }
            Place::Registry(repository) => repository.blob(descriptor, out),
        }
    }

    /// The repository, where another of the same registry may take blobs from it.
    pub(crate) fn repository(&self) -> Option<&Reference> {
        match &self.0 {
            Place::Layout(_) | Place::DockerArchive(_) => None,
            Place::Registry(repository) => Some(&repository.image),
        }
    }
}

/// Archives name images shortly or in full, depending on who writes them.
pub(crate) fn in_full(reference: &str) -> String {
    let is_digest = reference.starts_with("sha256:");
    match reference.parse::<Reference>() {
        Ok(full) if !is_digest => full.to_string(),
        _ => reference.to_owned(),
    }
}

struct Repository {
    network: Network,
    image: Reference,
    cancel: Cancel,
    /// Those that were asked for: what is found by a tag is read right after.
    manifests: Mutex<HashMap<OciDigest, Manifest>>,
}

impl Repository {
    fn named(&self, wanted: Option<OciDigest>) -> Result<Vec<Listed>, OciError> {
        let image = wanted.map_or_else(|| self.image.clone(), |digest| self.image.at(digest));
        let Manifest { digest, media_type, bytes } = self.manifest(&image)?;
        let descriptor = Descriptor { media_type, digest, size: bytes.len() as u64 };
        Ok(vec![Listed { descriptor, platform: None, annotations: Default::default() }])
    }

    fn manifest(&self, image: &Reference) -> Result<Manifest, OciError> {
        let known =
            |digest| self.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(known) = image.digest.and_then(known) {
            return Ok(known);
        }
        let manifest = self.network.registries()?.manifest(image, &self.cancel)?;
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        manifests.insert(manifest.digest, manifest.clone());
        Ok(manifest)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, OciError> {
        if matches!(Kind::of(&descriptor.media_type), Some(Kind::Manifest | Kind::Index)) {
            return Ok(self.manifest(&self.image.at(descriptor.digest))?.bytes);
        }
        if descriptor.size > DOCUMENT_MOST {
            return Err(bad(descriptor, format!("has {} bytes, too many for a document", descriptor.size)));
        }
        let mut bytes = Vec::new();
        self.blob(descriptor, &mut bytes)?;
        Ok(bytes)
    }

    fn blob(&self, descriptor: &Descriptor, out: &mut dyn Write) -> Result<(), OciError> {
        let Descriptor { digest, size, .. } = descriptor;
        Ok(self.network.registries()?.blob(&self.image, *digest, *size, out, &self.cancel)?)
    }
}
