//! `memobuild check`: every mistake of the build file, or none.

use crate::cli::args::{Args, CheckArgs, Format};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::lang;

pub(super) fn check(args: &Args, check: &CheckArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    match (lang::load(&workspace, &params(&check.params)?), check.format) {
        (Ok(loaded), Format::Text) => {
            let count = loaded.graph.nodes.len();
            print::data(format!("memobuild.kdl: {count} nodes, no mistakes\n"))
        }
        (Ok(_), Format::Json) => print::json(&serde_json::json!({ "version": 1, "mistakes": [] })),
        (Err(mistakes), Format::Text) => Err(Failure::Mistakes(Box::new(mistakes))),
        (Err(mistakes), Format::Json) => {
            print::json(&serde_json::json!({ "version": 1, "mistakes": mistakes.records() }))?;
            Err(Failure::Mistakes(Box::new(mistakes)))
        }
    }
}

/// `NAME=VALUE` as the command line gives them.
pub(super) fn params(params: &[String]) -> Result<Vec<(String, String)>, Failure> {
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
