//! Every reference against what it names: the node, its output, the type that the slot takes.
//! A node that was not read whole is known by name only: nothing about it is reported twice.

use std::collections::BTreeMap;

use crate::base::suggest::{self, ticked};
use crate::graph::op::free_output;
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::Outputs;
use crate::lang::file::File;
use crate::lang::item::{Item, Reference, Target};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::source::line_and_column;
use crate::lang::table::Wants;

/// What the names of a file stand for.
#[derive(Debug)]
pub struct Scope<'a> {
    text: &'a str,
    file: &'a File,
    pub known: BTreeMap<&'a str, Known<'a>>,
}

#[derive(Debug)]
pub struct Known<'a> {
    pub item: &'a Item,
    /// `None` for a group.
    pub outputs: Option<Outputs>,
}

/// One node needs another, because of what stands at `span`.
#[derive(Debug)]
pub struct Need<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub span: Span,
}

/// Reports names that are taken.
pub fn scope<'a>(text: &'a str, file: &'a File, findings: &mut Findings) -> Scope<'a> {
    let mut scope = Scope { text, file, known: BTreeMap::new() };
    for (declaration, item) in &file.nodes {
        scope.declare(item, Some((declaration.outputs)(item)), findings);
    }
    for item in &file.groups {
        scope.declare(item, None, findings);
    }
    scope
}

pub fn name_span(item: &Item) -> Span {
    item.argument(0).map_or(item.word.clone(), |given| given.span.clone())
}

impl<'a> Scope<'a> {
    fn declare(&mut self, item: &'a Item, outputs: Option<Outputs>, findings: &mut Findings) {
        let Some(name) = item.text() else { return };
        if name == "host" || name == "scratch" {
            let message = format!("`{name}` is built in, and no other node can have the name");
            let mistake = Mistake::new(Code::NameTaken, message, "choose another name");
            findings.add(mistake.at(name_span(item), "taken"));
        } else if let Some(first) = self.known.get(name) {
            let message = format!("two nodes are called `{name}`");
            let mistake = Mistake::new(Code::NameTaken, message, "rename one of them");
            let mut spans = [name_span(first.item), name_span(item)];
            spans.sort_by_key(|span| span.start);
            let [first, second] = spans;
            findings.add(mistake.at(second, "and this one").at(first, "this one"));
        } else {
            self.known.insert(name, Known { item, outputs });
        }
    }

    /// Checks all references; what needs what.
    pub fn check(&self, findings: &mut Findings) -> Vec<Need<'a>> {
        let mut needs = Vec::new();
        let items = self.file.nodes.iter().map(|(_, item)| item).chain(&self.file.groups);
        for item in items.chain(&self.file.default) {
            let from = item.text();
            item.walk(&mut |line| {
                for reference in line.references() {
                    self.reference(line, reference, findings);
                    if let Some(from) = from
                        && let Target::Node { name, .. } = &reference.target
                        && let Some((to, _)) = self.known.get_key_value(name.as_str())
                        && let Some((from, known)) = self.known.get_key_value(from)
                        && std::ptr::eq(known.item, item)
                    {
                        needs.push(Need { from, to, span: reference.span.clone() });
                    }
                }
            });
        }
        needs
    }

    fn reference(&self, line: &Item, reference: &Reference, findings: &mut Findings) {
        // Suggestions cost time, and these would not be shown.
        if findings.is_full() {
            return;
        }
        let mistake = match &reference.target {
            Target::Scratch => self.built_in(line, reference, "scratch", &[Wants::Root, Wants::RootOrHost]),
            Target::Host => self.built_in(line, reference, "host", &[Wants::RootOrHost]),
            Target::Local(_) if reference.wants == Wants::Any => Some(nameless(line, reference)),
            Target::Local(path) => wrong_type(line, reference, Type::Tree).then(|| {
                let help = format!(
                    "name a root filesystem: tree root {{ from scratch; copy \".{path}\" to=\"/\"; }}"
                );
                type_mistake(line, reference, "this", "a tree", &help)
            }),
            Target::Node { name, output } => match self.known.get(name.as_str()) {
                None if self.file.ghosts.contains(name) => None,
                None => Some(self.unknown(name, reference)),
                Some(known) if !known.item.whole => None,
                Some(known) => self.named(line, reference, known, name, output.as_deref()),
            },
        };
        if let Some(mistake) = mistake {
            findings.add(mistake);
        }
    }

    fn built_in(&self, line: &Item, reference: &Reference, name: &str, wanted: &[Wants]) -> Option<Mistake> {
        if wanted.contains(&reference.wants) {
            return None;
        }
        let help = match name {
            "host" => "`host` stands only in the `from` of a `run` or `test`: take an output of such a run",
            _ => "`scratch` stands only in `from`: it has no files",
        };
        Some(type_mistake(line, reference, &ticked(name), "built in", help))
    }

    fn named(
        &self,
        line: &Item,
        reference: &Reference,
        known: &Known<'_>,
        name: &str,
        output: Option<&str>,
    ) -> Option<Mistake> {
        let Some(outputs) = &known.outputs else {
            return self.group(line, reference, known, name, output);
        };
        let output = match (output, &outputs.main) {
            (Some(output), _) => output,
            (None, Some(main)) => main,
            (None, None) if reference.wants == Wants::Any => return None,
            (None, None) => {
                let help = match (reference.wants, declared(outputs).first()) {
                    (Wants::Root | Wants::RootOrHost, Some(output)) => {
                        make_a_root(&format!("{name}.{output}"))
                    }
                    _ => format!("write {}", choices(name, outputs)),
                };
                let what = "a run on `host`, which gives only its outputs";
                return Some(
                    type_mistake(line, reference, &ticked(name), what, &help)
                        .at(name_span(known.item), "declared here"),
                );
            }
        };
        let Some(&found) = outputs.types.get(output) else {
            return Some(unknown_output(reference, known, name, output, outputs));
        };
        wrong_type(line, reference, found).then(|| mismatch(line, reference, known, name, found, outputs))
    }

    fn group(
        &self,
        line: &Item,
        reference: &Reference,
        known: &Known<'_>,
        name: &str,
        output: Option<&str>,
    ) -> Option<Mistake> {
        let declared = name_span(known.item);
        if output.is_some() {
            let message = format!("`{name}` is a group, and has no outputs");
            let mistake =
                Mistake::new(Code::RefOutput, message, format!("write {name}, or name one of its nodes"));
            return Some(mistake.at(reference.span.clone(), "no output").at(declared, "a group"));
        }
        (reference.wants != Wants::Any).then(|| {
            type_mistake(line, reference, &ticked(name), "a group", "name one of its nodes")
                .at(declared, "declared here")
        })
    }

    fn unknown(&self, name: &str, reference: &Reference) -> Mistake {
        let names: Vec<&str> = self.known.keys().copied().collect();
        let built_in: &[&str] = match reference.wants {
            Wants::RootOrHost => &["scratch", "host"],
            Wants::Root => &["scratch"],
            Wants::Tree | Wants::Any => &[],
        };
        let help = match suggest::nearest(name, names.iter().chain(built_in).copied()) {
            Some(near) if !self.known.contains_key(near) => format!("did you mean `{near}`?"),
            Some(near) => {
                let item = self.known[near].item;
                let (line, _) = line_and_column(self.text, item.word.start);
                format!("did you mean `{near}` ({}, line {line})?", item.line.word)
            }
            None if names.is_empty() => {
                "declare it first: the file has no nodes that could be meant".to_owned()
            }
            None => {
                let shown: Vec<&str> = names.iter().copied().take(12).collect();
                let more = if names.len() > shown.len() { ", …" } else { "" };
                format!("nodes of this file: {}{more}", shown.join(", "))
            }
        };
        let mistake = Mistake::new(Code::RefUnknown, format!("there is no node `{}`", shorten(name)), help);
        mistake.at(reference.span.clone(), "not known")
    }
}

fn wrong_type(line: &Item, reference: &Reference, found: Type) -> bool {
    let fits = match (reference.wants, found) {
        (Wants::Any, _) | (Wants::Tree, Type::Tree) => true,
        (Wants::Root | Wants::RootOrHost, Type::Rootfs | Type::Image) => true,
        (Wants::Tree, Type::Rootfs | Type::Image) => line.property("path").is_some(),
        _ => false,
    };
    !fits
}

fn nameless(line: &Item, reference: &Reference) -> Mistake {
    let help = "give it a name: files NAME root=\"…\"";
    type_mistake(line, reference, "this", "a path", help)
}

fn type_mistake(line: &Item, reference: &Reference, name: &str, what: &str, help: &str) -> Mistake {
    let message = format!("`{}` takes {}, {name} is {what}", line.line.word, reference.wants.takes());
    Mistake::new(Code::TypeSlot, message, help).at(reference.span.clone(), what)
}

fn mismatch(
    line: &Item,
    reference: &Reference,
    known: &Known<'_>,
    name: &str,
    found: Type,
    outputs: &Outputs,
) -> Mistake {
    let declared = declared(outputs);
    let is_run = outputs.types.contains_key(free_output::DIFF);
    let written = match &reference.target {
        Target::Node { output: Some(output), .. } => format!("{name}.{output}"),
        _ => name.to_owned(),
    };
    let help = match (reference.wants, found) {
        (_, Type::Text) => "a test gives nothing but that it passed: name one of its outputs".to_owned(),
        (Wants::Tree, _) if is_run && !declared.is_empty() => {
            format!(
                "write {}. If you do want every file of the sandbox: `{name}.tree`.",
                choices(name, outputs)
            )
        }
        (Wants::Tree, _) if is_run => {
            format!(
                "give `{name}` an `output`, or say which part: path=\"/app\". For every file: `{name}.tree`."
            )
        }
        (Wants::Tree, _) if line.line.property("path").is_some() => {
            "say which part: path=\"/app\"".to_owned()
        }
        (Wants::Tree, _) => {
            format!("take a part of it first: tree part {{ copy {name} path=\"/app\" to=\"/\"; }}")
        }
        _ => make_a_root(&written),
    };
    let label = match declared.first() {
        Some(output) if is_run => format!("has the output `{output}`"),
        _ => "declared here".to_owned(),
    };
    type_mistake(line, reference, &ticked(&written), spelled(found), &help).at(name_span(known.item), label)
}

fn unknown_output(
    reference: &Reference,
    known: &Known<'_>,
    name: &str,
    output: &str,
    outputs: &Outputs,
) -> Mistake {
    let all: Vec<&str> = outputs.types.keys().map(String::as_str).collect();
    let declared = declared(outputs);
    let listed = if declared.is_empty() { all.join(", ") } else { declared.join(", ") };
    let help = match suggest::nearest(output, all) {
        Some(near) => format!("did you mean `{near}`? Outputs: {listed}."),
        None => format!("outputs: {listed}"),
    };
    let message = format!("`{name}` has no output `{}`", shorten(output));
    let end = reference.span.end - usize::from(reference.span.len() > name.len() + 1 + output.len());
    let mistake = Mistake::new(Code::RefOutput, message, help);
    mistake.at(end - output.len()..end, "not known").at(name_span(known.item), "declared here")
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
