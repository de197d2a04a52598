//! Where a workspace begins: the nearest folder above whose build file has a `workspace` block, else the
//! nearest that has a build file at all.

use std::path::{Path, PathBuf};

use crate::base::tree_path::TreePath;
use crate::lang::mistake::Findings;
use crate::lang::parse;
use crate::lang::source::{self, FILE_NAME};

/// A workspace, and the package in it that one stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Absolute.
    pub root: PathBuf,
    pub package: TreePath,
}

impl Workspace {
    /// Of the package.
    pub fn folder(&self) -> PathBuf {
        self.root.join(self.package.as_path())
    }
}

/// `folder` is absolute and holds no links. Where there is no build file at all, it is the root itself:
/// reading it then tells that there is none.
pub fn find(folder: &Path) -> Workspace {
    let files: Vec<&Path> = folder.ancestors().filter(|above| above.join(FILE_NAME).is_file()).collect();
    let package = files.first().copied().unwrap_or(folder);
    let root = files.iter().copied().find(|above| begins_workspace(above)).unwrap_or(package);
    let below = package.strip_prefix(root).unwrap_or(Path::new(""));
    let package = TreePath::parse(std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str()));
    Workspace { root: root.to_owned(), package: package.unwrap_or_default() }
}

/// Whether a folder's build file has a `workspace` block. What is wrong with the file is told when it is read.
pub fn begins_workspace(folder: &Path) -> bool {
    let Ok(text) = source::read(&folder.join(FILE_NAME), FILE_NAME) else { return false };
    // Parsing costs more than looking.
    if !text.contains("workspace") {
        return false;
    }
    let document = parse::parse(&text, 0, &mut Findings::default());
    document.is_some_and(|document| document.nodes.iter().any(|node| node.word == "workspace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_block_above_is_the_root() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let inner = root.join("services/api/src");
        std::fs::create_dir_all(&inner).unwrap();
        let package = |text: &str| TreePath::parse(text).unwrap();
        assert_eq!(find(&inner), Workspace { root: inner.clone(), package: package("") });
        std::fs::write(root.join("services/api").join(FILE_NAME), "memobuild 1\n").unwrap();
        let alone = Workspace { root: root.join("services/api"), package: package("") };
        assert_eq!(find(&inner), alone);
        std::fs::write(root.join(FILE_NAME), "memobuild 1 // no workspace\n").unwrap();
        assert_eq!(find(&inner), alone);
        std::fs::write(root.join(FILE_NAME), "memobuild 1\nworkspace \"w\"\n").unwrap();
        assert_eq!(find(&inner), Workspace { root, package: package("services/api") });
    }
}
