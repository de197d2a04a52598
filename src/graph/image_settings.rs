//! What an `image` says beside its layers: its names, its packing, and how it changes the configuration
//! that it inherits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::late::LateText;
use crate::oci::image::{Config, Healthcheck, Packing};

/// How an image changes the configuration it inherits. `None` leaves a field alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConfigEdit {
    /// In order; `None` removes the name.
    pub env: Vec<(String, Option<LateText>)>,
    pub labels: Vec<(String, Option<LateText>)>,
    pub entrypoint: Option<Edit<Vec<String>>>,
    pub cmd: Option<Edit<Vec<String>>>,
    pub workdir: Option<Edit<String>>,
    pub user: Option<Edit<String>>,
    pub shell: Option<Edit<Vec<String>>>,
    pub stop_signal: Option<Edit<String>>,
    pub healthcheck: Option<Edit<Healthcheck>>,
    pub author: Option<Edit<String>>,
    pub ports: Vec<String>,
    pub volumes: Vec<String>,
    pub onbuild: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Edit<T> {
    Set(T),
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageSettings {
    pub names: Vec<String>,
    pub config: ConfigEdit,
    pub annotations: BTreeMap<String, String>,
    /// Of the index over all platforms.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub index_annotations: BTreeMap<String, String>,
    /// Of its entry in an index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptor_annotations: BTreeMap<String, String>,
    pub packing: Packing,
    pub created: Option<u64>,
    pub squash: bool,
}

impl ConfigEdit {
    /// What `config` becomes. `entrypoint` without `cmd` clears an inherited `cmd`.
    pub fn apply(&self, config: &mut Config) {
        for (name, value) in &self.env {
            match value {
                Some(value) => config.set_env(name, value.known()),
                None => config.env.retain(|(key, _)| key != name),
            }
        }
        for (name, value) in &self.labels {
            match value {
                Some(value) => drop(config.labels.insert(name.clone(), value.known().to_owned())),
                None => drop(config.labels.remove(name)),
            }
        }
        if self.entrypoint.is_some() {
            config.cmd = None;
        }
        edit(&self.entrypoint, &mut config.entrypoint);
        edit(&self.cmd, &mut config.cmd);
        edit(&self.workdir, &mut config.workdir);
        edit(&self.user, &mut config.user);
        edit(&self.shell, &mut config.shell);
        edit(&self.stop_signal, &mut config.stop_signal);
        edit(&self.healthcheck, &mut config.healthcheck);
        edit(&self.author, &mut config.author);
        config.ports.extend(self.ports.iter().cloned());
        config.volumes.extend(self.volumes.iter().cloned());
        config.onbuild.extend(self.onbuild.iter().cloned());
    }
}

fn edit<T: Clone>(change: &Option<Edit<T>>, field: &mut Option<T>) {
    match change {
        None => {}
        Some(Edit::Set(value)) => *field = Some(value.clone()),
        Some(Edit::Remove) => *field = None,
    }
}

impl Default for ImageSettings {
    fn default() -> ImageSettings {
        ImageSettings {
            names: Vec::new(),
            config: ConfigEdit::default(),
            annotations: BTreeMap::new(),
            index_annotations: BTreeMap::new(),
            descriptor_annotations: BTreeMap::new(),
            packing: Packing::DEFAULT,
            created: None,
            squash: false,
        }
    }
}
