//! `memobuild check`: every mistake of the build file, or none.

use crate::cli::args::{Args, CheckArgs, Format};
use crate::cli::failure::Failure;
use crate::cli::{load, place, print};
use crate::lang::mistake::Mistake;

pub(super) fn check(args: &Args, check: &CheckArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::read(&workspace, &check.params, &[])?;
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
        let files = loaded.sources.count();
        let files = if files == 1 { "one build file".to_owned() } else { format!("{files} build files") };
        print::data(format!("{files}, {count} nodes, no mistakes\n"))?;
    }
    Ok(())
}
