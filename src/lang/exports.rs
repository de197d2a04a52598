//! `export` lines → what lands where in the workspace. They are no nodes: no build makes them, and nothing can
//! refer to them. Their references are checked as those of nodes are; that a place is safe to write to, as far
//! as files say it, is checked here, and what is really there when it is written to.

use std::collections::BTreeMap;

use crate::base::tree_path::TreePath;
use crate::graph::graph::{Export, ExportMode};
use crate::lang::code::Code;
use crate::lang::decl::export::LINE;
use crate::lang::instances::{Instances, Resolved};
use crate::lang::item::{Given, Item};
use crate::lang::lower::{Lowering, last_name};
use crate::lang::mistake::{Findings, Mistake, Span};
use crate::lang::read::Reader;
use crate::lang::scope::{Conditional, Env, ScopeId, World};

/// A line that was read, with what it takes.
pub struct Exported {
    /// In full.
    name: String,
    package: TreePath,
    item: Item,
    resolved: Resolved,
}

/// Those of all files, in their order. What is wrong with them is told.
pub fn read(instances: &mut Instances<'_>, findings: &mut Findings) -> Vec<Exported> {
    let world = instances.world;
    let mut found = Vec::new();
    for (scope, line) in lines(world) {
        let trail = || world.trail(scope);
        findings.within(trail, |findings| found.extend(one(instances, scope, line, findings)));
    }
    apart(&found, findings);
    found
}

pub fn lower(lowering: &Lowering<'_>) -> Vec<Export> {
    lowering.instances.exports.iter().map(|exported| lowered(lowering, exported)).collect()
}

fn lines<'w>(world: &'w World<'w>) -> Vec<(ScopeId, &'w Conditional<'w>)> {
    let scopes = world.scopes.iter().enumerate();
    scopes.flat_map(|(place, scope)| scope.exports.iter().map(move |line| (ScopeId(place), line))).collect()
}

fn one<'w>(
    instances: &mut Instances<'w>,
    scope: ScopeId,
    line: &'w Conditional<'w>,
    findings: &mut Findings,
) -> Option<Exported> {
    let world = instances.world;
    let env = world.env(scope);
    let env = Env { is_dead: env.is_dead || !world.exists(line, env), ..env };
    let item = Reader::new(world, env, findings).item(&LINE, line.node);
    if !item.whole {
        return None;
    }
    place(world, scope, &item, findings);
    let reference = item.argument(1)?.reference()?.clone();
    let resolved = instances.of_line(&item, &reference, env.is_dead, findings);
    let name = format!("{}{}", world.scope(scope).prefix, item.text()?);
    (!env.is_dead).then(|| Exported { name, package: world.scope(scope).package.clone(), item, resolved })
}

/// A place that no export may take, as far as the files say it.
fn place(world: &World<'_>, scope: ScopeId, item: &Item, findings: &mut Findings) {
    let Some((to, span)) = destination(item) else { return };
    let replaces = mode(item) == ExportMode::Replace;
    let mut refuse = |message: String, help: &str| {
        findings.add(Mistake::new(Code::ExportPlace, message, help).at(span.clone(), "not here"));
    };
    if to.names().any(|name| name == b".git") {
        return refuse("nothing is exported into `.git`".to_owned(), "name another folder");
    }
    if !replaces {
        return;
    }
    if *to == world.scope(scope).package {
        let help = "name a folder below it, or add mode=merge";
        return refuse("an export that replaces would remove the whole package".to_owned(), help);
    }
    if let Some(file) = world.files.files.iter().find(|file| file.path.starts_with(to)) {
        let message = format!("an export that replaces would remove {}", shown(&file.path));
        refuse(message, "name another folder, or add mode=merge");
    }
}

/// Two exports of which one would remove what the other wrote.
fn apart(all: &[Exported], findings: &mut Findings) {
    let mut taken: BTreeMap<TreePath, &Exported> = BTreeMap::new();
    for exported in all {
        let Some((to, span)) = destination(&exported.item) else { continue };
        if let Some(other) = taken.insert(to.clone(), exported)
            && [other, exported].iter().any(|export| mode(&export.item) == ExportMode::Replace)
        {
            clash(other, exported, &span, findings);
        }
    }
    for (to, exported) in &taken {
        let above = std::iter::successors(to.parent(), TreePath::parent);
        let above = above.filter_map(|path| taken.get(&path));
        if let (Some(outer), Some((_, span))) = (
            above.into_iter().find(|outer| mode(&outer.item) == ExportMode::Replace),
            destination(&exported.item),
        ) {
            clash(outer, exported, &span, findings);
        }
    }
}

fn clash(one: &Exported, other: &Exported, span: &Span, findings: &mut Findings) {
    let message = format!("`{}` would remove what `{}` wrote", one.name, other.name);
    let mistake = Mistake::new(Code::ExportPlace, message, "let them land in different folders");
    let first = destination(&one.item).map_or(one.item.word.clone(), |(_, span)| span);
    findings.add(mistake.at(span.clone(), "this one").at(first, "and this one"));
}

fn destination(item: &Item) -> Option<(&TreePath, Span)> {
    let given = item.property("to")?;
    Some((given.path()?, given.span.clone()))
}

fn mode(item: &Item) -> ExportMode {
    match item.property("mode").and_then(Given::text) {
        Some("merge") => ExportMode::Merge,
        _ => ExportMode::Replace,
    }
}

fn lowered(lowering: &Lowering<'_>, exported: &Exported) -> Export {
    let Exported { name, package, item, resolved } = exported;
    let path = item.property("path").and_then(Given::path).cloned();
    let to = item.property("to");
    let file_name = match &path {
        Some(path) => last_name(path),
        None => lowering.name_of_file(resolved),
    };
    let into_folder = to.is_some_and(Given::ends_in_slash);
    let span = item.argument(1).map_or(&item.word, |given| &given.span);
    Export {
        name: name.clone(),
        package: package.clone(),
        output: lowering.output_of(resolved, span),
        path,
        to: to.and_then(Given::path).cloned().unwrap_or_default(),
        file_name: file_name.filter(|_| into_folder),
        mode: mode(item),
        doc: item.text_of("doc"),
        place: lowering.instances.world.files.sources.place(&item.word),
    }
}

/// From the root, as people write it.
fn shown(path: &TreePath) -> String {
    path.to_string().trim_start_matches('/').to_owned()
}
