//! From the command line to a graph: which files are read, with which values.

use std::path::Path;

use crate::base::tree_path::TreePath;
use crate::cli::args::Args;
use crate::cli::failure::Failure;
use crate::cli::{git, packages, print, settings};
use crate::graph::select;
use crate::lang::label::{self, Label};
use crate::lang::lock::pin::pin;
use crate::lang::mistake::Mistakes;
use crate::lang::root::Workspace;
use crate::lang::settings::Settings;
use crate::lang::{self, Flag, Loaded, Outside, Request};
use crate::oci::image::Platform;

/// A build without mistakes, pinned by its lock file; what is only doubtful is told on the way.
pub(super) fn load(
    args: &Args,
    workspace: &Workspace,
    set: &[String],
    targets: &[String],
) -> Result<Loaded, Failure> {
    let mut loaded = load_unpinned(args, workspace, set, targets)?;
    pin(&mut loaded.graph, &loaded.lock);
    Ok(loaded)
}

/// As the build files themselves say it.
pub(super) fn load_unpinned(
    args: &Args,
    workspace: &Workspace,
    set: &[String],
    targets: &[String],
) -> Result<Loaded, Failure> {
    let mut loaded = read(args, workspace, set, targets)??;
    print::mistakes(&loaded.warnings);
    let said = std::mem::replace(&mut loaded.settings, settings::user()?.settings());
    loaded.settings.lay_over(said);
    Ok(loaded)
}

/// The mistakes apart from what is wrong with the command line itself.
pub(super) fn read(
    args: &Args,
    workspace: &Workspace,
    set: &[String],
    targets: &[String],
) -> Result<Result<Loaded, Mistakes>, Failure> {
    let params = params(set, &workspace.package)?;
    let others = wanted(workspace, targets)?;
    let profile = settings::profile(args, &settings::user()?);
    let git = |field: &str| git::value(&workspace.root, field);
    let request = Request {
        package: workspace.package.clone(),
        others: &others,
        params: &params,
        profile: profile.as_deref(),
        platform: Platform::current(),
        outside: Outside { environment: &variable, git: &git },
    };
    Ok(lang::load(&workspace.root, &request))
}

/// What the `workspace` block says, for commands that read no graph: whatever else is wrong with the file.
pub(super) fn settings(root: &Path, profile: Option<&str>) -> Option<Settings> {
    let outside = Outside { environment: &variable, ..Outside::NOTHING };
    lang::settings(root, &Request { profile, outside, ..Request::root() })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The packages that targets lie in; `//services/...` are all below.
fn wanted(workspace: &Workspace, targets: &[String]) -> Result<Vec<TreePath>, Failure> {
    let mut packages = Vec::new();
    for target in targets {
        match select::wildcard(target) {
            Some(folder) => packages.extend(packages::below(&workspace.root, folder)?),
            None => packages.extend(package(target)),
        }
    }
    Ok(packages)
}

/// The package that a target lies in.
fn package(target: &str) -> Option<TreePath> {
    let label = target.split('[').next()?;
    match label::parse(label)? {
        Label::Package(folder, _) => Some(folder),
        _ => None,
    }
}

/// `NAME=VALUE`, or `//PACKAGE:NAME=VALUE`, as the command line gives them.
fn params(params: &[String], here: &TreePath) -> Result<Vec<Flag>, Failure> {
    params
        .iter()
        .map(|param| {
            let Some((name, value)) = param.split_once('=') else {
                return Err(Failure::input(
                    format!("`--param {param}` has no value"),
                    format!("write --param {param}=VALUE"),
                ));
            };
            let (package, name) = match label::parse(name) {
                Some(Label::Package(folder, Some(dotted))) => (folder, dotted.name),
                _ => (here.clone(), name.to_owned()),
            };
            Ok(Flag { package, name, value: value.to_owned() })
        })
        .collect()
}
