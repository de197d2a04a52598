//! The block of a line: its own lines, those of the fragments that it uses, and of the conditions that
//! hold. A line that says `each` stands once for each value.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::suggest::{self, ticked};
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::item::{Item, Reference};
use crate::lang::label;
use crate::lang::matrix::{Coordinate, owned, written};
use crate::lang::mistake::{Findings, Label, Mistake, Span, shorten};
use crate::lang::read::Reader;
use crate::lang::scope::{Env, ScopeId};
use crate::lang::structure::MATRIX;
use crate::lang::syntax::Node;
use crate::lang::table::{Holds, Line, Often};

/// Fragments may use fragments, this deep.
const DEEPEST: usize = 32;

/// A line of a body, and the fragment that it came from.
struct Spliced {
    item: Item,
    from: Option<ScopeId>,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn body(&mut self, node: &'a Node, item: &mut Item) {
        match item.line.holds {
            Holds::Lines | Holds::Node => {}
            // Read elsewhere.
            Holds::Nodes | Holds::Around | Holds::Values | Holds::Rows => return,
        }
        if item.line.body.is_empty() && item.line.holds == Holds::Lines && node.block.is_some() {
            let message = format!("`{}` takes no block", item.line.word);
            let help = item.line.example.lines().next().unwrap_or_default();
            let place = item.word.clone();
            self.findings.add(Mistake::new(Code::SlotBody, message, help).at(place, "is followed by { … }"));
            return;
        }
        let mut lines = Vec::new();
        self.lines(node, item, None, 0, &mut lines);
        item.body = self.settle(lines, None).into_iter().map(|line| line.item).collect();
        for line in item.line.slots() {
            self.how_often(line, item);
        }
    }

    /// Reads the children of `node` as lines of `item`.
    fn lines(
        &mut self,
        node: &'a Node,
        item: &mut Item,
        from: Option<ScopeId>,
        depth: usize,
        lines: &mut Vec<Spliced>,
    ) {
        for child in node.children() {
            match child.word.as_str() {
                "when" | "unless" => self.condition(child, item, from, depth, lines),
                "use" => self.fragment(child, item, depth, lines),
                // The fragment's own, bound already.
                "param" | "doc" if from.is_some() => {}
                word => match item.line.slot(word) {
                    // Its coordinates are found beforehand, in the scope that the node is declared in.
                    Some(line) => self.line(line, child, from, lines),
                    None => {
                        self.unknown_slot(item.line, child);
                        item.whole = false;
                    }
                },
            }
        }
    }

    fn line(&mut self, line: &'static Line, node: &'a Node, from: Option<ScopeId>, lines: &mut Vec<Spliced>) {
        let Some(coordinates) = self.repetitions(line, node) else {
            lines.push(Spliced { item: self.item(line, node), from });
            return;
        };
        for coordinate in coordinates {
            let mut reader = Reader {
                world: self.world,
                env: Env { coordinate: &coordinate, ..self.env },
                findings: &mut *self.findings,
                references: self.references,
                coordinate: coordinate.clone(),
            };
            let item = reader.item(line, node);
            self.references = reader.references;
            lines.push(Spliced { item, from });
        }
    }

    fn condition(
        &mut self,
        node: &'a Node,
        item: &mut Item,
        from: Option<ScopeId>,
        depth: usize,
        lines: &mut Vec<Spliced>,
    ) {
        self.world.check_condition(node, self.env, self.findings);
        if self.world.holds(node, self.env) == Some(true) && !self.env.is_dead {
            self.lines(node, item, from, depth, lines);
            return;
        }
        // Looked through all the same, so that a mistake shows before the condition holds.
        let mut dropped = Vec::new();
        let mut reader = Reader {
            world: self.world,
            env: Env { is_dead: true, ..self.env },
            findings: &mut *self.findings,
            references: self.references,
            coordinate: self.coordinate.clone(),
        };
        reader.lines(node, item, from, depth, &mut dropped);
    }

    fn fragment(&mut self, node: &'a Node, item: &mut Item, depth: usize, lines: &mut Vec<Spliced>) {
        let key = (std::ptr::from_ref(node), self.env.scope);
        let Some(&scope) = self.world.fragments.get(&key) else {
            // What is wrong with it was told.
            item.whole = false;
            return;
        };
        if depth == DEEPEST {
            let message = format!("fragments use fragments more than {DEEPEST} levels deep");
            let mistake = Mistake::new(Code::KdlDepth, message, "use fewer");
            self.findings.add(mistake.at(node.line_span(), "here"));
            return;
        }
        let Some(body) = self.world.scope(scope).body else { return };
        let mut found = Findings::default();
        let mut inner = Vec::new();
        {
            let mut reader = Reader {
                world: self.world,
                env: Env { scope, ..self.env },
                findings: &mut found,
                references: self.references,
                coordinate: self.coordinate.clone(),
            };
            reader.lines(body, item, Some(scope), depth + 1, &mut inner);
            inner = reader.settle(inner, Some(scope));
            self.references = reader.references;
        }
        lines.extend(inner.into_iter().map(|line| Spliced { from: Some(scope), ..line }));
        let trail = || vec![Label::new(node.line_span(), "expanded from here")];
        self.findings.within(trail, |findings| findings.absorb(found, 0));
    }

    /// A body's own line wins over a fragment's; of two fragments' one is too many. Of keys such as those
    /// of `env`, the later wins.
    fn settle(&mut self, lines: Vec<Spliced>, own: Option<ScopeId>) -> Vec<Spliced> {
        if lines.iter().all(|line| line.from == own) {
            return lines;
        }
        let mut unique: BTreeMap<&str, (Option<ScopeId>, Span)> = BTreeMap::new();
        let mine =
            lines.iter().filter(|line| line.from == own).chain(lines.iter().filter(|line| line.from != own));
        for Spliced { item, from } in mine.filter(|line| line.item.line.often != Often::Many) {
            let word = item.line.word;
            let (first, span) = unique.entry(word).or_insert((*from, item.word.clone())).clone();
            if first != own && first != *from {
                self.two_fragments(word, span, item.word.clone());
            }
        }
        let keys: Vec<Vec<(&str, String)>> = lines.iter().map(|line| keys(&line.item)).collect();
        let mut wins: BTreeMap<(&str, &str), Option<ScopeId>> = BTreeMap::new();
        for (line, keys) in lines.iter().zip(&keys) {
            for (word, key) in keys {
                let winner = wins.entry((word, key)).or_insert(line.from);
                if *winner != own {
                    *winner = line.from;
                }
            }
        }
        let mut kept = Vec::new();
        for Spliced { mut item, from } in lines.into_iter() {
            let word = item.line.word;
            if unique.get(word).is_some_and(|(first, _)| *first != from) {
                continue;
            }
            let before = item.properties.len();
            let line = item.line;
            item.properties.retain(|pair| {
                !is_key(line, &pair.key) || wins.get(&(word, pair.key.as_str())) == Some(&from)
            });
            if before == item.properties.len() || item.properties.iter().any(|pair| is_key(line, &pair.key)) {
                kept.push(Spliced { item, from });
            }
        }
        kept
    }

    fn two_fragments(&mut self, word: &str, first: Span, second: Span) {
        let message = format!("two fragments give the line `{word}`");
        let help = "write the line in this body, where it wins, or use only one of the two";
        let mistake = Mistake::new(Code::SlotTwice, message, help);
        self.findings.add(mistake.at(second, "and from here").at(first, "from here"));
    }

    fn unknown_slot(&mut self, line: &Line, child: &Node) {
        let written = child.word.as_str();
        let legal: Vec<&str> = line.slots().map(|line| line.word).collect();
        let what = format!("lines of `{}`", line.word);
        let help = suggest::help(written, &legal, ticked, &what);
        let message = format!("`{}` has no line `{}`", line.word, shorten(written));
        let mistake = Mistake::new(Code::UnknownSlot, message, help);
        self.findings.add(mistake.at(child.word_span.clone(), "not known here"));
    }

    fn how_often(&mut self, line: &Line, item: &Item) {
        let mut found = item.each(line.word);
        let (first, second) = (found.next(), found.next());
        match (line.often, first, second) {
            // What was not read may have been it.
            (Often::Once, None, _) if !item.whole => {}
            (Often::Once, None, _) => {
                let message = format!("`{}` needs a line `{}`", item.line.word, line.word);
                let help = format!("add: {}", line.example);
                let place = item.word.clone();
                self.findings.add(Mistake::new(Code::SlotMissing, message, help).at(place, "has none"));
            }
            (Often::Once | Often::Maybe, Some(first), Some(second)) => {
                self.twice(&format!("line `{}`", line.word), first.word.clone(), second.word.clone());
            }
            _ => {}
        }
    }

    /// The coordinates in which a line is read, one for each value of the axes that it says `each` of;
    /// `None` for one that is read once, in the coordinate of its node.
    fn repetitions(&mut self, line: &Line, node: &'a Node) -> Option<Vec<Rc<Coordinate>>> {
        let apart = each_axes(node);
        if apart.is_empty() || line.word == "merge" || line.word == MATRIX.word {
            return None;
        }
        let label = node.arguments().next().and_then(|entry| label::parse(entry.value.text()?))?;
        Some(self.all_values(&label, &apart, &picked(node)))
    }

    /// A reference of `merge`, once for each value of the axes that the line says `each` of.
    pub(super) fn each_reference(&mut self, node: &'a Node, reference: Reference) -> Vec<Reference> {
        let apart = each_axes(node);
        let picked = picked(node);
        self.strange_axes(node, &reference);
        let coordinates = if apart.is_empty() || node.word != "merge" {
            vec![self.coordinate.clone()]
        } else {
            self.all_values(&reference.label, &apart, &picked)
        };
        let mut references = Vec::with_capacity(coordinates.len());
        for coordinate in coordinates {
            let coordinate = match picked.is_empty() {
                true => coordinate,
                false => Rc::new(coordinate.iter().chain(&picked).map(owned).collect()),
            };
            let place = self.references;
            self.references += 1;
            references.push(Reference { coordinate, place, ..reference.clone() });
        }
        references
    }

    /// Axes that `pick` and `each` name, and what is referred to doesn't have.
    fn strange_axes(&mut self, node: &Node, reference: &Reference) {
        let named = named_axes(node);
        let mut seen = BTreeMap::new();
        for (axis, span) in &named {
            if let Some(first) = seen.insert(*axis, span.clone()) {
                self.twice(&format!("axis `{}`", shorten(axis)), first, span.clone());
            }
        }
        let Ok(meant) = self.world.meant(&reference.label, self.env) else { return };
        let declarations = meant.declarations();
        if named.is_empty() || declarations.is_empty() {
            return;
        }
        let mut axes = BTreeSet::new();
        for declaration in declarations {
            let coordinates = self.world.coordinates(declaration, &mut Findings::default());
            axes.extend(coordinates.axes.iter().cloned());
        }
        let known: Vec<&str> = axes.iter().map(String::as_str).collect();
        let target = self.slice(&reference.span).trim_matches('"');
        for (axis, span) in named.into_iter().filter(|(axis, _)| !axes.contains(*axis)) {
            let message = format!("`{target}` has no axis `{}`", shorten(axis));
            let help = match known.as_slice() {
                [] => "it stands only once: remove this".to_owned(),
                known => suggest::help(axis, known, ticked, "its axes"),
            };
            self.findings.add(Mistake::new(Code::AxisUnknown, message, help).at(span, "not an axis of it"));
        }
    }

    fn all_values(&self, label: &label::Label, apart: &[&str], picked: &Coordinate) -> Vec<Rc<Coordinate>> {
        let mut seen: BTreeSet<Coordinate> = BTreeSet::new();
        let mut all: Vec<Rc<Coordinate>> = Vec::new();
        let Ok(meant) = self.world.meant(label, self.env) else { return all };
        for decl in meant.declarations() {
            let coordinates = self.world.coordinates(decl, &mut Findings::default());
            if !self.world.budget.pay(budget::COORDINATE * coordinates.all.len()) {
                return all;
            }
            for theirs in &coordinates.all {
                let agrees =
                    theirs.iter().filter(|(axis, _)| !apart.contains(&axis.as_str())).all(|(axis, value)| {
                        let here = picked.get(axis).or_else(|| self.env.coordinate.get(axis));
                        here.is_none_or(|here| here == value)
                    });
                if agrees {
                    let mut coordinate = self.env.coordinate.clone();
                    let values = theirs.iter().filter(|(axis, _)| apart.contains(&axis.as_str()));
                    coordinate.extend(values.map(|(axis, value)| (axis.clone(), value.clone())));
                    if seen.insert(coordinate.clone()) {
                        all.push(Rc::new(coordinate));
                    }
                }
            }
        }
        all
    }
}

/// The keys of a line such as `env`, with its word.
fn keys(item: &Item) -> Vec<(&'static str, String)> {
    let keys = item.properties.iter().filter(|pair| is_key(item.line, &pair.key));
    keys.map(|pair| (item.line.word, pair.key.clone())).collect()
}

fn is_key(line: &Line, key: &str) -> bool {
    line.free.is_some() && line.property(key).is_none()
}

fn each_axes(node: &Node) -> Vec<&str> {
    let lines = node.children().iter().filter(|child| child.word == "each");
    lines.flat_map(Node::arguments).filter_map(|entry| entry.value.text()).collect()
}

/// What `pick` and `each` name, and where.
fn named_axes(node: &Node) -> Vec<(&str, Span)> {
    let mut named = Vec::new();
    for child in node.children() {
        match child.word.as_str() {
            "pick" => {
                named.extend(child.properties().map(|(key, _)| (key.text.as_str(), key.span.clone())));
            }
            "each" => named.extend(
                child.arguments().filter_map(|entry| Some((entry.value.text()?, entry.span.clone()))),
            ),
            _ => {}
        }
    }
    named
}

fn picked(node: &Node) -> Coordinate {
    let lines = node.children().iter().filter(|child| child.word == "pick");
    lines
        .flat_map(Node::properties)
        .filter_map(|(key, entry)| Some((key.text.clone(), written(&entry.value)?)))
        .collect()
}
