//! `memobuild graph`: the nodes and what they need of each other.

use crate::cli::args::{Args, GraphArgs, GraphFormat};
use crate::cli::failure::Failure;
use crate::cli::{load, place, print};
use crate::graph::restrict::restricted;
use crate::graph::{drawing, render, select};

pub(super) fn graph(args: &Args, asked: &GraphArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let mut graph = load::load(args, &workspace, &asked.params, &asked.targets)?.graph;
    if !asked.targets.is_empty() {
        let targets = select::targets(&graph, &asked.targets)?;
        graph = restricted(&graph, &select::needed(&graph, &targets));
    }
    print::data(match asked.format {
        GraphFormat::Text => render::text(&graph),
        GraphFormat::Dot => render::dot(&graph),
        GraphFormat::Json => render::json(&graph),
        GraphFormat::Svg => drawing::svg(&graph),
    })
}
