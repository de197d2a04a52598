//! Which needed nodes a policy does not allow, told in the text of the build file.

use miette::Severity;

use crate::graph::graph::{Graph, Node, NodeId};
use crate::graph::op::{From, ImageSource, Network, Op, Run};
use crate::lang::code::Code;
use crate::lang::lock::entry::Key;
use crate::lang::lock::pin::{missing, reference};
use crate::lang::mistake::{Findings, Mistake, Mistakes, Span};
use crate::lang::policy::{NetworkRule, Policy, Said, Unpinned};
use crate::lang::source::Sources;

/// A node that a policy does not allow, or only with a warning.
#[derive(Debug)]
pub struct Violation {
    pub node: NodeId,
    pub severity: Severity,
    pub code: Code,
    pub message: String,
    /// What to point at in the node's text; the node itself where none of it stands there.
    pub words: Vec<String>,
    pub label: &'static str,
    pub help: String,
}

/// The graph must have been pinned (`lock/pin.rs`): a source that still has no digest has none anywhere.
pub fn check(graph: &Graph, needed: &[NodeId], policy: &Policy) -> Vec<Violation> {
    let mut found = Vec::new();
    for &id in needed {
        let node = graph.node(id);
        match &node.op {
            Op::Run(run) => {
                found.extend(network(id, node, run, policy));
                found.extend(host(id, node, run, policy));
            }
            Op::Pull(pull) => found.extend(registry(id, &pull.source, policy)),
            _ => {}
        }
        found.extend(missing(node).into_iter().filter_map(|key| unpinned(id, node, &key, policy)));
    }
    found
}

/// Warnings, and what must not be built, in the order of the file.
pub fn mistakes(sources: &Sources, graph: &Graph, violations: Vec<Violation>) -> (Mistakes, Mistakes) {
    let (mut warnings, mut errors) = (Findings::default(), Findings::default());
    for violation in violations {
        // What would only be counted needs no place.
        let is_counted =
            if violation.severity == Severity::Error { errors.is_full() } else { warnings.is_full() };
        let span = if is_counted { 0..0 } else { find(sources, graph, &violation) };
        let Violation { severity, code, message, label, help, .. } = violation;
        if severity == Severity::Error {
            errors.add(Mistake::new(code, message, help).at(span, label));
        } else {
            warnings.add(Mistake::warning(code, message, help).at(span, label));
        }
    }
    (warnings.finish(sources), errors.finish(sources))
}

fn find(sources: &Sources, graph: &Graph, violation: &Violation) -> Span {
    let own = &graph.node(violation.node).span;
    // What is named by path, and `host`, stand where they are referred to: inside other nodes.
    let declared =
        graph.nodes.iter().filter(|node| !matches!(node.op, Op::Host(_)) && !node.name.starts_with('.'));
    let after = declared.map(|node| node.span.start).filter(|start| *start > own.start);
    let end = after.fold(sources.at(own.start).end(), usize::min);
    let inside = sources.slice(&(own.start..end));
    let place = violation.words.iter().find_map(|word| Some((find_word(inside, word)?, word.len())));
    place.map_or(own.clone(), |(start, length)| own.start + start..own.start + start + length)
}

/// Not as a part of a longer word.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let begins = |before: Option<char>| before.is_none_or(|symbol| " \t\r\n{;\"".contains(symbol));
    let ends = |after: Option<char>| after.is_none_or(|symbol| " \t\r\n{};\"".contains(symbol));
    let mut found = text.match_indices(word).map(|(start, _)| start);
    found.find(|start| {
        begins(text[..*start].chars().next_back()) && ends(text[start + word.len()..].chars().next())
    })
}

fn network(id: NodeId, node: &Node, run: &Run, policy: &Policy) -> Option<Violation> {
    let Said { rule, by } = policy.network.as_ref()?;
    let (refusal, help) = match (rule, run.network) {
        // What is pinned may come.
        (NetworkRule::Deny, Network::Intercept) if !run.pins.is_empty() => return None,
        (NetworkRule::Deny, Network::Intercept) => (
            "network deny".to_owned(),
            "let `memobuild lock` pin what it fetches, under a policy that allows it; then it is allowed here",
        ),
        (NetworkRule::Deny, Network::Host | Network::Proxy) => (
            "network deny".to_owned(),
            "remove the line `network`; or write `network locked`, which pins the outputs, and run `memobuild lock`",
        ),
        // What a run on the machine's own network reaches cannot be limited.
        (NetworkRule::Hosts(hosts), Network::Host) => (
            format!("network {hosts}"),
            "write `network` alone, so that the build's proxy can see which hosts are reached",
        ),
        _ => return None,
    };
    Some(Violation {
        node: id,
        severity: Severity::Error,
        code: Code::PolicyNetwork,
        message: format!("`{}` uses the network, and {by} has `{refusal}`", node.name),
        words: vec!["network host".to_owned(), "network".to_owned()],
        label: "not allowed",
        help: help.to_owned(),
    })
}

fn host(id: NodeId, node: &Node, run: &Run, policy: &Policy) -> Option<Violation> {
    let denied = policy.host.as_ref().filter(|said| !said.rule)?;
    matches!(run.from, From::Host(_)).then(|| Violation {
        node: id,
        severity: Severity::Error,
        code: Code::PolicyHost,
        message: format!("`{}` stands on `host`, and {} has `host deny`", node.name, denied.by),
        words: vec!["from host".to_owned(), "from \"host\"".to_owned()],
        label: "not allowed",
        help: "let it stand on an image: pull one, and name it in `from`".to_owned(),
    })
}

fn registry(id: NodeId, source: &ImageSource, policy: &Policy) -> Option<Violation> {
    let Said { rule: allowed, by } = policy.registries.as_ref()?;
    let ImageSource::Registry(name) = source else { return None };
    let registry = registry_of(name);
    (!allowed.iter().any(|host| host == registry)).then(|| Violation {
        node: id,
        severity: Severity::Error,
        code: Code::PolicyRegistry,
        message: format!("`{registry}` is none of the registries that {by} allows"),
        words: vec![name.clone()],
        label: "comes from there",
        help: format!("registries: {}; or add it to the line `registries` of the policy", allowed.join(", ")),
    })
}

/// As image references are read everywhere: without a host they mean Docker's registry.
fn registry_of(name: &str) -> &str {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

/// `memo::lock::missing`: by `unpinned`, since a frozen lock file would have to change, or since a run with
/// `network locked` needs it anyway.
fn unpinned(id: NodeId, node: &Node, key: &Key, policy: &Policy) -> Option<Violation> {
    let rule = policy.unpinned.as_ref().filter(|said| said.rule != Unpinned::Allow);
    let (severity, because) = match (rule, policy.frozen_by()) {
        (Some(said), _) if said.rule == Unpinned::Deny => {
            (Severity::Error, format!(" ({} has `unpinned deny`)", said.by))
        }
        (_, Some(by)) => (Severity::Error, format!(" ({by} has `lock frozen`)")),
        // The network is allowed for what is pinned, and for nothing else.
        _ if matches!(&node.op, Op::Run(run) if run.network == Network::Locked) => {
            (Severity::Error, String::new())
        }
        (Some(said), None) => (Severity::Warning, format!(" ({} has `unpinned warn`)", said.by)),
        (None, None) => return None,
    };
    let Lacking { what, words, label } = lacking(node, key);
    Some(Violation {
        node: id,
        severity,
        code: Code::LockMissing,
        message: format!("{what} has no entry in memobuild.lock"),
        words,
        label,
        help: format!("run `memobuild lock` and commit memobuild.lock{because}"),
    })
}

struct Lacking {
    what: String,
    words: Vec<String>,
    label: &'static str,
}

fn lacking(node: &Node, key: &Key) -> Lacking {
    let label = match &node.op {
        Op::Run(_) => "what it downloads can change",
        Op::Pull(pull) if matches!(pull.source, ImageSource::Layout { .. }) => "a layout can change",
        Op::Pull(_) => "a tag can change",
        _ => "what is there can change",
    };
    match (&node.op, &key.part) {
        (Op::Run(_), Some(output)) => Lacking {
            what: format!("the output `{output}` of `{}`", node.name),
            words: vec![format!("output {output}"), format!("output \"{output}\"")],
            label,
        },
        (Op::Run(_), None) => Lacking {
            what: format!("what `{}` fetches", node.name),
            words: vec!["network intercept".to_owned()],
            label,
        },
        (Op::Pull(pull), _) => {
            let written = reference(&pull.source);
            Lacking { what: written.clone(), words: vec![written], label }
        }
        _ => Lacking { what: key.name.clone(), words: vec![key.name.clone()], label },
    }
}
