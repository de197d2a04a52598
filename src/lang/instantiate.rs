//! `use`: a scope for an instance of a template, or for the lines of a fragment. Parameters are bound
//! to the lines that give them, unread: what they come to may differ in each coordinate.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use crate::base::suggest;
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::decl::param::{self, Outer, Rule};
use crate::lang::declare::{Declare, Use, package_of};
use crate::lang::item::{Given, Item};
use crate::lang::label;
use crate::lang::mistake::{Mistake, Span, shorten};
use crate::lang::scope::{Conditional, Conditions, Named, Param, Scope, ScopeId, What, World};
use crate::lang::structure;
use crate::lang::syntax::Node;
use crate::lang::values::{Given as Ungiven, Problem};

/// Templates may use templates, this deep.
const DEEPEST: usize = 32;

/// What a `use` names: the scope that it is written in, and its line.
type Found<'a> = (ScopeId, &'a Node);

impl<'a> Declare<'a, '_> {
    pub(super) fn instance(&mut self, using: &Use<'a>) {
        let item = self.read(using.scope, &structure::USE, using.node);
        let found = item.text().and_then(|name| self.template(using, name));
        if using.is_fragment {
            let scope = found.and_then(|found| self.expand(using, found, String::new()));
            if let Some(scope) = scope {
                self.world.fragments.insert((std::ptr::from_ref(using.node), using.scope), scope);
            }
            self.no_second_name(using);
            return;
        }
        let Some(name) = using.node.arguments().nth(1).and_then(|entry| entry.value.text()) else {
            return self.no_instance_name(using, &item);
        };
        let prefix = format!("{}{name}/", self.world.scope(using.scope).prefix);
        let scope = found.and_then(|found| self.expand(using, found, prefix));
        let line = Conditional { node: using.node, conditions: using.conditions.clone() };
        let named = Named { what: What::Instance(scope), line };
        self.world.scopes[using.scope.0].names.entry(name).or_default().push(named);
    }

    /// Looks through a template without values.
    pub(super) fn trial(&mut self, parent: ScopeId, node: &'a Node) {
        let prefix = format!("{}{}/", self.world.scope(parent).prefix, node.name().unwrap_or_default());
        let package = package_of(&self.world, parent);
        let body = Some(node);
        let scope = self.add_scope(Scope {
            parent: Some(parent),
            package,
            prefix,
            body,
            is_trial: true,
            ..Scope::default()
        });
        for child in node.children().iter().filter(|child| child.word == "param") {
            self.read(scope, &param::LINE, child);
            if let Some(name) = child.name() {
                self.world.scopes[scope.0].params.insert(name, Param::Poisoned);
                self.world.scopes[scope.0].ghosts.insert(name.to_owned());
            }
        }
        self.body(scope, node, &Conditions::from([]));
    }

    fn template(&mut self, using: &Use<'a>, name: &str) -> Option<Found<'a>> {
        let wanted = if using.is_fragment { What::Fragment } else { What::Template };
        match self.world.template(name, using.scope, wanted) {
            Ok(found) => found,
            Err(mistake) => {
                let span = using.node.name_span();
                let trail = self.world.trail(using.scope);
                self.findings.within(|| trail, |findings| findings.add(mistake.at(span, "not known")));
                None
            }
        }
    }

    fn expand(&mut self, using: &Use<'a>, (parent, template): Found<'a>, prefix: String) -> Option<ScopeId> {
        self.used.insert(std::ptr::from_ref(template));
        if self.is_within(using.scope, template) {
            let name = template.name().unwrap_or_default();
            let message = format!("the {} `{name}` uses itself", template.word);
            let mistake =
                Mistake::new(Code::TemplateCycle, message, "remove this `use`, or name another one");
            let mistake = mistake.at(using.node.line_span(), "here again");
            self.findings.add(mistake.at(template.name_span(), "declared here"));
            return None;
        }
        if self.callers(using.scope).count() > DEEPEST {
            let message = format!("templates use templates more than {DEEPEST} levels deep");
            let mistake = Mistake::new(Code::GraphSize, message, "let templates use fewer templates");
            self.findings.add(mistake.at(using.node.line_span(), "here"));
            return None;
        }
        let package = package_of(&self.world, using.scope);
        self.world.budget.pay(budget::LINE + prefix.len());
        let scope = self.add_scope(Scope {
            parent: Some(parent),
            caller: Some(using.scope),
            package,
            prefix,
            expanded_at: Some(using.node.line_span()),
            body: Some(template),
            is_trial: self.world.scope(using.scope).is_trial,
            ..Scope::default()
        });
        self.bind(scope, using, template);
        self.body(scope, template, &using.conditions);
        Some(scope)
    }

    fn body(&mut self, scope: ScopeId, template: &'a Node, conditions: &Conditions<'a>) {
        if template.word == structure::FRAGMENT.word {
            self.fragment_uses(scope, template);
            return;
        }
        for child in template.children().iter().filter(|child| child.word == "output") {
            self.read(scope, &structure::TEMPLATE_OUTPUT, child);
            if let Some(name) = child.name() {
                self.world.scopes[scope.0].outputs.insert(name, child);
            }
        }
        let nodes = template.children();
        self.template_nodes(scope, nodes, conditions);
    }

    /// All but its parameters, which are bound already.
    fn template_nodes(&mut self, scope: ScopeId, nodes: &'a [Node], conditions: &Conditions<'a>) {
        for run in nodes.split(|node| node.word == "param") {
            self.nodes(scope, run, conditions);
        }
    }

    /// Whether the scope lies in an instance of that template already.
    fn is_within(&self, scope: ScopeId, template: &'a Node) -> bool {
        self.callers(scope)
            .any(|scope| self.world.scope(scope).body.is_some_and(|body| std::ptr::eq(body, template)))
    }

    fn callers(&self, scope: ScopeId) -> impl Iterator<Item = ScopeId> {
        std::iter::successors(Some(scope), |scope| self.world.scope(*scope).caller)
    }

    fn bind(&mut self, scope: ScopeId, using: &Use<'a>, template: &'a Node) {
        let params = template.children().iter().filter(|child| child.word == "param");
        let params: Vec<&Node> = params.collect();
        let mut lines: HashMap<&str, &'a Node> = HashMap::new();
        for line in using.node.children() {
            lines.entry(line.word.as_str()).or_insert(line);
        }
        for node in &params {
            let item = self.read(scope, &param::LINE, node);
            let Some(name) = item.text().and(node.name()) else { continue };
            if !item.whole {
                // Nobody knows whether it stands for a node.
                self.world.scopes[scope.0].params.insert(name, Param::Poisoned);
                self.world.scopes[scope.0].ghosts.insert(name.to_owned());
                continue;
            }
            let rule = param::rule(&item, self.findings);
            let value = match lines.get(name).copied() {
                Some(line) => {
                    self.check_given(line, using.scope, &rule, node);
                    Param::Given { line, scope: using.scope, rule }
                }
                None => self.ungiven(using, &item, rule),
            };
            self.world.scopes[scope.0].params.insert(name, value);
        }
        self.strangers(using, &params);
    }

    fn ungiven(&mut self, using: &Use<'a>, item: &Item, rule: Rc<Rule>) -> Param<'a> {
        let span = param::name_span(item);
        let name = item.text().unwrap_or_default();
        let default = param::default(item, &rule, self.findings);
        let value = match default {
            Some(default) => Some(default),
            None if item.property("env").is_some() => {
                let outer = Outer { environment: self.environment(item), ..Outer::default() };
                param::settle(item, &rule, &outer, self.findings)
            }
            None => {
                let message =
                    format!("`{}` needs a value for `{name}`", using.node.name().unwrap_or_default());
                let help = format!("add to the block of this `use`: {name} {}", rule.example());
                let mistake = Mistake::new(Code::ParamRequired, message, help);
                let trail = self.world.trail(using.scope);
                let mistake =
                    mistake.at(using.node.line_span(), "has none").at(span.clone(), "declared here");
                self.findings.within(|| trail, |findings| findings.add(mistake));
                None
            }
        };
        match value {
            Some(value) => Param::Known { value, shared: false, rule, span, used: Cell::default() },
            None => Param::Poisoned,
        }
    }

    fn environment(&self, item: &Item) -> Option<String> {
        let variable = item.property("env").and_then(Given::text)?;
        (self.world.outside().environment)(variable)
    }

    /// The value of a parameter of a file.
    pub(super) fn value(&mut self, scope: ScopeId, item: &Item, node: &'a Node, name: &str) -> Param<'a> {
        if !item.whole {
            return Param::Poisoned;
        }
        let rule = param::rule(item, self.findings);
        let span = node.name_span();
        if let Rule::Graph(_) = *rule {
            let message = "nodes are parameters of templates and fragments only";
            let help = "name the node where it is used";
            self.findings.add(Mistake::new(Code::TypeValue, message, help).at(span, "of a file"));
            return Param::Poisoned;
        }
        let package = package_of(&self.world, scope);
        let flags = self.world.request.params.iter();
        let flags = flags.filter(|flag| flag.package == package && flag.name == name);
        let outer = Outer {
            flags: flags.map(|flag| flag.value.clone()).collect(),
            environment: self.environment(item),
            profile: self
                .world
                .profile_params
                .get(name)
                .filter(|_| package.is_root())
                .map(|param| param.value.clone()),
        };
        let shared = item.property("shared").and_then(Given::truth).unwrap_or(false);
        match param::settle(item, &rule, &outer, self.findings) {
            Some(value) => Param::Known { value, shared, rule, span, used: Cell::default() },
            None => Param::Poisoned,
        }
    }

    fn check_given(&mut self, line: &'a Node, scope: ScopeId, rule: &Rc<Rule>, declared: &'a Node) {
        if let Rule::Graph(_) = **rule {
            let is_reference = line.arguments().count() == 1 && line.name().and_then(label::parse).is_some();
            if !is_reference {
                let message = format!("`{}` takes {}", line.word, Rule::expected(rule));
                let mistake =
                    Mistake::new(Code::RefForm, message, format!("{} {}", line.word, rule.example()));
                let mistake = mistake.at(line.line_span(), "not a reference");
                self.findings.add(mistake.at(declared.name_span(), "declared here"));
            }
            return;
        }
        let Err(ungiven) = self.world.given(line, rule, self.env(scope)) else { return };
        if let Some(mistake) = self.mistaken(line, rule, ungiven) {
            let trail = self.world.trail(scope);
            let mistake = mistake.at(declared.name_span(), "declared here");
            self.findings.within(|| trail, |findings| findings.add(mistake));
        }
    }

    fn mistaken(&self, line: &'a Node, rule: &Rule, ungiven: Ungiven<'a>) -> Option<Mistake> {
        let span: Span = ungiven.entry.map_or(line.line_span(), |entry| entry.span.clone());
        let word = &line.word;
        let help = format!("{word} {}", rule.example());
        Some(match ungiven.problem {
            // It has one in each coordinate.
            Problem::Value(bad) if bad.written.starts_with("${matrix.") => return None,
            Problem::Value(bad) => bad.mistake.at(span, "has no value"),
            Problem::Missing => {
                let message = format!("`{word}` has no value here");
                Mistake::new(Code::SlotMissing, message, help).at(span, "nothing follows")
            }
            Problem::Extra => {
                let message = format!("`{word}` takes one value");
                Mistake::new(Code::SlotExtra, message, help).at(span, "one too many")
            }
            Problem::Type(expected) => {
                let message = format!("`{word}` takes {expected}");
                Mistake::new(Code::ParamValue, message, help).at(span, format!("not {expected}"))
            }
        })
    }

    /// Lines in the block of a `use` that are no parameters.
    fn strangers(&mut self, using: &Use<'a>, params: &[&'a Node]) {
        let known: BTreeSet<&str> = params.iter().filter_map(|node| node.name()).collect();
        let template = using.node.name().unwrap_or_default();
        for line in using.node.children() {
            if known.contains(line.word.as_str()) || self.findings.is_full() {
                continue;
            }
            let known: Vec<&str> = params.iter().filter_map(|node| node.name()).collect();
            let message = format!("`{template}` has no parameter `{}`", shorten(&line.word));
            let help = suggest::help(&line.word, &known, |name| format!("`{name}`"), "parameters");
            let mistake = Mistake::new(Code::ParamUnknown, message, help);
            self.findings.add(mistake.at(line.word_span.clone(), "not known"));
        }
    }

    fn no_second_name(&mut self, using: &Use<'a>) {
        if let Some(second) = using.node.arguments().nth(1) {
            let message = "a fragment is spliced: it has no name of its own";
            let help = format!("use {}", using.node.name().unwrap_or_default());
            let mistake = Mistake::new(Code::SlotExtra, message, help);
            self.findings.add(mistake.at(second.span.clone(), "one too many"));
        }
    }

    fn no_instance_name(&mut self, using: &Use<'a>, item: &Item) {
        if item.whole {
            let template = using.node.name().unwrap_or_default();
            let message = "an instance of a template needs a name";
            let mistake = Mistake::new(Code::SlotMissing, message, format!("use {template} NAME {{ … }}"));
            self.findings.add(mistake.at(using.node.line_span(), "has none"));
        }
    }
}

impl<'a> World<'a> {
    /// The template or fragment that `use` names: `NAME`, or `IMPORT.NAME`. `None` where that was told before.
    fn template(&self, name: &str, scope: ScopeId, wanted: What) -> Result<Option<Found<'a>>, Box<Mistake>> {
        let (owner, name) = match name.split_once('.') {
            None => (None, name),
            Some((import, name)) => match self.import(import, scope)? {
                Some(file) => (Some(self.packages[file]), name),
                None => return Ok(None),
            },
        };
        let scopes: Vec<ScopeId> = match owner {
            Some(owner) => vec![owner],
            None => self.around(scope).collect(),
        };
        let mut known: Vec<&str> = Vec::new();
        for scope in scopes {
            for (candidate, all) in &self.scope(scope).names {
                let Some(named) = all.iter().find(|named| named.what == wanted) else { continue };
                if *candidate == name {
                    return Ok(Some((scope, named.line.node)));
                }
                known.push(candidate);
            }
            if self.scope(scope).ghosts.contains(name) {
                return Ok(None);
            }
        }
        let what = if wanted == What::Template { "template" } else { "fragment" };
        let help = match (suggest::nearest(name, known.iter().copied()), known.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => format!("declare it: {what} {} {{ … }}", shorten(name)),
            (None, false) => format!("{what}s that are known here: {}", known.join(", ")),
        };
        Err(Box::new(Mistake::new(
            Code::TemplateUnknown,
            format!("there is no {what} `{}`", shorten(name)),
            help,
        )))
    }

    fn import(&self, name: &str, scope: ScopeId) -> Result<Option<usize>, Box<Mistake>> {
        let found = self.around(scope).find_map(|scope| {
            self.scope(scope).names.get(name)?.iter().find_map(|named| match named.what {
                What::Import(file) => Some(file),
                _ => None,
            })
        });
        found.ok_or_else(|| {
            let message = format!("nothing is imported as `{}`", shorten(name));
            let help = format!("add to the file: import \"//FOLDER/FILE.kdl\" as={}", shorten(name));
            Box::new(Mistake::new(Code::TemplateUnknown, message, help))
        })
    }
}
