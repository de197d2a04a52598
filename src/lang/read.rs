//! KDL nodes → items, driven by the table. Reports every mistake it meets and goes on; knows no kind.

use std::collections::BTreeMap;

use kdl::{KdlEntry, KdlNode};

use crate::base::suggest::{self, ticked};
use crate::lang::code::Code;
use crate::lang::interpolate::Values;
use crate::lang::item::{Datum, Given, Item, Pair};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::table::{Count, Line, Often, Slot};
use crate::lang::value::{Written, read_value};

pub struct Reader<'a> {
    pub text: &'a str,
    pub values: &'a Values,
    pub findings: &'a mut Findings,
}

impl Reader<'_> {
    pub fn item(&mut self, line: &'static Line, node: &KdlNode) -> Item {
        let before = self.findings.count();
        let word = word_span(node);
        let mut item =
            Item { line, word, arguments: Vec::new(), properties: Vec::new(), body: Vec::new(), whole: true };
        if self.findings.is_full() || self.dollar_and_block(node) {
            item.whole = false;
            return item;
        }
        self.arguments(node, &mut item);
        self.properties(node, &mut item);
        self.body(node, &mut item);
        item.whole = self.findings.count() == before
            && !self.findings.is_full()
            && item.body.iter().all(|item| item.whole);
        item
    }

    fn arguments(&mut self, node: &KdlNode, item: &mut Item) {
        let given: Vec<&KdlEntry> = node.entries().iter().filter(|entry| entry.name().is_none()).collect();
        if let [entry] = given.as_slice()
            && item.line.removable
            && entry.value().is_null()
        {
            item.arguments.push(Given { datum: Datum::Null, span: entry_span(entry) });
            return;
        }
        let mut rest = given.as_slice();
        let mut complete = true;
        for argument in item.line.arguments {
            let taken = if argument.count == Count::Some { rest.len() } else { rest.len().min(1) };
            if taken == 0 && argument.count != Count::Maybe && std::mem::take(&mut complete) {
                self.missing_argument(node, item, argument.name, argument.slot);
            }
            let slot =
                if argument.slot == Slot::Script && expands(node) { Slot::Expanded } else { argument.slot };
            for entry in &rest[..taken] {
                item.arguments.extend(self.given(item.line, slot, entry));
            }
            rest = &rest[taken..];
        }
        if let Some(entry) = rest.first() {
            self.extra_argument(item.line, entry);
        }
    }

    fn given(&mut self, line: &Line, slot: Slot, entry: &KdlEntry) -> Option<Given> {
        if self.findings.is_full() {
            return None;
        }
        let span = value_span(entry);
        let written = Written {
            line,
            key: entry.name().map(|key| key.value()),
            slot,
            value: entry.value(),
            span: span.clone(),
            source: &self.text[span.clone()],
        };
        let datum = read_value(&written, self.values, self.findings)?;
        Some(Given { datum, span })
    }

    fn missing_argument(&mut self, node: &KdlNode, item: &Item, name: &str, slot: Slot) {
        let word = item.line.word;
        if let Some(comment) = self.comment_after(&item.word) {
            let message = format!("everything after `//` is a comment, so `{word}` has no {name}");
            let help = format!("quote it: \"{}\"", shorten(&self.text[comment.clone()]));
            self.findings.add(Mistake::new(Code::KdlComment, message, help).at(comment, "read as a comment"));
            return;
        }
        let stray = node.entries().iter().find_map(|entry| entry.name().map(|key| (key.value(), entry)));
        if let Some((key, entry)) = stray
            && slot == Slot::Name
            && item.line.property(key).is_none()
        {
            let value = &self.text[value_span(entry)];
            let help = match item.line.property("default") {
                Some(_) => format!("{word} {key} default={}", shorten(value)),
                None => format!("{word} {key} {{ … }}"),
            };
            let message = format!("this gives `{word}` a property called `{key}`, not a name");
            let label = format!("property {key}={}", shorten(value));
            self.findings.add(Mistake::new(Code::ParamName, message, help).at(entry_span(entry), label));
            return;
        }
        let message = format!("`{word}` needs {}: {name}", slot.takes());
        let help = item.line.example.lines().next().unwrap_or_default();
        let place = item.word.clone();
        self.findings.add(Mistake::new(Code::SlotMissing, message, help).at(place, "nothing follows"));
    }

    /// `word //address`: a comment that looks like a value.
    fn comment_after(&self, word: &Span) -> Option<Span> {
        let after = &self.text[word.end..];
        let line = &after[..after.find('\n').unwrap_or(after.len())];
        let comment = line.trim();
        let start = word.end + line.len() - line.trim_start().len();
        let looks_like_a_value = comment.starts_with("//") && !comment[2..].starts_with([' ', '\t', '/']);
        (looks_like_a_value && comment.len() > 2).then(|| start..start + comment.len())
    }

    fn extra_argument(&mut self, line: &Line, entry: &KdlEntry) {
        let word = line.word;
        let message = match line.arguments.len() {
            0 => format!("`{word}` takes no value here"),
            count => format!("`{word}` takes {count} value{}, no more", if count == 1 { "" } else { "s" }),
        };
        let help = match line.properties.first() {
            Some(property) => format!(
                "other things are said by name, such as {}={}",
                property.name,
                property.slot.example()
            ),
            None => line.example.lines().next().unwrap_or_default().to_owned(),
        };
        self.findings.add(Mistake::new(Code::SlotExtra, message, help).at(entry_span(entry), "one too many"));
    }

    fn properties(&mut self, node: &KdlNode, item: &mut Item) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let mut misspelt: Vec<&str> = Vec::new();
        for entry in node.entries() {
            let Some(key) = entry.name() else { continue };
            let span = to_span(key.span());
            if let Some(first) = seen.insert(key.value(), span.clone()) {
                self.twice(&format!("property `{}`", key.value()), first, span);
                continue;
            }
            let Some(slot) = self.property_slot(item, key.value(), &span) else {
                misspelt.extend(suggest::nearest(
                    key.value(),
                    item.line.properties.iter().map(|property| property.name),
                ));
                continue;
            };
            if entry.value().is_null() && item.line.removable {
                let given = Given { datum: Datum::Null, span: value_span(entry) };
                item.properties.push(Pair { key: key.value().to_owned(), given });
            } else if let Some(given) = self.given(item.line, slot, entry) {
                item.properties.push(Pair { key: key.value().to_owned(), given });
            }
        }
        for property in item.line.properties.iter().filter(|property| property.required) {
            if !seen.contains_key(property.name) && !misspelt.contains(&property.name) {
                self.missing_property(item, property.name, property.slot);
            }
        }
        if item.line.free.is_some() && item.line.arguments.is_empty() && seen.is_empty() {
            let message = format!("`{}` needs at least one KEY=VALUE", item.line.word);
            let help = item.line.example.to_owned();
            self.findings
                .add(Mistake::new(Code::SlotMissing, message, help).at(item.word.clone(), "nothing follows"));
        }
    }

    fn property_slot(&mut self, item: &Item, key: &str, span: &Span) -> Option<Slot> {
        if let Some(property) = item.line.property(key) {
            return Some(property.slot);
        }
        if let Some(slot) = item.line.free {
            return self.free_key(item.line, key, span).then_some(slot);
        }
        // `param jobs = 4` is told as a missing name.
        if item.arguments.is_empty()
            && item.line.arguments.first().is_some_and(|first| first.slot == Slot::Name)
        {
            return None;
        }
        let word = item.line.word;
        let legal: Vec<&str> = item.line.properties.iter().map(|property| property.name).collect();
        let help = match legal.as_slice() {
            [] => format!(
                "`{word}` has no properties: {}",
                item.line.example.lines().next().unwrap_or_default()
            ),
            legal => suggest::help(key, legal, |name| format!("`{name}=`"), "its properties"),
        };
        let message = format!("`{word}` has no property `{}`", shorten(key));
        self.findings
            .add(Mistake::new(Code::UnknownProperty, message, help).at(span.clone(), "not known here"));
        None
    }

    /// `KEY=TEXT`: an environment cannot hold other keys.
    fn free_key(&mut self, line: &Line, key: &str, span: &Span) -> bool {
        let fits = !key.is_empty() && !key.contains(['=', '\0']);
        if !fits {
            let message = format!("`{}` is no key of `{}`", shorten(key), line.word);
            let mistake = Mistake::new(Code::NameForm, message, line.example);
            self.findings.add(mistake.at(span.clone(), "empty, or holds `=`"));
        }
        fits
    }

    fn missing_property(&mut self, item: &Item, name: &str, slot: Slot) {
        let word = item.line.word;
        let message = format!("`{word}` needs `{name}=`, {}", slot.takes());
        let help = format!("add {name}={}", slot.example());
        self.findings.add(Mistake::new(Code::SlotMissing, message, help).at(item.word.clone(), "not given"));
    }

    fn body(&mut self, node: &KdlNode, item: &mut Item) {
        let children = node.children().map_or(&[][..], |children| children.nodes());
        if item.line.body.is_empty() && node.children().is_some() {
            let message = format!("`{}` takes no block", item.line.word);
            let help = item.line.example.lines().next().unwrap_or_default();
            let place = item.word.clone();
            self.findings.add(Mistake::new(Code::SlotBody, message, help).at(place, "is followed by { … }"));
            return;
        }
        for child in children {
            match item.line.slot(child.name().value()) {
                Some(line) => {
                    let child = self.item(line, child);
                    item.body.push(child);
                }
                None => {
                    self.unknown_slot(item.line, child);
                    item.whole = false;
                }
            }
        }
        for line in item.line.body {
            self.how_often(line, item);
        }
    }

    fn unknown_slot(&mut self, line: &Line, child: &KdlNode) {
        let written = child.name().value();
        let legal: Vec<&str> = line.body.iter().map(|line| line.word).collect();
        let what = format!("lines of `{}`", line.word);
        let help = suggest::help(written, &legal, ticked, &what);
        let message = format!("`{}` has no line `{}`", line.word, shorten(written));
        self.findings
            .add(Mistake::new(Code::UnknownSlot, message, help).at(word_span(child), "not known here"));
    }

    fn how_often(&mut self, line: &Line, item: &Item) {
        let mut found = item.each(line.word);
        let (first, second) = (found.next(), found.next());
        match (line.often, first, second) {
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

    fn twice(&mut self, what: &str, first: Span, second: Span) {
        let mistake = Mistake::new(Code::SlotTwice, format!("the {what} is given twice"), "keep one of them");
        self.findings.add(mistake.at(second, "and again here").at(first, "first here"));
    }

    /// `pull x ${y}`: KDL reads a word `$` and a block `{y}`.
    fn dollar_and_block(&mut self, node: &KdlNode) -> bool {
        let (Some(last), Some(children)) = (node.entries().last(), node.children()) else { return false };
        let start = value_span(last);
        if &self.text[start.clone()] != "$" || !self.text[start.end..].starts_with('{') {
            return false;
        }
        let end =
            self.text[start.end..].find('}').map_or(to_span(children.span()).end, |end| start.end + end + 1);
        let written = shorten(&self.text[start.start..end]);
        let message = format!("`{written}` is read as the word `$` and a block");
        let help = format!("quote it: \"{written}\"");
        self.findings.add(Mistake::new(Code::KdlQuote, message, help).at(start.start..end, "needs quotes"));
        true
    }
}

pub fn word_span(node: &KdlNode) -> Span {
    to_span(node.name().span())
}

fn to_span(span: miette::SourceSpan) -> Span {
    span.offset()..span.offset() + span.len()
}

fn entry_span(entry: &KdlEntry) -> Span {
    to_span(entry.span())
}

/// A property's span covers its key, too; the value stands at its end.
fn value_span(entry: &KdlEntry) -> Span {
    let span = entry_span(entry);
    match (entry.name(), entry.format()) {
        (Some(_), Some(format)) => span.end.saturating_sub(format.value_repr.len()).max(span.start)..span.end,
        _ => span,
    }
}

/// Whether a line asks for values in its text.
fn expands(node: &KdlNode) -> bool {
    node.get("expand").is_some_and(|value| value.as_bool() == Some(true))
}
