//! The loop against a scripted executor: no sandbox, a real store.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::base::digest::BlobDigest;
use crate::base::tree_path::TreePath;
use crate::exec::executor::{Cause, Failure};
use crate::exec::executor::{Made, Stream};
use crate::graph::graph::{Input, Node, OutputRef, Select};
use crate::graph::op::{Host, Op, Run};
use crate::graph::value::{Type, Value};
use crate::oci::image::Platform;
use crate::store::object::Object;
use crate::store::traffic::Traffic;

/// What each node makes, by name.
#[derive(Default)]
struct Script {
    contents: Mutex<BTreeMap<String, &'static str>>,
    executed: Mutex<Vec<String>>,
    failing: Vec<&'static str>,
    /// Found damaged when this node first executes.
    damaged: Mutex<Option<&'static str>>,
    slow: Duration,
    rung: Option<&'static str>,
    refused: Option<&'static str>,
}

impl Executor for &Script {
    fn pin(&self, _op: &mut Op, _platform: &Platform) -> Result<(), ExecError> {
        Ok(())
    }

    fn accepts(&self, rung: &str) -> Result<bool, ExecError> {
        Ok(self.refused != Some(rung))
    }

    fn would_reach(&self, traffic: &Traffic) -> bool {
        traffic.is_empty()
    }

    fn settled(&self, _op: &Op, _outputs: &BTreeMap<String, Value>) {}

    fn finish(&self) -> Result<(), ExecError> {
        Ok(())
    }

    fn execute(&self, action: &Action, _: &Cancel, listener: &mut dyn Listener) -> Result<Made, ExecError> {
        std::thread::sleep(self.slow);
        listener.output(Stream::Stdout, action.node.as_bytes());
        let node = action.node.as_str();
        if !action.op.is_source() {
            self.executed.lock().unwrap().push(node.to_owned());
        }
        let mut damaged = self.damaged.lock().unwrap();
        if *damaged == Some(node) {
            *damaged = None;
            return Err(ExecError::Store(StoreError::Damaged(Object::Blob(BlobDigest::of(b"")))));
        }
        assert_ne!(node, "panics", "bug: as a test wants it");
        if self.failing.contains(&node) {
            return Err(Failure::new(node, Cause::Exit(7)).into());
        }
        let content = self.contents.lock().unwrap().get(node).copied().unwrap_or("");
        let text = Value::Text(content.to_owned());
        let outputs = BTreeMap::from([("out".to_owned(), text)]);
        Ok(Made {
            outputs,
            log: None,
            rung: self.rung.map(str::to_owned),
            shareable: true,
            bytes: 0,
            attempts: 1,
            lost: Lost::default(),
            traffic: Traffic::default(),
        })
    }
}

/// `name: inputs`; a node without inputs is a source.
fn graph(lines: &[(&str, &[usize])]) -> Graph {
    let node = |(name, inputs): &(&str, &[usize])| Node {
        name: (*name).to_owned(),
        kind: "run",
        op: if inputs.is_empty() {
            Op::Host(Host::default())
        } else {
            Op::Run(Box::new(Run { salt: salt(name), ..Run::default() }))
        },
        inputs: inputs
            .iter()
            .map(|&source| Input {
                slot: format!("input {source}"),
                source: OutputRef { node: NodeId(source), output: "out".to_owned() },
                select: Select::default(),
            })
            .collect(),
        outputs: BTreeMap::from([("out".to_owned(), Type::Text)]),
        main: Some("out".to_owned()),
        doc: None,
        coordinate: std::collections::BTreeMap::new(),
        platform: Platform::current(),
        place: String::new(),
        span: 0..0,
    };
    Graph { nodes: lines.iter().map(node).collect(), ..Graph::default() }
}

/// Twins have equal keys, all others differ.
fn salt(name: &str) -> Option<String> {
    (!name.starts_with("twin")).then(|| name.to_owned())
}

struct Silent(Vec<String>);

impl Watcher for Silent {
    fn hear(&mut self, event: Event<'_>) {
        if let Event::Again { reason } = event {
            self.0.push(reason.to_owned());
        }
    }
}

struct Story {
    folder: tempfile::TempDir,
    memo: Memo,
    graph: Graph,
    script: Script,
    keep_going: bool,
}

impl Story {
    fn new(lines: &[(&str, &[usize])]) -> Story {
        let folder = tempfile::tempdir().unwrap();
        let memo = Memo::open(&folder.path().join("store")).unwrap();
        Story { folder, memo, graph: graph(lines), script: Script::default(), keep_going: false }
    }

    fn build(&self) -> Result<Built, ExecError> {
        let needed: Vec<NodeId> = self.graph.ids().collect();
        let order = Order {
            graph: &self.graph,
            needed: &needed,
            workspace: self.folder.path(),
            jobs: 4,
            keep_going: self.keep_going,
        };
        let executor = |_| -> Result<Box<dyn Executor + '_>, ExecError> { Ok(Box::new(&self.script)) };
        build(
            &order,
            &Supply::of(&self.memo),
            &executor,
            &Cancel::default(),
            &mut Silent(Vec::new()),
            &mut |_| Ok(()),
        )
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.build().unwrap().report.nodes.iter().map(|node| node.outcome).collect()
    }

    fn set(&self, node: &str, content: &'static str) {
        self.script.contents.lock().unwrap().insert(node.to_owned(), content);
    }
}

#[test]
fn equal_outputs_cut_the_rest_off() {
    use Outcome::{Cutoff, Executed, Recalled};
    let story = Story::new(&[("source", &[]), ("compile", &[0]), ("link", &[1])]);
    assert_eq!(story.outcomes(), [Recalled, Executed, Executed]);
    assert_eq!(story.outcomes(), [Recalled, Recalled, Recalled]);
    story.set("source", "comment");
    assert_eq!(story.outcomes(), [Recalled, Executed, Cutoff]);
    story.set("source", "code");
    story.set("compile", "object");
    assert_eq!(story.outcomes(), [Recalled, Executed, Executed]);
    story.set("source", "comment");
    assert_eq!(story.outcomes(), [Recalled, Recalled, Recalled], "an old state is a hit again");
}

#[test]
fn a_failure_stops_what_did_not_start() {
    use Outcome::{Executed, Failed, Recalled, Skipped};
    let lines: [(&str, &[usize]); 5] =
        [("source", &[]), ("bad", &[0]), ("after", &[1]), ("good", &[0]), ("beside", &[3])];
    let mut story = Story::new(&lines);
    story.script.failing = vec!["bad"];
    let outcomes = story.outcomes();
    assert_eq!((outcomes[1], outcomes[2]), (Failed, Skipped));
    story.keep_going = true;
    assert_eq!(story.outcomes()[3..].iter().filter(|outcome| **outcome == Skipped).count(), 0);
    assert_eq!(story.outcomes(), [Recalled, Failed, Skipped, Recalled, Recalled]);
    story.script.failing.clear();
    assert_eq!(story.outcomes(), [Recalled, Executed, Executed, Recalled, Recalled], "failures are not kept");
}

#[test]
fn equal_actions_in_flight_execute_once() {
    let mut story = Story::new(&[("source", &[]), ("twin-one", &[0]), ("twin-two", &[0])]);
    story.script.slow = Duration::from_millis(30);
    let outcomes = story.outcomes();
    assert_eq!(story.script.executed.lock().unwrap().len(), 1);
    assert!(outcomes.contains(&Outcome::Executed) && outcomes[1] != outcomes[2], "{outcomes:?}");
}

#[test]
fn a_panic_in_a_node_ends_the_build() {
    let story = Story::new(&[("source", &[]), ("panics", &[0])]);
    assert_eq!(story.outcomes(), [Outcome::Recalled, Outcome::Failed]);
}

#[test]
fn damage_begins_the_build_again() {
    let story = Story::new(&[("source", &[]), ("one", &[0]), ("two", &[1])]);
    *story.script.damaged.lock().unwrap() = Some("two");
    let built = story.build().unwrap();
    assert!(built.failures.is_empty());
    assert_eq!(built.report.totals.failed, 0);
    assert_eq!(*story.script.executed.lock().unwrap(), ["one", "two", "two"]);
}

#[test]
fn an_input_that_does_not_fit_is_told_with_its_slot() {
    let mut story = Story::new(&[("source", &[]), ("one", &[0])]);
    story.graph.nodes[1].inputs[0].select.path = Some(TreePath::parse("a").unwrap());
    let built = story.build().unwrap();
    let (_, error) = &built.failures[0];
    assert_eq!(error.to_string(), "`input 0`: there is no `/a`: a text holds no files");
}

#[test]
fn what_a_weaker_sandbox_made_is_made_again() {
    use Outcome::{Executed, Recalled};
    let mut story = Story::new(&[("source", &[]), ("one", &[0])]);
    story.script.rung = Some("C");
    assert_eq!(story.outcomes(), [Recalled, Executed]);
    assert_eq!(story.outcomes(), [Recalled, Recalled]);
    story.script.rung = Some("A");
    story.script.refused = Some("C");
    assert_eq!(story.outcomes(), [Recalled, Executed]);
    assert_eq!(story.outcomes(), [Recalled, Recalled], "the better one is remembered instead");
}

#[test]
fn what_reruns_executes_in_every_build_and_its_readers_are_cut_off() {
    use Outcome::{Cutoff, Executed, Recalled};
    let mut story = Story::new(&[("source", &[]), ("clock", &[0]), ("reader", &[1])]);
    let Op::Run(run) = &mut story.graph.nodes[1].op else { panic!("a run") };
    run.rerun = true;
    assert_eq!(story.outcomes(), [Recalled, Executed, Executed]);
    let built = story.build().unwrap();
    assert_eq!(
        built.report.nodes.iter().map(|node| node.outcome).collect::<Vec<_>>(),
        [Recalled, Executed, Cutoff]
    );
    assert_eq!(built.report.nodes[1].why.as_deref(), Some("it says `rerun always`"));
    story.set("clock", "later");
    assert_eq!(story.outcomes(), [Recalled, Executed, Executed]);

    let needed: Vec<NodeId> = story.graph.ids().collect();
    let (folder, executor, cancel) = (story.folder.path(), &story.script, Cancel::default());
    let planned = crate::engine::plan::plan(
        &story.graph,
        &needed,
        folder,
        &Supply::of(&story.memo),
        &executor,
        &cancel,
    )
    .unwrap();
    assert_eq!(planned[1].forecast, crate::engine::plan::Forecast::WillRun);
    assert_eq!(planned[1].why.as_deref(), Some("it says `rerun always`"));
    assert_eq!(planned[2].forecast, crate::engine::plan::Forecast::Unknown);
}
