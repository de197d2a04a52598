//! From a node whose inputs are settled to its action, and what the memo knows of it.

use crate::base::cancel::Cancel;
use crate::base::digest::ActionKey;
use crate::engine::remember::{Recalled, Trust, recall};
use crate::engine::values::{Outputs, Values};
use crate::exec::executor::{ExecError, Executor, Listener, Stream};
use crate::exec::narrow::narrow;
use crate::graph::action::{Action, ActionInput};
use crate::graph::graph::{Graph, NodeId};
use crate::store::memo::Memo;

pub enum Prepared {
    /// Looked at now; its values are what it holds now.
    Source {
        key: ActionKey,
        outputs: Outputs,
        bytes: u64,
    },
    Hit {
        key: ActionKey,
        recalled: Recalled,
    },
    Miss {
        key: ActionKey,
        action: Action,
    },
}

pub fn prepare(
    graph: &Graph,
    id: NodeId,
    values: &Values,
    memo: &Memo,
    executor: &dyn Executor,
    trust: Trust,
    cancel: &Cancel,
) -> Result<Prepared, ExecError> {
    let mut action = action(graph, id, values, memo)?;
    executor.pin(&mut action.op)?;
    let key = action.key();
    if action.op.is_source() {
        let made = executor.execute(&action, cancel, &mut Deaf)?;
        return Ok(Prepared::Source { key, outputs: made.outputs, bytes: made.bytes });
    }
    match recall(memo, executor, key, trust)? {
        Some(recalled) => Ok(Prepared::Hit { key, recalled }),
        None => Ok(Prepared::Miss { key, action }),
    }
}

fn action(graph: &Graph, id: NodeId, values: &Values, memo: &Memo) -> Result<Action, ExecError> {
    let node = graph.node(id);
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        let value = values.output(memo, graph, &input.source)?;
        let value = narrow(memo, &value, &input.select).map_err(|error| error.about(&input.slot))?;
        inputs.push(ActionInput { slot: input.slot.clone(), value });
    }
    Ok(Action { node: node.name.clone(), op: node.op.clone(), inputs, platform: node.platform.clone() })
}

/// Sources write nothing.
struct Deaf;

impl Listener for Deaf {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}
}
