//! A whole file → its items: the version line, then parameters, then what may use their values.

use std::collections::BTreeSet;

use kdl::{KdlDocument, KdlNode, KdlValue};

use crate::base::suggest::{self, ticked};
use crate::lang::code::Code;
use crate::lang::decl::{self, DECLARATIONS, Declaration, param};
use crate::lang::interpolate::Values;
use crate::lang::item::Item;
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::read::{Reader, word_span};
use crate::lang::table::{KINDS, MEMOBUILD, VERSION};
use crate::oci::image::Platform;

/// The items of a file, in its order.
#[derive(Debug, Default)]
pub struct File {
    pub nodes: Vec<(&'static Declaration, Item)>,
    pub groups: Vec<Item>,
    pub default: Option<Item>,
    /// Names of nodes that could not be read at all: references to them are not reported.
    pub ghosts: BTreeSet<String>,
}

/// `None` when the file is of another version of the language.
pub fn read(
    text: &str,
    document: &KdlDocument,
    params: &[(String, String)],
    platform: &Platform,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Option<File> {
    let nodes = document.nodes();
    let rest = version(nodes, findings)?;
    let (declarations, nodes): (Vec<&KdlNode>, Vec<&KdlNode>) =
        rest.iter().partition(|node| node.name().value() == param::LINE.word);
    let mut values = Values::new(platform);
    let parameters: Vec<Item> = {
        let mut reader = Reader { text, values: &values, findings };
        declarations.iter().map(|node| reader.item(&param::LINE, node)).collect()
    };
    param::declare(&parameters, params, &mut values, findings);
    let mut file = File::default();
    for node in nodes {
        let mut reader = Reader { text, values: &values, findings };
        file.add(&mut reader, node);
    }
    param::unused(&parameters, &values, warnings);
    Some(file)
}

/// What follows the version line.
fn version<'a>(nodes: &'a [KdlNode], findings: &mut Findings) -> Option<&'a [KdlNode]> {
    let missing = |message: &str| {
        Mistake::new(Code::VersionMissing, message, format!("first line: {}", MEMOBUILD.example))
    };
    let Some((first, rest)) = nodes.split_first() else {
        findings.add(missing("the file is empty"));
        return Some(nodes);
    };
    if first.name().value() != MEMOBUILD.word {
        let mistake = missing("the file does not say which version of the language it is written in");
        findings.add(mistake.at(word_span(first), "the file begins here"));
        return Some(nodes);
    }
    match first.entries() {
        [entry] if entry.name().is_none() && first.children().is_none() => match entry.value() {
            KdlValue::Integer(number) if *number == i128::from(VERSION) => return Some(rest),
            value => {
                let message = format!("this program reads version {VERSION} of the language, not {value}");
                let span = entry.span().offset()..entry.span().offset() + entry.span().len();
                let help = format!("write {}, or use a newer memobuild", MEMOBUILD.example);
                findings.add(Mistake::new(Code::VersionUnknown, message, help).at(span, "another version"));
            }
        },
        _ => {
            findings.add(missing("the version line holds one number").at(word_span(first), "not one number"));
        }
    }
    None
}

impl File {
    fn add(&mut self, reader: &mut Reader<'_>, node: &KdlNode) {
        if reader.findings.is_full() {
            return;
        }
        let word = node.name().value();
        if let Some(declaration) = DECLARATIONS.iter().find(|declaration| declaration.line.word == word) {
            let mut item = reader.item(declaration.line, node);
            let before = reader.findings.count();
            (declaration.check)(&item, reader.findings);
            item.whole &= reader.findings.count() == before;
            self.keep(node, item, |file, item| file.nodes.push((declaration, item)));
        } else if word == decl::group::GROUP.word {
            let item = reader.item(&decl::group::GROUP, node);
            self.keep(node, item, |file, item| file.groups.push(item));
        } else if word == decl::group::DEFAULT.word {
            self.add_default(reader, node);
        } else if word == decl::workspace::LINE.word {
            // Read before everything else, by itself.
        } else {
            unknown_kind(node, reader.findings);
            self.ghosts.extend(possible_name(node));
        }
    }

    /// An item without a name is no node; what might be its name is remembered.
    fn keep(&mut self, node: &KdlNode, item: Item, keep: impl FnOnce(&mut File, Item)) {
        if item.text().is_some() {
            keep(self, item);
        } else {
            self.ghosts.extend(possible_name(node));
        }
    }

    fn add_default(&mut self, reader: &mut Reader<'_>, node: &KdlNode) {
        let item = reader.item(&decl::group::DEFAULT, node);
        if let Some(first) = &self.default {
            let mistake =
                Mistake::new(Code::SlotTwice, "`default` is given twice", "name everything in one `default`");
            reader.findings.add(mistake.at(item.word, "and again here").at(first.word.clone(), "first here"));
            return;
        }
        self.default = Some(item);
    }
}

fn possible_name(node: &KdlNode) -> Option<String> {
    let entry = node.entries().first()?;
    match entry.name() {
        Some(key) => Some(key.value().to_owned()),
        None => entry.value().as_string().map(str::to_owned),
    }
}

fn unknown_kind(node: &KdlNode, findings: &mut Findings) {
    let written = node.name().value();
    if written == MEMOBUILD.word {
        let mistake =
            Mistake::new(Code::VersionMissing, "the version line stands first, and once", "remove this line");
        findings.add(mistake.at(word_span(node), "not here"));
        return;
    }
    let legal: Vec<&str> =
        KINDS.iter().map(|line| line.word).filter(|word| *word != MEMOBUILD.word).collect();
    let help = suggest::help(written, &legal, ticked, "kinds");
    let message = format!("there is no node kind `{}`", shorten(written));
    findings.add(Mistake::new(Code::UnknownKind, message, help).at(word_span(node), "not known"));
}
