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
        /// Below the workspace's root, or absolute.
        path: String,
        /// Tag (`org.opencontainers.image.ref.name`) or `sha256:…`; `None` where it holds one image.
        reference: Option<String>,
        #[serde(default, skip_serializing_if = "LayoutForm::is_folder")]
        form: LayoutForm,
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

/// How images lie on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LayoutForm {
    /// A folder (image-spec, image-layout.md).
    #[default]
    Folder,
    /// The same in one tar.
    Archive,
    /// What `docker save` writes.
    DockerArchive,
}

impl LayoutForm {
    /// As a build file says it.
    pub const fn word(self) -> &'static str {
        match self {
            LayoutForm::Folder => "oci",
            LayoutForm::Archive => "oci-archive",
            LayoutForm::DockerArchive => "docker-archive",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_folder(&self) -> bool {
        *self == LayoutForm::Folder
    }
}
