//! A reference against what it names: the output, and the type that its line takes. A node that was not
//! read whole is known by name only: nothing about it is reported twice.

use crate::base::suggest::{self, ticked};
use crate::base::tree_path::TreePath;
use crate::graph::op::free_output;
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::Outputs;
use crate::lang::instances::{InstanceId, Instances, Resolved};
use crate::lang::item::Reference;
use crate::lang::label::Label;
use crate::lang::mistake::{Mistake, Span, shorten};
use crate::lang::table::{Line, Wants};

/// What a reference names, before its output and type are checked.
pub enum Target {
    Scratch,
    Host,
    Local(TreePath),
    Output {
        instance: InstanceId,
        output: Option<String>,
    },
    Group,
    /// All outputs of an instance of a template, or all of a package's default.
    Several,
    Poisoned,
}

type Checked = Result<Resolved, Box<Mistake>>;

pub fn reference(
    instances: &Instances<'_>,
    line: &'static Line,
    has_path: bool,
    reference: &Reference,
    target: Target,
) -> Checked {
    let taking = Taking { instances, line, has_path, reference };
    match target {
        Target::Poisoned => Ok(Resolved::Poisoned),
        Target::Scratch => taking.built_in("scratch", &[Wants::Root, Wants::RootOrHost], Resolved::Scratch),
        Target::Host => taking.built_in("host", &[Wants::RootOrHost], Resolved::Host),
        Target::Local(path) => taking.local(path),
        Target::Group | Target::Several if reference.wants == Wants::Any => Ok(Resolved::Poisoned),
        Target::Group => Err(taking.mistake(&ticked(&taking.written()), "a group", "name one of its nodes")),
        Target::Several => {
            let help = "name one of its outputs";
            Err(taking.mistake(&ticked(&taking.written()), "several outputs", help))
        }
        Target::Output { instance, output } => taking.output(instance, output.as_deref()),
    }
}

/// A line that takes a reference.
struct Taking<'t> {
    instances: &'t Instances<'t>,
    line: &'static Line,
    has_path: bool,
    reference: &'t Reference,
}

impl Taking<'_> {
    fn built_in(&self, name: &str, wanted: &[Wants], resolved: Resolved) -> Checked {
        if wanted.contains(&self.reference.wants) {
            return Ok(resolved);
        }
        let help = match name {
            "host" => "`host` stands only in the `from` of a `run` or `test`: take an output of such a run",
            _ => "`scratch` stands only in `from`: it has no files",
        };
        Err(self.mistake(&ticked(name), "built in", help))
    }

    fn local(&self, path: TreePath) -> Checked {
        if self.reference.wants == Wants::Any {
            return Err(self.mistake("this", "a path", "give it a name: files NAME root=\"…\""));
        }
        if self.fits(Type::Tree) {
            return Ok(Resolved::Local(path));
        }
        let written = self.written();
        let help =
            format!("name a root filesystem: tree root {{ from scratch; copy \"{written}\" to=\"/\"; }}");
        Err(self.mistake("this", "a tree", &help))
    }

    fn output(&self, instance: InstanceId, output: Option<&str>) -> Checked {
        let found = self.instances.get(instance);
        if !found.item.whole {
            return Ok(Resolved::Poisoned);
        }
        let name = self.written();
        let outputs = &found.outputs;
        let output = match (output, &outputs.main) {
            (Some(output), _) => output,
            (None, Some(main)) => main,
            (None, None) if self.reference.wants == Wants::Any => return Ok(Resolved::Poisoned),
            (None, None) => return Err(self.no_main(instance, &name)),
        };
        let Some(&kind) = outputs.types.get(output) else {
            return Err(self.unknown_output(instance, output));
        };
        if self.fits(kind) {
            return Ok(Resolved::Output { instance, output: output.to_owned() });
        }
        Err(self.mismatch(instance, kind))
    }

    fn fits(&self, found: Type) -> bool {
        match (self.reference.wants, found) {
            (Wants::Any, _) | (Wants::Tree, Type::Tree) => true,
            (Wants::Root | Wants::RootOrHost, Type::Rootfs | Type::Image) => true,
            (Wants::Tree, Type::Rootfs | Type::Image) => self.has_path,
            _ => false,
        }
    }

    fn no_main(&self, instance: InstanceId, name: &str) -> Box<Mistake> {
        let outputs = &self.instances.get(instance).outputs;
        let help = match (self.reference.wants, declared(outputs).first()) {
            (Wants::Root | Wants::RootOrHost, Some(output)) => make_a_root(&format!("{name}.{output}")),
            _ => format!("write {}", choices(name, outputs)),
        };
        let what = "a run on `host`, which gives only its outputs";
        let mistake = self.mistake(&ticked(name), what, &help);
        Box::new(mistake.at(self.declared_at(instance), "declared here"))
    }

    fn unknown_output(&self, instance: InstanceId, output: &str) -> Box<Mistake> {
        let outputs = &self.instances.get(instance).outputs;
        let all: Vec<&str> = outputs.types.keys().map(String::as_str).collect();
        let declared = declared(outputs);
        let listed = if declared.is_empty() { all.join(", ") } else { declared.join(", ") };
        let help = match suggest::nearest(output, all) {
            Some(near) => format!("did you mean `{near}`? Outputs: {listed}."),
            None => format!("outputs: {listed}"),
        };
        let written = self.written();
        let name = written.strip_suffix(&format!(".{output}")).unwrap_or(&written);
        let message = format!("`{name}` has no output `{}`", shorten(output));
        let mistake = Mistake::new(Code::RefOutput, message, help);
        let mistake = mistake.at(self.output_span(output), "not known");
        Box::new(mistake.at(self.declared_at(instance), "declared here"))
    }

    /// Where the output's name stands in the reference, which may be quoted.
    fn output_span(&self, output: &str) -> Span {
        let span = &self.reference.span;
        let source = self.instances.world.files.sources.slice(span);
        match source.rfind(output) {
            Some(start) => span.start + start..span.start + start + output.len(),
            None => span.clone(),
        }
    }

    fn mismatch(&self, instance: InstanceId, found: Type) -> Box<Mistake> {
        let outputs = &self.instances.get(instance).outputs;
        let declared = declared(outputs);
        let is_run = outputs.types.contains_key(free_output::DIFF);
        let name = self.written();
        let help = match (self.reference.wants, found) {
            (_, Type::Text) => "a test gives nothing but that it passed: name one of its outputs".to_owned(),
            (Wants::Tree, _) if is_run && !declared.is_empty() => format!(
                "write {}. If you do want every file of the sandbox: `{name}.tree`.",
                choices(&name, outputs)
            ),
            (Wants::Tree, _) if is_run => format!(
                "give `{name}` an `output`, or say which part: path=\"/app\". For every file: `{name}.tree`."
            ),
            (Wants::Tree, _) if self.line.property("path").is_some() => {
                "say which part: path=\"/app\"".to_owned()
            }
            (Wants::Tree, _) => {
                format!("take a part of it first: tree part {{ copy {name} path=\"/app\" to=\"/\"; }}")
            }
            _ => make_a_root(&name),
        };
        let label = match declared.first() {
            Some(output) if is_run => format!("has the output `{output}`"),
            _ => "declared here".to_owned(),
        };
        let mistake = self.mistake(&ticked(&name), spelled(found), &help);
        Box::new(mistake.at(self.declared_at(instance), label))
    }

    fn mistake(&self, name: &str, what: &str, help: &str) -> Box<Mistake> {
        let message =
            format!("`{}` takes {}, {name} is {what}", self.line.word, self.reference.wants.takes());
        let mistake = Mistake::new(Code::TypeSlot, message, help).at(self.reference.span.clone(), what);
        let given = self.instances.world.given_at(&self.reference.label, self.reference.scope);
        Box::new(given.into_iter().fold(mistake, |mistake, span| mistake.at(span, "given here")))
    }

    /// The reference as it stands in the file.
    fn written(&self) -> String {
        match &self.reference.label {
            Label::Scratch => "scratch".to_owned(),
            Label::Host => "host".to_owned(),
            _ => {
                let source = self.instances.world.files.sources.slice(&self.reference.span);
                source.trim_matches(['#', '"']).to_owned()
            }
        }
    }

    fn declared_at(&self, instance: InstanceId) -> Span {
        let decl = self.instances.get(instance).decl;
        self.instances.world.decl(decl).line.node.name_span()
    }
}

/// The outputs that the file names, not the free ones.
fn declared(outputs: &Outputs) -> Vec<&str> {
    let free = [free_output::ROOTFS, free_output::TREE, free_output::DIFF, "passed", "image"];
    outputs.types.keys().map(String::as_str).filter(|name| !free.contains(name)).collect()
}

fn choices(name: &str, outputs: &Outputs) -> String {
    declared(outputs).iter().map(|output| format!("`{name}.{output}`")).collect::<Vec<_>>().join(" or ")
}

fn make_a_root(tree: &str) -> String {
    format!("make it one: tree root {{ from scratch; copy {tree} to=\"/\"; }}")
}

fn spelled(found: Type) -> &'static str {
    match found {
        Type::Tree => "a tree",
        Type::Rootfs => "a root filesystem",
        Type::Image => "an image",
        Type::Host => "this machine",
        Type::Text => "the result of a test",
    }
}
