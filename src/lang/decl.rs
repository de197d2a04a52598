//! The node kinds: each file of `decl/` holds a kind's rows of the table, what it checks beyond
//! types, the outputs it has and the op it lowers to. A new kind is a new file and a line here.
//!
//! There is no struct between a line of the file and the op: the table has typed the values already,
//! and the op is the typed struct.

pub mod files;
pub mod group;
pub mod image;
pub mod param;
pub mod place;
pub mod pull;
pub mod run;
pub mod test;
pub mod tree;
pub mod workspace;

use std::collections::BTreeMap;

use crate::graph::graph::{Input, Select};
use crate::graph::op::{From, Op};
use crate::graph::value::Type;
use crate::lang::item::{Item, Reference, Target};
use crate::lang::mistake::Findings;
use crate::lang::names::Names;
use crate::lang::table::Line;

/// A kind that lowers to an op.
#[derive(Debug)]
pub struct Declaration {
    pub line: &'static Line,
    /// Adds the mistakes that the table cannot see.
    pub check: fn(&Item, &mut Findings),
    pub outputs: fn(&Item) -> Outputs,
    /// Only for items that are whole and whose references are resolved.
    pub lower: fn(&Item, &mut Edges<'_>) -> Op,
}

/// What a node gives.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    pub types: BTreeMap<String, Type>,
    /// The one that its bare name stands for.
    pub main: Option<String>,
}

pub const DECLARATIONS: &[&Declaration] =
    &[&files::KIND, &pull::KIND, &run::KIND, &test::KIND, &tree::KIND, &image::KIND];

/// Collects the inputs of a node while it is lowered.
#[derive(Debug)]
pub struct Edges<'a> {
    names: &'a Names,
    pub inputs: Vec<Input>,
}

impl Outputs {
    pub fn only(name: &str, kind: Type) -> Outputs {
        Outputs { types: BTreeMap::from([(name.to_owned(), kind)]), main: Some(name.to_owned()) }
    }
}

impl<'a> Edges<'a> {
    pub fn new(names: &'a Names) -> Edges<'a> {
        Edges { names, inputs: Vec::new() }
    }

    /// The index of the new input.
    pub fn add(&mut self, slot: String, reference: &Reference, select: Select) -> usize {
        self.inputs.push(Input { slot, source: self.names.output(reference), select });
        self.inputs.len() - 1
    }

    /// What a single file that the reference means is called.
    pub fn file_name(&self, reference: &Reference) -> Option<String> {
        self.names.file_name(reference)
    }

    /// The line `from` of a body.
    pub fn from(&mut self, item: &Item) -> Option<From> {
        let reference = item.only("from")?.reference()?;
        Some(match reference.target {
            Target::Scratch => From::Scratch,
            Target::Host => From::Host(self.add("from".to_owned(), reference, Select::default())),
            _ => From::Input(self.add("from".to_owned(), reference, Select::default())),
        })
    }
}

/// For kinds whose mistakes the table sees all.
fn nothing_to_check(_: &Item, _: &mut Findings) {}
