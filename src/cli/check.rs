//! `memobuild check`: every mistake of the build file, or none.

use std::path::Path;

use crate::cli::args::{Args, CheckArgs, CheckFormat};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::lang::sarif::sarif;
use crate::lang::{self, Loaded};

pub(super) fn check(args: &Args, check: &CheckArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = lang::load(&workspace, &params(&check.params)?);
    let found = match &loaded {
        Ok(loaded) => &loaded.warnings,
        Err(mistakes) => mistakes,
    };
    match check.format {
        CheckFormat::Text => {}
        CheckFormat::Json => {
            print::json(
                &serde_json::json!({ "version": 1, "mistakes": found.records(), "more": found.more }),
            )?;
        }
        CheckFormat::Sarif => print::json(&sarif(&found.records(), found.more))?,
    }
    let loaded = loaded?;
    if check.format == CheckFormat::Text {
        print::mistakes(&loaded.warnings);
        let count = loaded.graph.nodes.len();
        print::data(format!("memobuild.kdl: {count} nodes, no mistakes\n"))?;
    }
    Ok(())
}

/// A build file that has no mistakes; what is only doubtful is told on the way.
pub(super) fn load(workspace: &Path, set: &[String]) -> Result<Loaded, Failure> {
    let loaded = lang::load(workspace, &params(set)?)?;
    print::mistakes(&loaded.warnings);
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
