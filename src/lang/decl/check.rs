//! `check`: facts that must hold for an image, without a process.

use crate::graph::graph::Select;
use crate::graph::op::{Check, Op, Owner, Rule};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::structure::PICK;
use crate::lang::table::{Holds, Line, Often, Slot, Wants, may, must, one, some};

pub const LINE: Line = Line {
    word: "check",
    doc: "Facts that must hold for an image or a root filesystem. No process is started.",
    example: "check lean {\n    of app\n    has \"/app\" mode=0o755\n    lacks \"/bin/sh\"\n    max-size \"25MiB\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&OF, &HAS, &LACKS, &MAX_SIZE, &USER, &LABEL, &LAYERS],
    holds: Holds::Node,
    ..Line::EMPTY
};

const OF: Line = Line {
    word: "of",
    doc: "What is looked at.",
    example: "of app",
    often: Often::Once,
    arguments: &[one("REF", Slot::Reference(Wants::Root))],
    body: &[&PICK],
    ..Line::EMPTY
};

const HAS: Line = Line {
    word: "has",
    doc: "There is something at these paths.",
    example: "has \"/app\" mode=0o755 owner=\"0:0\"",
    arguments: &[some("PATH", Slot::Path)],
    properties: &[may("mode", Slot::Mode, "Its mode."), may("owner", Slot::Text, "Its owner.")],
    ..Line::EMPTY
};

const LACKS: Line = Line {
    word: "lacks",
    doc: "There is nothing at these paths.",
    example: "lacks \"/bin/sh\"",
    arguments: &[some("PATH", Slot::Path)],
    ..Line::EMPTY
};

const MAX_SIZE: Line = Line {
    word: "max-size",
    doc: "The most that all files of all layers hold together.",
    example: "max-size \"25MiB\"",
    often: Often::Maybe,
    arguments: &[one("SIZE", Slot::Size)],
    ..Line::EMPTY
};

const USER: Line = Line {
    word: "user",
    doc: "The user that it runs as.",
    example: "user \"nonroot\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const LABEL: Line = Line {
    word: "label",
    doc: "Labels that it has.",
    example: "label org.opencontainers.image.licenses=\"MIT\"",
    free: Some(Slot::Text),
    ..Line::EMPTY
};

const LAYERS: Line = Line {
    word: "layers",
    doc: "How many layers it has at most.",
    example: "layers max=4",
    often: Often::Maybe,
    properties: &[must("max", Slot::Int { min: 0, max: i64::MAX }, "The most.")],
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn outputs(_: &Item) -> Outputs {
    Outputs::only("passed", Type::Text)
}

fn check(item: &Item, findings: &mut Findings) {
    if item.whole && rules(item).is_empty() {
        let message = "this `check` asks for nothing";
        let mistake = Mistake::new(Code::RunEmpty, message, "add a line: has \"/app\"");
        findings.add(mistake.at(item.word.clone(), "has no rules"));
    }
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    let of = item.only("of").and_then(Item::reference);
    let of = of.map_or(0, |reference| edges.add("of".to_owned(), reference, Select::default()));
    Op::Check(Check { of, rules: rules(item) })
}

fn rules(item: &Item) -> Vec<Rule> {
    item.body.iter().flat_map(rules_of).collect()
}

fn rules_of(line: &Item) -> Vec<Rule> {
    let paths = || line.arguments.iter().filter_map(Given::path).cloned();
    match line.line.word {
        "has" => paths()
            .map(|path| Rule::Has {
                path,
                mode: line.property("mode").and_then(Given::mode),
                owner: line.property("owner").and_then(Given::text).map(|owner| Owner(owner.to_owned())),
            })
            .collect(),
        "lacks" => paths().map(Rule::Lacks).collect(),
        "max-size" => line.argument(0).and_then(Given::size).map(Rule::MaxSize).into_iter().collect(),
        "user" => line.text().map(|user| Rule::User(user.to_owned())).into_iter().collect(),
        "label" => line
            .assignments()
            .filter_map(|(key, value)| Some(Rule::Label(key, value?.known().to_owned())))
            .collect(),
        "layers" => {
            let most = line.property("max").and_then(Given::int);
            most.and_then(|most| u64::try_from(most).ok()).map(Rule::MaxLayers).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
