//! `memobuild lock`: what the build file names by tag, URL or reference, as digests in memobuild.lock. Builds
//! never write it.

mod fetched;
mod resolve;
mod runs;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::base::durable;
use crate::cli::args::{Args, Format, LockArgs};
use crate::cli::failure::Failure;
use crate::cli::lock::resolve::Wanted;
use crate::cli::{load, place, print};
use crate::graph::graph::NodeId;
use crate::graph::select;
use crate::lang::Loaded;
use crate::lang::lock::entry::{Entry, FETCH, Key};
use crate::lang::lock::{FILE_NAME, Lock};

/// How an entry stands to what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Missing,
    Stale,
    Superfluous,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Stale => "stale",
            State::Superfluous => "superfluous",
        }
    }
}

pub(super) fn lock(args: &Args, asked: &LockArgs) -> Result<(), Failure> {
    let workspace = place::workspace(args)?;
    let loaded = load::load_unpinned(args, &workspace, &asked.params, &[])?;
    let workspace = workspace.root;
    if asked.check {
        return tell(&differences(&workspace, &loaded)?, asked.format);
    }
    if let Some(by) = loaded.settings.policy.frozen_by() {
        return Err(Failure::input(
            format!("{by} has `lock frozen`: {FILE_NAME} is not written"),
            "`memobuild lock --check` tells what differs; `memobuild lock` under another profile writes it",
        ));
    }
    let wanted = resolve::wanted(&loaded.graph);
    let mut new = loaded.lock.clone();
    if asked.update.is_empty() {
        for key in superfluous(&loaded.lock, &wanted) {
            new.remove(&key);
        }
    }
    let chosen = chosen(&loaded, &wanted, &asked.update)?;
    for entry in resolve::layouts(&workspace, &loaded, &chosen)? {
        new.update(entry);
    }
    let is_named = !asked.update.is_empty();
    let open = chosen.iter().filter(|wanted| is_named || lacks(&new, wanted));
    let open: BTreeSet<NodeId> = open.map(|wanted| wanted.node).collect();
    for entry in fetched::entries(args, &workspace, &loaded, &open)? {
        new.update(entry);
    }
    for entry in runs::entries(args, &workspace, &loaded, &mut new, &open, asked)? {
        new.update(entry);
    }
    write(&workspace, &loaded.lock, &new)?;
    report(&loaded.lock, &new, asked.format)
}

fn lacks(lock: &Lock, wanted: &Wanted) -> bool {
    let is_there = match wanted.key.word.as_str() {
        FETCH => !lock.fetches(&wanted.key.name).is_empty(),
        _ => lock.get(&wanted.key).is_some(),
    };
    !wanted.optional && !is_there
}

/// What the named nodes want, or all of them; with it what other nodes want under the same keys.
fn chosen<'w>(loaded: &Loaded, wanted: &'w [Wanted], names: &[String]) -> Result<Vec<&'w Wanted>, Failure> {
    if names.is_empty() {
        return Ok(wanted.iter().collect());
    }
    let mut keys = BTreeSet::new();
    for name in names {
        let outputs = select::targets(&loaded.graph, std::slice::from_ref(name))?;
        let nodes: BTreeSet<NodeId> = outputs.iter().map(|output| output.node).collect();
        let own: Vec<&Key> =
            wanted.iter().filter(|wanted| nodes.contains(&wanted.node)).map(|wanted| &wanted.key).collect();
        if own.is_empty() {
            return Err(Failure::input(
                format!("`{name}` leaves nothing to {FILE_NAME}"),
                "name a node that names something by tag, URL or reference, or has `network locked`",
            ));
        }
        keys.extend(own);
    }
    Ok(wanted.iter().filter(|wanted| keys.contains(&wanted.key)).collect())
}

/// Entries that no node asks for. What a newer program wrote, and imports, are not judged.
fn superfluous<'l>(lock: &'l Lock, wanted: &'l [Wanted]) -> impl Iterator<Item = Key> + 'l {
    let asked: BTreeSet<&Key> = wanted.iter().map(|wanted| &wanted.key).collect();
    let known = lock.entries().filter(|entry| !matches!(entry, Entry::Library { .. })).map(Entry::key);
    // Which addresses a run asks, it says only when it runs.
    let asked_as =
        |key: &Key| if key.word == FETCH { Key { part: None, ..key.clone() } } else { key.clone() };
    known.filter(move |key| !asked.contains(&asked_as(key)))
}

/// In the order of the file. What has no local source is missing or not; whether it is stale only its server knows.
fn differences(workspace: &Path, loaded: &Loaded) -> Result<Vec<(Key, State)>, Failure> {
    let wanted = resolve::wanted(&loaded.graph);
    let mut found: Vec<(Key, State)> =
        superfluous(&loaded.lock, &wanted).map(|key| (key, State::Superfluous)).collect();
    let missing = wanted.iter().filter(|wanted| lacks(&loaded.lock, wanted));
    found.extend(missing.map(|wanted| (wanted.key.clone(), State::Missing)));
    for entry in resolve::layouts(workspace, loaded, &wanted.iter().collect::<Vec<_>>())? {
        if loaded.lock.get(&entry.key()).is_some_and(|held| *held != entry) {
            found.push((entry.key(), State::Stale));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn tell(found: &[(Key, State)], format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => {
            let entries: Vec<_> = found
                .iter()
                .map(|(key, state)| json!({ "state": state.name(), "entry": key.to_string() }))
                .collect();
            print::json(&json!({ "version": 1, "differences": entries }))?;
        }
        Format::Text => {
            let lines = found.iter().map(|(key, state)| format!("{:<11}  {key}\n", state.name()));
            print::data(lines.collect::<String>())?;
        }
    }
    match found.len() {
        0 => Ok(()),
        count => Err(Failure::input(
            format!("{FILE_NAME} is not current: {count} entr{}", if count == 1 { "y" } else { "ies" }),
            "run `memobuild lock` and commit it",
        )),
    }
}

/// Whole or not at all; a file that is current is not touched, and one without entries is not begun.
fn write(workspace: &Path, old: &Lock, new: &Lock) -> Result<(), Failure> {
    let path = workspace.join(FILE_NAME);
    let text = new.text();
    let is_current = match std::fs::read(&path) {
        Ok(bytes) => bytes == text.as_bytes(),
        Err(_) => new == old,
    };
    if is_current {
        return Ok(());
    }
    durable::write_durably(&path, text.as_bytes(), 0o644).map_err(|error| {
        Failure::environment(
            format!("cannot write {FILE_NAME}: {error}"),
            Some("the workspace must be a folder that you may write to".to_owned()),
        )
    })
}

fn report(old: &Lock, new: &Lock, format: Format) -> Result<(), Failure> {
    let count = new.entries().count();
    let added = new.entries().filter(|entry| old.get(&entry.key()).is_none()).count();
    let same = new.entries().filter(|entry| old.get(&entry.key()) == Some(entry)).count();
    let removed = old.entries().filter(|entry| new.get(&entry.key()).is_none()).count();
    let changed = count - added - same;
    match format {
        Format::Json => print::json(&json!({
            "version": 1, "entries": count, "added": added, "changed": changed, "removed": removed,
        })),
        Format::Text => print::data(format!(
            "{FILE_NAME}: {count} entr{}, {added} added, {changed} changed, {removed} removed\n",
            if count == 1 { "y" } else { "ies" }
        )),
    }
}
