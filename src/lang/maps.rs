//! Every `map` by itself: each value that its key can have needs a row, and each row such a value. So a
//! table is put right before the value is asked for that nobody tried.

use std::collections::BTreeMap;

use crate::base::suggest::{self, ticked};
use crate::lang::code::Code;
use crate::lang::interpolate::Found;
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::scope::{Env, ScopeId, World};
use crate::lang::syntax::Node;
use crate::lang::values::row_word;

const ELSE: &str = "else";

pub fn check(world: &World<'_>, findings: &mut Findings) {
    for id in (0..world.scopes.len()).map(ScopeId) {
        let scope = world.scope(id);
        let env = world.env(id);
        let trail = || world.trail(id);
        findings.within(trail, |findings| {
            for map in scope.maps.values() {
                rows(world, map, env, findings);
            }
        });
    }
}

fn rows(world: &World<'_>, map: &Node, env: Env<'_>, findings: &mut Findings) {
    let Some(by) = map.property("by").and_then(|entry| entry.value.text()) else { return };
    let mut keys: BTreeMap<&str, Span> = BTreeMap::new();
    for row in map.children().iter().filter(|row| row.word != "doc") {
        let (word, span) = (row.word.as_str(), row.word_span.clone());
        if let Some(first) = keys.insert(word, span.clone()) {
            let message = format!("the row `{}` is given twice", shorten(word));
            let mistake = Mistake::new(Code::SlotTwice, message, "keep one of them");
            findings.add(mistake.at(span, "and again here").at(first, "first here"));
        }
    }
    // A value that is none, such as that of an axis here, is still one of those that are possible.
    let found = world.find(by, env).unwrap_or(Found::Poisoned);
    let Some(possible) = world.possible(by, &found, env) else { return };
    let name = map.name().unwrap_or_default();
    let missing = possible.iter().find(|value| !keys.contains_key(value.as_str()));
    if let Some(missing) = missing.filter(|_| !keys.contains_key(ELSE)) {
        let message = format!("the map `{name}` has no row for `{}`", shorten(missing));
        let help = format!("add a row to it: {} …, or else …", row_word(missing));
        findings.add(Mistake::new(Code::MapRow, message, help).at(map.name_span(), "lacks a row"));
    }
    let possible: Vec<&str> = possible.iter().map(String::as_str).collect();
    for (key, span) in keys.into_iter().filter(|(key, _)| *key != ELSE && !possible.contains(key)) {
        let message = format!("this row is never taken: `{by}` is never `{}`", shorten(key));
        let help = suggest::help(key, &possible, ticked, "its values");
        findings.add(Mistake::new(Code::MapRow, message, help).at(span, "no such value"));
    }
}
