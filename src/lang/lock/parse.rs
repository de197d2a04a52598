//! The text of a lock file → its entries with the lines that belong to each. An entry that is spelt in
//! another way than this program would is written anew, but where a comment stands inside it.

use std::collections::BTreeMap;

use crate::lang::code::Code;
use crate::lang::lock::entry::{Entry, Key};
use crate::lang::lock::{Block, FILE_NAME, Lock, sections};
use crate::lang::mistake::{Findings, Mistake, Mistakes, Span, shorten};
use crate::lang::parse as kdl_text;
use crate::lang::source::Sources;
use crate::lang::syntax::{Node, Value};

const VERSION: &str = "memobuild-lock";

/// Lines end in `\n` from here on, and a byte order mark is no part of the text.
pub(super) fn parse(text: &str) -> Result<Lock, Mistakes> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut sources = Sources::default();
    sources.add(FILE_NAME, &text);
    let mut findings = Findings::default();
    conflicts(&text, &mut findings);
    if !findings.is_empty() {
        return Err(findings.finish(&sources));
    }
    let lock = kdl_text::parse(&text, 0, &mut findings).and_then(|document| {
        version(&text, &document.nodes, &mut findings)?;
        Some(read(&text, &document.nodes, &mut findings))
    });
    match lock {
        Some(lock) if findings.is_empty() => Ok(lock),
        _ => Err(findings.finish(&sources)),
    }
}

/// Lines that a merge left behind.
fn conflicts(text: &str, findings: &mut Findings) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim_end();
        let is_marker = ["<<<<<<<", "|||||||", ">>>>>>>"].iter().any(|marker| line.starts_with(marker))
            || shown == "=======";
        if is_marker {
            let help = "keep the entries of both sides, remove the marker lines, and run `memobuild lock`";
            let mistake = Mistake::new(Code::LockConflict, "the lock file has an open merge conflict", help);
            findings.add(mistake.at(at..at + shown.len(), "left by a merge"));
            return;
        }
        at += line.len();
    }
}

fn version(text: &str, nodes: &[Node], findings: &mut Findings) -> Option<()> {
    let mistake = |message: &str, span: Span| {
        let help = "first line: memobuild-lock 1; or remove the file and run `memobuild lock`";
        Mistake::new(Code::LockVersion, message, help).at(span, "the file begins here")
    };
    let first_line = 0..text.find('\n').unwrap_or(text.len());
    let Some(first) = nodes.first().filter(|first| first.word == VERSION) else {
        findings.add(mistake("the lock file does not say its version", first_line));
        return None;
    };
    match first.entries.as_slice() {
        _ if first.word_span.start != 0 => {
            findings.add(mistake("the version stands in the first line", first_line));
        }
        [entry] if entry.value == Value::Int(1) && first.block.is_none() => return Some(()),
        _ => findings.add(mistake("this program reads version 1 of the lock file", first_line)),
    }
    None
}

/// `nodes` begin with the version.
fn read(text: &str, nodes: &[Node], findings: &mut Findings) -> Lock {
    let mut lock = Lock { head: String::new(), blocks: BTreeMap::new(), tail: String::new() };
    let mut places: BTreeMap<Key, Span> = BTreeMap::new();
    // Where the lines end that belong to what was read so far.
    let mut end = 0;
    for (place, node) in nodes.iter().enumerate() {
        let Some(lines) = Lines::of(text, node, end, findings) else { continue };
        let before = &text[end..lines.start];
        end = lines.end;
        if place == 0 {
            lock.head = whole_line(&text[..end]);
            continue;
        }
        let (apart, before) = if place == 1 { sections(before) } else { ("", before) };
        lock.head.push_str(apart);
        let Some(entry) = Entry::decode(text, node, findings) else { continue };
        let key = entry.as_ref().map_or_else(|| unknown_key(node), Entry::key);
        if let Some(first) = places.insert(key.clone(), node.word_span.clone())
            && entry.is_some()
        {
            findings.add(twice(&key, node.word_span.clone(), first));
        }
        let number = lock.blocks.range((key.clone(), 0)..=(key.clone(), usize::MAX)).count();
        let block = Block {
            before: before.to_owned(),
            body: entry
                .as_ref()
                .filter(|_| !has_comment(lines.body))
                .map_or_else(|| lines.body.to_owned(), Entry::text),
            after: lines.after.to_owned(),
            entry,
        };
        lock.blocks.insert((key, number), block);
    }
    lock.tail = text[end..].to_owned();
    if !lock.tail.is_empty() {
        lock.tail = whole_line(&lock.tail);
    }
    lock
}

fn whole_line(text: &str) -> String {
    format!("{}\n", text.strip_suffix('\n').unwrap_or(text))
}

/// An entry's own lines.
struct Lines<'a> {
    /// Where its first line starts.
    start: usize,
    /// Behind the end of its last line.
    end: usize,
    body: &'a str,
    after: &'a str,
}

impl<'a> Lines<'a> {
    /// `None` where the entry shares a line with another, which is reported.
    fn of(text: &'a str, node: &Node, above: usize, findings: &mut Findings) -> Option<Lines<'a>> {
        let word = node.word_span.clone();
        let start = text[..word.start].rfind('\n').map_or(0, |newline| newline + 1);
        let body_end = body_end(text, node);
        let end = text[body_end..].find('\n').map_or(text.len(), |newline| body_end + newline + 1);
        let after = text[body_end..end].trim_end();
        let after = match after.trim_start().strip_prefix(';').map(str::trim_start) {
            Some(comment) if comment.is_empty() || comment.starts_with("//") => comment,
            _ => after,
        };
        let alone = start >= above
            && text[start..word.start].trim().is_empty()
            && (!after.contains("/*") || after.contains("*/"));
        if !alone {
            let mistake = Mistake::new(
                Code::LockForm,
                "every entry of the lock file has lines of its own",
                "put it on a new line",
            );
            findings.add(mistake.at(word, "shares its line"));
            return None;
        }
        Some(Lines { start, end, body: &text[word.start..body_end], after })
    }
}

/// Where its own text ends; what ends the line is no part of it.
fn body_end(text: &str, node: &Node) -> usize {
    node.span().end.min(text.len())
}

/// In doubt, yes: then the entry stays as it is.
fn has_comment(body: &str) -> bool {
    body.contains("/*")
        || body.contains("/-")
        || body.contains('\\')
        || body.contains("//\n")
        || body.lines().any(|line| line.contains(" //"))
}

fn unknown_key(node: &Node) -> Key {
    let name: Vec<String> = node.arguments().map(|entry| shown(&entry.value)).collect();
    Key { word: node.word.clone(), name: name.join(" "), part: None }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(truth) => format!("#{truth}"),
        Value::Null => "#null".to_owned(),
    }
}

fn twice(key: &Key, second: Span, first: Span) -> Mistake {
    let message = format!("there are two entries {}", shorten(&key.to_string()));
    let help = "keep the one that is right: `memobuild lock --check` tells whether it is";
    Mistake::new(Code::LockTwice, message, help).at(second, "and again here").at(first, "first here")
}
