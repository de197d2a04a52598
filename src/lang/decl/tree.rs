//! `tree`: composes files, without a process.

use crate::graph::op::{Assemble, Composition, From, Op};
use crate::graph::value::Type;
use crate::lang::decl::place::{self, COPY, DIR, EXTRACT, FILE, MERGE, REMOVE, SYMLINK};
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::Item;
use crate::lang::label::Label;
use crate::lang::lower::TREE;
use crate::lang::mistake::Findings;
use crate::lang::structure::PICK;
use crate::lang::table::{Holds, Line, Often, Slot, Wants, may, one};

pub const LINE: Line = Line {
    word: "tree",
    doc: "Composes files, without a process. With `from` it is that root filesystem with one more layer.",
    example: "tree site {\n    copy build.dist to=\"/www\"\n    file \"/www/robots.txt\" \"User-agent: *\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&FROM, &COPY, &EXTRACT, &MERGE, &FILE, &DIR, &SYMLINK, &REMOVE],
    holds: Holds::Node,
    ..Line::EMPTY
};

/// Also of `image`.
pub const FROM: Line = Line {
    word: "from",
    doc: "The root filesystem or image it stands on; `scratch` is an empty one.",
    example: "from base",
    often: Often::Maybe,
    arguments: &[one("REF", Slot::Reference(Wants::Root))],
    properties: &[may(
        "platform",
        Slot::Word(&["build", "target"]),
        "`build`: REF for this machine; default `target`.",
    )],
    body: &[&PICK],
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn outputs(item: &Item) -> Outputs {
    match item.only("from") {
        Some(_) => Outputs::only("rootfs", Type::Rootfs),
        None => Outputs::only(TREE, Type::Tree),
    }
}

/// Whether names of users can be looked up below the item.
pub fn has_root(item: &Item) -> bool {
    let reference = item.only("from").and_then(Item::reference);
    reference.is_some_and(|reference| reference.label != Label::Scratch)
}

fn check(item: &Item, findings: &mut Findings) {
    let has_root = has_root(item);
    for line in &item.body {
        place::check(line, has_root, findings);
    }
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    let from = edges.from(item);
    let layer = place::lower_all(&item.body, edges);
    Op::Assemble(Assemble {
        from: from.unwrap_or(From::Nothing),
        layers: vec![layer],
        result: if from.is_some() { Composition::Rootfs } else { Composition::Tree },
    })
}
