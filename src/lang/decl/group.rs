//! `group` and `default`: names for what to build. They make no node of the graph.

use crate::lang::table::{DOC, Line, Often, Slot, Wants, one, some};

pub const GROUP: Line = Line {
    word: "group",
    doc: "A name for several nodes, to be built together.",
    example: "group all app greets",
    arguments: &[one("NAME", Slot::Name), some("REF", Slot::Reference(Wants::Any))],
    body: &[&DOC],
    ..Line::EMPTY
};

pub const DEFAULT: Line = Line {
    word: "default",
    doc: "What is built when nothing is asked for; without it, every image.",
    example: "default app",
    often: Often::Maybe,
    arguments: &[some("REF", Slot::Reference(Wants::Any))],
    body: &[&DOC],
    ..Line::EMPTY
};
