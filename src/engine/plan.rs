//! What a build would do, as far as can be known: the same schedule with recalls only.
//! What stands on a miss is unknown, since its inputs are.

use serde::Serialize;

use crate::base::cancel::Cancel;
use crate::engine::history::History;
use crate::engine::prepare::{Prepared, gather};
use crate::engine::remember::{Trust, why};
use crate::engine::schedule::{Schedule, State, Verdict};
use crate::engine::values::Values;
use crate::exec::executor::{ExecError, Executor};
use crate::graph::graph::{Graph, NodeId};
use crate::oci::supply::Supply;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecast {
    Hit,
    WillRun,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    pub name: String,
    pub kind: &'static str,
    pub forecast: Forecast,
    pub key: Option<String>,
    pub why: Option<String>,
}

pub fn plan(
    graph: &Graph,
    needed: &[NodeId],
    workspace: &Path,
    supply: &Supply,
    executor: &dyn Executor,
    cancel: &Cancel,
) -> Result<Vec<Planned>, ExecError> {
    let history = History::load(supply.memo(), workspace);
    let mut schedule = Schedule::new(graph, needed);
    let mut values = Values::new(graph);
    let mut planned: Vec<Option<Planned>> = vec![None; graph.nodes.len()];
    while let Some(id) = schedule.take() {
        let node = graph.node(id);
        let row = |forecast, key: String, why| Planned {
            name: node.name.clone(),
            kind: node.kind,
            forecast,
            key: Some(key),
            why,
        };
        let gathered = gather(graph, id, &values)?;
        if gathered.wants_unpacking(supply)? {
            // To look at its files would be to fetch them.
            schedule.settle(id, Verdict::Unknown);
            continue;
        }
        match gathered.prepare(supply, executor, Trust::Record, cancel)? {
            Prepared::Source { key, outputs, .. } => {
                planned[id.0] = Some(row(Forecast::Hit, key.to_string(), None));
                values.set(graph, id, outputs);
                schedule.settle(id, Verdict::Done);
            }
            Prepared::Hit { key, recalled } => {
                planned[id.0] = Some(row(Forecast::Hit, key.to_string(), None));
                executor.settled(&node.op, &recalled.outputs);
                values.set(graph, id, recalled.outputs);
                schedule.settle(id, Verdict::Done);
            }
            Prepared::Miss { key, action } => {
                let last = history.nodes.get(&node.name).and_then(|last| last.key);
                let previous = last.and_then(|key| supply.memo().recall(key).ok().flatten());
                let why = why(previous.as_ref(), &action);
                planned[id.0] = Some(row(Forecast::WillRun, key.to_string(), Some(why)));
                schedule.settle(id, Verdict::Unknown);
            }
        }
    }
    Ok(needed
        .iter()
        .map(|&id| planned[id.0].take().unwrap_or_else(|| unknown(graph, &schedule, id)))
        .collect())
}

fn unknown(graph: &Graph, schedule: &Schedule, id: NodeId) -> Planned {
    debug_assert_eq!(schedule.state(id), State::Unknown);
    let node = graph.node(id);
    let sources = node.inputs.iter().map(|input| input.source.node);
    let cause = sources.into_iter().find(|source| schedule.state(*source) == State::Unknown);
    let why = cause.map(|cause| format!("depends on what `{}` makes", graph.node(cause).name));
    Planned { name: node.name.clone(), kind: node.kind, forecast: Forecast::Unknown, key: None, why }
}
