//! `memobuild graph`: the nodes and what they need of each other.

use crate::cli::args::{Args, GraphArgs, GraphFormat};
use crate::cli::failure::Failure;
use crate::cli::{check, place, print};
use crate::graph::render;

pub(super) fn graph(args: &Args, asked: &GraphArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let graph = check::load(args, &workspace, &asked.params)?.graph;
    print::data(match asked.format {
        GraphFormat::Text => render::text(&graph),
        GraphFormat::Dot => render::dot(&graph),
        GraphFormat::Json => render::json(&graph),
    })
}
