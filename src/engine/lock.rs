//! What `memobuild lock` learns of runs that say `network locked`: it executes them as if they said `network host`,
//! and reads the digests of what came out.

use std::collections::BTreeMap;

use crate::engine::values::Values;
use crate::exec::executor::ExecError;
use crate::exec::locked;
use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{Network, Op, Run};
use crate::graph::value::Value;
use crate::store::memo::Memo;

/// The runs that the lock file pins.
pub fn locked_runs(graph: &Graph) -> impl Iterator<Item = NodeId> {
    graph.ids().filter(|id| locked_run(graph, *id).is_some())
}

/// The same graph, in which these runs need no entries, and execute even if they did so before.
pub fn unlocked(graph: &Graph, runs: &[NodeId]) -> Graph {
    let mut graph = graph.clone();
    for id in runs {
        if let Op::Run(run) = &mut graph.nodes[id.0].op {
            run.network = Network::Host;
            run.rerun = true;
            run.outputs.iter_mut().for_each(|output| output.locked = None);
        }
    }
    graph
}

/// What the lock file is to hold of a run in `graph`, which says `network locked`: a digest for each of its outputs
/// that was made when the unlocked graph was built.
pub fn entries(
    memo: &Memo,
    graph: &Graph,
    values: &Values,
    id: NodeId,
) -> Result<BTreeMap<String, String>, ExecError> {
    let mut entries = BTreeMap::new();
    for output in locked_run(graph, id).into_iter().flat_map(|run| &run.outputs) {
        let source = OutputRef { node: id, output: output.name.clone() };
        let value: Value = match values.output(memo, graph, &source) {
            Err(ExecError::Input { .. }) if output.optional => continue,
            value => value?,
        };
        entries.extend(locked::digest(&value).map(|digest| (output.name.clone(), digest)));
    }
    Ok(entries)
}

fn locked_run(graph: &Graph, id: NodeId) -> Option<&Run> {
    match &graph.node(id).op {
        Op::Run(run) if run.network == Network::Locked => Some(run),
        _ => None,
    }
}
