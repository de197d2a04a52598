//! Where an export may land: below its package as it really lies on disk, and over nothing that is not its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::tree_path::TreePath;
use crate::cli::failure::Failure;
use crate::exec::executor::ExecError;
use crate::graph::graph::{Export, ExportMode};
use crate::lang::source::FILE_NAME;
use crate::tree::disk::land::{Change, Changes};

/// The destination without links. `workspace` has none; `store` may lie in it.
pub(in crate::cli) fn confined(workspace: &Path, store: &Path, export: &Export) -> Result<PathBuf, Failure> {
    let refuse = |why: &str| {
        let to = shown(&export.to);
        Failure::input(
            format!("`{}` cannot be exported to `{to}`: {why}", export.name),
            "name another place in its `to`",
        )
    };
    let package = real(&workspace.join(export.package.as_path())).map_err(|why| refuse(&why))?;
    let to = real(&workspace.join(export.to.as_path())).map_err(|why| refuse(&why))?;
    if !package.starts_with(workspace) || !to.starts_with(&package) {
        return Err(refuse("a symbolic link leads out of the package there"));
    }
    let replaces = export.mode == ExportMode::Replace;
    if replaces && to == package {
        return Err(refuse("it would replace the whole package"));
    }
    if to.strip_prefix(workspace).is_ok_and(|below| below.iter().any(|name| name == ".git")) {
        return Err(refuse("git keeps its own files there"));
    }
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    if to.starts_with(&store) || (replaces && store.starts_with(&to)) {
        return Err(refuse("the store is there"));
    }
    Ok(to)
}

/// Links followed as far as there is something; what is not there yet leads nowhere.
fn real(path: &Path) -> Result<PathBuf, String> {
    match path.symlink_metadata() {
        Ok(_) => path.canonicalize().map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(real(parent)?.join(name)),
            _ => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

/// Nothing of git's changes, and no build file goes. `top` is the destination from the workspace's root.
pub(in crate::cli) fn spare(export: &Export, top: &TreePath, changes: &Changes) -> Result<(), ExecError> {
    for (path, change) in changes {
        let is_git = path.names().any(|name| name == b".git");
        let is_build_file = path.name() == Some(FILE_NAME.as_bytes());
        if is_git || (is_build_file && *change == Change::Removed) {
            let verb = if *change == Change::Removed { "remove" } else { "write" };
            return Err(ExecError::Input {
                message: format!("`{}` would {verb} {}", export.name, shown(&top.below(path))),
                help: "let it land in a folder of its own, or leave that out".to_owned(),
            });
        }
    }
    Ok(())
}

fn shown(path: &TreePath) -> String {
    if path.is_root() { ".".to_owned() } else { path.to_string().trim_start_matches('/').to_owned() }
}
