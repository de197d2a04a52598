//! KDL nodes → items, driven by the table. Reports every mistake it meets and goes on; knows no kind.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::suggest;
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::decl;
use crate::lang::interpolate::Plain;
use crate::lang::item::{Datum, Given, Item, Pair};
use crate::lang::label::is_name;
use crate::lang::matrix::Coordinate;
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::scope::{Env, World};
use crate::lang::syntax::{Entry, Node, Value};
use crate::lang::table::{Count, Holds, Line, Slot};
use crate::lang::value::{Read, Written, number_for_text, read_value, takes_any_text};

/// Reads one node, in one environment.
pub struct Reader<'r, 'a> {
    pub(super) world: &'r World<'a>,
    pub(super) env: Env<'r>,
    pub(super) findings: &'r mut Findings,
    /// References that were read so far: each has its place.
    pub(super) references: usize,
    /// The coordinate, shared by all references of the line.
    pub(super) coordinate: Rc<Coordinate>,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub fn new(world: &'r World<'a>, env: Env<'r>, findings: &'r mut Findings) -> Reader<'r, 'a> {
        let coordinate = Rc::new(env.coordinate.clone());
        Reader { world, env, findings, references: 0, coordinate }
    }

    pub fn item(&mut self, line: &'static Line, node: &'a Node) -> Item {
        let before = self.findings.count();
        let mut item = Item {
            line,
            word: node.word_span.clone(),
            arguments: Vec::new(),
            properties: Vec::new(),
            body: Vec::new(),
            whole: true,
        };
        let pays = self.world.budget.pay(budget::LINE + budget::NAME * node.entries.len());
        if !pays || self.findings.is_full() || self.dollar_and_block(node) {
            item.whole = false;
            return item;
        }
        self.arguments(node, &mut item);
        self.properties(node, &mut item);
        for_build(&mut item);
        self.body(node, &mut item);
        item.whole &= self.findings.count() == before
            && !self.findings.is_full()
            && item.body.iter().all(|item| item.whole);
        item
    }

    fn arguments(&mut self, node: &'a Node, item: &mut Item) {
        let given: Vec<&Entry> = node.arguments().collect();
        if let [entry] = given.as_slice()
            && item.line.removable
            && entry.value.is_null()
        {
            item.arguments.push(Given { datum: Datum::Null, span: entry.span.clone() });
            return;
        }
        if self.name_left_out(item, &given) {
            return;
        }
        let mut rest = given.as_slice();
        let mut complete = true;
        for argument in item.line.arguments {
            let taken = if argument.count.is_several() { rest.len() } else { rest.len().min(1) };
            if taken == 0 && argument.count.is_needed() && std::mem::take(&mut complete) {
                self.missing_argument(node, item, argument.name, argument.slot);
            }
            let slot =
                if argument.slot == Slot::Script && expands(node) { Slot::Expanded } else { argument.slot };
            for entry in self.without_numbers(item, slot, &rest[..taken]) {
                self.argument(node, item, slot, entry, argument.count.is_several());
            }
            rest = &rest[taken..];
        }
        if let Some(entry) = rest.first() {
            self.extra_argument(item.line, entry);
        }
    }

    /// `pull "alpine:3"`: the only value is none of a name, and more values than it are wanted.
    fn name_left_out(&mut self, item: &mut Item, given: &[&Entry]) -> bool {
        let wants = item.line.arguments;
        let (Some(first), [entry]) = (wants.first(), given) else { return false };
        let needed = wants.iter().filter(|argument| argument.count != Count::Maybe).count();
        let is_named = entry.value.text().is_none_or(is_name);
        if first.slot != Slot::Name || needed < 2 || is_named {
            return false;
        }
        let (word, source) = (item.line.word, shorten(self.slice(&entry.span)));
        let example = item.line.example.split(' ').nth(1).unwrap_or(first.name);
        let mistake = Mistake::new(
            Code::SlotMissing,
            format!("`{word}` has no name: a bare word that other lines call it by"),
            format!("write one before the value: {word} {example} {source}"),
        );
        self.findings.add(mistake.at(entry.span.clone(), "a name stands before this"));
        item.whole = false;
        true
    }

    /// Several numbers where texts are wanted are one mistake, put right at once.
    fn without_numbers<'e>(&mut self, item: &mut Item, slot: Slot, given: &[&'e Entry]) -> Vec<&'e Entry> {
        let is_number = |entry: &&Entry| matches!(entry.value, Value::Int(_) | Value::Float(_));
        let (numbers, others): (Vec<&Entry>, Vec<&Entry>) = given.iter().copied().partition(is_number);
        if numbers.len() < 2 || !takes_any_text(slot) {
            return given.to_vec();
        }
        let mut mistake = *number_for_text(&self.written(item.line, slot, numbers[0], true));
        let texts = given.iter().map(|entry| match is_number(entry) {
            true => format!("\"{}\"", self.slice(&entry.span)),
            false => self.slice(&entry.span).to_owned(),
        });
        let help = texts.collect::<Vec<_>>().join(" ");
        mistake.help = shorten(&help);
        for entry in &numbers[1..] {
            mistake = mistake.at(entry.span.clone(), "and another one");
        }
        self.findings.add(mistake);
        item.whole = false;
        others
    }

    /// Where several may stand, a list gives all of its values.
    fn argument(&mut self, node: &'a Node, item: &mut Item, slot: Slot, entry: &'a Entry, several: bool) {
        match self.given(item.line, slot, entry, several) {
            Some(Read::One(Datum::Reference(reference))) => {
                for reference in self.each_reference(node, reference) {
                    item.arguments
                        .push(Given { datum: Datum::Reference(reference), span: entry.span.clone() });
                }
            }
            Some(Read::One(datum)) => item.arguments.push(Given { datum, span: entry.span.clone() }),
            Some(Read::Several(data)) => {
                item.arguments
                    .extend(data.into_iter().map(|datum| Given { datum, span: entry.span.clone() }));
            }
            None => item.whole = false,
        }
    }

    fn given(&mut self, line: &Line, slot: Slot, entry: &Entry, several: bool) -> Option<Read> {
        if self.findings.is_full() {
            return None;
        }
        let written = self.written(line, slot, entry, several);
        read_value(&written, self)
    }

    fn written<'w>(&self, line: &'w Line, slot: Slot, entry: &'w Entry, several: bool) -> Written<'w>
    where
        'a: 'w,
    {
        Written {
            line,
            key: entry.key.as_ref().map(|key| key.text.as_str()),
            slot,
            several,
            value: &entry.value,
            span: entry.span.clone(),
            source: self.slice(&entry.span),
        }
    }

    fn missing_argument(&mut self, node: &Node, item: &Item, name: &str, slot: Slot) {
        let word = item.line.word;
        if let Some(comment) = self.comment_after(&item.word) {
            let lacking = match slot {
                Slot::Name => "name",
                Slot::Reference(_) => "node to take",
                _ => "value",
            };
            let message = format!("everything after `//` is a comment, so `{word}` has no {lacking}");
            let mut help = format!("labels are quoted: \"{}\"", shorten(self.slice(&comment)));
            if word == "pull" {
                help += ". And ";
                help += decl::pull::NOT_FOR_LABELS;
            }
            self.findings.add(Mistake::new(Code::KdlComment, message, help).at(comment, "read as a comment"));
            return;
        }
        if let Some((key, entry)) = node.properties().next()
            && slot == Slot::Name
            && item.line.property(&key.text).is_none()
        {
            let key = &key.text;
            let value = self.slice(&entry.span);
            let help = match item.line.property("default") {
                Some(_) => format!("{word} {key} default={}", shorten(value)),
                None => format!("{word} {key} {{ … }}"),
            };
            let message = format!("this gives `{word}` a property called `{key}`, not a name");
            let label = format!("property {key}={}", shorten(value));
            self.findings.add(Mistake::new(Code::ParamName, message, help).at(entry.whole_span(), label));
            return;
        }
        let message = format!("`{word}` needs {}: {name}", slot.takes());
        let help = item.line.example.lines().next().unwrap_or_default();
        let place = item.word.clone();
        self.findings.add(Mistake::new(Code::SlotMissing, message, help).at(place, "nothing follows"));
    }

    /// `word //address`: a comment that looks like a value.
    fn comment_after(&self, word: &Span) -> Option<Span> {
        let source = self.world.files.sources.at(word.end);
        let after = source.text.get(word.end - source.base..).unwrap_or_default();
        let line = &after[..after.find('\n').unwrap_or(after.len())];
        let comment = line.trim();
        let start = word.end + line.len() - line.trim_start().len();
        let looks_like_a_value = comment.starts_with("//") && !comment[2..].starts_with([' ', '\t', '/']);
        (looks_like_a_value && comment.len() > 2).then(|| start..start + comment.len())
    }

    fn extra_argument(&mut self, line: &Line, entry: &Entry) {
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
        self.findings
            .add(Mistake::new(Code::SlotExtra, message, help).at(entry.span.clone(), "one too many"));
    }

    fn properties(&mut self, node: &'a Node, item: &mut Item) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let mut misspelt: Vec<&str> = Vec::new();
        for (key, entry) in node.properties() {
            let name = key.text.as_str();
            if let Some(first) = seen.insert(name, key.span.clone()) {
                self.twice(&format!("property `{}`", shorten(name)), first, key.span.clone());
                continue;
            }
            let Some(slot) = self.property_slot(item, name, &key.span) else {
                misspelt.extend(suggest::nearest(
                    name,
                    item.line.properties.iter().map(|property| property.name),
                ));
                continue;
            };
            self.property(item, name, slot, entry);
        }
        for property in item.line.properties.iter().filter(|property| property.required) {
            if !seen.contains_key(property.name) && !misspelt.contains(&property.name) {
                self.missing_property(item, property.name, property.slot);
            }
        }
        let may_be_empty = !item.line.arguments.is_empty() || matches!(item.line.holds, Holds::Around);
        if item.line.free.is_some() && !may_be_empty && seen.is_empty() {
            let message = format!("`{}` needs at least one KEY=VALUE", item.line.word);
            let help = item.line.example.to_owned();
            self.findings
                .add(Mistake::new(Code::SlotMissing, message, help).at(item.word.clone(), "nothing follows"));
        }
    }

    fn property(&mut self, item: &mut Item, key: &str, slot: Slot, entry: &Entry) {
        let datum = if entry.value.is_null() && item.line.removable {
            Some(Datum::Null)
        } else {
            match self.given(item.line, slot, entry, false) {
                Some(Read::One(datum)) => Some(datum),
                _ => None,
            }
        };
        match datum {
            Some(datum) => {
                let given = Given { datum, span: entry.span.clone() };
                item.properties.push(Pair { key: key.to_owned(), given });
            }
            None => item.whole = false,
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

    pub(super) fn twice(&mut self, what: &str, first: Span, second: Span) {
        let mistake = Mistake::new(Code::SlotTwice, format!("the {what} is given twice"), "keep one of them");
        self.findings.add(mistake.at(second, "and again here").at(first, "first here"));
    }

    /// `pull x ${y}`: KDL reads a word `$` and a block `{y}`.
    fn dollar_and_block(&mut self, node: &Node) -> bool {
        let (Some(last), Some(block)) = (node.entries.last(), &node.block) else { return false };
        if self.slice(&last.span) != "$" || last.span.end != block.span.start {
            return false;
        }
        let span = last.span.start..block.span.end;
        let written = shorten(self.slice(&span).lines().next().unwrap_or_default());
        let message = format!("`{written}` is read as the word `$` and a block");
        let help = format!("quote it: \"{written}\"");
        self.findings.add(Mistake::new(Code::KdlQuote, message, help).at(span, "needs quotes"));
        true
    }

    pub(super) fn slice(&self, span: &Span) -> &'a str {
        self.world.files.sources.slice(span)
    }
}

/// Whether a line asks for values in its text.
fn expands(node: &Node) -> bool {
    node.property("expand").is_some_and(|entry| entry.value.is_true())
}

/// `from REF platform=build`.
fn for_build(item: &mut Item) {
    if item.property("platform").and_then(Given::text) == Some("build") {
        for given in &mut item.arguments {
            if let Datum::Reference(reference) = &mut given.datum {
                reference.is_for_build = true;
            }
        }
    }
}

/// A value that a list gives several of.
pub(super) fn several(plain: Plain) -> Vec<String> {
    match plain {
        Plain::List(values) => values,
        other => vec![other.to_text()],
    }
}
