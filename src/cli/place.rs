//! Where things are: the workspace and the store.

use std::path::{Path, PathBuf};

use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::cli::load;
use crate::cli::settings::{self, set};
use crate::lang::Loaded;
use crate::lang::root::{self, Workspace};
use crate::lang::settings::Choice;
use crate::lang::settings::user::User;
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

/// For commands that read no graph: the build file is looked at only where its word counts.
pub(super) fn store(args: &Args) -> Result<PathBuf, Failure> {
    let user = settings::user()?;
    if args.store.is_some() || set("MEMOBUILD_STORE").is_some() {
        return store_under(args, &user, None);
    }
    let workspace = workspace(args)?.root;
    let profile = settings::profile(args, &user);
    let path = load::settings(&workspace, profile.as_deref()).and_then(|settings| settings.cache.l2_path);
    store_under(args, &user, path.map(|path| workspace.join(path)).as_deref())
}

/// `--store`, else `MEMOBUILD_STORE`, else `l2`, which is the workspace's `cache { l2 path= }`, else the user's
/// setting, else `$XDG_CACHE_HOME/memobuild`, else `$HOME/.cache/memobuild`.
fn store_under(args: &Args, user: &User, l2: Option<&Path>) -> Result<PathBuf, Failure> {
    let cache = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| set("HOME").map(|home| home.join(".cache")));
    let place = Choice {
        flag: args.store.clone(),
        variable: set("MEMOBUILD_STORE"),
        workspace: l2.map(Path::to_owned),
        user: user.store.as_deref().and_then(settings::expanded),
        default: cache.map(|cache| cache.join("memobuild")),
    };
    match place.first() {
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

/// For commands that have read the build file of `workspace`.
pub(super) fn open_for(args: &Args, workspace: &Path, loaded: &Loaded) -> Result<Memo, Failure> {
    let path = loaded.settings.cache.l2_path.as_ref().map(|path| workspace.join(path));
    Ok(Memo::open(&store_under(args, &settings::user()?, path.as_deref())?)?)
}

/// Relative to the caller's folder.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::environment(format!("cannot tell the current folder: {error}"), None))
}
