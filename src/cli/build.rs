//! `memobuild build`: brings targets up to date and exports one of them.

use std::path::Path;
use std::time::Instant;

use crate::cli::args::{Args, BuildArgs};
use crate::cli::failure::{Failure, store_help};
use crate::cli::output::{self, Output};
use crate::cli::{check, interrupt, place, policy, print, progress, settings};
use crate::engine::build::{Built, Order, build as run_build};
use crate::engine::history::{History, identity};
use crate::engine::remember::Trust;
use crate::engine::report::{Report, Totals};
use crate::engine::values::Values;
use crate::exec::executor::{Cause, ExecError, Executor, Failure as Failed};
use crate::exec::local::LocalExecutor;
use crate::exec::log::tail;
use crate::graph::graph::{Node, OutputRef};
use crate::graph::select;
use crate::lang::Loaded;
use crate::lang::mistake::Mistake;
use crate::store::memo::Memo;

/// Lines of a failed command's log that are shown with the failure.
const TAIL: usize = 20;

pub(super) fn build(args: &Args, asked: &BuildArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let workspace = place::workspace(args)?;
    let loaded = check::load(args, &workspace, &asked.params)?;
    let graph = &loaded.graph;
    let targets = select::targets(graph, &asked.targets)?;
    let needed = select::needed(graph, &targets);
    policy::enforce(&loaded, &needed)?;
    let outputs: Vec<Output> =
        asked.output.iter().map(|text| output::parse(text)).collect::<Result<_, _>>()?;
    let chosen: Vec<&OutputRef> =
        outputs.iter().map(|output| output.choose(graph, &targets)).collect::<Result<_, _>>()?;
    let memo = place::open_for(args, &workspace, &loaded)?;
    policy::enforce_isolation(&memo, &loaded, &needed)?;
    let history = History::load(&memo, &workspace);
    for output in &outputs {
        output.check(&history)?;
    }
    let cancel = interrupt::cancel();
    let mut leave_out = history.exports();
    leave_out.extend(outputs.iter().map(|output| output.path.clone()));
    let executor = |trust| -> Result<Box<dyn Executor>, ExecError> {
        Ok(Box::new(LocalExecutor::new(&memo, &workspace, &leave_out, trust == Trust::Record, &cancel)?))
    };
    let jobs = settings::jobs(asked.jobs)?;
    let order = Order { graph, needed: &needed, workspace: &workspace, jobs, keep_going: asked.keep_going };
    let mut progress = progress::start(settings::progress(asked.progress)?, graph);
    let created = created()?;
    let mut written = Vec::new();
    let mut export = |values: &Values| {
        written.clear();
        for (output, source) in outputs.iter().zip(&chosen) {
            let value = values.output(&memo, graph, source)?;
            written.push(output.write(&memo, &value, created, &cancel)?);
        }
        Ok(())
    };
    let built = run_build(&order, &memo, &executor, &cancel, progress.as_mut(), &mut export);
    drop(progress);
    let built = built?;
    written.iter().for_each(|line| print::note(line));
    remember_exports(&memo, &workspace, &outputs)?;
    if let Some(path) = &asked.report {
        write_report(path, &built.report)?;
    }
    tell_failures(&memo, &loaded, &built);
    print::note(&last_line(&built.report.totals, began.elapsed().as_secs_f64()));
    conclude(&built)
}

/// For `created` and history of images that do not say: the caller's `SOURCE_DATE_EPOCH`, else 1980.
fn created() -> Result<u64, Failure> {
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

fn remember_exports(memo: &Memo, workspace: &Path, outputs: &[Output]) -> Result<(), Failure> {
    if outputs.is_empty() {
        return Ok(());
    }
    let mut history = History::load(memo, workspace);
    let before = history.exported.clone();
    for output in outputs {
        match identity(&output.path) {
            Some(identity) => drop(history.exported.insert(output.path.clone(), identity)),
            None => drop(history.exported.remove(&output.path)),
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
        if let ExecError::Input { message, help } = error {
            let until = end_of(node, loaded);
            print::mistake(&Mistake::in_node(&loaded.source, node, until, message, help));
            continue;
        }
        print::note(&format!("\n{} `{}` ({}) failed: {error}", node.kind, node.name, node.place));
        let lines = match error {
            ExecError::Failed(Failed { log: Some(log), .. }) => tail(memo, *log, TAIL).unwrap_or_default(),
            _ => Vec::new(),
        };
        for line in &lines {
            print::note(&format!("  │ {line}"));
        }
        if let Some(help) = help(error, &node.name, !lines.is_empty()) {
            print::note(&format!("  help: {help}"));
        }
    }
}

/// Where the next node begins, or the file ends.
pub(super) fn end_of(node: &Node, loaded: &Loaded) -> usize {
    let starts = loaded.graph.nodes.iter().map(|other| other.span.start);
    starts.filter(|start| *start > node.span.start).min().unwrap_or(loaded.source.inner().len())
}

fn help(error: &ExecError, node: &str, has_log: bool) -> Option<String> {
    match error {
        ExecError::Failed(Failed { cause: Cause::NotFound, .. }) => {
            Some("correct its name, or put the program into the root that the node stands on".to_owned())
        }
        ExecError::Failed(_) => has_log.then(|| format!("the full log: memobuild log {node}")),
        ExecError::Input { help, .. } => Some(help.clone()),
        ExecError::Environment { help, .. } => help.clone(),
        ExecError::Store(error) => store_help(error),
        ExecError::Cancelled => None,
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
        ExecError::Failed(_) => Failure::Failed(message),
        ExecError::Input { .. } => Failure::Input { message, help: None },
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
