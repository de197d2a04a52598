//! Where things are: the workspace and the store.

use std::path::{Path, PathBuf};

use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::lang::root::{self, Workspace};
use crate::store::memo::Memo;

/// The workspace as an absolute path without links, so that it has one name.
pub(super) fn workspace(args: &Args) -> Result<Workspace, Failure> {
    let shown = args.workspace.display();
    match args.workspace.canonicalize() {
        Ok(path) if path.is_dir() => Ok(root::find(&path)),
        Ok(_) => Err(Failure::input(
            format!("`{shown}` is not a folder"),
            "name the folder that holds memobuild.kdl with -C",
        )),
        Err(error) => Err(Failure::input(
            format!("cannot open the workspace `{shown}`: {error}"),
            "name the folder that holds memobuild.kdl with -C",
        )),
    }
}

/// `--store`, else `MEMOBUILD_STORE`, else `$XDG_CACHE_HOME/memobuild`, else `$HOME/.cache/memobuild`.
pub(super) fn store(args: &Args) -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let place = args
        .store
        .clone()
        .or_else(|| set("MEMOBUILD_STORE"))
        .or_else(|| {
            set("XDG_CACHE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("memobuild"))
        })
        .or_else(|| set("HOME").map(|home| home.join(".cache/memobuild")));
    match place {
        Some(place) => absolute(&place),
        None => Err(Failure::environment(
            "there is no place for the store: HOME is not set",
            Some("name a folder with --store".to_owned()),
        )),
    }
}

pub(super) fn open(args: &Args) -> Result<Memo, Failure> {
    Ok(Memo::open(&store(args)?)?)
}

/// Relative to the caller's folder.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::environment(format!("cannot tell the current folder: {error}"), None))
}
