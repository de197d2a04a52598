//! From the command line to a graph: which files are read, with which values.

use crate::base::tree_path::TreePath;
use crate::cli::failure::Failure;
use crate::cli::{git, print};
use crate::lang::label::{self, Label};
use crate::lang::mistake::Mistakes;
use crate::lang::root::Workspace;
use crate::lang::{self, Flag, Loaded, Outside, Request};
use crate::oci::image::Platform;

/// A build without mistakes; what is only doubtful is told on the way.
pub(super) fn load(workspace: &Workspace, set: &[String], targets: &[String]) -> Result<Loaded, Failure> {
    let loaded = read(workspace, set, targets)??;
    loaded.warnings.iter().for_each(print::mistake);
    Ok(loaded)
}

/// The mistakes apart from what is wrong with the command line itself.
pub(super) fn read(
    workspace: &Workspace,
    set: &[String],
    targets: &[String],
) -> Result<Result<Loaded, Mistakes>, Failure> {
    let params = params(set, &workspace.package)?;
    let others: Vec<TreePath> = targets.iter().filter_map(|target| package(target)).collect();
    let git = |field: &str| git::value(&workspace.root, field);
    let request = Request {
        package: workspace.package.clone(),
        others: &others,
        params: &params,
        profile_params: std::collections::BTreeMap::new(),
        platform: Platform::current(),
        outside: Outside { environment: &|name| std::env::var(name).ok(), git: &git },
    };
    Ok(lang::load(&workspace.root, &request))
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
