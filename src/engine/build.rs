//! The build loop. One thread owns the schedule, the values and the report; a thread per executing
//! node only blocks on its command and sends what it hears. Damage found in the store ends the
//! attempt, and the next one believes nothing it has not verified.

mod message;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::base::cancel::Cancel;
use crate::base::digest::ActionKey;
use crate::engine::build::message::{Ended, Got, Message, Missed, Sending};
use crate::engine::event::{Event, Watcher};
use crate::engine::history::{History, Last};
use crate::engine::lost::stood_on;
use crate::engine::prepare::{Prepared, gather};
use crate::engine::remember::{Recalled, Trust, recall, remember, why};
use crate::engine::report::{NodeReport, Outcome, Report};
use crate::engine::schedule::{Schedule, State, Verdict};
use crate::engine::values::{Outputs, Values};
use crate::exec::executor::{ExecError, Executor, Listener};
use crate::exec::locked;
use crate::graph::action::Action;
use crate::graph::graph::{Graph, NodeId};
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::store::record::Lost;
use crate::store::traffic::Traffic;

/// What is asked of a build.
pub struct Order<'o> {
    pub graph: &'o Graph,
    /// Closed under dependencies.
    pub needed: &'o [NodeId],
    pub workspace: &'o Path,
    /// Nodes that may execute at once.
    pub jobs: usize,
    /// After a failure, go on with what does not depend on it.
    pub keep_going: bool,
}

pub struct Built {
    pub values: Values,
    pub report: Report,
    /// In the order they happened.
    pub failures: Vec<(NodeId, ExecError)>,
    /// Runs that wrote where nothing is kept, and on whose root others stand; in the order of the graph.
    pub lost: Vec<(NodeId, Lost)>,
}

/// Makes the executor of one attempt. It reads the workspace afresh where `Trust` is `Nothing`.
pub type MakeExecutor<'m> = dyn Fn(Trust) -> Result<Box<dyn Executor + 'm>, ExecError> + 'm;

/// Messages on their way to the thread that drives; one holds 64 KiB of output at most.
const MESSAGES: usize = 64;

/// Attempts after damage was found; each has put the damaged object aside.
const ATTEMPTS: usize = 4;

/// What is done with the values of a build without failures, such as exporting them. Part of the
/// attempt: damage that it finds is mended as any other.
pub type UseValues<'u> = dyn FnMut(&Values) -> Result<(), ExecError> + 'u;

pub fn build(
    order: &Order<'_>,
    supply: &Supply,
    executor: &MakeExecutor<'_>,
    cancel: &Cancel,
    watcher: &mut dyn Watcher,
    use_values: &mut UseValues<'_>,
) -> Result<Built, ExecError> {
    let mut trust = Trust::Record;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let executor = executor(trust)?;
        let built = attempt(order, supply, executor.as_ref(), trust, cancel, watcher).and_then(|built| {
            if built.failures.is_empty() {
                use_values(&built.values)?;
            }
            Ok(built)
        });
        match built {
            Err(error) if error.is_mended_by_another_attempt() && attempts < ATTEMPTS => {
                watcher.hear(Event::Again { reason: &error.to_string() });
                trust = Trust::Nothing;
                supply.distrust();
            }
            other => return other,
        }
    }
}

fn attempt(
    order: &Order<'_>,
    supply: &Supply,
    executor: &dyn Executor,
    trust: Trust,
    cancel: &Cancel,
    watcher: &mut dyn Watcher,
) -> Result<Built, ExecError> {
    let history = History::load(supply.memo(), order.workspace);
    let mut attempt = Attempt {
        order,
        supply,
        executor,
        trust,
        cancel,
        watcher,
        schedule: Schedule::new(order.graph, order.needed),
        values: Values::new(order.graph),
        reports: vec![None; order.graph.nodes.len()],
        next_history: history.clone(),
        history,
        queue: VecDeque::new(),
        running: 0,
        preparing: 0,
        changed: HashSet::new(),
        failures: Vec::new(),
        stood_on: stood_on(order.graph, order.needed),
        lost: Vec::new(),
        began: Instant::now(),
    };
    std::thread::scope(|scope| attempt.drive(scope))?;
    attempt.finish()
}

struct Attempt<'a> {
    order: &'a Order<'a>,
    supply: &'a Supply,
    executor: &'a dyn Executor,
    trust: Trust,
    cancel: &'a Cancel,
    watcher: &'a mut dyn Watcher,
    schedule: Schedule,
    values: Values,
    reports: Vec<Option<NodeReport>>,
    history: History,
    next_history: History,
    /// Missed, waiting for a place among the running.
    queue: VecDeque<Missed>,
    running: usize,
    /// Nodes whose keys wait for a server, or for the files of an image.
    preparing: usize,
    /// Nodes that executed, or stand on one that did.
    changed: HashSet<NodeId>,
    failures: Vec<(NodeId, ExecError)>,
    /// Nodes whose root another one stands on.
    stood_on: HashSet<NodeId>,
    lost: Vec<(NodeId, Lost)>,
    began: Instant,
}

impl<'a> Attempt<'a> {
    fn drive<'s>(&mut self, scope: &'s Scope<'s, 'a>) -> Result<(), ExecError> {
        // Bounded, so that a command that writes faster than anybody reads has to wait. It ends with this
        // function: whoever still runs when an attempt is given up sends to nobody, and waits for nobody.
        let (sender, receiver) = sync_channel(MESSAGES);
        loop {
            while let Some(node) = self.schedule.take() {
                self.settle_or_queue(scope, node, &sender)?;
            }
            while self.running < self.order.jobs.max(1) && !self.cancel.is_raised() {
                let Some(missed) = self.queue.pop_front() else { break };
                self.start(scope, missed, sender.clone());
            }
            if self.running + self.preparing == 0 {
                return Ok(());
            }
            match receiver.recv().expect("bug: this thread holds a sender") {
                Message::Output(node, stream, bytes) => {
                    self.watcher.hear(Event::Output { node, stream, bytes: &bytes });
                }
                Message::Retried(node, attempt, most, reason) => {
                    self.watcher.hear(Event::Retried { node, reason: &reason, attempt, most });
                }
                Message::Prepared(node, spent, prepared) => {
                    self.preparing -= 1;
                    self.prepared(node, *prepared, spent)?;
                }
                Message::Ended(ended) => {
                    self.running -= 1;
                    self.end(*ended)?;
                }
            }
        }
    }

    /// What has to wait for others before its key is known does so in a thread of its own.
    fn settle_or_queue<'s>(
        &mut self,
        scope: &'s Scope<'s, 'a>,
        node: NodeId,
        sender: &SyncSender<Message>,
    ) -> Result<(), ExecError> {
        let began = Instant::now();
        let (supply, executor, trust, cancel) = (self.supply, self.executor, self.trust, self.cancel);
        let gathered = gather(self.order.graph, node, &self.values)
            .and_then(|gathered| gathered.may_wait(supply).map(|may_wait| (gathered, may_wait)));
        match gathered {
            Ok((gathered, false)) => {
                let prepared = gathered.prepare(supply, executor, trust, cancel);
                self.prepared(node, prepared, began.elapsed())
            }
            Ok((gathered, true)) => {
                self.preparing += 1;
                let (sender, name) = (sender.clone(), &self.order.graph.node(node).name);
                scope.spawn(move || {
                    let prepared = guarded(name, || gathered.prepare(supply, executor, trust, cancel));
                    // The receiver is gone only when the attempt has ended for another reason.
                    let _ = sender.send(Message::Prepared(node, began.elapsed(), Box::new(prepared)));
                });
                Ok(())
            }
            Err(error) => self.fail(node, None, None, error, began.elapsed()),
        }
    }

    /// Sources and recalls settle at once; the rest queues to execute.
    fn prepared(
        &mut self,
        node: NodeId,
        prepared: Result<Prepared, ExecError>,
        spent: Duration,
    ) -> Result<(), ExecError> {
        match prepared {
            Ok(Prepared::Source { key, outputs, bytes }) => {
                let report = NodeReport {
                    by: Some("content"),
                    tier: Some("workspace".to_owned()),
                    bytes,
                    ..self.report(node, Outcome::Recalled, Some(key), spent)
                };
                self.values.set(self.order.graph, node, outputs);
                self.settle(node, report, Verdict::Done);
            }
            Ok(Prepared::Hit { key, recalled }) => self.hit(node, key, recalled, spent),
            Ok(Prepared::Miss { .. }) if self.has_stopped() => {}
            Ok(Prepared::Miss { key, action }) => self.queue.push_back(Missed { node, action, key }),
            Err(error) => self.fail(node, None, None, error, spent)?,
        }
        Ok(())
    }

    /// After a failure nothing more begins to execute.
    fn has_stopped(&self) -> bool {
        !self.order.keep_going && !self.failures.is_empty()
    }

    fn start<'s>(&mut self, scope: &'s Scope<'s, 'a>, missed: Missed, sender: SyncSender<Message>) {
        let Missed { node, action, key } = missed;
        self.running += 1;
        let name = &self.order.graph.node(node).name;
        let last = self.history.nodes.get(name).and_then(|last| last.key);
        let previous = last.and_then(|key| self.supply.memo().recall(key).ok().flatten());
        let why = why(previous.as_ref(), &action);
        self.watcher.hear(Event::Started { node });
        let (memo, executor, cancel, trust) = (self.supply.memo(), self.executor, self.cancel, self.trust);
        scope.spawn(move || {
            let began = Instant::now();
            let mut listener = Sending { node, sender: sender.clone() };
            let result =
                guarded(&action.node, || execute(memo, executor, &action, key, trust, cancel, &mut listener));
            let ended = Ended { node, key, why, spent: began.elapsed(), result };
            // The receiver is gone only when the attempt has ended for another reason.
            let _ = sender.send(Message::Ended(Box::new(ended)));
        });
    }

    fn end(&mut self, ended: Ended) -> Result<(), ExecError> {
        let Ended { node, key, why, spent, result } = ended;
        match result {
            Ok(Got::Recalled(recalled)) => self.hit(node, key, recalled, spent),
            Ok(Got::Made(made, record)) => {
                let report = NodeReport {
                    by: Some("action"),
                    rung: made.rung.clone(),
                    why: Some(why),
                    bytes: made.bytes,
                    lost: self.note_lost(node, record.lost),
                    traffic: record.traffic,
                    attempts: several(record.attempts),
                    ..self.report(node, Outcome::Executed, Some(key), spent)
                };
                self.changed.insert(node);
                self.note(node, Last { key: Some(key), log: record.log, failed: false });
                self.keep(node, made.outputs);
                self.settle(node, report, Verdict::Done);
            }
            Err(error) => self.fail(node, Some(key), Some(why), error, spent)?,
        }
        Ok(())
    }

    fn hit(&mut self, node: NodeId, key: ActionKey, recalled: Recalled, spent: Duration) {
        let inputs = &self.order.graph.node(node).inputs;
        let cutoff = inputs.iter().any(|input| self.changed.contains(&input.source.node));
        let outcome = if cutoff { Outcome::Cutoff } else { Outcome::Recalled };
        if cutoff {
            self.changed.insert(node);
        }
        let Recalled { outputs, record, tier } = recalled;
        let report = NodeReport {
            by: Some("action"),
            tier: Some(tier.to_owned()),
            rung: record.rung,
            saved_seconds: record.seconds,
            lost: self.note_lost(node, record.lost),
            traffic: record.traffic,
            attempts: several(record.attempts),
            ..self.report(node, outcome, Some(key), spent)
        };
        self.note(node, Last { key: Some(key), log: record.log, failed: false });
        self.keep(node, outputs);
        self.settle(node, report, Verdict::Done);
    }

    fn keep(&mut self, node: NodeId, outputs: Outputs) {
        self.executor.settled(&self.order.graph.node(node).op, &outputs);
        self.values.set(self.order.graph, node, outputs);
    }

    /// Damage and cancelling end the attempt; every other error ends this node.
    fn fail(
        &mut self,
        node: NodeId,
        key: Option<ActionKey>,
        why: Option<String>,
        error: ExecError,
        spent: Duration,
    ) -> Result<(), ExecError> {
        let is_cancelled = matches!(error, ExecError::Cancelled | ExecError::Store(StoreError::Cancelled));
        if is_cancelled || error.is_mended_by_another_attempt() {
            return Err(error);
        }
        let (log, kept, attempts) = match &error {
            ExecError::Failed(failure) => (failure.log, digests(&failure.kept), failure.attempts),
            _ => (None, BTreeMap::new(), 1),
        };
        let old = self.history.nodes.get(&self.order.graph.node(node).name);
        let key_of_success = old.and_then(|last| last.key);
        self.note(node, Last { key: key_of_success, log, failed: true });
        let why = Some(why.map_or_else(|| error.to_string(), |why| format!("{error} (ran since: {why})")));
        let report = NodeReport {
            why,
            kept,
            attempts: several(attempts),
            ..self.report(node, Outcome::Failed, key, spent)
        };
        self.failures.push((node, error));
        self.settle(node, report, Verdict::Failed);
        if !self.order.keep_going {
            self.queue.clear();
            self.schedule.stop(node);
        }
        Ok(())
    }

    fn settle(&mut self, node: NodeId, report: NodeReport, verdict: Verdict) {
        self.watcher.hear(Event::Settled { node, outcome: report.outcome, seconds: report.seconds });
        self.reports[node.0] = Some(report);
        self.schedule.settle(node, verdict);
    }

    /// What is to be told of it, now that nobody has it.
    fn note_lost(&mut self, node: NodeId, lost: Lost) -> Lost {
        if lost.is_empty() || !self.stood_on.contains(&node) {
            return Lost::default();
        }
        self.lost.push((node, lost.clone()));
        lost
    }

    fn note(&mut self, node: NodeId, last: Last) {
        let name = self.order.graph.node(node).name.clone();
        self.next_history.nodes.insert(name, last);
    }

    fn report(&self, node: NodeId, outcome: Outcome, key: Option<ActionKey>, spent: Duration) -> NodeReport {
        let node = self.order.graph.node(node);
        NodeReport {
            name: node.name.clone(),
            kind: node.kind.to_owned(),
            outcome,
            key: key.map(|key| key.to_string()),
            by: None,
            tier: None,
            rung: None,
            why: None,
            seconds: spent.as_secs_f64(),
            saved_seconds: 0.0,
            bytes: 0,
            kept: BTreeMap::new(),
            lost: Lost::default(),
            traffic: Traffic::default(),
            attempts: None,
        }
    }

    fn finish(mut self) -> Result<Built, ExecError> {
        self.executor.finish()?;
        if self.next_history != self.history {
            self.next_history.save(self.supply.memo(), self.order.workspace)?;
        }
        if self.cancel.is_raised() {
            return Err(ExecError::Cancelled);
        }
        let mut nodes = Vec::new();
        for &id in self.order.needed {
            let report = self.reports[id.0].take().unwrap_or_else(|| self.skip(id));
            nodes.push(report);
        }
        self.lost.sort_by_key(|(node, _)| *node);
        let report = Report::new(nodes, self.began.elapsed().as_secs_f64());
        Ok(Built { values: self.values, report, failures: self.failures, lost: self.lost })
    }

    /// Told at the end, when no node can come to it any more.
    fn skip(&mut self, id: NodeId) -> NodeReport {
        let cause = match self.schedule.state(id) {
            State::Skipped(cause) => Some(cause),
            _ => self.failures.first().map(|(node, _)| *node),
        };
        let why = cause.map(|cause| format!("`{}` failed", self.order.graph.node(cause).name));
        self.watcher.hear(Event::Settled { node: id, outcome: Outcome::Skipped, seconds: 0.0 });
        NodeReport { why, ..self.report(id, Outcome::Skipped, None, Duration::ZERO) }
    }
}

/// Looks once more under the key's lock, so that equal actions in flight run once on this machine; but what
/// reruns in every build does so in this one too, whoever made it meanwhile.
fn execute(
    memo: &Memo,
    executor: &dyn Executor,
    action: &Action,
    key: ActionKey,
    trust: Trust,
    cancel: &Cancel,
    listener: &mut dyn Listener,
) -> Result<Got, ExecError> {
    let _lock = memo.lock_key(key, cancel)?;
    if !action.op.reruns()
        && let Some(recalled) = recall(memo, executor, key, trust)?
    {
        return Ok(Got::Recalled(recalled));
    }
    let began = Instant::now();
    let made = executor.execute(action, cancel, listener)?;
    let record = remember(memo, key, action, &made, began.elapsed().as_secs_f64())?;
    Ok(Got::Made(made, record))
}

/// For the report, which says nothing of what is tried once.
fn several(attempts: u32) -> Option<u32> {
    (attempts > 1).then_some(attempts)
}

/// As the lock file would hold them.
fn digests(outputs: &Outputs) -> BTreeMap<String, String> {
    outputs.iter().filter_map(|(name, value)| Some((name.clone(), locked::digest(value)?))).collect()
}

/// A panic has told itself; the build must not wait for a word that never comes.
fn guarded<T>(node: &str, work: impl FnOnce() -> Result<T, ExecError>) -> Result<T, ExecError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ExecError::Environment { message: format!("bug: the thread of `{node}` panicked"), help: None })
    })
}

#[cfg(test)]
mod tests;
