//! Which node may go next. A pure state machine: no files, no clock, no threads; a list of calls
//! drives it in tests as the build does in life.

use std::collections::BTreeSet;

use crate::graph::graph::{Graph, NodeId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No target needs it.
    Unneeded,
    /// Some input is not settled yet.
    Waiting,
    /// All inputs are done; nobody has taken it yet.
    Ready,
    /// Taken, not settled yet.
    Running,
    /// Its values are known.
    Done,
    /// It would run (a plan only), or stands on something that would.
    Unknown,
    Failed,
    /// Never taken, since this node failed.
    Skipped(NodeId),
}

/// How a taken node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Unknown,
    Failed,
}

pub struct Schedule {
    states: Vec<State>,
    dependencies: Vec<BTreeSet<NodeId>>,
    dependants: Vec<Vec<NodeId>>,
    /// In graph order, so that equal builds take nodes in equal order.
    ready: BTreeSet<NodeId>,
}

impl Schedule {
    /// `needed` is closed under dependencies.
    pub fn new(graph: &Graph, needed: &[NodeId]) -> Schedule {
        let count = graph.nodes.len();
        let mut schedule = Schedule {
            states: vec![State::Unneeded; count],
            dependencies: vec![BTreeSet::new(); count],
            dependants: vec![Vec::new(); count],
            ready: BTreeSet::new(),
        };
        for &id in needed {
            let sources = graph.node(id).inputs.iter().map(|input| input.source.node);
            schedule.dependencies[id.0] = sources.collect();
            for source in &schedule.dependencies[id.0] {
                schedule.dependants[source.0].push(id);
            }
            schedule.states[id.0] = State::Waiting;
        }
        for &id in needed {
            schedule.wake(id);
        }
        schedule
    }

    pub fn state(&self, id: NodeId) -> State {
        self.states[id.0]
    }

    /// Takes the next ready node.
    pub fn take(&mut self) -> Option<NodeId> {
        let id = self.ready.pop_first()?;
        self.states[id.0] = State::Running;
        Some(id)
    }

    /// Ends a node that was taken.
    pub fn settle(&mut self, id: NodeId, verdict: Verdict) {
        assert_eq!(self.states[id.0], State::Running, "bug: settled a node that was not running");
        self.states[id.0] = match verdict {
            Verdict::Done => State::Done,
            Verdict::Unknown => State::Unknown,
            Verdict::Failed => State::Failed,
        };
        match verdict {
            Verdict::Failed => self.skip_dependants(id),
            Verdict::Done | Verdict::Unknown => {
                for dependant in self.dependants[id.0].clone() {
                    self.wake(dependant);
                }
            }
        }
    }

    /// Nothing new starts: every node not yet taken counts as skipped for `cause`.
    pub fn stop(&mut self, cause: NodeId) {
        self.ready.clear();
        for state in &mut self.states {
            if matches!(state, State::Waiting | State::Ready) {
                *state = State::Skipped(cause);
            }
        }
    }

    /// What waits for `id` is looked at anew; the unknown spreads as far as it goes.
    fn wake(&mut self, id: NodeId) {
        let mut to_look_at = vec![id];
        while let Some(id) = to_look_at.pop() {
            if self.states[id.0] != State::Waiting {
                continue;
            }
            let states = self.dependencies[id.0].iter().map(|source| self.states[source.0]);
            if states.clone().any(|state| !matches!(state, State::Done | State::Unknown)) {
                continue;
            }
            if states.clone().any(|state| state == State::Unknown) {
                self.states[id.0] = State::Unknown;
                to_look_at.extend(&self.dependants[id.0]);
            } else {
                self.states[id.0] = State::Ready;
                self.ready.insert(id);
            }
        }
    }

    fn skip_dependants(&mut self, cause: NodeId) {
        let mut to_skip = self.dependants[cause.0].clone();
        while let Some(id) = to_skip.pop() {
            if self.states[id.0] == State::Waiting {
                self.states[id.0] = State::Skipped(cause);
                to_skip.extend(&self.dependants[id.0]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph::{Input, Node, OutputRef, Select};
    use crate::graph::op::{Host, Op};

    /// `edges[i]` are the inputs of node `i`.
    fn graph(edges: &[&[usize]]) -> Graph {
        let node = |inputs: &[usize]| Node {
            name: String::new(),
            kind: "run",
            op: Op::Host(Host::default()),
            inputs: inputs
                .iter()
                .map(|&source| Input {
                    slot: String::new(),
                    source: OutputRef { node: NodeId(source), output: String::new() },
                    select: Select::default(),
                })
                .collect(),
            outputs: Default::default(),
            main: None,
            doc: None,
            coordinate: std::collections::BTreeMap::new(),
            platform: crate::oci::image::Platform::current(),
            place: String::new(),
            span: 0..0,
        };
        Graph { nodes: edges.iter().map(|inputs| node(inputs)).collect(), ..Graph::default() }
    }

    fn all(schedule: &mut Schedule) -> Vec<usize> {
        std::iter::from_fn(|| schedule.take()).map(|id| id.0).collect()
    }

    fn needed(count: usize) -> Vec<NodeId> {
        (0..count).map(NodeId).collect()
    }

    #[test]
    fn a_node_is_ready_once_its_inputs_are_done() {
        let graph = graph(&[&[], &[], &[0, 1], &[2]]);
        let mut schedule = Schedule::new(&graph, &needed(4));
        assert_eq!(all(&mut schedule), [0, 1]);
        schedule.settle(NodeId(0), Verdict::Done);
        assert_eq!(all(&mut schedule), [0; 0]);
        schedule.settle(NodeId(1), Verdict::Done);
        assert_eq!(all(&mut schedule), [2]);
        schedule.settle(NodeId(2), Verdict::Done);
        assert_eq!(all(&mut schedule), [3]);
    }

    #[test]
    fn what_no_target_needs_is_left_alone() {
        let graph = graph(&[&[], &[]]);
        let mut schedule = Schedule::new(&graph, &[NodeId(1)]);
        assert_eq!(all(&mut schedule), [1]);
        assert_eq!(schedule.state(NodeId(0)), State::Unneeded);
    }

    #[test]
    fn a_failure_skips_its_dependants_only() {
        let graph = graph(&[&[], &[0], &[1], &[]]);
        let mut schedule = Schedule::new(&graph, &needed(4));
        assert_eq!(all(&mut schedule), [0, 3]);
        schedule.settle(NodeId(0), Verdict::Failed);
        assert_eq!(schedule.state(NodeId(1)), State::Skipped(NodeId(0)));
        assert_eq!(schedule.state(NodeId(2)), State::Skipped(NodeId(0)));
        assert_eq!(schedule.state(NodeId(3)), State::Running);
    }

    #[test]
    fn a_stop_skips_what_nobody_took() {
        let graph = graph(&[&[], &[], &[1]]);
        let mut schedule = Schedule::new(&graph, &needed(3));
        assert_eq!(schedule.take(), Some(NodeId(0)));
        schedule.settle(NodeId(0), Verdict::Failed);
        schedule.stop(NodeId(0));
        assert_eq!(schedule.take(), None);
        assert_eq!(schedule.state(NodeId(1)), State::Skipped(NodeId(0)));
        assert_eq!(schedule.state(NodeId(2)), State::Skipped(NodeId(0)));
    }

    #[test]
    fn long_chains_take_no_stack() {
        let inputs: Vec<Vec<usize>> =
            (0..200_000_usize).map(|id| id.checked_sub(1).into_iter().collect()).collect();
        let graph = graph(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (verdict, last) in
            [(Verdict::Unknown, State::Unknown), (Verdict::Failed, State::Skipped(NodeId(0)))]
        {
            let mut schedule = Schedule::new(&graph, &needed(200_000));
            assert_eq!(all(&mut schedule), [0]);
            schedule.settle(NodeId(0), verdict);
            assert_eq!(schedule.state(NodeId(199_999)), last);
        }
    }

    #[test]
    fn the_unknown_spreads_without_running() {
        let graph = graph(&[&[], &[0], &[1], &[]]);
        let mut schedule = Schedule::new(&graph, &needed(4));
        assert_eq!(all(&mut schedule), [0, 3]);
        schedule.settle(NodeId(0), Verdict::Unknown);
        assert_eq!(all(&mut schedule), [0; 0]);
        assert_eq!(schedule.state(NodeId(2)), State::Unknown);
    }
}
