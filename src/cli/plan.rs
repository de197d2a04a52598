//! `memobuild plan`: what a build would do.

use std::fmt::Write as _;

use crate::base::cancel::Cancel;
use crate::cli::args::{Args, Format, PlanArgs};
use crate::cli::failure::Failure;
use crate::cli::{load, place, policy, print, settings};
use crate::engine::history::History;
use crate::engine::plan::{Forecast, Planned, plan as forecast};
use crate::exec::local::LocalExecutor;
use crate::graph::select;
use crate::oci::supply::Supply;

pub(super) fn plan(args: &Args, asked: &PlanArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::load(args, &workspace, &asked.params, &asked.targets)?;
    let graph = &loaded.graph;
    let targets = select::targets(graph, &asked.targets)?;
    let needed = select::needed(graph, &targets);
    policy::enforce(&loaded, &needed)?;
    let workspace = workspace.root;
    let memo = place::open_for(args, &workspace, &loaded)?;
    let cancel = Cancel::default();
    let supply = Supply::new(&memo, &settings::network(&loaded), &cancel);
    let exports = History::load(&memo, &workspace).exports();
    let executor = LocalExecutor::new(&supply, &workspace, &exports, true)?.asking_nobody();
    let planned = forecast(graph, &needed, &workspace, &supply, &executor, &cancel)?;
    match asked.format {
        Format::Json => print::json(&serde_json::json!({ "version": 1, "nodes": planned })),
        Format::Text => print::data(text(&planned)),
    }
}

fn text(planned: &[Planned]) -> String {
    let width = planned.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Planned { name, kind, forecast, why, .. } in planned {
        let forecast = match forecast {
            Forecast::Hit => "hit",
            Forecast::WillRun => "will run",
            Forecast::Unknown => "unknown",
        };
        let why = why.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        let _ = writeln!(text, "{forecast:<9} {name:<width$}  {kind:<6}{why}");
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
