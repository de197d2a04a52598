//! `memobuild show`: the expanded graph, with all values put in.

use crate::cli::args::{Args, ShowArgs, ShowFormat};
use crate::cli::failure::Failure;
use crate::cli::{load, place, print};
use crate::graph::show::Shown;

pub(super) fn show(args: &Args, asked: &ShowArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let graph = load::load(args, &workspace, &asked.params, asked.node.as_slice())?.graph;
    let shown = match &asked.node {
        Some(name) => Shown::named(&graph, name)?,
        None => Shown::all(&graph),
    };
    if asked.types {
        return print::data(shown.types());
    }
    match asked.format {
        ShowFormat::Text => print::data(shown.text()),
        ShowFormat::Json => print::json(&shown.json()),
        ShowFormat::Kdl => print::data(shown.kdl()),
    }
}
