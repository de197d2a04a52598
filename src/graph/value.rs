//! What an output holds, and the types that slots ask for.

use serde::{Deserialize, Serialize};

use crate::oci::image::{Image, Rootfs};
use crate::tree::tree::Entry;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// A directory or a single file, with modes and owners.
    Tree,
    /// Layers and configuration.
    Rootfs,
    /// A rootfs for a platform, ready to be exported. May stand where a rootfs is wanted.
    Image,
    /// This machine's own programs. Stands only in the `from` of a `run` or `test`.
    Host,
    /// What a passed test or check gives: nothing but the fact.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    Tree(Entry),
    Rootfs(Box<Rootfs>),
    Image(Box<Image>),
    /// The host's fingerprint: hexadecimal digest of what its key is made of.
    Host(String),
    Text(String),
}

impl Type {
    pub const fn name(self) -> &'static str {
        match self {
            Type::Tree => "tree",
            Type::Rootfs => "rootfs",
            Type::Image => "image",
            Type::Host => "host",
            Type::Text => "text",
        }
    }
}

impl Value {
    pub const fn type_of(&self) -> Type {
        match self {
            Value::Tree(_) => Type::Tree,
            Value::Rootfs(_) => Type::Rootfs,
            Value::Image(_) => Type::Image,
            Value::Host(_) => Type::Host,
            Value::Text(_) => Type::Text,
        }
    }

    /// The root filesystem of a rootfs or an image.
    pub fn rootfs(&self) -> Option<&Rootfs> {
        match self {
            Value::Rootfs(rootfs) => Some(rootfs),
            Value::Image(image) => Some(&image.rootfs),
            _ => None,
        }
    }
}
