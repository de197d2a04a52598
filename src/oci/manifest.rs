//! The image manifest and the index as JSON (image-spec, manifest.md and image-index.md), in the
//! words of the specification or of Docker's schema 2.

use std::collections::BTreeMap;

use oci_spec::image as spec;

use crate::oci::descriptor::{Descriptor, Kind, canonical_json};
use crate::oci::error::OciError;
use crate::oci::image::{Format, Platform};

/// image-spec, annotations.md: the tag of an entry of a layout's index.
pub(crate) const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// image-spec, annotations.md, by key.
pub type Annotations = BTreeMap<String, String>;

/// What a stored manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
    pub annotations: Annotations,
}

pub fn write(manifest: &Stored, format: Format) -> Vec<u8> {
    let written = spec::ImageManifestBuilder::default()
        .schema_version(spec::SCHEMA_VERSION)
        .media_type(Kind::Manifest.media_type(format))
        .config(manifest.config.to_spec())
        .layers(manifest.layers.iter().map(Descriptor::to_spec).collect::<Vec<_>>())
        .build()
        .expect("bug: every field that a manifest must have is set");
    let mut json = serde_json::to_value(written).expect("bug: a manifest is always JSON");
    if !manifest.annotations.is_empty() {
        json["annotations"] = serde_json::json!(manifest.annotations);
    }
    canonical_json(&json)
}

pub fn read(bytes: &[u8]) -> Result<Stored, OciError> {
    let manifest: spec::ImageManifest = serde_json::from_slice(bytes).map_err(malformed("the manifest"))?;
    if manifest.schema_version() != spec::SCHEMA_VERSION {
        let reason = format!("schemaVersion is {}", manifest.schema_version());
        return Err(OciError::Malformed { what: "the manifest".to_owned(), reason });
    }
    Ok(Stored {
        config: Descriptor::from_spec(manifest.config())?,
        layers: manifest.layers().iter().map(Descriptor::from_spec).collect::<Result<_, _>>()?,
        annotations: manifest.annotations().clone().unwrap_or_default().into_iter().collect(),
    })
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    pub annotations: Annotations,
}

impl Listed {
    pub fn reference(&self) -> Option<&str> {
        self.annotations.get(REFERENCE).map(String::as_str)
    }

    pub(crate) fn to_spec(&self) -> spec::Descriptor {
        let mut descriptor = self.descriptor.to_spec();
        if let Some(platform) = &self.platform {
            let mut written = spec::Platform::default();
            written.set_architecture(spec::Arch::from(platform.architecture.as_str()));
            written.set_os(spec::Os::from(platform.os.as_str()));
            written.set_variant(platform.variant.clone());
            descriptor.set_platform(Some(written));
        }
        let annotations = self.annotations.clone().into_iter().collect();
        descriptor.set_annotations((!self.annotations.is_empty()).then_some(annotations));
        descriptor
    }

    fn from_spec(descriptor: &spec::Descriptor) -> Result<Listed, OciError> {
        Ok(Listed {
            descriptor: Descriptor::from_spec(descriptor)?,
            platform: descriptor.platform().as_ref().map(|platform| Platform {
                os: platform.os().to_string(),
                architecture: platform.architecture().to_string(),
                variant: platform.variant().clone().filter(|variant| !variant.is_empty()),
            }),
            annotations: descriptor.annotations().clone().unwrap_or_default().into_iter().collect(),
        })
    }
}

/// The index as an image of its own, in the words of a format; a layout's own is the specification's.
pub fn index(entries: &[Listed], annotations: &Annotations, format: Format) -> Vec<u8> {
    let index = spec::ImageIndexBuilder::default()
        .schema_version(spec::SCHEMA_VERSION)
        .media_type(Kind::Index.media_type(format))
        .manifests(entries.iter().map(Listed::to_spec).collect::<Vec<_>>())
        .build()
        .expect("bug: every field that an index must have is set");
    let mut json = serde_json::to_value(index).expect("bug: an index is always JSON");
    if !annotations.is_empty() {
        json["annotations"] = serde_json::json!(annotations);
    }
    canonical_json(&json)
}

/// The index with each entry in place of what had its reference; without one, in place of what had none
/// either and was for the same platform, so that building twice into one layout leaves one image.
/// Whatever else the index says stays as it was.
pub fn updated_index(bytes: &[u8], entries: &[Listed]) -> Result<Vec<u8>, OciError> {
    let mut index: spec::ImageIndex = serde_json::from_slice(bytes).map_err(malformed("index.json"))?;
    let mut manifests = Vec::new();
    for old in index.manifests() {
        let listed = Listed::from_spec(old)?;
        let is_replaced = |entry: &Listed| {
            listed.reference() == entry.reference()
                && (entry.reference().is_some() || listed.platform == entry.platform)
        };
        if !entries.iter().any(is_replaced) {
            manifests.push(old.clone());
        }
    }
    manifests.extend(entries.iter().map(Listed::to_spec));
    index.set_manifests(manifests);
    Ok(canonical_json(&index))
}

pub fn read_index(bytes: &[u8]) -> Result<Vec<Listed>, OciError> {
    let index: spec::ImageIndex = serde_json::from_slice(bytes).map_err(malformed("the index"))?;
    index.manifests().iter().map(Listed::from_spec).collect()
}

fn malformed(what: &'static str) -> impl FnOnce(serde_json::Error) -> OciError {
    move |error| OciError::Malformed { what: what.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            config: Descriptor::of(Kind::Config.media_type(Format::Oci), b"{}"),
            layers: vec![Descriptor::of(Kind::LayerGzip.media_type(Format::Oci), b"layer")],
            annotations: [("b", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        }
    }

    fn listed(content: &[u8], reference: Option<&str>) -> Listed {
        Listed {
            descriptor: Descriptor::of(Kind::Manifest.media_type(Format::Oci), content),
            platform: Some(Platform {
                os: "linux".into(),
                architecture: "arm".into(),
                variant: Some("v7".into()),
            }),
            annotations: reference.map(|name| (REFERENCE.to_owned(), name.to_owned())).into_iter().collect(),
        }
    }

    fn one(entry: Listed) -> Vec<u8> {
        index(&[entry], &Annotations::new(), Format::Oci)
    }

    #[test]
    fn manifest_comes_back() {
        for format in [Format::Oci, Format::Docker] {
            assert_eq!(read(&write(&stored(), format)).unwrap(), stored());
        }
    }

    #[test]
    fn golden() {
        let manifest = String::from_utf8(write(&stored(), Format::Oci)).unwrap();
        let index = String::from_utf8(one(listed(b"m", Some("1.0")))).unwrap();
        insta::assert_snapshot!(format!("{manifest}\n{index}"));
    }

    #[test]
    fn a_tag_stands_once_and_others_stay() {
        let index = one(listed(b"one", Some("a")));
        let index = updated_index(&index, &[listed(b"two", Some("b"))]).unwrap();
        let index = updated_index(&index, &[listed(b"three", Some("a"))]).unwrap();
        let elsewhere = Listed { platform: None, ..listed(b"elsewhere", None) };
        let index = updated_index(&index, std::slice::from_ref(&elsewhere)).unwrap();
        let index = updated_index(&index, &[listed(b"four", None)]).unwrap();
        let index = updated_index(&index, &[listed(b"five", None)]).unwrap();
        let (two, three) = (listed(b"two", Some("b")), listed(b"three", Some("a")));
        let expected = [two, three, elsewhere, listed(b"five", None)];
        assert_eq!(read_index(&index).unwrap(), expected);
    }

    #[test]
    fn schema_1_is_refused() {
        let json = String::from_utf8(write(&stored(), Format::Oci)).unwrap();
        let old = json.replace(r#""schemaVersion":2"#, r#""schemaVersion":1"#);
        assert!(matches!(read(old.as_bytes()), Err(OciError::Malformed { .. })));
    }
}
