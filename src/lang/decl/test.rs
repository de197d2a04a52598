//! `test`: a run that passes when what it expects holds. Its result is reused as any other.

mod service;

use crate::graph::op::{Expect, Op};
use crate::graph::value::Type;
use crate::lang::decl::image::PLATFORMS;
use crate::lang::decl::run::{self, BODY_OF_RUN};
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::Findings;
use crate::lang::table::{Holds, Line, Often, Slot, may, one};

pub const LINE: Line = Line {
    word: "test",
    doc: "A run that passes when what it expects holds; by default, exit code 0.",
    example: "test greets {\n    from hello\n    exec \"/hello\"\n    expect stdout=\"hello, world\\n\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &BODY,
    holds: Holds::Node,
    ..Line::EMPTY
};

const BODY: [&Line; BODY_OF_RUN.len() + 3] = {
    let mut body = [&EXPECT; BODY_OF_RUN.len() + 3];
    let mut place = 0;
    while place < BODY_OF_RUN.len() {
        body[place] = BODY_OF_RUN[place];
        place += 1;
    }
    body[place] = &PLATFORMS;
    body[place + 1] = &service::LINE;
    body
};

const EXPECT: Line = Line {
    word: "expect",
    doc: "What must hold for the test to pass.",
    example: "expect exit=0 stdout=\"hello, world\\n\"",
    often: Often::Maybe,
    properties: &[
        may("exit", Slot::Int { min: 0, max: 255 }, "The exit code of the last command; default 0."),
        may("stdout", Slot::Text, "All that the commands write to standard output."),
        may("stdout-match", Slot::Regex, "A regular expression that is found in what they write there."),
        may("file", Slot::Path, "A path that is there at the end."),
    ],
    ..Line::EMPTY
};

/// The one output of a passed test.
const PASSED: &str = "passed";

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn check(item: &Item, findings: &mut Findings) {
    run::check_run(item, &[PASSED], findings);
}

fn outputs(item: &Item) -> Outputs {
    let mut types = run::declared_outputs(item);
    types.insert(PASSED.to_owned(), Type::Text);
    Outputs { types, main: Some(PASSED.to_owned()) }
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    let mut run = run::lower_run(item, edges);
    let expect = item.only("expect");
    let text =
        |name: &str| expect.and_then(|expect| expect.property(name)).and_then(Given::text).map(str::to_owned);
    let exit = expect.and_then(|expect| expect.property("exit")).and_then(Given::int);
    run.expect = Some(Expect {
        exit: exit.and_then(|exit| i32::try_from(exit).ok()).unwrap_or(0),
        stdout: text("stdout"),
        stdout_match: text("stdout-match"),
        files: expect.and_then(|expect| expect.property("file")?.path().cloned()).into_iter().collect(),
    });
    run.services = item.each("service").filter_map(|line| service::lower(line, edges)).collect();
    Op::Run(Box::new(run))
}
