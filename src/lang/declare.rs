//! Files → scopes: what each file declares, and an instance of each template and fragment for each `use`.
//! Bodies of nodes are not read here; names, parameters and conditions are.

mod names;
mod params;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::base::suggest::{self, ticked};
use crate::base::tree_path::TreePath;
use crate::lang::budget::{self, Budget};
use crate::lang::code::Code;
use crate::lang::decl::{self, DECLARATIONS};
use crate::lang::files::{Files, is_build_file};
use crate::lang::item::Item;
use crate::lang::label::{self, package_name};
use crate::lang::matrix::{Axis, Coordinate};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::read::Reader;
use crate::lang::scope::{Conditional, Conditions, Decl, DeclId, Env, Named, Scope, ScopeId, What, World};
use crate::lang::settings::Settings;
use crate::lang::syntax::{Entry, Node};
use crate::lang::table::{KINDS, Line};
use crate::lang::{Request, structure, version};

/// Nodes and instances of all files together.
const MOST: usize = 40_000;

pub fn declare<'a>(files: &'a Files, request: &'a Request<'a>, findings: &mut Findings) -> World<'a> {
    let world = World {
        files,
        request,
        scopes: Vec::new(),
        decls: Vec::new(),
        axes: BTreeMap::new(),
        fragments: HashMap::new(),
        packages: Vec::new(),
        coordinates: RefCell::default(),
        settings: Settings::default(),
        profile_params: params::of_profile(files, request),
        asked_platform: Cell::default(),
        budget: Budget::default(),
    };
    let mut declare = Declare {
        world,
        findings,
        uses: VecDeque::new(),
        params: Vec::new(),
        declared: BTreeMap::new(),
        conditions: Vec::new(),
        templates: Vec::new(),
        used: BTreeSet::new(),
        is_full: false,
        workspace: None,
    };
    declare.files();
    declare.parameters();
    declare.settings();
    declare.instances();
    declare.trials();
    declare.conditions();
    declare.names_taken();
    declare.world
}

pub(super) struct Declare<'a, 'f> {
    pub(super) world: World<'a>,
    pub(super) findings: &'f mut Findings,
    /// Lines `use` that have no scope yet.
    pub(super) uses: VecDeque<Use<'a>>,
    params: Vec<(ScopeId, &'a Node)>,
    /// Parameters of files, by name.
    declared: BTreeMap<(ScopeId, &'a str), &'a Node>,
    conditions: Vec<(ScopeId, &'a Node)>,
    templates: Vec<(ScopeId, &'a Node)>,
    /// Templates that something uses.
    pub(super) used: BTreeSet<*const Node>,
    is_full: bool,
    workspace: Option<(ScopeId, &'a Node)>,
}

pub(super) struct Use<'a> {
    pub(super) node: &'a Node,
    pub(super) scope: ScopeId,
    pub(super) conditions: Conditions<'a>,
    /// In the body of a node.
    pub(super) is_fragment: bool,
}

impl<'a> Declare<'a, '_> {
    fn files(&mut self) {
        for file in &self.world.files.files {
            let name = package_name(&file.package);
            let is_root = file.package.is_root();
            // Another file of the folder names its nodes by itself, too.
            let prefix = match is_build_file(&file.path) {
                true if is_root => String::new(),
                true => format!("{name}:"),
                false => format!("//{}:", file.name()),
            };
            let scope = self.add_scope(Scope { package: file.package.clone(), prefix, ..Scope::default() });
            self.world.packages.push(scope);
        }
        for (place, file) in self.world.files.files.iter().enumerate() {
            let scope = self.world.packages[place];
            let Some(document) = &file.document else { continue };
            let Some(nodes) = version::check(file, document, self.findings) else { continue };
            if file.is_for_settings {
                let settings =
                    nodes.iter().filter(|node| ["param", "axis", "workspace"].contains(&node.word.as_str()));
                settings.for_each(|node| {
                    self.node(scope, Conditional { node, conditions: Conditions::from([]) });
                });
            } else {
                self.nodes(scope, nodes, &Conditions::from([]));
            }
        }
    }

    pub(super) fn add_scope(&mut self, scope: Scope<'a>) -> ScopeId {
        self.world.scopes.push(scope);
        ScopeId(self.world.scopes.len() - 1)
    }

    /// What stands at file level, or in a template.
    pub(super) fn nodes(&mut self, scope: ScopeId, nodes: &'a [Node], conditions: &Conditions<'a>) {
        for node in nodes {
            if self.findings.is_full() || self.is_too_much(node) {
                return;
            }
            let line = Conditional { node, conditions: conditions.clone() };
            self.node(scope, line);
        }
    }

    fn node(&mut self, scope: ScopeId, line: Conditional<'a>) {
        let node = line.node;
        let word = node.word.as_str();
        if let Some(declaration) = DECLARATIONS.iter().find(|declaration| declaration.line.word == word) {
            self.declaration(scope, declaration, line);
            return;
        }
        match word {
            "when" | "unless" => self.condition(scope, line),
            "param" | "axis" | "map" | "import" | "template" | "fragment" | "workspace"
                if !line.conditions.is_empty() =>
            {
                self.unconditional(scope, node);
            }
            "param" => self.params.push((scope, node)),
            "axis" => self.axis(scope, node),
            "map" => self.map(scope, node),
            "import" => self.import(scope, line),
            "template" => {
                self.templates.push((scope, node));
                self.name(scope, What::Template, line);
            }
            "fragment" => self.name(scope, What::Fragment, line),
            "use" => {
                self.uses.push_back(Use { node, scope, conditions: line.conditions, is_fragment: false });
            }
            "group" => self.group(scope, line),
            "default" => self.default(scope, line),
            "export" => {
                self.world.scopes[scope.0].exports.push(line.clone());
                self.name(scope, What::Export, line);
            }
            "workspace" => self.workspace(scope, node),
            "output" | "doc" if self.world.scope(scope).body.is_some() => {}
            _ => self.unknown(scope, node),
        }
    }

    /// Its body is read once for each coordinate, later.
    fn declaration(
        &mut self,
        scope: ScopeId,
        declaration: &'static decl::Declaration,
        line: Conditional<'a>,
    ) {
        let node = line.node;
        let name = node.name().unwrap_or_default();
        let label = format!("{}{name}", self.world.scope(scope).prefix);
        self.world.budget.pay(budget::LINE + label.len());
        let decl = Decl {
            label,
            scope,
            declaration,
            line: line.clone(),
            is_private: node.property("private").is_some_and(|entry| entry.value.is_true()),
        };
        self.world.decls.push(decl);
        let id = DeclId(self.world.decls.len() - 1);
        if node.name().is_some() {
            self.name(scope, What::Node(id), line);
        } else {
            self.world.scopes[scope.0].ghosts.extend(possible_name(node));
        }
        self.fragment_uses(scope, node);
    }

    /// The lines `use` of a body.
    pub(super) fn fragment_uses(&mut self, scope: ScopeId, node: &'a Node) {
        for child in node.children() {
            if child.word == "use" {
                self.uses.push_back(Use {
                    node: child,
                    scope,
                    conditions: Conditions::from([]),
                    is_fragment: true,
                });
            } else {
                self.fragment_uses(scope, child);
            }
        }
    }

    pub(super) fn name(&mut self, scope: ScopeId, what: What, line: Conditional<'a>) {
        let Some(name) = line.node.name().filter(|name| label::is_name(name)) else {
            return self.unnamed(scope, line.node);
        };
        if name == "host" || name == "scratch" {
            let message = format!("`{name}` is built in, and no other node can have the name");
            let mistake = Mistake::new(Code::NameTaken, message, "choose another name");
            self.findings.add(mistake.at(line.node.name_span(), "taken"));
            return;
        }
        let named = Named { what, line };
        self.world.scopes[scope.0].names.entry(name).or_default().push(named);
    }

    fn unnamed(&mut self, scope: ScopeId, node: &'a Node) {
        self.world.scopes[scope.0].ghosts.extend(possible_name(node));
        // Kinds that are read elsewhere tell it there.
        let line = match node.word.as_str() {
            "template" => &structure::TEMPLATE,
            "fragment" => &structure::FRAGMENT,
            _ => return,
        };
        self.read(scope, line, node);
    }

    fn condition(&mut self, scope: ScopeId, line: Conditional<'a>) {
        let node = line.node;
        self.conditions.push((scope, node));
        let conditions = line.conditions.iter().copied().chain([(node, scope)]).collect();
        self.nodes(scope, node.children(), &conditions);
    }

    /// Reads a line for its mistakes.
    pub(super) fn read(&mut self, scope: ScopeId, line: &'static Line, node: &'a Node) -> Item {
        let Declare { world, findings, .. } = self;
        Reader::new(world, world.env(scope), findings).item(line, node)
    }

    fn axis(&mut self, scope: ScopeId, node: &'a Node) {
        let item = self.read(scope, &structure::AXIS, node);
        let Some(name) = node.name() else { return };
        let sources = &self.world.files.sources;
        let text = |entry: &'a Entry| entry.value.text().unwrap_or_else(|| sources.slice(&entry.span));
        let values: Vec<&str> = node.arguments().skip(1).map(text).collect();
        let doc = node.children().iter().find(|child| child.word == "doc").and_then(Node::name);
        if let Some(first) = self.world.axes.get(name) {
            if first.values != values {
                let message = format!("the axis `{name}` has other values elsewhere");
                let help =
                    "an axis has the same values in the whole workspace: give one of them another name";
                let mistake = Mistake::new(Code::AxisValue, message, help);
                let (here, there) = (node.line_span(), first.node.line_span());
                self.findings.add(mistake.at(here, "here").at(there, "and here"));
            }
            return;
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(**value)).filter(|_| item.whole) {
            let message = format!("the axis `{name}` has the value `{}` twice", shorten(twice));
            let mistake = Mistake::new(Code::AxisValue, message, "remove one of them");
            self.findings.add(mistake.at(node.line_span(), "here"));
        }
        // A wrong one is there, too: that nodes name it is no second mistake.
        self.world.axes.insert(name, Axis { node, values, doc });
    }

    fn map(&mut self, scope: ScopeId, node: &'a Node) {
        let item = self.read(scope, &structure::MAP, node);
        let Some(name) = item.text().and(node.name()) else { return };
        if let Some(first) = self.world.scope(scope).maps.get(name) {
            let spans = (first.name_span(), node.name_span());
            self.findings.add(taken("maps", name, spans.0, spans.1));
            return;
        }
        self.world.scopes[scope.0].maps.insert(name, node);
    }

    fn import(&mut self, scope: ScopeId, line: Conditional<'a>) {
        let node = line.node;
        let item = self.read(scope, &structure::IMPORT, node);
        let Some(name) = node.property("as").and_then(|entry| entry.value.text()) else { return };
        let file = match (item.whole, node.arguments().next()) {
            (true, Some(entry)) => match self.world.imported(entry.value.text().unwrap_or_default()) {
                Ok(file) => Some(file),
                Err(mistake) => {
                    self.findings.add(mistake.at(entry.span.clone(), "cannot be imported"));
                    None
                }
            },
            _ => None,
        };
        let named = Named { what: What::Import(file), line };
        self.world.scopes[scope.0].names.entry(name).or_default().push(named);
    }

    fn group(&mut self, scope: ScopeId, line: Conditional<'a>) {
        match line.node.name() {
            Some(name) => {
                self.world.scopes[scope.0].groups.push((name, line.clone()));
                self.name(scope, What::Group, line);
            }
            None => drop(self.read(scope, &decl::group::GROUP, line.node)),
        }
    }

    fn default(&mut self, scope: ScopeId, line: Conditional<'a>) {
        self.world.scopes[scope.0].defaults.push(line);
    }

    pub(super) fn env(&self, scope: ScopeId) -> Env<'_> {
        self.world.env(scope)
    }

    /// Read by itself, before everything else.
    fn workspace(&mut self, scope: ScopeId, node: &'a Node) {
        let is_root = self.world.scope(scope).package.is_root() && self.world.scope(scope).body.is_none();
        if !is_root {
            let message = "`workspace` stands in the build file at the workspace's root only";
            let help = "move it there, or remove it";
            let mistake = Mistake::new(Code::WorkspacePlace, message, help);
            self.findings.add(mistake.at(node.word_span.clone(), "not here"));
        } else if let Some((_, first)) = self.workspace {
            let mistake = Mistake::new(
                Code::SlotTwice,
                "there are two `workspace` blocks",
                "put everything into one of them",
            );
            let (second, first) = (node.word_span.clone(), first.word_span.clone());
            self.findings.add(mistake.at(second, "and again here").at(first, "first here"));
        } else {
            self.workspace = Some((scope, node));
        }
    }

    /// What decides which nodes there are cannot depend on what they are for.
    fn unconditional(&mut self, scope: ScopeId, node: &'a Node) {
        self.world.scopes[scope.0].ghosts.extend(possible_name(node));
        let message = format!("`{}` cannot stand under a condition", node.word);
        let help = "move it out of the block; conditions may stand in the bodies of nodes, and around nodes";
        let mistake = Mistake::new(Code::UnknownKind, message, help);
        self.findings.add(mistake.at(node.word_span.clone(), "not here"));
    }

    fn unknown(&mut self, scope: ScopeId, node: &'a Node) {
        self.world.scopes[scope.0].ghosts.extend(possible_name(node));
        let written = node.word.as_str();
        let mistake = if written == "memobuild" {
            Mistake::new(Code::VersionMissing, "the version line stands first, and once", "remove this line")
                .at(node.word_span.clone(), "not here")
        } else {
            let legal: Vec<&str> =
                KINDS.iter().map(|line| line.word).filter(|word| *word != "memobuild").collect();
            let help = suggest::help(written, &legal, ticked, "kinds");
            let message = format!("there is no node kind `{}`", shorten(written));
            Mistake::new(Code::UnknownKind, message, help).at(node.word_span.clone(), "not known")
        };
        self.findings.add(mistake);
    }

    fn is_too_much(&mut self, node: &Node) -> bool {
        let world = &self.world;
        if world.budget.is_spent() {
            // Told at the end.
            return true;
        }
        if world.decls.len() + world.scopes.len() <= MOST {
            return false;
        }
        if !std::mem::replace(&mut self.is_full, true) {
            let message = format!("the build has more than {MOST} nodes and instances of templates");
            let help = "let templates use fewer templates";
            self.findings
                .add(Mistake::new(Code::GraphSize, message, help).at(node.word_span.clone(), "here"));
        }
        true
    }

    fn instances(&mut self) {
        while let Some(using) = self.uses.pop_front() {
            if self.findings.is_full() || self.is_too_much(using.node) {
                return;
            }
            self.instance(&using);
        }
    }

    /// Templates that nothing uses are looked through all the same.
    fn trials(&mut self) {
        let unused: Vec<(ScopeId, &Node)> = std::mem::take(&mut self.templates);
        for (scope, node) in unused {
            if !self.used.contains(&std::ptr::from_ref(node)) {
                self.trial(scope, node);
                // Now, so that what this one uses counts as used.
                self.instances();
            }
        }
    }

    fn conditions(&mut self) {
        // Whether what stands in the block has the axes that it asks for is told where that is read.
        let somewhere: Coordinate = self.world.axes.iter().filter_map(first_value).collect();
        for (scope, node) in std::mem::take(&mut self.conditions) {
            let Declare { world, findings, .. } = self;
            let platform = &world.request.platform;
            let env = Env { scope, coordinate: &somewhere, platform, is_dead: world.scope(scope).is_trial };
            world.check_condition(node, env, findings);
        }
    }
}

fn first_value((name, axis): (&&str, &Axis<'_>)) -> Option<(String, String)> {
    Some(((*name).to_owned(), (*axis.values.first()?).to_owned()))
}

fn taken(what: &str, name: &str, first: Span, second: Span) -> Mistake {
    let mistake =
        Mistake::new(Code::NameTaken, format!("two {what} are called `{name}`"), "rename one of them");
    mistake.at(second, "and this one").at(first, "this one")
}

/// What a line without a name may have been meant to be called.
fn possible_name(node: &Node) -> Option<String> {
    let entry = node.entries.first()?;
    match &entry.key {
        Some(key) => Some(key.text.clone()),
        None => entry.value.text().map(str::to_owned),
    }
}

/// The folder of a package, for what belongs to it.
pub(super) fn package_of(world: &World<'_>, scope: ScopeId) -> TreePath {
    world.scope(scope).package.clone()
}
