//! What is had from elsewhere: files of URLs and commits, and images that exist already.

use serde::{Deserialize, Serialize};

use crate::base::address::shown;
use crate::base::tree_path::TreePath;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fetch {
    Http {
        #[serde(serialize_with = "without_login")]
        #[cfg_attr(test, schemars(with = "String"))]
        url: String,
        /// Hexadecimal, of the bytes that are answered.
        sha256: Option<String>,
        /// The last segment of the URL where nothing is said.
        name: Option<String>,
        /// Of the file; an archive says itself which modes its files have.
        mode: Option<u32>,
        extract: bool,
        /// Leading path segments that are dropped from an archive's names.
        strip: u32,
    },
    Git {
        #[serde(serialize_with = "without_login")]
        #[cfg_attr(test, schemars(with = "String"))]
        url: String,
        /// 40 or 64 hexadecimal digits.
        commit: Option<String>,
        reference: Option<String>,
        submodules: bool,
        path: Option<TreePath>,
    },
}

impl Fetch {
    /// Of a file that was fetched, where nothing is said.
    pub const MODE: u32 = 0o644;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pull {
    pub source: ImageSource,
    pub digest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImageSource {
    Layout {
        /// An image layout (image-spec, image-layout.md), below the workspace's root or absolute.
        path: String,
        /// Tag (`org.opencontainers.image.ref.name`) or `sha256:…`; `None` where the layout holds one image.
        reference: Option<String>,
    },
    /// `registry/repository:tag`, as it is written.
    Registry(String),
}

impl ImageSource {
    /// Of this machine: nobody else is asked.
    pub const fn is_local(&self) -> bool {
        !matches!(self, ImageSource::Registry(_))
    }
}

/// For serde: what is written of an op is shown to people and programs.
fn without_login<S: serde::Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
}
