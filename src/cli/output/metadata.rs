//! `--metadata-file`: what was written, for programs; an interface: `schema/metadata.schema.json` is made from these
//! types, comments included.

use std::path::Path;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::Planned;
use crate::oci::descriptor::Descriptor;
use crate::oci::outgoing::{Outgoing, OutgoingLayer, Packed};

/// What `--metadata-file` holds.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Metadata<'m> {
    /// Of this form: 1. Within a version, fields are only added.
    version: u32,
    /// In the order in which they were asked for.
    outputs: &'m [Written],
}

/// An output, and what was written there.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Written {
    /// The node, as it is named on the command line.
    target: String,
    /// The word of the transport: `oci`, `docker`, …
    transport: String,
    /// As it was asked for, with its target where it named one.
    destination: String,
    /// References or tags that the image has there now.
    references: Vec<String>,
    /// Of the index or the manifest that the references stand for; where the transport keeps none
    /// (`docker-archive`, `docker-daemon`), the image's id. Files have no image.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Blob>,
    /// Bytes of all layers and documents, each once, wherever they came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// In the order in which the index lists them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<OfPlatform>,
}

/// The image for one platform.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OfPlatform {
    /// `linux/amd64`, `linux/arm/v7`.
    platform: String,
    /// Missing where the transport keeps none.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<Blob>,
    /// Its digest is the image's id.
    config: Blob,
    /// The lowest first.
    layers: Vec<Layer>,
}

/// Bytes by their digest.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Blob {
    media_type: String,
    /// `sha256:` and 64 digits.
    digest: String,
    /// Bytes.
    size: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Layer {
    #[serde(flatten)]
    blob: Blob,
    /// Digest of the unpacked tar.
    diff_id: String,
}

impl Written {
    pub(super) fn files(planned: &Planned) -> Written {
        Written {
            target: planned.target.clone(),
            transport: planned.output.destination.word().to_owned(),
            destination: planned.output.written.clone(),
            references: Vec::new(),
            image: None,
            size: None,
            platforms: Vec::new(),
        }
    }

    pub(super) fn image(planned: &Planned, outgoing: &Outgoing) -> Written {
        let has_manifest = !planned.output.destination.has_no_manifest();
        let top = if has_manifest { outgoing.top() } else { &outgoing.images[0].config };
        Written {
            references: planned.references.clone(),
            image: Some(Blob::of(&top.descriptor)),
            size: Some(outgoing.size()),
            platforms: outgoing.images.iter().map(|image| OfPlatform::of(image, has_manifest)).collect(),
            ..Written::files(planned)
        }
    }

    /// For people.
    pub(in crate::cli) fn line(&self) -> String {
        match &self.image {
            Some(image) => format!("wrote {} {}", self.destination, image.digest),
            None => format!("wrote {}", self.destination),
        }
    }
}

impl OfPlatform {
    fn of(image: &Packed, has_manifest: bool) -> OfPlatform {
        OfPlatform {
            platform: image.platform.to_string(),
            manifest: has_manifest.then(|| Blob::of(&image.manifest.descriptor)),
            config: Blob::of(&image.config.descriptor),
            layers: image.layers.iter().map(Layer::of).collect(),
        }
    }
}

impl Blob {
    fn of(descriptor: &Descriptor) -> Blob {
        Blob {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest.to_string(),
            size: descriptor.size,
        }
    }
}

impl Layer {
    fn of(layer: &OutgoingLayer) -> Layer {
        Layer { blob: Blob::of(&layer.descriptor), diff_id: layer.diff_id.to_string() }
    }
}

pub(in crate::cli) fn write(path: &Path, outputs: &[Written]) -> Result<(), Failure> {
    let metadata = Metadata { version: 1, outputs };
    let json = serde_json::to_string_pretty(&metadata).expect("bug: metadata is always JSON");
    std::fs::write(path, json + "\n").map_err(|error| {
        Failure::environment(
            format!("cannot write the metadata `{}`: {error}", path.display()),
            Some("name a file in a folder that you may write to".to_owned()),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemars::generate::SchemaSettings;

    use super::Metadata;

    /// A stale one is written anew by the test that finds it.
    #[test]
    fn the_schema_is_current() {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<Metadata<'_>>().to_value();
        schema["title"] = serde_json::json!("memobuild build --metadata-file");
        let current = format!("{schema:#}\n");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/metadata.schema.json");
        if std::fs::read_to_string(&file).unwrap_or_default() != current {
            std::fs::write(&file, current).unwrap();
            panic!("schema/metadata.schema.json was stale and is written anew: look at it and commit it");
        }
    }
}
