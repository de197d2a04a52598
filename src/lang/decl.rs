//! The node kinds: each file of `decl/` holds a kind's rows of the table, what it checks beyond
//! types, the outputs it has and the op it lowers to. A new kind is a new file and a line here.
//!
//! There is no struct between a line of the file and the op: the table has typed the values already,
//! and the op is the typed struct.

pub mod check;
pub mod export;
pub mod files;
pub mod git;
pub mod group;
pub mod http;
pub mod image;
pub mod param;
pub mod place;
pub mod pull;
pub mod run;
pub mod test;
pub mod tree;
pub mod workspace;

use std::collections::BTreeMap;

use crate::base::tree_path::TreePath;
use crate::graph::graph::{Input, OutputRef, Select};
use crate::graph::op::{From, Op};
use crate::graph::value::Type;
use crate::lang::instances::{InstanceId, Resolved};
use crate::lang::item::{Item, Reference};
use crate::lang::lower::Lowering;
use crate::lang::mistake::Findings;
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
    /// Its result is another on each platform, whatever its lines ask (`alike.rs`).
    pub is_of_a_platform: bool,
}

/// What a node gives.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    pub types: BTreeMap<String, Type>,
    /// The one that its bare name stands for.
    pub main: Option<String>,
}

pub const DECLARATIONS: &[&Declaration] = &[
    &files::KIND,
    &pull::KIND,
    &http::KIND,
    &git::KIND,
    &run::KIND,
    &test::KIND,
    &check::KIND,
    &tree::KIND,
    &image::KIND,
];

/// Collects the inputs of a node while it is lowered.
pub struct Edges<'e> {
    lowering: &'e Lowering<'e>,
    node: InstanceId,
    pub inputs: Vec<Input>,
}

impl Outputs {
    pub fn only(name: &str, kind: Type) -> Outputs {
        Outputs { types: BTreeMap::from([(name.to_owned(), kind)]), main: Some(name.to_owned()) }
    }
}

impl<'e> Edges<'e> {
    pub fn new(lowering: &'e Lowering<'e>, node: InstanceId) -> Edges<'e> {
        Edges { lowering, node, inputs: Vec::new() }
    }

    /// The index of the new input.
    pub fn add(&mut self, slot: String, reference: &Reference, select: Select) -> usize {
        let source = self.lowering.output(self.node, reference);
        self.add_output(slot, source, select)
    }

    pub fn add_output(&mut self, slot: String, source: OutputRef, select: Select) -> usize {
        self.inputs.push(Input { slot, source, select });
        self.inputs.len() - 1
    }

    /// What a single file that the reference means is called.
    pub fn file_name(&self, reference: &Reference) -> Option<String> {
        self.lowering.file_name(self.node, reference)
    }

    /// The line `from` of a body.
    pub fn from(&mut self, item: &Item) -> Option<From> {
        let reference = item.only("from")?.reference()?;
        if self.lowering.is(self.node, reference, &Resolved::Scratch) {
            return Some(From::Scratch);
        }
        let input = self.add("from".to_owned(), reference, Select::default());
        let is_host = self.lowering.is(self.node, reference, &Resolved::Host);
        Some(if is_host { From::Host(input) } else { From::Input(input) })
    }

    /// A node that this one is made of and nobody declared, called `NODE/part`, with the inputs that were
    /// collected since `before`.
    pub fn inner(
        &mut self,
        part: &str,
        kind: &'static str,
        op: Op,
        outputs: Outputs,
        item: &Item,
    ) -> OutputRef {
        let inputs = std::mem::take(&mut self.inputs);
        let name = format!("{}/{part}", self.lowering.instances.name(self.node));
        let output = outputs.main.clone().unwrap_or_default();
        let node = self.lowering.add(name, kind, op, inputs, outputs, &item.word);
        OutputRef { node, output }
    }

    /// The folder of the node's package.
    pub fn package(&self) -> &TreePath {
        let world = self.lowering.instances.world;
        &world.scope(world.decl(self.lowering.instances.get(self.node).decl).scope).package
    }

    /// The coordinate of the node, for what is divided by an axis.
    pub fn coordinate(&self) -> crate::lang::matrix::Coordinate {
        self.lowering.instances.coordinate(self.node)
    }
}

/// For kinds whose mistakes the table sees all.
fn nothing_to_check(_: &Item, _: &mut Findings) {}
