//! An executor that runs no command and fetches no file: for who only wants what was built already. Sources are
//! looked at and files are composed, since that follows from what is there.

use std::collections::BTreeMap;

use crate::base::cancel::Cancel;
use crate::exec::executor::{ExecError, Executor, Listener, Made};
use crate::graph::action::Action;
use crate::graph::op::Op;
use crate::graph::value::Value;
use crate::oci::image::Platform;
use crate::store::traffic::Traffic;

pub struct Recalling<E> {
    executor: E,
    help: String,
}

impl<E: Executor> Recalling<E> {
    /// `help` is told where something is missing: one action to take.
    pub fn new(executor: E, help: String) -> Recalling<E> {
        Recalling { executor, help }
    }
}

impl<E: Executor> Executor for Recalling<E> {
    fn pin(&self, op: &mut Op, platform: &Platform) -> Result<(), ExecError> {
        self.executor.pin(op, platform)
    }

    fn settled(&self, op: &Op, outputs: &BTreeMap<String, Value>) {
        self.executor.settled(op, outputs);
    }

    fn accepts(&self, rung: &str) -> Result<bool, ExecError> {
        self.executor.accepts(rung)
    }

    fn would_reach(&self, traffic: &Traffic) -> bool {
        self.executor.would_reach(traffic)
    }

    fn finish(&self) -> Result<(), ExecError> {
        self.executor.finish()
    }

    fn execute(
        &self,
        action: &Action,
        cancel: &Cancel,
        listener: &mut dyn Listener,
    ) -> Result<Made, ExecError> {
        let message = match &action.op {
            Op::Scan(_) | Op::Host(_) | Op::Pull(_) | Op::Assemble(_) => {
                return self.executor.execute(action, cancel, listener);
            }
            Op::Fetch(_) => format!("`{}` was not fetched yet", action.node),
            Op::Run(_) | Op::Check(_) => {
                format!("`{}` did not run on what it is given now", action.node)
            }
        };
        Err(ExecError::Input { message, help: self.help.clone() })
    }
}
