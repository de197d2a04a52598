//! What a build tells while it goes on.

use crate::engine::report::Outcome;
use crate::exec::executor::Stream;
use crate::graph::graph::NodeId;

pub enum Event<'e> {
    /// A node begins to execute; recalled ones never start.
    Started {
        node: NodeId,
    },
    /// Bytes as they come, not yet cut into lines.
    Output {
        node: NodeId,
        stream: Stream,
        bytes: &'e [u8],
    },
    /// It failed for `reason` and is tried again.
    Retried {
        node: NodeId,
        reason: &'e str,
        attempt: u32,
        most: u32,
    },
    Settled {
        node: NodeId,
        outcome: Outcome,
        seconds: f64,
    },
    /// Something in the store was damaged; the build begins again without it.
    Again {
        reason: &'e str,
    },
}

/// Hears events in the thread that drives the build.
pub trait Watcher {
    fn hear(&mut self, event: Event<'_>);
}
