//! `docker://HOST/REPOSITORY:TAG`: a push. Blobs that the registry has are not sent, and those that another of its
//! repositories is known to have are mounted from there; the tags come last, so that what broke off is not seen.

use std::io::{self, Read as _};
use std::sync::Arc;

use crate::net::reference::Reference;
use crate::net::registry::Registries;
use crate::oci::descriptor::{Descriptor, Kind};
use crate::oci::error::OciError;
use crate::oci::outgoing::Outgoing;
use crate::oci::sink::{Blob, Bytes, Sink};
use crate::oci::supply::Supply;

/// One repository, and the tags that the image gets there.
pub struct RegistrySink {
    registries: Arc<Registries>,
    supply: Supply,
    /// All of the same repository.
    references: Vec<Reference>,
}

/// Blobs that are sent at the same time.
const PARALLEL: usize = 4;

/// Whether these can be names of images.
pub fn check(references: &[String]) -> Result<(), OciError> {
    references.iter().try_for_each(|reference| parse(reference).map(drop))
}

fn parse(reference: &str) -> Result<Reference, OciError> {
    Ok(reference.parse::<Reference>()?)
}

impl RegistrySink {
    /// One for each repository.
    pub fn of_all(supply: &Supply, references: &[String]) -> Result<Vec<RegistrySink>, OciError> {
        let registries = supply.network().registries()?;
        let mut sinks: Vec<RegistrySink> = Vec::new();
        for reference in references {
            let reference = parse(reference)?;
            match sinks.iter_mut().find(|sink| sink.references[0].name() == reference.name()) {
                Some(sink) => sink.references.push(reference),
                None => sinks.push(RegistrySink {
                    registries: registries.clone(),
                    supply: supply.clone(),
                    references: vec![reference],
                }),
            }
        }
        Ok(sinks)
    }

    fn repository(&self) -> &Reference {
        &self.references[0]
    }

    /// Whether the registry could take it from a repository that is known to have it.
    fn is_mounted(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let here = self.repository();
        for other in self.supply.repositories(descriptor.digest) {
            if other.host == here.host && other.repository != here.repository {
                let cancel = self.supply.cancel();
                if self.registries.mount(here, descriptor.digest, &other.repository, cancel)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn put(&self, reference: &Reference, media_type: &str, bytes: &[u8]) -> Result<(), OciError> {
        self.registries.put_manifest(reference, media_type, bytes, self.supply.cancel())?;
        Ok(())
    }
}

impl Sink for RegistrySink {
    fn is_current(&self, outgoing: &Outgoing) -> Result<bool, OciError> {
        for reference in &self.references {
            let held = self.registries.held(reference, self.supply.cancel())?;
            if held != Some(outgoing.top().descriptor.digest) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A registry takes a manifest only when it has all that it names.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let (here, cancel) = (self.repository(), self.supply.cancel());
        match Kind::of(&descriptor.media_type) {
            Some(Kind::Manifest | Kind::Index) => {
                Ok(self.registries.held(&here.at(descriptor.digest), cancel)?.is_some())
            }
            _ => Ok(self.registries.has_blob(here, descriptor.digest, cancel)?),
        }
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        let Descriptor { media_type, digest, size } = blob.descriptor;
        if let Some(Kind::Manifest | Kind::Index) = Kind::of(media_type) {
            let mut bytes = Vec::new();
            blob.copy(&mut bytes)?;
            return self.put(&self.repository().at(*digest), media_type, &bytes);
        }
        if self.is_mounted(blob.descriptor)? {
            return Ok(());
        }
        let open = |offset: u64| -> io::Result<Bytes> {
            let mut bytes = (blob.open)().map_err(io::Error::other)?;
            io::copy(&mut bytes.by_ref().take(offset), &mut io::sink())?;
            Ok(bytes)
        };
        Ok(self.registries.upload(self.repository(), *digest, *size, &open, self.supply.cancel())?)
    }

    fn parallel(&self) -> usize {
        PARALLEL
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        let top = outgoing.top();
        self.references
            .iter()
            .try_for_each(|reference| self.put(reference, &top.descriptor.media_type, &top.bytes))
    }
}
