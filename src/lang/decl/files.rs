//! `files`: local files as a tree. A source that is looked at in every build.

use crate::base::tree_path::TreePath;
use crate::graph::op::Op;
use crate::graph::value::Type;
use crate::lang::decl::{Declaration, Edges, Outputs, nothing_to_check};
use crate::lang::item::{Given, Item};
use crate::lang::lower::TREE;
use crate::lang::table::{EXCLUDE, Holds, INCLUDE, Line, Slot, may, one};
use crate::tree::scan::{Modes, Scan};

pub const LINE: Line = Line {
    word: "files",
    doc: "Local files as a tree. Without `include`: all below `root` but `.git`.",
    example: "files src root=\"services/api\" {\n    include \"src/**\" \"Cargo.toml\"\n    exclude \"**/*.tmp\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may("root", Slot::Folder, "The folder, below the workspace; default its root."),
        may("gitignore", Slot::Bool, "Whether `.gitignore` files leave files out; default #true."),
        may(
            "modes",
            Slot::Word(&["canonical", "exact"]),
            "`canonical` (default): 0755 for what is executable and 0644 for the rest; `exact`: as on disk.",
        ),
    ],
    body: &[&INCLUDE, &EXCLUDE],
    holds: Holds::Node,
    ..Line::EMPTY
};

pub const KIND: Declaration =
    Declaration { line: &LINE, check: nothing_to_check, outputs, lower, is_for_any_platform: true };

fn outputs(_: &Item) -> Outputs {
    Outputs::only(TREE, Type::Tree)
}

fn lower(item: &Item, _: &mut Edges<'_>) -> Op {
    Op::Scan(Scan {
        root: item.property("root").and_then(Given::path).cloned().unwrap_or_default(),
        include: item.globs("include"),
        exclude: item.globs("exclude"),
        gitignore: item.property("gitignore").and_then(Given::truth).unwrap_or(true),
        modes: match item.property("modes").and_then(Given::text) {
            Some("exact") => Modes::Exact,
            _ => Modes::Canonical,
        },
        single: false,
    })
}

/// What `"./src"` in a tree slot stands for.
pub fn anonymous(path: &TreePath) -> Op {
    Op::Scan(Scan {
        root: path.clone(),
        include: Vec::new(),
        exclude: Vec::new(),
        gitignore: true,
        modes: Modes::Canonical,
        single: true,
    })
}
