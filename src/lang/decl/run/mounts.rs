//! What a run sees beside its root: trees, caches, secrets, memory. No two stand at one place.

use std::collections::BTreeMap;

use crate::base::tree_path::TreePath;
use crate::graph::graph::Select;
use crate::graph::op::{Access, CacheMount, Mount, Owner, SecretMount, SecretTarget, Sharing, Tmpfs};
use crate::lang::code::Code;
use crate::lang::decl::Edges;
use crate::lang::item::{Given, Item};
use crate::lang::label::package_name;
use crate::lang::mistake::{Findings, Mistake, Span};

pub(super) fn check(item: &Item, findings: &mut Findings) {
    let mut seen: BTreeMap<TreePath, Span> = BTreeMap::new();
    for line in &item.body {
        let Some(given) = place_of(line) else { continue };
        let Some(path) = given.path() else { continue };
        if path.is_root() {
            let message = "a mount at `/` would hide the whole root filesystem";
            let help = "mount below it: at=\"/src\"; to run on these files, name them in `from`";
            let mistake = Mistake::new(Code::PathForm, message, help);
            findings.add(mistake.at(given.span.clone(), "the root itself"));
        }
        if let Some(first) = seen.insert(path.clone(), given.span.clone()) {
            let message = format!("two mounts stand at {path}");
            let help = "compose them first: tree both { merge ONE OTHER; }, and mount that";
            let mistake = Mistake::new(Code::MountTwice, message, help);
            findings.add(mistake.at(given.span.clone(), "and this one").at(first, "this mount"));
        }
    }
    item.each("secret").for_each(|line| check_secret(line, findings));
    check_in_cache(item, findings);
}

fn place_of(line: &Item) -> Option<&Given> {
    match line.line.word {
        "mount" | "cache" | "secret" => line.property("at"),
        "tmpfs" => line.argument(0),
        _ => None,
    }
}

fn check_secret(line: &Item, findings: &mut Findings) {
    let given = [line.property("at"), line.property("env")];
    if line.whole && given.iter().flatten().count() != 1 {
        let message = "a secret is seen as a file or as a variable, as one of them";
        let help = "write at=\"/run/secrets/NAME\", or env=\"NAME\"";
        findings.add(Mistake::new(Code::SlotMissing, message, help).at(line.word.clone(), "not one of them"));
    }
}

/// What lies in a cache or a secret never leaves the run.
fn check_in_cache(item: &Item, findings: &mut Findings) {
    for output in item.each("output") {
        let Some(given) = output.argument(1) else { continue };
        let Some(path) = given.path() else { continue };
        let hides = |line: &&Item| {
            ["cache", "secret", "tmpfs"].contains(&line.line.word)
                && place_of(line).and_then(Given::path).is_some_and(|at| path.starts_with(at))
        };
        if let Some(line) = item.body.iter().find(hides) {
            let word = line.line.word;
            let message = format!("what lies in a `{word}` never leaves the run, and {path} does");
            let help = "copy the files to another folder in the run, and name that as the output";
            let mistake =
                Mistake::new(Code::OutputInCache, message, help).at(given.span.clone(), "lies in it");
            findings.add(mistake.at(line.word.clone(), format!("this `{word}`")));
        }
    }
}

/// By place: the order in which they are written means nothing.
pub fn mounts(item: &Item, edges: &mut Edges<'_>) -> Vec<Mount> {
    let mut lines: Vec<(&Item, _)> =
        item.each("mount").filter_map(|line| Some((line, line.property("at")?.path()?))).collect();
    lines.sort_by_key(|(_, at)| *at);
    lines.into_iter().filter_map(|(line, _)| mount(line, edges)).collect()
}

fn mount(line: &Item, edges: &mut Edges<'_>) -> Option<Mount> {
    let at = line.property("at")?.path()?;
    let path = line.property("path").and_then(Given::path).cloned();
    let select = Select { path, ..Select::default() };
    Some(Mount {
        input: edges.add(format!("mount {at}"), line.reference()?, select),
        at: at.clone(),
        access: match line.property("access").and_then(Given::text) {
            Some("ro") => Access::Ro,
            _ => Access::Cow,
        },
        // Told by the whole graph.
        older_than: None,
    })
}

pub(super) fn caches(item: &Item, edges: &mut Edges<'_>) -> Vec<CacheMount> {
    item.each("cache").filter_map(|line| cache(line, edges)).collect()
}

fn cache(line: &Item, edges: &mut Edges<'_>) -> Option<CacheMount> {
    let at = line.property("at")?.path()?.clone();
    let text = |name: &str| line.property(name).and_then(Given::text);
    let per = text("per").and_then(|axis| Some(format!("{axis}={}", edges.coordinate().get(axis)?)));
    Some(CacheMount {
        name: line.text()?.to_owned(),
        sharing: match text("sharing") {
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            _ => Sharing::Shared,
        },
        package: (text("scope") == Some("package")).then(|| package_name(edges.package())),
        per,
        owner: text("owner").map(|owner| Owner(owner.to_owned())),
        mode: line.property("mode").and_then(Given::mode),
        seed: line
            .property("seed")
            .and_then(Given::reference)
            .map(|seed| edges.add(format!("seed {at}"), seed, Select::default())),
        at,
    })
}

pub(super) fn secret(line: &Item) -> Option<SecretMount> {
    let target = match (line.property("at"), line.property("env")) {
        (Some(at), _) => SecretTarget::File(at.path()?.clone()),
        (None, env) => SecretTarget::Env(env?.text()?.to_owned()),
    };
    Some(SecretMount {
        name: line.text()?.to_owned(),
        target,
        optional: line.property("optional").and_then(Given::truth).unwrap_or(false),
        owner: line.property("owner").and_then(Given::text).map(|owner| Owner(owner.to_owned())),
        mode: line.property("mode").and_then(Given::mode).unwrap_or(0o400),
    })
}

pub(super) fn tmpfs(line: &Item) -> Option<Tmpfs> {
    let at = line.argument(0)?.path()?.clone();
    Some(Tmpfs { at, size: line.property("size").and_then(Given::size) })
}
