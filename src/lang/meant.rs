//! A label → what it means, in the scope that it is written in.

use crate::base::suggest;
use crate::base::tree_path::TreePath;
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::decl::param::Rule;
use crate::lang::files::{build_file, imported};
use crate::lang::label::{self, Dotted, Label, package_name};
use crate::lang::mistake::{Mistake, Span, shorten};
use crate::lang::scope::{DeclId, Env, Named, Param, ScopeId, What, World};

/// Outputs of templates may lead to outputs of templates, this often.
const DEEPEST: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    Scratch,
    Host,
    Local(TreePath),
    Node {
        decl: DeclId,
        output: Option<String>,
    },
    Group {
        scope: ScopeId,
        name: String,
    },
    /// All outputs of an instance, or all that a package builds by default.
    Several(Vec<Meant>),
    /// It was declared wrongly, which is told there.
    Poisoned,
}

impl Meant {
    pub fn declarations(&self) -> Vec<DeclId> {
        match self {
            Meant::Node { decl, .. } => vec![*decl],
            Meant::Several(several) => several.iter().flat_map(Meant::declarations).collect(),
            _ => Vec::new(),
        }
    }
}

/// What is wrong with a reference; its place is known to the caller.
type Look = Result<Meant, Box<Mistake>>;

impl World<'_> {
    pub fn meant(&self, label: &Label, env: Env<'_>) -> Look {
        self.meant_within(label, env, DEEPEST)
    }

    fn meant_within(&self, label: &Label, env: Env<'_>, depth: usize) -> Look {
        if !self.budget.pay(budget::NAME * 4) {
            return Ok(Meant::Poisoned);
        }
        if depth == 0 {
            let message = "the outputs that this names lead to one another in a ring";
            return Err(Box::new(Mistake::new(Code::GraphCycle, message, "name a node that makes it")));
        }
        match label {
            Label::Scratch => Ok(Meant::Scratch),
            Label::Host => Ok(Meant::Host),
            Label::Local(path) => Ok(Meant::Local(self.scope(env.scope).package.below(path))),
            Label::Name(dotted) => self.in_scope(dotted, env, depth),
            Label::Package(folder, dotted) => self.in_package(folder, dotted.as_ref(), env, depth),
        }
    }

    fn in_scope(&self, dotted: &Dotted, env: Env<'_>, depth: usize) -> Look {
        for scope in self.around(env.scope) {
            if let Some(Param::Given { line, scope, rule }) =
                self.scope(scope).params.get(dotted.name.as_str())
                && matches!(**rule, Rule::Graph(_))
            {
                self.use_parameter(&dotted.name, env.scope);
                return self.argument(line, *scope, dotted, env, depth);
            }
            if let Some(named) = self.named(scope, &dotted.name, env) {
                return self.of_named(named, scope, dotted, env, depth);
            }
        }
        if self.is_ghost(&dotted.name, env.scope) {
            return Ok(Meant::Poisoned);
        }
        Err(Box::new(self.unknown_node(&dotted.name, env)))
    }

    /// What was given to a template for one of its parameters.
    fn argument(
        &self,
        line: &crate::lang::syntax::Node,
        scope: ScopeId,
        dotted: &Dotted,
        env: Env<'_>,
        depth: usize,
    ) -> Look {
        if dotted.output.is_some() {
            let name = &dotted.name;
            let message = format!("`{name}` is a parameter, which stands for one output already");
            return Err(Box::new(Mistake::new(Code::RefOutput, message, format!("write {name}"))));
        }
        if self.scope(env.scope).is_trial {
            return Ok(Meant::Poisoned);
        }
        match line.name().and_then(label::parse) {
            Some(label) => {
                let meant = self.meant_within(&label, Env { scope, ..env }, depth - 1);
                Ok(meant.unwrap_or(Meant::Poisoned))
            }
            None => Ok(Meant::Poisoned),
        }
    }

    /// Where the outermost `use` gives the node that a parameter stands for.
    pub fn given_at(&self, label: &Label, scope: ScopeId) -> Option<Span> {
        let (mut label, mut scope, mut span) = (label.clone(), scope, None);
        while let Label::Name(dotted) = &label {
            let param =
                self.around(scope).find_map(|scope| self.scope(scope).params.get(dotted.name.as_str()));
            let Some(Param::Given { line, scope: outer, .. }) = param else { break };
            span = Some(line.name_span());
            let Some(next) = line.name().and_then(label::parse) else { break };
            (label, scope) = (next, *outer);
        }
        span
    }

    fn of_named(
        &self,
        named: &Named<'_>,
        scope: ScopeId,
        dotted: &Dotted,
        env: Env<'_>,
        depth: usize,
    ) -> Look {
        match named.what {
            What::Node(decl) => Ok(Meant::Node { decl, output: dotted.output.clone() }),
            What::Group if dotted.output.is_none() => Ok(Meant::Group { scope, name: dotted.name.clone() }),
            What::Group => {
                let name = &dotted.name;
                let message = format!("`{name}` is a group, and has no outputs");
                let help = format!("write {name}, or name one of its nodes");
                Err(Box::new(Mistake::new(Code::RefOutput, message, help)))
            }
            What::Instance(None) => Ok(Meant::Poisoned),
            What::Instance(Some(instance)) => self.of_instance(instance, dotted, env, depth),
            What::Export | What::Template | What::Fragment | What::Import(_) => {
                let name = &dotted.name;
                let what = &named.line.node.word;
                let message = format!("`{name}` is of the kind `{what}`, which gives nothing");
                let help = match named.what {
                    What::Template | What::Fragment => format!("use it: use {name} …"),
                    What::Import(_) => {
                        "name a node of another package by its label: \"//pkg:name\"".to_owned()
                    }
                    _ => "name the node that it exports".to_owned(),
                };
                let mistake = Mistake::new(Code::RefUnknown, message, help);
                Err(Box::new(mistake.at(named.line.node.name_span(), "declared here")))
            }
        }
    }

    fn of_instance(&self, instance: ScopeId, dotted: &Dotted, env: Env<'_>, depth: usize) -> Look {
        let outputs = &self.scope(instance).outputs;
        let meant = |line: &crate::lang::syntax::Node| {
            let reference = line.arguments().nth(1).and_then(|entry| entry.value.text());
            match reference.and_then(label::parse) {
                // What is wrong with the template's own line is told there.
                Some(label) => {
                    let meant = self.meant_within(&label, Env { scope: instance, ..env }, depth - 1);
                    meant.unwrap_or(Meant::Poisoned)
                }
                None => Meant::Poisoned,
            }
        };
        match &dotted.output {
            Some(output) => match outputs.get(output.as_str()) {
                Some(line) => Ok(meant(line)),
                None => Err(Box::new(no_output(&dotted.name, output, outputs.keys().copied()))),
            },
            None if outputs.len() == 1 => {
                Ok(outputs.values().map(|line| meant(line)).next().unwrap_or(Meant::Poisoned))
            }
            None => Ok(Meant::Several(outputs.values().map(|line| meant(line)).collect())),
        }
    }

    fn in_package(&self, folder: &TreePath, dotted: Option<&Dotted>, env: Env<'_>, depth: usize) -> Look {
        let Some(file) = self.files.package(folder) else { return Err(Box::new(self.no_package(folder))) };
        let scope = self.packages[file];
        let Some(dotted) = dotted else { return self.default_of(scope, folder, env, depth) };
        let there = Env { scope, ..env };
        if self.files.files[file].document.is_none() || self.is_ghost(&dotted.name, scope) {
            return Ok(Meant::Poisoned);
        }
        let Some(named) = self.named(scope, &dotted.name, there) else {
            return Err(Box::new(self.unknown_node(&dotted.name, there)));
        };
        let is_foreign = self.scope(env.scope).package != *folder;
        if is_foreign && named.line.node.property("private").is_some_and(|entry| entry.value.is_true()) {
            let message = format!("`{}` of {} is private", dotted.name, package_name(folder));
            let help = "name another node, or remove its `private=#true`";
            let mistake = Mistake::new(Code::RefPrivate, message, help);
            return Err(Box::new(mistake.at(named.line.node.name_span(), "declared here")));
        }
        self.of_named(named, scope, dotted, there, depth)
    }

    /// What a package builds when nothing is asked for.
    fn default_of(&self, scope: ScopeId, folder: &TreePath, env: Env<'_>, depth: usize) -> Look {
        let there = Env { scope, ..env };
        let Some(default) = self.default(scope, there) else {
            let message = format!("{} has no `default`", package_name(folder));
            let help = format!("name one of its nodes: \"{}:NAME\"", package_name(folder));
            return Err(Box::new(Mistake::new(Code::RefUnknown, message, help)));
        };
        let labels = default.node.arguments().filter_map(|entry| entry.value.text().and_then(label::parse));
        let mut all = Vec::new();
        for label in labels {
            all.push(self.meant_within(&label, there, depth - 1).unwrap_or(Meant::Poisoned));
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Meant::Several(all) })
    }

    fn no_package(&self, folder: &TreePath) -> Mistake {
        let path = build_file(folder);
        match self.files.refusal(&path) {
            Some(refused) if refused.code != Code::FileMissing => refused.clone(),
            _ => {
                let name = package_name(folder);
                let packages: Vec<String> =
                    self.files.files.iter().map(|file| package_name(&file.package)).collect();
                let near = suggest::nearest(&name, packages.iter().map(String::as_str));
                let help = match near {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write a build file there: {}", path.to_string().trim_start_matches('/')),
                };
                let message = format!("there is no package {}", shorten(&name));
                Mistake::new(Code::RefPackage, message, help)
            }
        }
    }

    fn unknown_node(&self, name: &str, env: Env<'_>) -> Mistake {
        let package = &self.scope(env.scope).package;
        let place = if package.is_root() { String::new() } else { format!(" in {}", package_name(package)) };
        if let Some(elsewhere) = self.conditional(name, env) {
            let message = format!("`{}` does not exist under these conditions", shorten(name));
            let help = "declare it for the other values too, or put this line under the same `when`";
            return Mistake::new(Code::RefUnknown, message, help).at(elsewhere, "declared under a condition");
        }
        let names: Vec<&str> =
            self.around(env.scope).flat_map(|scope| self.scope(scope).names.keys().copied()).collect();
        let help = match suggest::nearest(name, names.iter().copied().chain(["scratch", "host"])) {
            Some(near) => self.did_you_mean(near, env),
            None if names.is_empty() => {
                "declare it first: the file has no nodes that could be meant".to_owned()
            }
            None => {
                let shown: Vec<&str> = names.iter().copied().take(12).collect();
                let more = if names.len() > shown.len() { ", …" } else { "" };
                format!("nodes of this file: {}{more}", shown.join(", "))
            }
        };
        Mistake::new(Code::RefUnknown, format!("there is no node `{}`{place}", shorten(name)), help)
    }

    fn did_you_mean(&self, near: &str, env: Env<'_>) -> String {
        match self.look_up(near, env) {
            Some((_, named)) => {
                let node = named.line.node;
                let source = self.files.sources.at(node.word_span.start);
                let line = source.line(node.word_span.start);
                format!(
                    "did you mean `{near}` ({}, line {line})? Nodes of other packages: \"//pkg:name\".",
                    node.word
                )
            }
            None => format!("did you mean `{near}`?"),
        }
    }

    /// Where a node of that name stands whose conditions don't hold here.
    fn conditional(&self, name: &str, env: Env<'_>) -> Option<Span> {
        self.around(env.scope)
            .find_map(|scope| Some(self.scope(scope).names.get(name)?.first()?.line.node.name_span()))
    }

    /// The file that an `import` names, or what is wrong with it.
    pub fn imported(&self, text: &str) -> Result<usize, Box<Mistake>> {
        if text.contains("://") {
            let message = format!("`{}` is on another machine", shorten(text));
            let help = "imports from git are not supported yet: copy the file into the workspace";
            return Err(Box::new(Mistake::new(Code::ImportForm, message, help)));
        }
        let Some(path) = imported(text) else {
            let leaves = text.split('/').any(|part| part == "..") && text.starts_with("//");
            let what = if leaves { "leaves the workspace" } else { "names no file of the workspace" };
            let message = format!("`{}` {what}", shorten(text));
            let help = "write it from the root: \"//build/go.kdl\", or a package: \"//build\"";
            return Err(Box::new(Mistake::new(Code::ImportForm, message, help)));
        };
        self.files.file(&path).ok_or_else(|| match self.files.refusal(&path) {
            Some(refused) if refused.code != Code::FileMissing => Box::new(refused.clone()),
            _ => {
                let message = format!("there is no file /{path} in this workspace");
                Box::new(Mistake::new(Code::FileMissing, message, "correct the path, or write the file"))
            }
        })
    }
}

fn no_output<'n>(name: &str, output: &str, known: impl Iterator<Item = &'n str>) -> Mistake {
    let known: Vec<&str> = known.collect();
    let listed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let help = match suggest::nearest(output, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Outputs: {listed}."),
        None => format!("outputs: {listed}"),
    };
    let message = format!("`{name}` has no output `{}`", shorten(output));
    Mistake::new(Code::RefOutput, message, help)
}
