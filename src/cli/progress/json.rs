//! One JSON object a line, for programs.

use serde_json::json;

use crate::cli::print;
use crate::engine::event::{Event, Watcher};
use crate::exec::executor::Stream;
use crate::graph::graph::{Graph, NodeId};

pub(super) struct Json<'g> {
    graph: &'g Graph,
}

impl<'g> Json<'g> {
    pub(super) fn new(graph: &'g Graph) -> Json<'g> {
        Json { graph }
    }

    fn name(&self, node: NodeId) -> &str {
        &self.graph.node(node).name
    }
}

impl Watcher for Json<'_> {
    fn hear(&mut self, event: Event<'_>) {
        let object = match event {
            Event::Started { node } => json!({ "event": "started", "node": self.name(node) }),
            Event::Output { node, stream, bytes } => json!({
                "event": "output",
                "node": self.name(node),
                "stream": match stream { Stream::Stdout => "stdout", Stream::Stderr => "stderr" },
                "text": String::from_utf8_lossy(bytes),
            }),
            Event::Retried { node, reason, attempt, most } => json!({
                "event": "retried",
                "node": self.name(node),
                "reason": reason,
                "attempt": attempt,
                "most": most,
            }),
            Event::Settled { node, outcome, seconds } => {
                json!({ "event": "settled", "node": self.name(node), "outcome": outcome, "seconds": seconds })
            }
            Event::Again { reason } => json!({ "event": "again", "reason": reason }),
        };
        print::note(&object.to_string());
    }
}
