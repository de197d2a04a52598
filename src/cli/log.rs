//! `memobuild log NODE`: everything its last run wrote.

use crate::cli::args::{Args, LogArgs};
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::engine::history::History;
use crate::exec::log::text;

pub(super) fn log(args: &Args, asked: &LogArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?.root;
    let memo = place::open(args)?;
    let history = History::load(&memo, &workspace);
    let node = &asked.node;
    let Some(last) = history.nodes.get(node) else {
        let known = history.nodes.iter().filter(|(_, last)| last.log.is_some());
        let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        let help = match known.as_slice() {
            [] => "build first".to_owned(),
            known => format!("nodes with a log: {}", known.join(", ")),
        };
        return Err(Failure::input(format!("no node `{node}` has run in this workspace"), help));
    };
    match last.log {
        Some(log) => print::data(text(&memo, log)?),
        None => {
            print::note(&format!("memobuild: `{node}` wrote nothing"));
            Ok(())
        }
    }
}
