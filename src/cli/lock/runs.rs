//! Runs with `network locked` or `network intercept`: executed, for what comes out of the ones, and what the others
//! fetch, is what the lock file holds of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::args::{Args, LockArgs};
use crate::cli::failure::Failure;
use crate::cli::{build, interrupt, lender, place, policy, progress, settings};
use crate::engine::build::{Order, build as run_build};
use crate::engine::history::History;
use crate::engine::lock::{entries as digests, is_intercepted, locked_runs, pins, unlocked};
use crate::engine::remember::Trust;
use crate::engine::values::Values;
use crate::exec::executor::{ExecError, Executor};
use crate::exec::local::LocalExecutor;
use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::select;
use crate::lang::Loaded;
use crate::lang::lock::Lock;
use crate::lang::lock::entry::{Entry, FETCH, Key};
use crate::lang::lock::pin::{label, pin};
use crate::oci::supply::Supply;

/// The entries of those of `open` that are such runs. What they need is pinned by `lock`.
pub(super) fn entries(
    args: &Args,
    workspace: &Path,
    loaded: &Loaded,
    lock: &mut Lock,
    open: &BTreeSet<NodeId>,
    asked: &LockArgs,
) -> Result<Vec<Entry>, Failure> {
    let runs: Vec<NodeId> = locked_runs(&loaded.graph).filter(|id| open.contains(id)).collect();
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut graph = loaded.graph.clone();
    pin(&mut graph, lock);
    let graph = unlocked(&graph, &runs);
    let needed = select::needed(&graph, &outputs(&graph, &runs));
    let memo = place::open_for(args, workspace, loaded)?;
    let isolation = policy::isolation(None, loaded);
    let lender = lender::lender(loaded, workspace, &asked.lent)?;
    let cancel = interrupt::cancel();
    let exports = History::load(&memo, workspace).exports();
    let supply = Supply::new(&memo, &settings::network(loaded), &cancel);
    let executor = |trust| -> Result<Box<dyn Executor>, ExecError> {
        let executor = LocalExecutor::new(&supply, workspace, &exports, trust == Trust::Record)?;
        Ok(Box::new(executor.isolated_by(isolation).granting(asked.allowed.grants()).lending(&lender)))
    };
    let order =
        Order { graph: &graph, needed: &needed, workspace, jobs: settings::jobs(None)?, keep_going: false };
    let mut progress = progress::start(settings::progress(None)?, &graph, supply.network().traffic());
    let mut found = Vec::new();
    let mut read = |values: &Values| {
        found.clear();
        for &id in &runs {
            for (output, digest) in digests(&supply, &loaded.graph, values, id)? {
                found.push(Entry::Run { label: label(loaded.graph.node(id)), output, digest });
            }
        }
        Ok(())
    };
    let built = run_build(&order, &supply, &executor, &cancel, progress.as_mut(), &mut read);
    drop(progress);
    let built = built?;
    build::tell_failures(&memo, loaded, &built);
    build::conclude(&built)?;
    for id in runs.into_iter().filter(|id| is_intercepted(&loaded.graph, *id)) {
        let node = loaded.graph.node(id);
        let label = label(node);
        // What it asked for before, and does not now.
        let old: Vec<Key> =
            lock.fetches(&label).iter().map(|pin| Key::new(FETCH, &label, Some(&pin.url))).collect();
        for key in &old {
            lock.remove(key);
        }
        let report = built.report.nodes.iter().find(|report| report.name == node.name);
        let pins = report.map(|report| pins(&report.traffic)).unwrap_or_default();
        found.extend(pins.into_iter().map(|pin| Entry::Fetch { label: label.clone(), pin }));
    }
    Ok(found)
}

fn outputs(graph: &Graph, runs: &[NodeId]) -> Vec<OutputRef> {
    let of = |&node: &NodeId| {
        let names = graph.node(node).outputs.keys();
        names.map(move |name| OutputRef { node, output: name.clone() })
    };
    runs.iter().flat_map(of).collect()
}
