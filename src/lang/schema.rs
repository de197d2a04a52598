//! The table in the words of the KDL Schema Language 1.0, written as KDL 2: `schema/memobuild.schema.kdl`,
//! which a test keeps current. That language knows no references, paths or durations: a line `memobuild-type`
//! says what a value is.

use std::fmt::Write as _;

use crate::graph::show::kdl_text::{quoted, word};
use crate::lang::rows::{self, Row};
use crate::lang::table::{Argument, CONDITIONS, Count, Holds, KINDS, Line, Often, Property, Slot};

const HEADER: &str = "\
// What memobuild.kdl may hold, in the words of the KDL Schema Language 1.0, as KDL 2.
// Made from the table in `src/lang/table.rs`; do not edit.
//
// One `value` for each argument, in order. Beyond that language, in every `value` and `prop`:
//   memobuild-type       what the value is, in words
//   memobuild-argument   its name in the reference
//   memobuild-removable  `#null` may stand instead, and removes what was inherited

";

/// KDL.
pub fn kdl_schema() -> String {
    let rows = rows::rows();
    let mut page = Page { text: HEADER.to_owned(), depth: 0 };
    page.block("document", |page| {
        page.block("info", |page| {
            page.line("title \"memobuild.kdl\" lang=\"en\"");
            page.line("description \"Container builds that recompute only what changed\" lang=\"en\"");
        });
        for line in KINDS {
            node(page, line, &rows);
        }
        page.line("other-nodes-allowed #false");
        page.block("definitions", |page| {
            let is_kind = |row: &&Row| !row.title.contains('/');
            for row in rows.iter().filter(|row| !is_kind(row)) {
                node(page, row.line, &rows);
            }
        });
    });
    page.text
}

/// The text so far, and how deep its open blocks are nested.
struct Page {
    text: String,
    depth: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{}{line}", "    ".repeat(self.depth));
    }

    /// A block that would be empty is left out.
    fn block(&mut self, head: &str, fill: impl FnOnce(&mut Page)) {
        let start = self.text.len();
        self.line(&format!("{head} {{"));
        let inside = self.text.len();
        self.depth += 1;
        fill(self);
        self.depth -= 1;
        if self.text.len() == inside {
            self.text.truncate(start);
            self.line(head);
        } else {
            self.line("}");
        }
    }
}

fn node(page: &mut Page, line: &'static Line, rows: &[Row]) {
    let own = rows::find(rows, line).map(id).unwrap_or_default();
    let head = format!("node {} id={} description={}", word(line.word), quoted(&own), quoted(line.doc));
    page.block(&head, |page| {
        let (min, max) = match line.often {
            Often::Once => (Some(1), Some(1)),
            Often::Maybe => (None, Some(1)),
            Often::Many => (None, None),
        };
        bounds(page, min, max);
        for argument in line.arguments {
            value(page, argument, line.removable);
        }
        for property in line.all_properties() {
            named(page, property);
        }
        if let Some(slot) = line.free {
            page.block("prop", |page| slot_lines(page, slot, line.removable));
        }
        children(page, line, rows);
        if line.free.is_none() {
            page.line("other-props-allowed #false");
        }
    });
}

fn children(page: &mut Page, line: &Line, rows: &[Row]) {
    let others: &[&'static Line] = match line.holds {
        Holds::Node => CONDITIONS,
        Holds::Nodes => KINDS,
        Holds::Lines | Holds::Around | Holds::Values | Holds::Rows => &[],
    };
    let inside: Vec<&Line> = line.slots().chain(others.iter().copied()).collect();
    if inside.is_empty() && line.holds == Holds::Lines {
        return;
    }
    page.block("children", |page| {
        for row in inside.iter().filter_map(|inner| rows::find(rows, inner)) {
            page.line(&format!("node ref={}", quoted(&format!("[id=\"{}\"]", id(row)))));
        }
        // Names of parameters, keys of tables, and lines of whatever is around, are known there only.
        let is_open = matches!(line.holds, Holds::Around | Holds::Values | Holds::Rows);
        page.line(&format!("other-nodes-allowed #{is_open}"));
    });
}

fn id(row: &Row) -> String {
    row.title.replace(" / ", "/")
}

fn bounds(page: &mut Page, min: Option<u32>, max: Option<u32>) {
    min.into_iter().for_each(|min| page.line(&format!("min {min}")));
    max.into_iter().for_each(|max| page.line(&format!("max {max}")));
}

fn value(page: &mut Page, argument: &Argument, removable: bool) {
    page.block("value", |page| {
        page.line(&format!("memobuild-argument {}", quoted(argument.name)));
        match argument.count {
            Count::One => bounds(page, Some(1), Some(1)),
            Count::Maybe => bounds(page, None, Some(1)),
            Count::Some => bounds(page, Some(1), None),
        }
        slot_lines(page, argument.slot, removable);
    });
}

fn named(page: &mut Page, property: &Property) {
    let head = format!("prop {} description={}", word(property.name), quoted(property.doc));
    page.block(&head, |page| {
        if property.required {
            page.line("required #true");
        }
        slot_lines(page, property.slot, false);
    });
}

/// Numbers and booleans may also come as a text `${…}`, so that only texts have a `type` of their own.
fn slot_lines(page: &mut Page, slot: Slot, removable: bool) {
    match slot {
        Slot::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            page.line("type \"string\"");
            page.line(&format!("enum {}", words.join(" ")));
        }
        Slot::Int { min, max } => {
            if min != i64::MIN {
                page.line(&format!("\">=\" {min}"));
            }
            if max != i64::MAX {
                page.line(&format!("\"<=\" {max}"));
            }
        }
        Slot::Bool | Slot::Mode | Slot::Plain => {}
        _ if !removable => page.line("type \"string\""),
        _ => {}
    }
    page.line(&format!("memobuild-type {}", quoted(&slot.takes())));
    if removable {
        page.line("memobuild-removable #true");
    }
}
