//! Floor 7: a build file → a graph. Text is parsed into KDL nodes, nodes are read into items by the
//! one table, items are resolved: names to nodes, types checked, all mistakes told at once.
//!
//! It looks at no file but `memobuild.kdl` and `memobuild.lock`: whether the files that it names exist is found by scanning.

pub mod code;
pub mod mistake;
pub mod source;
pub mod token;
pub mod grammar;
pub mod number;
pub mod escape;
pub mod slip;
pub mod parse;
pub mod flat;
pub mod time;
pub mod size;
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
pub mod reference;
pub mod policy;
pub mod settings;
pub mod lock;

use std::path::Path;

use kdl::KdlDocument;

use crate::graph::graph::Graph;
use crate::graph::op::Op;
use crate::lang::lock::Lock;
use crate::lang::mistake::{Findings, Mistake, Mistakes, SharedSource};
use crate::lang::settings::Settings;
use crate::oci::image::Platform;

/// A build file that has no mistakes.
#[derive(Debug)]
pub struct Loaded {
    pub graph: Graph,
    pub source: SharedSource,
    pub warnings: Vec<Mistake>,
    /// Of the `workspace` block, under the profile that was asked for.
    pub settings: Settings,
    /// What memobuild.lock holds; the graph is not pinned by it yet.
    pub lock: Lock,
}

/// Reads `memobuild.kdl` at the root of a workspace; `params` are the `--param` of the command line.
pub fn load(workspace: &Path, params: &[(String, String)]) -> Result<Loaded, Mistakes> {
    load_under(workspace, params, None)
}

/// As `load`, under a profile.
pub fn load_under(
    workspace: &Path,
    params: &[(String, String)],
    profile: Option<&str>,
) -> Result<Loaded, Mistakes> {
    let loaded = load_text(&source::read(workspace)?, params, profile, &Platform::current())?;
    Ok(Loaded { lock: lock::read(workspace)?, ..loaded })
}

/// The settings of a workspace, for who needs no graph; `None` where there is no build file.
pub fn settings(workspace: &Path, profile: Option<&str>) -> Result<Option<Settings>, Mistakes> {
    let source = match source::read(workspace) {
        Err(mistake) if mistake.code == code::Code::FileMissing => return Ok(None),
        source => source?,
    };
    let mut findings = Findings::default();
    let document = parse::parse(source.inner(), &mut findings);
    let settings = document.map(|document| settle(source.inner(), &document, profile, &mut findings));
    if findings.is_empty() { Ok(settings) } else { Err(findings.finish(&source)) }
}

/// As `load`, from text.
pub fn load_source(
    source: &SharedSource,
    params: &[(String, String)],
    platform: &Platform,
) -> Result<Loaded, Mistakes> {
    load_text(source, params, None, platform)
}

fn load_text(
    source: &SharedSource,
    params: &[(String, String)],
    profile: Option<&str>,
    platform: &Platform,
) -> Result<Loaded, Mistakes> {
    let mut findings = Findings::default();
    let mut warnings = Findings::default();
    let read = graph(source, params, profile, platform, &mut findings, &mut warnings);
    match read {
        Some((graph, settings)) if findings.is_empty() => Ok(Loaded {
            graph,
            source: source.clone(),
            warnings: warnings.finish(source).shown,
            settings,
            lock: Lock::default(),
        }),
        _ => Err(findings.finish(source)),
    }
}

fn graph(
    source: &SharedSource,
    params: &[(String, String)],
    profile: Option<&str>,
    platform: &Platform,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Option<(Graph, Settings)> {
    let text = source.inner();
    let document = parse::parse(text, findings)?;
    let settings = settle(text, &document, profile, findings);
    // The last one wins: what the command line says.
    let profiled = settings.params.iter().map(|(name, param)| (name.clone(), param.value.to_text()));
    let params: Vec<(String, String)> = profiled.chain(params.iter().cloned()).collect();
    let file = file::read(text, &document, &params, platform, findings, warnings)?;
    let mut graph = resolve::resolve(text, &file, findings)?;
    for node in &mut graph.nodes {
        if let Op::Host(host) = &mut node.op {
            host.include.clone_from(&settings.host_folders);
        }
    }
    Some((graph, settings))
}

/// What the `workspace` block says under the profile.
fn settle(text: &str, document: &KdlDocument, profile: Option<&str>, findings: &mut Findings) -> Settings {
    let workspace = decl::workspace::read(text, document, findings);
    workspace.settle(profile).unwrap_or_else(|mistake| {
        findings.add(*mistake);
        workspace.base
    })
}

#[cfg(test)]
mod tests;
