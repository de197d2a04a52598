//! Floor 7: build files → a graph. Text is parsed into lines; names, parameters and templates become
//! scopes; each node is read once for each coordinate by the one table; references are resolved and
//! types checked; all mistakes are told at once.
//!
//! It looks at no file but build files: whether the files that they name exist is found by scanning.

pub mod code;
pub mod explain;
pub mod mistake;
pub mod sarif;
pub mod source;
pub mod token;
pub mod grammar;
pub mod number;
pub mod escape;
pub mod slip;
pub mod syntax;
pub mod parse;
pub mod label;
pub mod files;
pub mod version;
pub mod time;
pub mod size;
pub mod platform;
pub mod table;
pub mod structure;
pub mod budget;
pub mod interpolate;
pub mod item;
pub mod scope;
pub mod values;
pub mod condition;
pub mod matrix;
pub mod meant;
pub mod value;
pub mod read;
pub mod body;
pub mod decl;
pub mod declare;
pub mod instantiate;
pub mod instances;
pub mod exports;
pub mod alike;
pub mod check;
pub mod cycle;
pub mod imports;
pub mod maps;
pub mod published;
pub mod unused;
pub mod flat;
pub mod policy;
pub mod settings;
pub mod lock;
pub mod lower;
pub mod targets;
pub mod declared;
pub mod root;
pub mod reference;
pub mod format;
pub mod rows;
pub mod schema;

use std::path::Path;

use crate::base::tree_path::TreePath;
use crate::graph::graph::Graph;
use crate::graph::op::Host;
use crate::lang::files::Files;
use crate::lang::interpolate::Plain;
use crate::lang::lock::Lock;
use crate::lang::mistake::{Findings, Mistakes};
use crate::lang::settings::Settings;
use crate::lang::source::{FILE_NAME, Sources};
use crate::oci::image::Platform;

/// Build files that have no mistakes.
#[derive(Debug)]
pub struct Loaded {
    pub graph: Graph,
    pub sources: Sources,
    /// What is only doubtful.
    pub warnings: Mistakes,
    /// Of the `workspace` block, under the profile that was asked for.
    pub settings: Settings,
    /// What memobuild.lock holds; the graph is not pinned by it yet.
    pub lock: Lock,
}

/// What is asked of the files of a build.
pub struct Request<'a> {
    /// The folder, from the workspace's root, whose build file is meant where none is named.
    pub package: TreePath,
    /// Other packages that are wanted.
    pub others: &'a [TreePath],
    pub params: &'a [Flag],
    /// Whose settings are laid over the workspace's.
    pub profile: Option<&'a str>,
    /// Where the build takes place, and what it is for where nothing else is said.
    pub platform: Platform,
    pub outside: Outside<'a>,
}

/// A `--param` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    pub package: TreePath,
    pub name: String,
    pub value: String,
}

/// What lies outside of the files, asked for only where a file names it.
pub struct Outside<'a> {
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// `commit`, `tag`, `describe`, `time` or `dirty` of the workspace's repository; else why not.
    pub git: &'a dyn Fn(&str) -> Result<Plain, String>,
}

impl Outside<'_> {
    /// Knows nothing.
    pub const NOTHING: Outside<'static> =
        Outside { environment: &|_| None, git: &|_| Err("there is no repository here".to_owned()) };
}

impl Request<'_> {
    /// The packages whose nodes are asked for.
    fn wanted(&self) -> Vec<TreePath> {
        std::iter::once(&self.package).chain(self.others).cloned().collect()
    }

    /// The root package, for this machine.
    pub fn root() -> Request<'static> {
        Request {
            package: TreePath::root(),
            others: &[],
            params: &[],
            profile: None,
            platform: Platform::current(),
            outside: Outside::NOTHING,
        }
    }
}

/// Reads the build files of a workspace, from its root folder.
pub fn load(root: &Path, request: &Request<'_>) -> Result<Loaded, Mistakes> {
    let mut findings = Findings::default();
    let files = files::load(root, &request.wanted(), &mut findings);
    let loaded = resolve(files, request, findings)?;
    Ok(Loaded { lock: lock::read(root)?, ..loaded })
}

/// The settings of a workspace, for who needs no graph. `None` where there is no build file; what is wrong
/// with it is not told.
pub fn settings(root: &Path, request: &Request<'_>) -> Option<Settings> {
    let files = files::load(root, &[], &mut Findings::default());
    (!files.files.is_empty()).then(|| declare::declare(&files, request, &mut Findings::default()).settings)
}

/// As `load`, from texts instead of a workspace: each with its path from the root.
pub fn load_texts(texts: &[(&str, &str)], request: &Request<'_>) -> Result<Loaded, Mistakes> {
    let mut findings = Findings::default();
    let files = files::from_texts(texts, &mut findings);
    resolve(files, request, findings)
}

/// As `load`, from the text of a single file.
pub fn load_text(text: &str, request: &Request<'_>) -> Result<Loaded, Mistakes> {
    load_texts(&[(FILE_NAME, text)], request)
}

fn resolve(files: Files, request: &Request<'_>, mut findings: Findings) -> Result<Loaded, Mistakes> {
    let mut warnings = Findings::default();
    let read = graph(&files, request, &mut findings, &mut warnings);
    match read {
        Some((graph, settings)) if findings.is_empty() => {
            let warnings = warnings.finish(&files.sources);
            Ok(Loaded { graph, sources: files.sources, warnings, settings, lock: Lock::default() })
        }
        _ => Err(findings.finish(&files.sources)),
    }
}

fn graph(
    files: &Files,
    request: &Request<'_>,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Option<(Graph, Settings)> {
    let world = declare::declare(files, request, findings);
    imports::check(&world, findings);
    maps::check(&world, findings);
    targets::check(&world, findings);
    let (instances, needs) = instances::read(&world, findings);
    cycle::report(&needs, &|id| instances.name(id), findings);
    published::report(&instances, findings);
    unused::warn(&world, warnings);
    world.budget.report(findings);
    instances.unresolved(findings);
    if !findings.is_empty() {
        return None;
    }
    let host = Host { include: world.settings.host_folders.clone() };
    let graph = lower::lower(&instances, &host, findings);
    world.budget.report(findings);
    Some((graph?, world.settings.clone()))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod shown;
