//! `docker-archive:FILE[:REF]`: what `docker save` writes and `docker load` reads, a tar of `manifest.json`, the
//! configuration and the layers. It knows one platform and no manifest, so that an image's id is all that is
//! left of its name.

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::oci::descriptor::{Descriptor, Kind, canonical_json};
use crate::oci::error::OciError;
use crate::oci::outgoing::Outgoing;
use crate::oci::sink::{Blob, Sink};
use crate::oci::tar_out::TarOut;

pub struct DockerArchiveSink {
    references: Vec<String>,
    tar: Mutex<TarOut>,
}

impl DockerArchiveSink {
    /// Looks, and writes nothing yet.
    pub fn open(path: &Path, references: &[String]) -> Result<DockerArchiveSink, OciError> {
        Ok(DockerArchiveSink::on(TarOut::file(path)?, references))
    }

    pub fn stream(out: Box<dyn Write + Send>, references: &[String]) -> DockerArchiveSink {
        DockerArchiveSink::on(TarOut::stream(out), references)
    }

    fn on(tar: TarOut, references: &[String]) -> DockerArchiveSink {
        let references = references.iter().map(|reference| with_tag(reference)).collect();
        DockerArchiveSink { references, tar: Mutex::new(tar) }
    }
}

/// `None` for what such an archive does not hold.
fn name(descriptor: &Descriptor) -> Option<String> {
    let hex = descriptor.digest.to_hex();
    match Kind::of(&descriptor.media_type) {
        Some(Kind::Manifest | Kind::Index) => None,
        Some(Kind::Config) => Some(format!("{hex}.json")),
        _ => Some(format!("{hex}.tar")),
    }
}

/// `latest` where a reference has no tag.
pub fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') { reference.to_owned() } else { format!("{reference}:latest") }
}

impl Sink for DockerArchiveSink {
    /// A manifest is never sent, but its layers are.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, OciError> {
        let Some(name) = name(descriptor) else { return Ok(false) };
        Ok(self.tar.lock().expect("bug: poisoned").has(&name))
    }

    fn blob(&self, blob: &Blob<'_>) -> Result<(), OciError> {
        match name(blob.descriptor) {
            Some(name) => self.tar.lock().expect("bug: poisoned").blob(&name, blob),
            None => Ok(()),
        }
    }

    fn finish(&self, outgoing: &Outgoing) -> Result<(), OciError> {
        let images: Vec<_> = outgoing
            .images
            .iter()
            .map(|image| {
                let layers = image.layers.iter().filter_map(|layer| name(&layer.descriptor));
                serde_json::json!({
                    "Config": name(&image.config.descriptor),
                    "RepoTags": self.references,
                    "Layers": layers.collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut tar = self.tar.lock().expect("bug: poisoned");
        tar.put("manifest.json", &canonical_json(&images))?;
        tar.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (reference, expected) in [
            ("app", "app:latest"),
            ("app:1", "app:1"),
            ("host:5000/app", "host:5000/app:latest"),
            ("host:5000/app:1", "host:5000/app:1"),
        ] {
            assert_eq!(with_tag(reference), expected);
        }
    }
}
