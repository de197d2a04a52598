//! `memobuild list`: what one may ask for and set.

use crate::cli::args::{Args, Format, ListArgs};
use crate::cli::failure::Failure;
use crate::cli::{load, place, print};
use crate::graph::select;
use crate::graph::show::Listing;

pub(super) fn list(args: &Args, asked: &ListArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let graph = load::load(args, &workspace, &asked.params, &asked.targets)?.graph;
    let listing = if asked.targets.is_empty() {
        Listing::of(&graph)
    } else {
        let chosen = select::targets(&graph, &asked.targets)?;
        Listing::among(&graph, &chosen.iter().map(|output| output.node).collect())
    };
    match asked.format {
        Format::Text => print::data(listing.text()),
        Format::Json => print::json(&listing),
    }
}
