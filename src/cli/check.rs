//! `memobuild check`: every mistake of the build file, or none.

use crate::cli::args::{Args, CheckArgs, CheckFormat};
use crate::cli::failure::Failure;
use crate::cli::{load, place, print};
use crate::lang::sarif::sarif;

pub(super) fn check(args: &Args, check: &CheckArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::read(args, &workspace, &check.params, &[])?;
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
        let files = loaded.sources.count();
        let files = if files == 1 { "one build file".to_owned() } else { format!("{files} build files") };
        print::data(format!("{files}, {count} nodes, no mistakes\n"))?;
    }
    Ok(())
}
