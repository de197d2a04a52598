//! Items → graph: names become ids, items are lowered, targets are listed. Only a file without any
//! mistake is lowered.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::tree_path::TreePath;
use crate::graph::age;
use crate::graph::graph::{Graph, GroupInfo, Node, NodeId, OutputRef};
use crate::graph::op::{Composition, Op};
use crate::graph::value::Type;
use crate::lang::check;
use crate::lang::code::Code;
use crate::lang::cycle;
use crate::lang::decl::{Declaration, Edges, Outputs, files};
use crate::lang::file::File;
use crate::lang::item::{Given, Item, Reference, Target};
use crate::lang::mistake::{Findings, Mistake, Span};
use crate::lang::names::{HOST, Names, TREE};
use crate::lang::source::FILE_NAME;

/// Members of all groups together: enough for any file, and a bound for groups of groups.
const MOST_MEMBERS: usize = 1_000_000;

pub fn resolve(text: &str, file: &File, findings: &mut Findings) -> Option<Graph> {
    let needs = check::scope(text, file, findings).check(findings);
    cycle::report(&needs, findings);
    if !findings.is_empty() {
        return None;
    }
    let lines = Lines::new(text);
    let (names, anonymous) = names(file);
    let mut graph = Graph::default();
    for (declaration, item) in &file.nodes {
        graph.nodes.push(lower(declaration, item, &names, &lines));
    }
    graph.nodes.extend(anonymous.into_iter().map(|used| used.node(&lines)));
    age::set_ages(&mut graph);
    targets(file, &names, &mut graph, findings)?;
    Some(graph)
}

/// What is used without being declared.
enum Anonymous {
    Local(TreePath, Span),
    Host(Span),
}

/// Declared nodes come first in the graph, then the others in the order of their first use.
fn names(file: &File) -> (Names, Vec<Anonymous>) {
    let mut names = Names::default();
    for (place, (declaration, item)) in file.nodes.iter().enumerate() {
        if let Some(name) = item.text() {
            names.nodes.insert(name.to_owned(), (NodeId(place), (declaration.outputs)(item).main));
            for output in item.each("output") {
                if let (Some(word), Some(path)) = (output.text(), output.argument(1).and_then(Given::path)) {
                    names.outputs.insert((name.to_owned(), word.to_owned()), path.clone());
                }
            }
        }
    }
    let mut anonymous = Vec::new();
    for (_, item) in &file.nodes {
        item.walk(&mut |line| {
            for reference in line.references() {
                let id = NodeId(file.nodes.len() + anonymous.len());
                anonymous.extend(first_use(&mut names, reference, id));
            }
        });
    }
    (names, anonymous)
}

fn first_use(names: &mut Names, reference: &Reference, id: NodeId) -> Option<Anonymous> {
    match &reference.target {
        Target::Local(path) if !names.locals.contains_key(path) => {
            names.locals.insert(path.clone(), id);
            Some(Anonymous::Local(path.clone(), reference.span.clone()))
        }
        Target::Host if names.host.is_none() => {
            names.host = Some(id);
            Some(Anonymous::Host(reference.span.clone()))
        }
        _ => None,
    }
}

impl Anonymous {
    fn node(self, lines: &Lines) -> Node {
        let (name, kind, op, outputs, span) = match self {
            Anonymous::Local(path, span) => {
                let outputs = Outputs::only(TREE, Type::Tree);
                (format!(".{path}"), files::LINE.word, files::anonymous(&path), outputs, span)
            }
            Anonymous::Host(span) => (HOST.to_owned(), HOST, Op::Host, Outputs::only(HOST, Type::Host), span),
        };
        Node {
            name,
            kind,
            op,
            inputs: Vec::new(),
            outputs: outputs.types,
            main: outputs.main,
            doc: None,
            place: lines.place(&span),
            span,
        }
    }
}

fn lower(declaration: &Declaration, item: &Item, names: &Names, lines: &Lines) -> Node {
    let mut edges = Edges::new(names);
    let op = (declaration.lower)(item, &mut edges);
    let outputs = (declaration.outputs)(item);
    Node {
        name: item.text().unwrap_or_default().to_owned(),
        kind: declaration.line.word,
        op,
        inputs: edges.inputs,
        outputs: outputs.types,
        main: outputs.main,
        doc: item.text_of("doc"),
        place: lines.place(&item.word),
        span: item.word.clone(),
    }
}

/// Names that may be asked for: nodes, their outputs, groups.
fn targets(file: &File, names: &Names, graph: &mut Graph, findings: &mut Findings) -> Option<()> {
    let mut targets = BTreeMap::new();
    for (name, (id, _)) in &names.nodes {
        targets.insert(name.clone(), whole(graph, *id));
        for output in graph.node(*id).outputs.keys() {
            targets.insert(format!("{name}.{output}"), vec![OutputRef { node: *id, output: output.clone() }]);
        }
    }
    groups(file, &mut targets, findings)?;
    graph.default = match &file.default {
        Some(item) => members(item, &targets),
        None => images(graph),
    };
    graph.targets = targets;
    let group = |item: &Item| Some(GroupInfo { name: item.text()?.to_owned(), doc: item.text_of("doc") });
    graph.groups = file.groups.iter().filter_map(group).collect();
    Some(())
}

/// What the bare name of a node asks for.
fn whole(graph: &Graph, id: NodeId) -> Vec<OutputRef> {
    let node = graph.node(id);
    match &node.main {
        Some(main) => vec![OutputRef { node: id, output: main.clone() }],
        None => node.outputs.keys().map(|output| OutputRef { node: id, output: output.clone() }).collect(),
    }
}

fn images(graph: &Graph) -> Vec<OutputRef> {
    let is_image = |id: &NodeId| matches!(&graph.node(*id).op, Op::Assemble(assemble) if matches!(assemble.result, Composition::Image(_)));
    graph.ids().filter(is_image).flat_map(|id| whole(graph, id)).collect()
}

/// A group is expanded when all groups that it names are.
fn groups(
    file: &File,
    targets: &mut BTreeMap<String, Vec<OutputRef>>,
    findings: &mut Findings,
) -> Option<()> {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named_by: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    let groups: BTreeMap<&str, &Item> =
        file.groups.iter().filter_map(|item| Some((item.text()?, item))).collect();
    for (name, item) in &groups {
        let inner = item.references().filter_map(bare_name).filter(|inner| groups.contains_key(inner));
        let inner: BTreeSet<&str> = inner.collect();
        waiting.insert(name, inner.len());
        for inner in inner {
            named_by.entry(inner).or_default().push(item);
        }
    }
    let mut ready: Vec<&Item> =
        groups.values().copied().filter(|item| item.text().is_some_and(|name| waiting[name] == 0)).collect();
    let mut total = 0;
    while let Some(item) = ready.pop() {
        let name = item.text().unwrap_or_default();
        let members = members(item, targets);
        total += members.len();
        if total > MOST_MEMBERS {
            findings.add(too_many(item));
            return None;
        }
        targets.insert(name.to_owned(), members);
        for outer in named_by.get(name).into_iter().flatten() {
            if let Some(count) = outer.text().and_then(|outer| waiting.get_mut(outer)) {
                *count -= 1;
                if *count == 0 {
                    ready.push(outer);
                }
            }
        }
    }
    Some(())
}

fn bare_name(reference: &Reference) -> Option<&str> {
    match &reference.target {
        Target::Node { name, output: None } => Some(name),
        _ => None,
    }
}

fn too_many(item: &Item) -> Mistake {
    let message = "the groups of this file have more than a million members together";
    let help = "let groups name fewer groups";
    Mistake::new(Code::GraphSize, message, help).at(check::name_span(item), "one of them")
}

/// Each once, in the order in which they are named.
fn members(item: &Item, targets: &BTreeMap<String, Vec<OutputRef>>) -> Vec<OutputRef> {
    let mut seen = BTreeSet::new();
    let mut members = Vec::new();
    for reference in item.references() {
        let Target::Node { name, output } = &reference.target else { continue };
        let key = match output {
            Some(output) => format!("{name}.{output}"),
            None => name.clone(),
        };
        let outputs = targets.get(&key).into_iter().flatten();
        members.extend(outputs.filter(|output| seen.insert(*output)).cloned());
    }
    members
}

/// Line numbers by offset.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    fn place(&self, span: &Span) -> String {
        let line = self.0.partition_point(|&newline| newline < span.start) + 1;
        format!("{FILE_NAME}:{line}")
    }
}
