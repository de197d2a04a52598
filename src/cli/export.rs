//! `memobuild export`: writes results into the workspace, where `export` lines say. The only command that
//! writes among the sources; `--check` tells whether it would.

pub(super) mod place;

use std::path::{Path, PathBuf};

use crate::base::suggest;
use crate::base::tree_path::TreePath;
use crate::cli::args::{Args, ExportArgs, Format};
use crate::cli::failure::Failure;
use crate::cli::{build, interrupt, load, place as places, policy, print, progress, settings};
use crate::engine::build::{Order, build as run_build};
use crate::engine::history::History;
use crate::engine::remember::Trust;
use crate::engine::values::Values;
use crate::exec::executor::{ExecError, Executor};
use crate::exec::local::LocalExecutor;
use crate::exec::narrow::narrow;
use crate::graph::graph::{Export, ExportMode, Graph, OutputRef, Select};
use crate::graph::select;
use crate::graph::value::Value;
use crate::oci::supply::Supply;
use crate::tree::disk::land::{Change, Changes, Landing};
use crate::tree::tree::Entry;

pub(super) fn export(args: &Args, asked: &ExportArgs) -> Result<(), Failure> {
    let workspace = places::workspace(args)?;
    let loaded = load::load(args, &workspace, &asked.params, &asked.names)?;
    let workspace = workspace.root;
    let graph = &loaded.graph;
    let exports = chosen(graph, &asked.names)?;
    let targets: Vec<OutputRef> = exports.iter().map(|export| export.output.clone()).collect();
    let needed = select::needed(graph, &targets);
    policy::enforce(&loaded, &needed)?;
    let memo = places::open_for(args, &workspace, &loaded)?;
    let confined = exports.iter().map(|export| place::confined(&workspace, memo.folder(), export));
    let confined = confined.collect::<Result<Vec<PathBuf>, Failure>>()?;
    let isolation = policy::isolation(None, &loaded);
    let cancel = interrupt::cancel();
    let left_out = History::load(&memo, &workspace).exports();
    let supply = Supply::new(&memo, &settings::network(&loaded), &cancel);
    let executor = |trust| -> Result<Box<dyn Executor>, ExecError> {
        let executor = LocalExecutor::new(&supply, &workspace, &left_out, trust == Trust::Record)?;
        Ok(Box::new(executor.isolated_by(isolation).granting(asked.allowed.grants())))
    };
    let jobs = settings::jobs(asked.jobs)?;
    let order = Order { graph, needed: &needed, workspace: &workspace, jobs, keep_going: false };
    let mut progress =
        progress::start(settings::progress(asked.progress)?, graph, supply.network().traffic());
    let mut told = Vec::new();
    let mut write = |values: &Values| {
        told.clear();
        let mut landings = Vec::new();
        for (export, to) in exports.iter().zip(&confined) {
            landings.push(looked_at(&supply, graph, values, export, to)?);
        }
        for landed in &landings {
            if !asked.check && !landed.changes.is_empty() {
                let merge = landed.export.mode == ExportMode::Merge;
                landed.landing.write(&memo, &landed.to, merge, &cancel)?;
            }
        }
        told.extend(landings.into_iter().map(|landed| (landed.export, landed.shown)));
        Ok(())
    };
    let built = run_build(&order, &supply, &executor, &cancel, progress.as_mut(), &mut write);
    drop(progress);
    let built = built?;
    build::tell_failures(&memo, &loaded, &built);
    build::conclude(&built)?;
    tell(&told, asked.format)?;
    conclude(&told, asked.check)
}

/// An export whose result is known, and what it would change.
struct Landed<'e> {
    export: &'e Export,
    to: PathBuf,
    landing: Landing,
    changes: Changes,
    /// By their paths from the workspace's root.
    shown: Vec<(Change, TreePath)>,
}

/// Every export is looked at before any of them is written.
fn looked_at<'e>(
    supply: &Supply,
    graph: &Graph,
    values: &Values,
    export: &'e Export,
    to: &Path,
) -> Result<Landed<'e>, ExecError> {
    let value = values.output(supply, graph, &export.output)?;
    let select = Select { path: export.path.clone(), ..Select::default() };
    let Value::Tree(entry) = narrow(supply, &value, &select)? else {
        unreachable!("bug: exports take trees, or a part of something else");
    };
    let (to, top) = destination(export, &entry, to);
    let landing = Landing::new(supply.memo(), &entry, top.names().count())?;
    let changes = landing.changes(&to, export.mode == ExportMode::Merge)?;
    place::spare(export, &top, &changes)?;
    let shown = changes.iter().map(|(path, change)| (*change, top.below(path))).collect();
    Ok(Landed { export, to, landing, changes, shown })
}

/// On disk, and from the workspace's root.
fn destination(export: &Export, entry: &Entry, to: &Path) -> (PathBuf, TreePath) {
    match &export.file_name {
        Some(name) if !entry.is_directory() => (to.join(name), export.to.join(name.as_bytes())),
        _ => (to.to_owned(), export.to.clone()),
    }
}

/// Those that are named; else all of the package that one stands in.
fn chosen<'g>(graph: &'g Graph, names: &[String]) -> Result<Vec<&'g Export>, Failure> {
    let of_package = |package: &str| -> Vec<&'g Export> {
        graph.exports.iter().filter(|export| package_of(&export.name) == package).collect()
    };
    if names.is_empty() {
        let all = of_package(graph.prefix.trim_end_matches(':'));
        if all.is_empty() {
            return Err(Failure::input(
                "there is nothing to export: the build file has no line `export`",
                "write one: export NAME NODE to=\"FOLDER\"",
            ));
        }
        return Ok(all);
    }
    let mut chosen: Vec<&Export> = Vec::new();
    for name in names {
        let found: Vec<&Export> = match (select::wildcard(name), name.strip_prefix("//:")) {
            (Some(folder), _) => graph.exports.iter().filter(|export| is_below(export, folder)).collect(),
            (None, Some(of_root)) => named(graph, of_root),
            (None, None) if name == "//" => of_package(""),
            (None, None) if name.starts_with("//") && !name.contains(':') => of_package(name),
            (None, None) if name.starts_with("//") => named(graph, name),
            (None, None) => named(graph, &format!("{}{name}", graph.prefix)),
        };
        if found.is_empty() {
            return Err(unknown(graph, name));
        }
        for export in found {
            if !chosen.contains(&export) {
                chosen.push(export);
            }
        }
    }
    Ok(chosen)
}

fn named<'g>(graph: &'g Graph, name: &str) -> Vec<&'g Export> {
    graph.exports.iter().filter(|export| export.name == name).collect()
}

/// `//services/api`; empty for the root package.
fn package_of(name: &str) -> &str {
    if name.starts_with("//") { name.split(':').next().unwrap_or_default() } else { "" }
}

fn is_below(export: &Export, folder: &str) -> bool {
    TreePath::parse(folder).is_ok_and(|folder| export.package.starts_with(&folder))
}

fn unknown(graph: &Graph, name: &str) -> Failure {
    let known: Vec<&str> = graph
        .exports
        .iter()
        .map(|export| export.name.strip_prefix(&graph.prefix).unwrap_or(&export.name))
        .collect();
    let help = match suggest::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`memobuild list` tells the exports".to_owned(),
    };
    Failure::input(format!("there is no export `{name}`"), help)
}

type Told<'e> = (&'e Export, Vec<(Change, TreePath)>);

fn tell(told: &[Told<'_>], format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => print::data(told.iter().map(text).collect::<String>()),
        Format::Json => {
            let exports: Vec<_> = told.iter().map(json).collect();
            print::json(&serde_json::json!({ "version": 1, "exports": exports }))
        }
    }
}

fn paths(changes: &[(Change, TreePath)], of: Change) -> Vec<String> {
    let of = changes.iter().filter(|(change, _)| *change == of);
    of.map(|(_, path)| path.to_string().trim_start_matches('/').to_owned()).collect()
}

fn text((export, changes): &Told<'_>) -> String {
    if changes.is_empty() {
        return format!("{}: current\n", export.name);
    }
    let mut page = String::new();
    let mut counts = Vec::new();
    for (change, word) in
        [(Change::Added, "added"), (Change::Changed, "changed"), (Change::Removed, "removed")]
    {
        let paths = paths(changes, change);
        counts.push(format!("{} {word}", paths.len()));
        paths.iter().for_each(|path| page += &format!("{word:<8} {path}\n"));
    }
    page + &format!("{}: {}\n", export.name, counts.join(", "))
}

fn json((export, changes): &Told<'_>) -> serde_json::Value {
    serde_json::json!({
        "name": export.name,
        "to": export.to,
        "added": paths(changes, Change::Added),
        "changed": paths(changes, Change::Changed),
        "removed": paths(changes, Change::Removed),
    })
}

fn conclude(told: &[Told<'_>], check: bool) -> Result<(), Failure> {
    let differ = told.iter().filter(|(_, changes)| !changes.is_empty()).count();
    if !check || differ == 0 {
        return Ok(());
    }
    let message = match differ {
        1 => "an export is not what the workspace holds".to_owned(),
        more => format!("{more} exports are not what the workspace holds"),
    };
    Err(Failure::input(message, "run `memobuild export`, and commit what it writes"))
}
