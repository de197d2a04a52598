//! `memobuild check`: every mistake of the build file, or none.

use std::path::Path;

use crate::cli::args::{Args, CheckArgs, Format};
use crate::cli::failure::Failure;
use crate::cli::{place, print, settings};
use crate::lang::lock::pin::pin;
use crate::lang::mistake::Mistake;
use crate::lang::{self, Loaded};

pub(super) fn check(args: &Args, check: &CheckArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let profile = settings::profile(args, &settings::user()?);
    let loaded = lang::load_under(&workspace, &params(&check.params)?, profile.as_deref());
    if check.format == Format::Json {
        let found = loaded.as_ref().map_or_else(
            |mistakes| mistakes.records(),
            |loaded| loaded.warnings.iter().map(Mistake::record).collect(),
        );
        print::json(&serde_json::json!({ "version": 1, "mistakes": found }))?;
    }
    let loaded = loaded?;
    if check.format == Format::Text {
        loaded.warnings.iter().for_each(print::mistake);
        let count = loaded.graph.nodes.len();
        print::data(format!("memobuild.kdl: {count} nodes, no mistakes\n"))?;
    }
    Ok(())
}

/// A build file that has no mistakes, pinned by its lock file; what is only doubtful is told on the way.
pub(super) fn load(args: &Args, workspace: &Path, set: &[String]) -> Result<Loaded, Failure> {
    let mut loaded = load_unpinned(args, workspace, set)?;
    pin(&mut loaded.graph, &loaded.lock);
    Ok(loaded)
}

/// As the build file itself says it.
pub(super) fn load_unpinned(args: &Args, workspace: &Path, set: &[String]) -> Result<Loaded, Failure> {
    let user = settings::user()?;
    let profile = settings::profile(args, &user);
    let mut loaded = lang::load_under(workspace, &params(set)?, profile.as_deref())?;
    loaded.warnings.iter().for_each(print::mistake);
    let said = std::mem::replace(&mut loaded.settings, user.settings());
    loaded.settings.lay_over(said);
    Ok(loaded)
}

/// `NAME=VALUE` as the command line gives them.
fn params(params: &[String]) -> Result<Vec<(String, String)>, Failure> {
    params
        .iter()
        .map(|param| match param.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(Failure::input(
                format!("`--param {param}` has no value"),
                format!("write --param {param}=VALUE"),
            )),
        })
        .collect()
}
