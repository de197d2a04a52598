//! What `memobuild lock` learns of runs: what those with `network intercept` fetch, and of those that say
//! `network locked`, what they put out. It executes these as if they said `network host`,
//! and reads the digests of what came out.

use std::collections::BTreeMap;

use crate::engine::values::Values;
use crate::exec::executor::ExecError;
use crate::exec::locked;
use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{Network, Op, Pin, Run};
use crate::graph::value::Value;
use crate::oci::supply::Supply;
use crate::store::traffic::{Answer, Traffic};

/// The runs that the lock file pins: what comes out of them, or what they fetch.
pub fn locked_runs(graph: &Graph) -> impl Iterator<Item = NodeId> {
    graph.ids().filter(|id| locked_run(graph, *id).is_some() || is_intercepted(graph, *id))
}

/// Whether it is what the run fetches.
pub fn is_intercepted(graph: &Graph, id: NodeId) -> bool {
    matches!(&graph.node(id).op, Op::Run(run) if run.network == Network::Intercept)
}

/// What can be said beforehand of what a run did: not of an address that holds a login, nor of one that answered in
/// two ways, nor of what was sent.
pub fn pins(traffic: &Traffic) -> Vec<Pin> {
    let mut by_url: BTreeMap<&str, Vec<&Answer>> = BTreeMap::new();
    for answer in traffic.answers.iter().filter(|answer| answer.method == "GET" && !answer.is_hidden) {
        by_url.entry(&answer.url).or_default().push(answer);
    }
    let pin = |answers: Vec<&Answer>| match answers.as_slice() {
        [answer] => Some(Pin {
            url: answer.url.clone(),
            status: answer.status,
            sha256: answer.sha256.to_hex(),
            size: answer.size,
            media_type: answer.media_type.clone(),
            location: answer.location.clone(),
        }),
        _ => None,
    };
    by_url.into_values().filter_map(pin).collect()
}

/// The same graph, in which these runs need no entries, and execute even if they did so before.
pub fn unlocked(graph: &Graph, runs: &[NodeId]) -> Graph {
    let mut graph = graph.clone();
    for id in runs {
        if let Op::Run(run) = &mut graph.nodes[id.0].op {
            if run.network == Network::Locked {
                run.network = Network::Host;
            }
            run.rerun = true;
            run.pins.clear();
            run.outputs.iter_mut().for_each(|output| output.locked = None);
        }
    }
    graph
}

/// What the lock file is to hold of a run in `graph`, which says `network locked`: a digest for each of its outputs
/// that was made when the unlocked graph was built.
pub fn entries(
    supply: &Supply,
    graph: &Graph,
    values: &Values,
    id: NodeId,
) -> Result<BTreeMap<String, String>, ExecError> {
    let mut entries = BTreeMap::new();
    for output in locked_run(graph, id).into_iter().flat_map(|run| &run.outputs) {
        let source = OutputRef { node: id, output: output.name.clone() };
        let value: Value = match values.output(supply, graph, &source) {
            Err(ExecError::Input { .. }) if output.optional => continue,
            value => value?,
        };
        entries.extend(locked::digest(&value).map(|digest| (output.name.clone(), digest)));
    }
    Ok(entries)
}

fn locked_run(graph: &Graph, id: NodeId) -> Option<&Run> {
    match &graph.node(id).op {
        Op::Run(run) if run.network == Network::Locked => Some(run),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::{BlobDigest, OciDigest};
    use crate::base::tree_path::TreePath;
    use crate::graph::graph::Node;
    use crate::graph::op::{Output, OutputKind};
    use crate::graph::value::Type;
    use crate::oci::image::Platform;
    use crate::store::fixture::memo;
    use crate::tree::tree::Entry;

    fn node(network: Network) -> Node {
        let output = |name: &str, optional| Output {
            name: name.to_owned(),
            path: TreePath::parse(name).unwrap(),
            kind: OutputKind::File,
            optional,
            include: Vec::new(),
            locked: Some("00".to_owned()),
        };
        let outputs = vec![output("mod", false), output("extra", true)];
        Node {
            name: "modules".to_owned(),
            kind: "run",
            op: Op::Run(Box::new(Run { network, outputs, ..Run::default() })),
            inputs: Vec::new(),
            outputs: BTreeMap::from([("mod".to_owned(), Type::Tree)]),
            main: None,
            doc: None,
            coordinate: BTreeMap::new(),
            platform: Platform::current(),
            place: String::new(),
            span: 0..0,
        }
    }

    #[test]
    fn only_what_will_be_the_same_is_pinned() {
        let answer = |url: &str, text: &str| Answer {
            sha256: OciDigest::of(text.as_bytes()),
            size: text.len() as u64,
            ..Answer::of(url)
        };
        let answers = vec![
            answer("http://a/one", "x"),
            answer("http://a/two", "x"),
            answer("http://a/two", "y"),
            Answer { is_hidden: true, ..answer("http://a/?token=***", "x") },
            Answer { method: "POST".to_owned(), ..answer("http://a/post", "x") },
            Answer { method: "HEAD".to_owned(), ..answer("http://a/one", "") },
        ];
        let traffic = Traffic { answers, ..Traffic::default() };
        let found: Vec<(String, u64)> = pins(&traffic).into_iter().map(|pin| (pin.url, pin.size)).collect();
        assert_eq!(found, [("http://a/one".to_owned(), 1)]);
    }

    #[test]
    fn an_unlocked_run_is_asked_for_what_it_makes_now() {
        let nodes = vec![node(Network::None), node(Network::Locked), node(Network::Host)];
        let graph = Graph { nodes, ..Graph::default() };
        let runs: Vec<NodeId> = locked_runs(&graph).collect();
        assert_eq!(runs, [NodeId(1)]);
        let unlocked = unlocked(&graph, &runs);
        let Op::Run(run) = &unlocked.node(NodeId(1)).op else { panic!("a run") };
        assert_eq!((run.network, run.rerun), (Network::Host, true));
        assert!(run.outputs.iter().all(|output| output.locked.is_none()));
        assert_eq!(unlocked.nodes[0].op, graph.nodes[0].op);
    }

    #[test]
    fn entries_are_digests_of_what_was_made() {
        let (_folder, memo) = memo();
        let graph = Graph { nodes: vec![node(Network::Locked)], ..Graph::default() };
        let mut values = Values::new(&graph);
        let blob = BlobDigest::of(b"x");
        let made = Value::Tree(Entry::file(blob, 1, 0o644));
        values.set(&graph, NodeId(0), BTreeMap::from([("mod".to_owned(), made)]));
        let found = entries(&Supply::of(&memo), &graph, &values, NodeId(0)).unwrap();
        assert_eq!(found, BTreeMap::from([("mod".to_owned(), blob.to_hex())]));
        values.set(&graph, NodeId(0), BTreeMap::new());
        assert!(entries(&Supply::of(&memo), &graph, &values, NodeId(0)).is_err());
    }
}
