//! What one cache is, as its folder is named by: whose it is, and for what.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::facts::{FactSink as _, HashSink};
use crate::exec::identity::Identity;

/// Two caches with equal fields are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheName {
    /// As the build file calls it.
    pub name: String,
    /// The root of the workspace. Another one with the same name does not share it: it may be anybody's.
    pub workspace: PathBuf,
    /// `None`: all packages share it.
    pub package: Option<String>,
    /// `python=3.12`, where each value of an axis has its own.
    pub per: Option<String>,
    pub platform: String,
    /// Tells apart user namespaces in which the same ids are other ids on disk.
    pub ids: String,
}

impl CacheName {
    /// What its folder is called: 32 hexadecimal digits.
    pub(super) fn folder(&self) -> String {
        let CacheName { name, workspace, package, per, platform, ids } = self;
        let mut sink = HashSink::new("memobuild 2026-11-28 cache v1");
        sink.fact("name", name.as_bytes());
        sink.fact("workspace", workspace.as_os_str().as_encoded_bytes());
        for (fact, text) in [("package", package), ("per", per)] {
            if let Some(text) = text {
                sink.fact(fact, text.as_bytes());
            }
        }
        sink.fact("platform", platform.as_bytes());
        sink.fact("ids", ids.as_bytes());
        sink.finish().to_hex()[..32].to_owned()
    }

    /// Who shares it, in words.
    pub fn scope(&self) -> String {
        let package = self.package.as_ref().map_or_else(|| "workspace".to_owned(), Clone::clone);
        self.per.as_ref().map_or(package.clone(), |per| format!("{package} {per}"))
    }
}

/// Of files that a sandbox with this identity leaves on disk.
pub(super) fn ids(identity: &Identity) -> String {
    match identity {
        Identity::Real => "real".to_owned(),
        Identity::Single { .. } => "one".to_owned(),
        Identity::Ranges { .. } => format!("ranges {}", identity.class()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_counts() {
        let base = CacheName {
            name: "npm".to_owned(),
            workspace: "/w".into(),
            package: None,
            per: None,
            platform: "linux/amd64".to_owned(),
            ids: "real".to_owned(),
        };
        let text = || Some("x".to_owned());
        let names = [
            base.clone(),
            CacheName { name: "x".to_owned(), ..base.clone() },
            CacheName { workspace: "/x".into(), ..base.clone() },
            CacheName { package: text(), ..base.clone() },
            CacheName { per: text(), ..base.clone() },
            CacheName { platform: "x".to_owned(), ..base.clone() },
            CacheName { ids: "x".to_owned(), ..base },
        ];
        let folders: BTreeSet<String> = names.iter().map(CacheName::folder).collect();
        assert_eq!(folders.len(), names.len());
        // Caches that are there must be found again.
        assert_eq!(names[0].folder(), "254a527797db6edc6526aa7ba6723edf");
    }
}
