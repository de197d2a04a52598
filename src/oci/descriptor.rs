//! Descriptors: a media type, a digest and a size that name bytes (image-spec, descriptor.md).
//! Only SHA-256 is known: the digest is checked as it is read, so that it can serve as a file's name.

use oci_spec::image as spec;
use serde::Serialize;

use crate::base::digest::OciDigest;
use crate::oci::error::OciError;
use crate::oci::image::{Format, PackedLayer};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: OciDigest,
    /// Bytes.
    pub size: u64,
}

impl From<&PackedLayer> for Descriptor {
    fn from(layer: &PackedLayer) -> Descriptor {
        let PackedLayer { media_type, digest, size, diff_id: _ } = layer.clone();
        Descriptor { media_type, digest, size }
    }
}

impl Descriptor {
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        let size = bytes.len() as u64;
        Descriptor { media_type: media_type.to_owned(), digest: OciDigest::of(bytes), size }
    }

    pub fn is_layer(&self) -> bool {
        matches!(Kind::of(&self.media_type), Some(Kind::Layer | Kind::LayerGzip | Kind::LayerZstd))
    }

    pub(crate) fn from_spec(descriptor: &spec::Descriptor) -> Result<Descriptor, OciError> {
        let text = descriptor.digest().to_string();
        let digest = text.parse().map_err(|_| OciError::BadDigest(text))?;
        Ok(Descriptor { media_type: descriptor.media_type().to_string(), digest, size: descriptor.size() })
    }

    pub(crate) fn to_spec(&self) -> spec::Descriptor {
        let digest: spec::Digest =
            self.digest.to_string().parse().expect("bug: a SHA-256 digest is a digest of the specification");
        spec::Descriptor::new(spec::MediaType::from(self.media_type.as_str()), self.size, digest)
    }
}

/// What a blob is, apart from any format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Index,
    Manifest,
    Config,
    Layer,
    LayerGzip,
    LayerZstd,
}

/// image-spec, media-types.md; Docker's "Image Manifest Version 2, Schema 2".
const MEDIA_TYPES: [(Kind, &str, &str); 6] = [
    (
        Kind::Index,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ),
    (
        Kind::Manifest,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ),
    (
        Kind::Config,
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    ),
    (Kind::Layer, "application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"),
    (
        Kind::LayerGzip,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    // Some programs write this one for Docker; Docker itself never did.
    (
        Kind::LayerZstd,
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ),
];

impl Kind {
    /// `None` for a media type that is no part of an image.
    pub fn of(media_type: &str) -> Option<Kind> {
        let row = MEDIA_TYPES.iter().find(|(_, oci, docker)| [*oci, *docker].contains(&media_type))?;
        Some(row.0)
    }

    pub fn media_type(self, format: Format) -> &'static str {
        let (_, oci, docker) = MEDIA_TYPES
            .iter()
            .find(|(kind, _, _)| *kind == self)
            .expect("bug: every kind has a row of media types");
        match format {
            Format::Oci => oci,
            Format::Docker => docker,
        }
    }
}

/// One spelling for one value: names sorted, no white space.
pub(crate) fn canonical_json(value: &impl Serialize) -> Vec<u8> {
    let mut value = serde_json::to_value(value).expect("bug: what the specification names is always JSON");
    value.sort_all_objects();
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart_in_both_formats() {
        for (kind, oci, docker) in MEDIA_TYPES {
            assert_eq!((Kind::of(oci), Kind::of(docker)), (Some(kind), Some(kind)));
            assert_eq!((kind.media_type(Format::Oci), kind.media_type(Format::Docker)), (oci, docker));
        }
        assert_eq!(Kind::of("text/plain"), None);
    }

    #[test]
    fn only_sha256_is_a_digest() {
        for digest in [
            "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
            "other:abc",
        ] {
            let json = format!(r#"{{"mediaType":"x","digest":"{digest}","size":1}}"#);
            let descriptor: spec::Descriptor = serde_json::from_str(&json).unwrap();
            assert!(matches!(Descriptor::from_spec(&descriptor), Err(OciError::BadDigest(_))), "{digest}");
        }
        let escaping = r#"{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1}"#;
        assert!(serde_json::from_str::<spec::Descriptor>(escaping).is_err());
    }

    #[test]
    fn equal_values_have_equal_json() {
        let map: std::collections::HashMap<_, _> = (0..20).map(|n| (n.to_string(), n)).collect();
        let sorted: std::collections::BTreeMap<_, _> = map.clone().into_iter().collect();
        assert_eq!(canonical_json(&map), serde_json::to_vec(&sorted).unwrap());
    }
}
