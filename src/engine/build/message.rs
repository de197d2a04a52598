//! What the threads of executing nodes say to the one that drives the build.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use crate::base::digest::ActionKey;
use crate::engine::prepare::Prepared;
use crate::engine::remember::Recalled;
use crate::exec::executor::{ExecError, Failure, Listener, Made, Stream};
use crate::graph::action::Action;
use crate::graph::graph::NodeId;
use crate::store::record::Record;

pub(super) struct Missed {
    pub(in crate::engine) node: NodeId,
    pub(in crate::engine) action: Action,
    pub(in crate::engine) key: ActionKey,
}

pub(super) enum Message {
    Prepared(NodeId, Duration, Box<Result<Prepared, ExecError>>),
    Output(NodeId, Stream, Vec<u8>),
    /// Which attempt begins, of how many, and why there was need for it.
    Retried(NodeId, u32, u32, String),
    Ended(Box<Ended>),
}

pub(super) struct Ended {
    pub(in crate::engine) node: NodeId,
    pub(in crate::engine) key: ActionKey,
    pub(in crate::engine) why: String,
    pub(in crate::engine) spent: Duration,
    pub(in crate::engine) result: Result<Got, ExecError>,
}

/// How a missed action got its outputs after all.
pub(super) enum Got {
    Made(Made, Record),
    /// Another process, or a node with the same key, made it meanwhile.
    Recalled(Recalled),
}

/// Sends what it hears to the thread that drives.
pub(super) struct Sending {
    pub(in crate::engine) node: NodeId,
    pub(in crate::engine) sender: SyncSender<Message>,
}

impl Listener for Sending {
    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let _ = self.sender.send(Message::Output(self.node, stream, bytes.to_vec()));
    }

    fn retries(&mut self, failure: &Failure, attempt: u32, most: u32) {
        let _ = self.sender.send(Message::Retried(self.node, attempt, most, failure.to_string()));
    }
}
