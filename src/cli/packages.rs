//! The packages below a folder, for `//services/...`: every folder with a build file, but for what is
//! hidden, what git ignores, and workspaces of their own.

use std::path::Path;

use ignore::{DirEntry, WalkBuilder};

use crate::base::tree_path::TreePath;
use crate::cli::failure::Failure;
use crate::lang::root::begins_workspace;
use crate::lang::source::FILE_NAME;

/// Sorted. `folder` is relative to the root, without slashes at its ends.
pub(super) fn below(root: &Path, folder: &str) -> Result<Vec<TreePath>, Failure> {
    let start = root.join(folder);
    let path = TreePath::parse(folder).ok().filter(|_| start.is_dir());
    if path.is_none() {
        let message = format!("there is no folder //{folder}");
        return Err(Failure::input(
            message,
            "//FOLDER/... names all packages below a folder of the workspace",
        ));
    }
    let mut walk = WalkBuilder::new(&start);
    let top = start.clone();
    walk.require_git(false).git_global(false).ignore(false);
    walk.filter_entry(move |entry| entry.path() == top || !is_apart(entry));
    let mut packages = Vec::new();
    for entry in walk.build() {
        let entry = entry.map_err(|error| Failure::environment(error.to_string(), None))?;
        if entry.file_name() == FILE_NAME && entry.path().is_file() {
            let folder = entry.path().parent().and_then(|folder| folder.strip_prefix(root).ok());
            let bytes = folder.map(|folder| std::os::unix::ffi::OsStrExt::as_bytes(folder.as_os_str()));
            packages.extend(bytes.and_then(|bytes| TreePath::parse(bytes).ok()));
        }
    }
    packages.sort();
    if packages.is_empty() {
        let message = format!("there is no {FILE_NAME} below //{folder}");
        return Err(Failure::input(message, "name a folder that has packages"));
    }
    Ok(packages)
}

/// A workspace in a workspace has settings of its own.
fn is_apart(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir()) && begins_workspace(entry.path())
}
