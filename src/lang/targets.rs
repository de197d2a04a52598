//! What a command line may ask for: nodes and their outputs, in every coordinate or in one, groups, and
//! what packages build by default.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::graph::{Graph, NodeId, OutputRef};
use crate::graph::op::{Composition, Op};
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::decl::group::{DEFAULT, GROUP};
use crate::lang::item::Reference;
use crate::lang::label::{self, Dotted, Label, package_name};
use crate::lang::lower::Lowering;
use crate::lang::meant::Meant;
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::read::Reader;
use crate::lang::scope::{Conditional, DeclId, Env, ScopeId, What, World};
use crate::lang::syntax::Node;
use crate::lang::table::Line;

/// Members of all groups together: enough for any file, and a bound for groups of groups.
const MOST_MEMBERS: usize = 1_000_000;

/// Reports what is wrong with groups and defaults.
pub fn check(world: &World<'_>, findings: &mut Findings) {
    for scope in (0..world.scopes.len()).map(ScopeId) {
        let env = world.env(scope);
        let groups = world.scope(scope).groups.iter().map(|(_, line)| (&GROUP, line));
        for (row, line) in groups.chain(world.scope(scope).defaults.iter().map(|line| (&DEFAULT, line))) {
            check_line(world, row, line, env, findings);
        }
    }
    existing_instances(world).into_iter().for_each(|scope| template_outputs(world, scope, findings));
    rings(world, findings);
}

/// Instances of templates around which all conditions hold.
fn existing_instances(world: &World<'_>) -> BTreeSet<ScopeId> {
    let mut existing: BTreeSet<ScopeId> = BTreeSet::new();
    // Whoever uses a template was there before the instance was.
    for scope in (0..world.scopes.len()).map(ScopeId) {
        if world.scope(scope).caller.is_some() && !existing.contains(&scope) {
            continue;
        }
        let env = world.env(scope);
        for named in world.scope(scope).names.values().flatten() {
            if let What::Instance(Some(instance)) = named.what
                && world.exists(&named.line, env)
            {
                existing.insert(instance);
            }
        }
    }
    existing
}

/// What the lines `output` of an instance name.
fn template_outputs(world: &World<'_>, scope: ScopeId, findings: &mut Findings) {
    let env = world.env(scope);
    for line in world.scope(scope).outputs.values() {
        let Some(entry) = line.arguments().nth(1) else { continue };
        let Some(label) = entry.value.text().and_then(label::parse) else { continue };
        if let Err(mistake) = world.meant(&label, env) {
            let mistake = mistake.first_at(entry.span.clone(), "not known");
            findings.within(|| world.trail(scope), |findings| findings.add(mistake));
        }
    }
}

fn check_line(
    world: &World<'_>,
    row: &'static Line,
    line: &Conditional<'_>,
    env: Env<'_>,
    findings: &mut Findings,
) {
    let trail = || world.trail(env.scope);
    findings.within(trail, |findings| {
        world.untold(line, env).into_iter().for_each(|mistake| findings.add(mistake));
        let env = Env { is_dead: env.is_dead || !world.exists(line, env), ..env };
        let item = Reader::new(world, env, findings).item(row, line.node);
        if env.is_dead {
            return;
        }
        for reference in item.references() {
            if findings.is_full() {
                return;
            }
            if let Some(mistake) = wrong(world, row, reference, env) {
                findings.add(mistake);
            }
        }
    });
}

fn wrong(world: &World<'_>, row: &Line, reference: &Reference, env: Env<'_>) -> Option<Mistake> {
    match world.meant(&reference.label, env) {
        Err(mistake) => Some(mistake.first_at(reference.span.clone(), "not known")),
        Ok(Meant::Scratch | Meant::Host | Meant::Local(_)) => {
            let source = world.files.sources.slice(&reference.span).trim_matches('"');
            let message = format!("`{}` takes a node, `{source}` is none", row.word);
            let help = "name a node of a build file";
            Some(Mistake::new(Code::TypeSlot, message, help).at(reference.span.clone(), "no node"))
        }
        Ok(Meant::Node { decl, output: Some(output) }) => no_output(world, decl, &output, reference),
        Ok(_) => None,
    }
}

/// Outputs that don't depend on the coordinate are known without instances.
fn no_output(world: &World<'_>, decl: DeclId, output: &str, reference: &Reference) -> Option<Mistake> {
    let decl = world.decl(decl);
    let mut declared: Vec<&str> = Vec::new();
    let nodes = decl.line.node.children().iter().filter(|child| child.word == "output");
    declared.extend(nodes.filter_map(Node::name));
    let uses = decl
        .line
        .node
        .children()
        .iter()
        .any(|child| ["use", "when", "unless"].contains(&child.word.as_str()));
    let free = ["rootfs", "tree", "diff", "image", "passed"];
    if uses || declared.contains(&output) || free.contains(&output) {
        return None;
    }
    let help = match crate::base::suggest::nearest(output, declared.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Outputs: {}.", declared.join(", ")),
        None if declared.is_empty() => "name the node alone".to_owned(),
        None => format!("outputs: {}", declared.join(", ")),
    };
    let message = format!("`{}` has no output `{output}`", decl.label);
    let mistake = Mistake::new(Code::RefOutput, message, help).at(reference.span.clone(), "not known");
    Some(mistake.at(decl.line.node.name_span(), "declared here"))
}

/// Groups that name each other.
fn rings(world: &World<'_>, findings: &mut Findings) {
    let mut seen: BTreeMap<(ScopeId, String), bool> = BTreeMap::new();
    for (scope, group) in all_groups(world) {
        let mut way = Vec::new();
        if let Some(line) = ring(world, scope, group, &mut seen, &mut way) {
            let message = "these groups name each other";
            let help = "one of them must not name the other";
            findings.add(
                Mistake::new(Code::GraphCycle, message, help).at(line.name_span(), "leads back to itself"),
            );
            return;
        }
    }
}

/// Without recursion: groups may be chained as long as a file.
fn ring<'w>(
    world: &'w World<'_>,
    scope: ScopeId,
    group: &str,
    done: &mut BTreeMap<(ScopeId, String), bool>,
    way: &mut Vec<(ScopeId, String, Vec<Meant>)>,
) -> Option<&'w Node> {
    let start = (scope, group.to_owned());
    if done.contains_key(&start) {
        return None;
    }
    done.insert(start, false);
    way.push((scope, group.to_owned(), members(world, scope, group)));
    while let Some((_, _, rest)) = way.last_mut() {
        match rest.pop() {
            Some(Meant::Group { scope, name }) => match done.get(&(scope, name.clone())) {
                Some(false) => return line_of(world, scope, &name).map(|line| line.node),
                Some(true) => {}
                None => {
                    done.insert((scope, name.clone()), false);
                    let inner = members(world, scope, &name);
                    way.push((scope, name, inner));
                }
            },
            Some(_) => {}
            None => {
                if let Some((scope, name, _)) = way.pop() {
                    done.insert((scope, name), true);
                }
            }
        }
    }
    None
}

fn all_groups<'w>(world: &'w World<'_>) -> Vec<(ScopeId, &'w str)> {
    let scopes = world.scopes.iter().enumerate().filter(|(_, scope)| !scope.is_trial);
    scopes
        .flat_map(|(place, scope)| scope.groups.iter().map(move |(name, _)| (ScopeId(place), *name)))
        .collect()
}

fn line_of<'w>(world: &'w World<'_>, scope: ScopeId, group: &str) -> Option<&'w Conditional<'w>> {
    let env = Env { is_dead: false, ..world.env(scope) };
    let named = world.named(scope, group, env)?;
    (named.what == What::Group).then_some(&named.line)
}

/// What a group names.
fn members(world: &World<'_>, scope: ScopeId, group: &str) -> Vec<Meant> {
    line_of(world, scope, group).map_or_else(Vec::new, |line| meant_by(world, scope, &GROUP, line.node))
}

fn meant_by(world: &World<'_>, scope: ScopeId, row: &'static Line, node: &Node) -> Vec<Meant> {
    let env = Env { is_dead: false, ..world.env(scope) };
    let skipped = row.arguments.len() - 1;
    let labels = node.arguments().skip(skipped);
    let labels = labels.filter_map(|entry| label::parse(entry.value.text()?));
    labels.filter_map(|label| world.meant(&label, env).ok()).collect()
}

/// Fills in the graph's targets and its default.
pub fn add(lowering: &Lowering<'_>, graph: &mut Graph, findings: &mut Findings) -> Option<()> {
    let world = lowering.instances.world;
    let mut targets: BTreeMap<String, Vec<OutputRef>> = BTreeMap::new();
    let mut declared: BTreeMap<ScopeId, Vec<DeclId>> = BTreeMap::new();
    for decl in (0..world.decls.len()).map(DeclId) {
        declared.entry(world.decl(decl).scope).or_default().push(decl);
        let instances = lowering.instances.meant_by_name(decl, findings);
        let nodes: Vec<NodeId> = instances.into_iter().filter_map(|id| lowering.id(id)).collect();
        let label = &world.decl(decl).label;
        for node in &nodes {
            let outputs = graph.node(*node).outputs.len() + 1;
            if !world.budget.pay(outputs * (label.len() + budget::LINE)) {
                return None;
            }
            name_node(graph, *node, label, &mut targets);
        }
    }
    let mut expansion = Expansion { lowering, graph, done: BTreeMap::new(), total: 0 };
    for (scope, group) in all_groups(world) {
        if line_of(world, scope, group).is_none() {
            continue;
        }
        let members = expansion.group(scope, group, findings)?;
        targets.insert(format!("{}{group}", world.scope(scope).prefix), members);
    }
    for (name, meant) in instance_outputs(world) {
        let outputs = expansion.outputs(meant, findings)?;
        targets.insert(name, outputs);
    }
    for (place, scope) in world.packages.iter().enumerate() {
        let folder = &world.files.files[place].package;
        if world.files.package(folder) != Some(place) {
            continue;
        }
        let members = match world.default(*scope, world.env(*scope)) {
            Some(line) => {
                let meant = meant_by(world, *scope, &DEFAULT, line.node);
                expansion.outputs(meant, findings)?
            }
            None => expansion.images(declared.get(scope).map_or(&[], Vec::as_slice), findings),
        };
        targets.insert(package_name(folder), members);
    }
    let here = package_name(&world.request.package);
    graph.default = targets.get(&here).cloned().unwrap_or_default();
    graph.prefix = if world.request.package.is_root() { String::new() } else { format!("{here}:") };
    graph.targets = targets;
    Some(())
}

/// `svc` and `svc.image` of instances of templates.
fn instance_outputs(world: &World<'_>) -> Vec<(String, Vec<Meant>)> {
    let mut found = Vec::new();
    for scope in (0..world.scopes.len()).map(ScopeId).filter(|scope| !world.scope(*scope).is_trial) {
        let env = world.env(scope);
        for name in world.scope(scope).names.keys() {
            let Some(What::Instance(Some(instance))) = world.named(scope, name, env).map(|named| named.what)
            else {
                continue;
            };
            let label = format!("{}{name}", world.scope(scope).prefix);
            let mut all = Vec::new();
            for output in world.scope(instance).outputs.keys() {
                let dotted = Dotted { name: (*name).to_owned(), output: Some((*output).to_owned()) };
                let Ok(meant) = world.meant(&Label::Name(dotted), env) else { continue };
                found.push((format!("{label}.{output}"), vec![meant.clone()]));
                all.push(meant);
            }
            found.push((label, all));
        }
    }
    found
}

/// `app` and `app.image`, in all coordinates.
fn name_node(graph: &Graph, id: NodeId, label: &str, targets: &mut BTreeMap<String, Vec<OutputRef>>) {
    let node = graph.node(id);
    let whole = graph.whole(id);
    targets.entry(label.to_owned()).or_default().extend(whole);
    for output in node.outputs.keys() {
        let reference = OutputRef { node: id, output: output.clone() };
        targets.entry(format!("{label}.{output}")).or_default().push(reference);
    }
}

/// Groups → outputs. A group is expanded once.
struct Expansion<'e> {
    lowering: &'e Lowering<'e>,
    graph: &'e Graph,
    done: BTreeMap<(ScopeId, String), Vec<OutputRef>>,
    total: usize,
}

impl Expansion<'_> {
    fn group(&mut self, scope: ScopeId, group: &str, findings: &mut Findings) -> Option<Vec<OutputRef>> {
        let world = self.lowering.instances.world;
        // Inner groups first, without recursion.
        let mut stack = vec![(scope, group.to_owned())];
        while let Some((scope, name)) = stack.last().cloned() {
            if self.done.contains_key(&(scope, name.clone())) {
                stack.pop();
                continue;
            }
            let meant = members(world, scope, &name);
            let inner = flat(&meant).into_iter().filter_map(|meant| match meant {
                Meant::Group { scope, name } => Some((*scope, name.clone())),
                _ => None,
            });
            let waiting: Vec<(ScopeId, String)> = inner.filter(|key| !self.done.contains_key(key)).collect();
            if waiting.is_empty() {
                let outputs = self.outputs(meant, findings)?;
                self.done.insert((scope, name), outputs);
            }
            stack.extend(waiting);
        }
        self.done.get(&(scope, group.to_owned())).cloned().or(Some(Vec::new()))
    }

    /// Each once, in the order in which they are named.
    fn outputs(&mut self, meant: Vec<Meant>, findings: &mut Findings) -> Option<Vec<OutputRef>> {
        let mut seen = BTreeSet::new();
        let mut outputs = Vec::new();
        for meant in flat(&meant) {
            let found = match meant {
                Meant::Node { decl, output } => self.node(*decl, output.as_deref(), findings),
                Meant::Group { scope, name } => match self.done.get(&(*scope, name.clone())) {
                    Some(known) => known.clone(),
                    None => self.group(*scope, name, findings)?,
                },
                _ => Vec::new(),
            };
            self.total += found.len();
            if self.total > MOST_MEMBERS {
                let message =
                    "the groups and defaults of this build name more than a million outputs together";
                findings.add(Mistake::new(Code::GraphSize, message, "let groups name fewer groups"));
                return None;
            }
            outputs.extend(found.into_iter().filter(|output| seen.insert(output.clone())));
        }
        Some(outputs)
    }

    fn node(&self, decl: DeclId, output: Option<&str>, findings: &mut Findings) -> Vec<OutputRef> {
        let instances = self.lowering.instances.meant_by_name(decl, findings);
        let nodes = instances.into_iter().filter_map(|id| self.lowering.id(id));
        nodes
            .flat_map(|node| match output {
                Some(output) => vec![OutputRef { node, output: output.to_owned() }],
                None => self.graph.whole(node),
            })
            .collect()
    }

    /// What a package without a default builds.
    fn images(&self, decls: &[DeclId], findings: &mut Findings) -> Vec<OutputRef> {
        let outputs = decls.iter().flat_map(|decl| self.node(*decl, None, findings)).collect::<Vec<_>>();
        let is_image = |output: &OutputRef| matches!(&self.graph.node(output.node).op, Op::Assemble(assemble) if matches!(assemble.result, Composition::Image(_)));
        outputs.into_iter().filter(is_image).collect()
    }
}

fn flat(meant: &[Meant]) -> Vec<&Meant> {
    let mut all = Vec::new();
    for meant in meant {
        match meant {
            Meant::Several(inner) => all.extend(flat(inner)),
            meant => all.push(meant),
        }
    }
    all
}
