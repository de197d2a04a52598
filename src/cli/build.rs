//! `memobuild build`: brings targets up to date and exports one of them.

use std::path::Path;
use std::time::Instant;

use crate::cli::args::{Args, BuildArgs};
use crate::cli::failure::{Failure, store_help};
use crate::cli::output::metadata::{self, Written};
use crate::cli::output::write::{Desk, Made};
use crate::cli::output::{self, Output, Planned};
use crate::cli::{interrupt, lender, load, place, policy, print, progress, settings, tell};
use crate::engine::build::{Built, Order, build as run_build};
use crate::engine::history::{History, identity};
use crate::engine::made_by::made_by;
use crate::engine::remember::Trust;
use crate::engine::report::{Report, Totals};
use crate::engine::values::Values;
use crate::exec::executor::{Cause, ExecError, Executor};
use crate::exec::local::LocalExecutor;
use crate::exec::log::tail;
use crate::graph::graph::{Graph, Node, OutputRef};
use crate::graph::select;
use crate::lang::Loaded;
use crate::lang::mistake::Mistake;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;

/// Lines of a failed command's log that are shown with the failure.
const TAIL: usize = 20;

pub(super) fn build(args: &Args, asked: &BuildArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let workspace = place::workspace(args)?;
    let loaded = load::load(args, &workspace, &asked.params, &asked.targets)?;
    let workspace = workspace.root;
    let graph = &loaded.graph;
    let outputs: Vec<Output> =
        asked.output.iter().map(|text| output::parse(text)).collect::<Result<_, _>>()?;
    let targets = targets(graph, &asked.targets, &outputs)?;
    let outputs: Vec<Planned> =
        outputs.into_iter().map(|output| output.plan(graph, &targets)).collect::<Result<_, _>>()?;
    let exported = outputs.iter().flat_map(|output| &output.sources);
    let needed = select::needed(graph, &targets.iter().chain(exported).cloned().collect::<Vec<_>>());
    policy::enforce(&loaded, &needed)?;
    let memo = place::open_for(args, &workspace, &loaded)?;
    let history = History::load(&memo, &workspace);
    for output in &outputs {
        output.check(&history)?;
    }
    let isolation = policy::isolation(asked.min_isolation, &loaded);
    let lender = lender::lender(&loaded, &workspace, &asked.lent)?;
    let cancel = interrupt::cancel();
    let mut leave_out = history.exports();
    leave_out.extend(outputs.iter().filter_map(|output| output.path().map(Path::to_owned)));
    let supply = Supply::new(&memo, &settings::network(&loaded), &cancel);
    let executor = |trust| -> Result<Box<dyn Executor>, ExecError> {
        let executor = LocalExecutor::new(&supply, &workspace, &leave_out, trust == Trust::Record)?;
        let executor = executor.isolated_by(isolation).with_unsafe_host(asked.unsafe_host);
        Ok(Box::new(executor.granting(asked.allowed.grants()).lending(&lender)))
    };
    let jobs = settings::jobs(asked.jobs)?;
    let order = Order { graph, needed: &needed, workspace: &workspace, jobs, keep_going: asked.keep_going };
    let mut progress =
        progress::start(settings::progress(asked.progress)?, graph, supply.network().traffic());
    let desk = Desk { supply: &supply, created: created()? };
    let mut written = Vec::new();
    let mut export = |values: &Values| {
        written = write_all(&desk, graph, values, &outputs)?;
        Ok(())
    };
    let built = run_build(&order, &supply, &executor, &cancel, progress.as_mut(), &mut export);
    drop(progress);
    let built = built?;
    written.iter().for_each(|written| print::note(&written.line()));
    if !built.failures.is_empty() {
        tell::write_kept(&built, &outputs, &desk).iter().for_each(|line| print::note(line));
    }
    remember_exports(&memo, &workspace, &outputs)?;
    if let Some(path) = &asked.metadata_file {
        metadata::write(path, &written)?;
    }
    if let Some(path) = &asked.report {
        write_report(path, &built.report)?;
    }
    for (id, lost) in &built.lost {
        print::mistake(&tell::lost_writes(&loaded, loaded.graph.node(*id), lost));
    }
    tell_failures(&memo, &loaded, &built);
    tell::unsafe_host(&built.report).iter().for_each(|line| print::note(line));
    print::note(&last_line(&built.report.totals, began.elapsed().as_secs_f64()));
    conclude(&built)
}

/// What is built beside what outputs name: nothing, where each of them names its own.
fn targets(graph: &Graph, asked: &[String], outputs: &[Output]) -> Result<Vec<OutputRef>, Failure> {
    if asked.is_empty() && !outputs.is_empty() && outputs.iter().all(|output| output.target.is_some()) {
        return Ok(Vec::new());
    }
    Ok(select::targets(graph, asked)?)
}

/// Every result to where it goes.
pub(super) fn write_all(
    desk: &Desk<'_>,
    graph: &Graph,
    values: &Values,
    outputs: &[Planned],
) -> Result<Vec<Written>, ExecError> {
    let mut written = Vec::new();
    for output in outputs {
        let made = output.sources.iter().map(|source| {
            let value = values.output(desk.supply, graph, source)?;
            Ok(Made { value, by: made_by(graph, values, desk.supply, source)? })
        });
        written.push(output.write(desk, &made.collect::<Result<Vec<_>, ExecError>>()?)?);
    }
    Ok(written)
}

/// For `created` and history of images that do not say: the caller's `SOURCE_DATE_EPOCH`, else 1980.
pub(super) fn created() -> Result<u64, Failure> {
    const YEAR_1980: u64 = 315_532_800;
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(YEAR_1980),
        Ok(text) => text.parse().map_err(|_| {
            Failure::input(
                format!("SOURCE_DATE_EPOCH is `{text}`, not a number of seconds"),
                "set it to seconds since 1970, or unset it",
            )
        }),
    }
}

pub(super) fn remember_exports(memo: &Memo, workspace: &Path, outputs: &[Planned]) -> Result<(), Failure> {
    if outputs.is_empty() {
        return Ok(());
    }
    let mut history = History::load(memo, workspace);
    let before = history.exported.clone();
    for path in outputs.iter().filter_map(Planned::path) {
        match identity(path) {
            Some(identity) => drop(history.exported.insert(path.to_owned(), identity)),
            None => drop(history.exported.remove(path)),
        }
    }
    if history.exported != before {
        history.save(memo, workspace)?;
    }
    Ok(())
}

fn write_report(path: &Path, report: &Report) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report).expect("bug: a report is always JSON");
    std::fs::write(path, json + "\n").map_err(|error| {
        Failure::environment(
            format!("cannot write the report `{}`: {error}", path.display()),
            Some("name a file in a folder that you may write to".to_owned()),
        )
    })
}

/// Each failed node with its command, its code and the end of its log.
pub(super) fn tell_failures(memo: &Memo, loaded: &Loaded, built: &Built) {
    for (id, error) in &built.failures {
        let node = loaded.graph.node(*id);
        if let Some(mistake) = mistake(loaded, node, error) {
            print::mistake(&mistake);
            continue;
        }
        print::note(&format!("\n{} `{}` ({}) failed: {error}", node.kind, node.name, node.place));
        let lines = match error {
            ExecError::Failed(failure) => {
                failure.log.and_then(|log| tail(memo, log, TAIL).ok()).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        for line in &lines {
            print::note(&format!("  │ {line}"));
        }
        if let ExecError::Failed(failure) = error {
            if let Some(line) = tell::kept(node, failure) {
                print::note(&format!("  {line}"));
            }
            let mistake = tell::offline(loaded, node, failure, None);
            if let Some(mistake) = mistake.or_else(|| tell::refused(loaded, node, failure)) {
                print::mistake(&mistake);
                continue;
            }
        }
        if let Some(help) = help(error, &node.name, !lines.is_empty()) {
            print::note(&format!("  help: {help}"));
        }
    }
}

/// Where the file has what an error is about.
pub(super) fn mistake(loaded: &Loaded, node: &Node, error: &ExecError) -> Option<Mistake> {
    let (sources, until) = (&loaded.sources, end_of(node, loaded));
    match error {
        ExecError::Input { message, help } => Some(Mistake::in_node(sources, node, until, message, help)),
        ExecError::Mistake { code, message, words, label, help } => {
            let mistake = Mistake::new(*code, message, help);
            Some(match words {
                Some(words) => mistake.of_words(sources, node, until, words, label),
                None => mistake.of_node(sources, node, label),
            })
        }
        _ => None,
    }
}

/// Where the next node begins, or its file ends.
pub(super) fn end_of(node: &Node, loaded: &Loaded) -> usize {
    let starts = loaded.graph.nodes.iter().map(|other| other.span.start);
    let file_end = loaded.sources.at(node.span.start).end();
    starts.filter(|start| *start > node.span.start).fold(file_end, usize::min)
}

fn help(error: &ExecError, node: &str, has_log: bool) -> Option<String> {
    match error {
        ExecError::Failed(failure) if failure.cause == Cause::NotFound => {
            Some("correct its name, or put the program into the root that the node stands on".to_owned())
        }
        ExecError::Failed(failure) if failure.limit().is_some() => {
            let word = failure.limit().unwrap_or_default();
            Some(format!("raise `{word}=` in its `limits`, or let it need less"))
        }
        ExecError::Failed(_) => has_log.then(|| format!("the full log: memobuild log {node}")),
        ExecError::Input { help, .. } | ExecError::Mistake { help, .. } => Some(help.clone()),
        ExecError::Environment { help, .. } => help.clone(),
        ExecError::Store(error) => store_help(error),
        ExecError::Unmet(_) | ExecError::Cancelled => None,
    }
}

fn last_line(totals: &Totals, seconds: f64) -> String {
    let recalled = totals.recalled + totals.cutoff;
    let mut parts = vec![format!("{} executed", totals.executed), format!("{recalled} recalled")];
    if totals.failed > 0 {
        parts.push(format!("{} failed", totals.failed));
    }
    if totals.skipped > 0 {
        parts.push(format!("{} skipped", totals.skipped));
    }
    format!(
        "{} nodes: {}; {:.1} s saved, {seconds:.2} s spent",
        totals.nodes,
        parts.join(", "),
        totals.saved_seconds
    )
}

/// The exit code follows from the first failure.
pub(super) fn conclude(built: &Built) -> Result<(), Failure> {
    let Some((_, first)) = built.failures.first() else { return Ok(()) };
    let message = match built.failures.len() {
        1 => "the build failed".to_owned(),
        count => format!("the build failed: {count} nodes"),
    };
    Err(match first {
        ExecError::Failed(_) | ExecError::Unmet(_) => Failure::Failed(message),
        ExecError::Input { .. } | ExecError::Mistake { .. } => Failure::Input { message, help: None },
        _ => Failure::Environment { message, help: None },
    })
}

/// For tests of the wording.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_tells_time() {
        let totals = Totals {
            nodes: 5,
            executed: 1,
            recalled: 2,
            cutoff: 1,
            failed: 1,
            saved_seconds: 2.51,
            ..Totals::default()
        };
        assert_eq!(
            last_line(&totals, 0.5),
            "5 nodes: 1 executed, 3 recalled, 1 failed; 2.5 s saved, 0.50 s spent"
        );
    }
}
