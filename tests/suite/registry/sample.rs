//! An image of nothing in particular, to push and pull.

use std::io::{self, Cursor, Read};

use memobuild::base::cancel::Cancel;
use memobuild::base::digest::OciDigest;
use memobuild::net::error::NetError;
use memobuild::net::reference::Reference;
use memobuild::net::registry::Registries;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A configuration, one layer and a manifest.
pub(crate) struct Sample {
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Sample {
    /// The layer has that many bytes, which are the same for the same size.
    pub(crate) fn new(size: usize) -> Sample {
        let config =
            br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
        let layer = bytes(size);
        let descriptor = |kind: &str, bytes: &[u8]| {
            let media_type = format!("application/vnd.oci.image.{kind}");
            serde_json::json!({"mediaType": media_type, "digest": OciDigest::of(bytes), "size": bytes.len()})
        };
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("config.v1+json", &config),
            "layers": [descriptor("layer.v1.tar", &layer)],
        });
        Sample { config, layer, manifest: manifest.to_string().into_bytes() }
    }

    pub(crate) fn layer_digest(&self) -> OciDigest {
        OciDigest::of(&self.layer)
    }

    pub(crate) fn digest(&self) -> OciDigest {
        OciDigest::of(&self.manifest)
    }

    /// Both blobs, then the manifest.
    pub(crate) fn push(&self, registries: &Registries, image: &Reference) -> Result<OciDigest, NetError> {
        upload(registries, image, &self.config)?;
        upload(registries, image, &self.layer)?;
        registries.put_manifest(image, MANIFEST, &self.manifest, &Cancel::default())
    }

    /// The layer as it comes.
    pub(crate) fn pull_layer(&self, registries: &Registries, image: &Reference) -> Result<Vec<u8>, NetError> {
        let mut out = Vec::new();
        let (digest, size) = (self.layer_digest(), self.layer.len() as u64);
        registries.blob(image, digest, size, &mut out, &Cancel::default())?;
        Ok(out)
    }
}

pub(crate) fn upload(registries: &Registries, image: &Reference, bytes: &[u8]) -> Result<(), NetError> {
    let open = |offset: u64| -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(bytes[usize::try_from(offset).unwrap()..].to_vec())))
    };
    registries.upload(image, OciDigest::of(bytes), bytes.len() as u64, &open, &Cancel::default())
}

/// No two pieces of them are the same.
fn bytes(size: usize) -> Vec<u8> {
    let mut state = size as u64 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// A name in a registry.
pub(crate) fn named(host: &str, name: &str) -> Reference {
    format!("{host}/{name}").parse().unwrap()
}
