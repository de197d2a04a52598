//! `memobuild graph`: the nodes and what they need of each other.

use crate::cli::args::{Args, GraphArgs, GraphFormat};
use crate::cli::check::params;
use crate::cli::failure::Failure;
use crate::cli::{place, print};
use crate::graph::render;
use crate::lang;

pub(super) fn graph(args: &Args, asked: &GraphArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = lang::load(&workspace, &params(&asked.params)?)?;
    print::data(match asked.format {
        GraphFormat::Text => render::text(&loaded.graph),
        GraphFormat::Dot => render::dot(&loaded.graph),
        GraphFormat::Json => render::json(&loaded.graph),
    })
}
