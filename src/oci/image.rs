//! An image as a value: layers as trees, and the configuration they run with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::digest::{OciDigest, TreeDigest};

/// A root filesystem: layers, lowest first, and the configuration that travels with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rootfs {
    pub layers: Vec<Layer>,
    pub config: Config,
}

/// One change on top of the layers below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Entries added or replaced, whiteouts and opaque directories.
    Made(TreeDigest),
    /// Of an image that was there before. It goes out byte for byte as it came in.
    Pulled(PackedLayer),
}

/// A layer as manifest and configuration describe it. Of one that was pulled, neither its bytes nor its files need be in
/// the store: `Supply` has them when they are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedLayer {
    pub media_type: String,
    /// SHA-256 of the packed bytes.
    pub digest: OciDigest,
    /// Packed bytes.
    pub size: u64,
    /// SHA-256 of the unpacked tar (image-spec, config.md, "Layer DiffID").
    pub diff_id: OciDigest,
}

/// The part of an image's configuration that runs obey and images carry
/// (image-spec, config.md, "config"; `healthcheck`, `shell` and `onbuild` are Docker's).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// In order of first definition; a name stands once.
    pub env: Vec<(String, String)>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub shell: Option<Vec<String>>,
    pub labels: BTreeMap<String, String>,
    /// As `8080/tcp`.
    pub ports: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    pub stop_signal: Option<String>,
    pub healthcheck: Option<Healthcheck>,
    pub onbuild: Vec<String>,
    pub author: Option<String>,
    /// How an image that was there before came to be, the oldest first: an entry for each of its layers, and for
    /// what added none. What is made here is told when the image leaves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

/// image-spec, config.md, "history".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// As it was written (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// It added no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// Durations are nanoseconds, as Docker writes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    pub test: Vec<String>,
    pub interval: Option<u64>,
    pub timeout: Option<u64>,
    pub start_period: Option<u64>,
    pub start_interval: Option<u64>,
    pub retries: Option<u64>,
}

/// image-spec, config.md: `os`, `architecture`, `variant`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image for one platform, and how it is to be packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub rootfs: Rootfs,
    pub platform: Platform,
    pub packing: Packing,
    /// References that it gets wherever it goes under no other: all of them; of each the tag only, in a layout.
    pub names: Vec<String>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Of the index over all platforms.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub index_annotations: BTreeMap<String, String>,
    /// Of the manifest where it is listed in an index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
    /// Seconds since 1970 for `created` and history, where the build file says so;
    /// else whoever exports the image decides (`SOURCE_DATE_EPOCH`, or 1980).
    pub created: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Packing {
    pub format: Format,
    pub compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Oci,
    Docker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    None,
    Gzip { level: u32 },
    Zstd { level: i32 },
}

impl Rootfs {
    pub fn pulled(&self) -> impl Iterator<Item = &PackedLayer> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Pulled(layer) => Some(layer),
            Layer::Made(_) => None,
        })
    }
}

impl Config {
    /// Replaces or appends.
    pub fn set_env(&mut self, name: &str, value: &str) {
        match self.env.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
    }

    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Platform {
    /// The machine that this program runs on, in the words of image-spec (Go's GOOS and GOARCH).
    pub fn current() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "x86" => ("386", None),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }
}

/// `linux/amd64`, `linux/arm/v7`.
impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Packing {
    /// What an image gets that says nothing: gzip, since some readers still know nothing else.
    pub const DEFAULT: Packing = Packing { format: Format::Oci, compression: Compression::Gzip { level: 6 } };
}
