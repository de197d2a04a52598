//! An image that exists already: in a registry, or on a disk of this machine.

use serde::{Deserialize, Serialize};

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
