//! What an output holds, and the types that slots ask for.

use std::path::PathBuf;

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
    Host(Machine),
    Text(String),
}

/// This machine, as runs see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Machine {
    /// Hexadecimal digest of what its key is made of.
    pub fingerprint: String,
    /// Folders that runs see beside its program folders: absolute paths, those above others first.
    pub folders: Vec<String>,
    /// What no run sees, wherever it lies. No fact, and not written: it is asked for in every build.
    pub hidden: Vec<PathBuf>,
}

/// A machine that shows nothing more is written as its fingerprint.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    With { fingerprint: String, folders: Vec<String> },
}

impl From<Written> for Machine {
    fn from(written: Written) -> Machine {
        let (fingerprint, folders) = match written {
            Written::Plain(fingerprint) => (fingerprint, Vec::new()),
            Written::With { fingerprint, folders } => (fingerprint, folders),
        };
        Machine { fingerprint, folders, hidden: Vec::new() }
    }
}

impl From<Machine> for Written {
    fn from(machine: Machine) -> Written {
        let Machine { fingerprint, folders, hidden: _ } = machine;
        if folders.is_empty() { Written::Plain(fingerprint) } else { Written::With { fingerprint, folders } }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_machine_is_written_as_its_fingerprint() {
        let mut machine = Machine { fingerprint: "ab".to_owned(), ..Machine::default() };
        let written = |machine: &Machine| serde_json::to_string(&Value::Host(machine.clone())).unwrap();
        assert_eq!(written(&machine), r#"{"host":"ab"}"#);
        machine.hidden.push("/home/me/work".into());
        assert_eq!(written(&machine), r#"{"host":"ab"}"#, "where the workspace lies is no fact");
        machine.hidden.clear();
        machine.folders.push("/srv/tools".to_owned());
        assert_eq!(written(&machine), r#"{"host":{"fingerprint":"ab","folders":["/srv/tools"]}}"#);
        let read: Value = serde_json::from_str(&written(&machine)).unwrap();
        assert_eq!(read, Value::Host(machine));
    }
}
