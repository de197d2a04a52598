//! Floor 7: a build file → a graph. Text is parsed into KDL nodes, nodes are read into items by the
//! one table, items are resolved: names to nodes, types checked, all mistakes told at once.
//!
//! It looks at no file but `memobuild.kdl`: whether the files that it names exist is found by scanning.

pub mod code;
pub mod mistake;
pub mod source;
pub mod token;
pub mod grammar;
pub mod number;
pub mod escape;
pub mod slip;
pub mod parse;
pub mod time;
pub mod table;
pub mod interpolate;
pub mod item;
pub mod value;
pub mod read;
pub mod decl;
pub mod names;
pub mod file;
pub mod check;
pub mod cycle;
pub mod resolve;
pub mod rows;
pub mod reference;
pub mod schema;

use std::path::Path;

use crate::graph::graph::Graph;
use crate::lang::mistake::{Findings, Mistake, Mistakes, SharedSource};
use crate::oci::image::Platform;

/// A build file that has no mistakes.
#[derive(Debug)]
pub struct Loaded {
    pub graph: Graph,
    pub source: SharedSource,
    pub warnings: Vec<Mistake>,
}

/// Reads `memobuild.kdl` at the root of a workspace; `params` are the `--param` of the command line.
pub fn load(workspace: &Path, params: &[(String, String)]) -> Result<Loaded, Mistakes> {
    load_source(&source::read(workspace)?, params, &Platform::current())
}

/// As `load`, from text.
pub fn load_source(
    source: &SharedSource,
    params: &[(String, String)],
    platform: &Platform,
) -> Result<Loaded, Mistakes> {
    let mut findings = Findings::default();
    let mut warnings = Findings::default();
    let graph = graph(source, params, platform, &mut findings, &mut warnings);
    match graph {
        Some(graph) if findings.is_empty() => {
            Ok(Loaded { graph, source: source.clone(), warnings: warnings.finish(source).shown })
        }
        _ => Err(findings.finish(source)),
    }
}

fn graph(
    source: &SharedSource,
    params: &[(String, String)],
    platform: &Platform,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Option<Graph> {
    let text = source.inner();
    let document = parse::parse(text, findings)?;
    let file = file::read(text, &document, params, platform, findings, warnings)?;
    resolve::resolve(text, &file, findings)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod shown;
