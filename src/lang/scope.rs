//! What names stand for. Each file is a scope, and so is each instance of a template and each use of a
//! fragment: their own names are private, and what they don't know is looked up where they are written.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::base::tree_path::TreePath;
use crate::lang::budget::{self, Budget};
use crate::lang::decl::Declaration;
use crate::lang::decl::param::Rule;
use crate::lang::files::Files;
use crate::lang::interpolate::Plain;
use crate::lang::matrix::{Axis, Coordinates};
use crate::lang::mistake::{Label, Span};
use crate::lang::settings::{ProfileParam, Settings};
use crate::lang::syntax::Node;
use crate::lang::{Outside, Request};
use crate::oci::image::Platform;

/// A place in `World::scopes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub usize);

/// A place in `World::decls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeclId(pub usize);

/// All that the files of a build declare. Filled by `declare.rs`, then only read.
pub struct World<'a> {
    pub files: &'a Files,
    pub request: &'a Request<'a>,
    pub scopes: Vec<Scope<'a>>,
    pub decls: Vec<Decl<'a>>,
    /// Of the whole workspace.
    pub axes: BTreeMap<&'a str, Axis<'a>>,
    /// The scope of each use of a fragment, by the line that says so and the scope it stands in.
    pub fragments: HashMap<(*const Node, ScopeId), ScopeId>,
    /// The scope of each file.
    pub packages: Vec<ScopeId>,
    pub coordinates: RefCell<HashMap<DeclId, Rc<Coordinates>>>,
    /// What the `workspace` block says, under the profile that was asked for.
    pub settings: Settings,
    /// Values that this profile gives to parameters of the root file.
    pub profile_params: BTreeMap<String, ProfileParam>,
    /// Whether a value that was read since this was cleared may differ between platforms.
    pub asked_platform: Cell<bool>,
    pub budget: Budget,
}

#[derive(Debug, Default)]
pub struct Scope<'a> {
    pub parent: Option<ScopeId>,
    /// The scope of the `use` that made it.
    pub caller: Option<ScopeId>,
    /// The folder that local paths are relative to.
    pub package: TreePath,
    /// Begins the full name of what is declared here: `//services/api:svc/`.
    pub prefix: String,
    pub names: BTreeMap<&'a str, Vec<Named<'a>>>,
    /// Names of what could not be read: nothing about them is reported twice.
    pub ghosts: BTreeSet<String>,
    pub params: BTreeMap<&'a str, Param<'a>>,
    pub maps: BTreeMap<&'a str, &'a Node>,
    /// Outputs of a template, by name.
    pub outputs: BTreeMap<&'a str, &'a Node>,
    /// Lines `default` of a file: one exists, whatever the conditions come to.
    pub defaults: Vec<Conditional<'a>>,
    pub exports: Vec<Conditional<'a>>,
    pub groups: Vec<(&'a str, Conditional<'a>)>,
    /// The line `use` that made it.
    pub expanded_at: Option<Span>,
    /// The template or fragment that it is an instance of.
    pub body: Option<&'a Node>,
    /// A template that nothing uses: its parameters have no values, it is only looked through.
    pub is_trial: bool,
}

/// Lines `when` and `unless`, each with the scope that it is written in.
pub type Conditions<'a> = Rc<[(&'a Node, ScopeId)]>;

/// A node of the file with the conditions of the blocks around it.
#[derive(Debug, Clone)]
pub struct Conditional<'a> {
    pub node: &'a Node,
    pub conditions: Conditions<'a>,
}

#[derive(Debug)]
pub struct Named<'a> {
    pub what: What,
    pub line: Conditional<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Node(DeclId),
    Group,
    Export,
    Template,
    Fragment,
    /// An instance of a template; `None` where it could not be made.
    Instance(Option<ScopeId>),
    /// A file that `import` names, by its place in `Files`.
    Import(Option<usize>),
}

#[derive(Debug)]
pub enum Param<'a> {
    Known {
        value: Plain,
        shared: bool,
        rule: Rc<Rule>,
        span: Span,
        /// Something uses it.
        used: Cell<bool>,
    },
    Poisoned,
    /// Given by a line of `use`, read where it is used: it may hold values of the coordinate there.
    Given {
        line: &'a Node,
        scope: ScopeId,
        rule: Rc<Rule>,
    },
}

/// A node of the graph to be, once for all coordinates and platforms.
pub struct Decl<'a> {
    /// In full: `//services/api:svc/compile`; of the root package, `app`.
    pub label: String,
    pub scope: ScopeId,
    pub declaration: &'static Declaration,
    pub line: Conditional<'a>,
    pub is_private: bool,
}

/// In what a body is read.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    pub scope: ScopeId,
    pub coordinate: &'e BTreeMap<String, String>,
    /// The target.
    pub platform: &'e Platform,
    /// Nothing has a value: the body of a condition that doesn't hold is only looked through.
    pub is_dead: bool,
}

/// The coordinate of what stands in no matrix.
static NOWHERE: BTreeMap<String, String> = BTreeMap::new();

impl<'a> World<'a> {
    /// Of what stands in a scope, and in no matrix: at the platform that is asked for.
    pub fn env(&self, scope: ScopeId) -> Env<'_> {
        let is_dead = self.scope(scope).is_trial;
        Env { scope, coordinate: &NOWHERE, platform: &self.request.platform, is_dead }
    }

    pub fn scope(&self, id: ScopeId) -> &Scope<'a> {
        &self.scopes[id.0]
    }

    pub fn decl(&self, id: DeclId) -> &Decl<'a> {
        &self.decls[id.0]
    }

    pub fn outside(&self) -> &'a Outside<'a> {
        &self.request.outside
    }

    /// The scope and all that it stands in, innermost first.
    pub fn around(&self, scope: ScopeId) -> impl Iterator<Item = ScopeId> + '_ {
        std::iter::successors(Some(scope), |scope| self.scope(*scope).parent)
    }

    /// "expanded from here", innermost first.
    pub fn trail(&self, scope: ScopeId) -> Vec<Label> {
        let callers = std::iter::successors(Some(scope), |scope| self.scope(*scope).caller);
        let lines = callers.filter_map(|scope| self.scope(scope).expanded_at.clone());
        lines.map(|span| Label::new(span, "expanded from here")).collect()
    }

    /// Something of that name which exists in `env`, and the scope that knows it.
    pub fn look_up(&self, name: &str, env: Env<'_>) -> Option<(ScopeId, &Named<'a>)> {
        self.around(env.scope).find_map(|scope| Some((scope, self.named(scope, name, env)?)))
    }

    pub fn named(&self, scope: ScopeId, name: &str, env: Env<'_>) -> Option<&Named<'a>> {
        let all = self.scope(scope).names.get(name)?;
        self.budget.pay(budget::NAME * all.len());
        all.iter().find(|named| self.exists(&named.line, Env { scope, ..env }))
    }

    pub fn is_ghost(&self, name: &str, scope: ScopeId) -> bool {
        self.around(scope).any(|scope| self.scope(scope).ghosts.contains(name))
    }

    /// Whether the conditions around a line hold. What is wrong with them is told where they are declared.
    pub fn exists(&self, line: &Conditional<'a>, env: Env<'_>) -> bool {
        let holds = |scope: ScopeId, line: &Node| self.holds(line, Env { scope, ..env }).unwrap_or(true);
        line.conditions.iter().all(|(line, scope)| holds(*scope, line))
    }

    /// The `default` of a file.
    pub fn default(&self, scope: ScopeId, env: Env<'_>) -> Option<&Conditional<'a>> {
        self.scope(scope).defaults.iter().find(|line| self.exists(line, env))
    }

    /// The root file's scope.
    pub fn root(&self) -> Option<ScopeId> {
        self.files.package(&TreePath::root()).map(|file| self.packages[file])
    }
}
