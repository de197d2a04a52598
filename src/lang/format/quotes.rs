//! Names are bare and data is quoted: where the table knows what a place takes, its spelling follows.
//! What the table does not know stays as it is, and no value changes.

use std::borrow::Cow;

use crate::lang::format::layout::{Block, Entry, Part};
use crate::lang::number;
use crate::lang::structure::FRAGMENT;
use crate::lang::table::{Argument, CONDITIONS, Count, Holds, KINDS, Line, Slot};

/// `known` are the lines that may stand in the block.
pub fn enforce(block: &mut Block<'_>, known: &[&'static Line]) {
    for entry in &mut block.entries {
        if let Entry::Line(line) = entry {
            enforce_in_line(&mut line.parts, known);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Bare,
    Quoted,
    AsItIs,
}

fn enforce_in_line(parts: &mut [Part<'_>], known: &[&'static Line]) {
    let Some(word) = parts.iter().position(|part| matches!(part, Part::Value(_))) else { return };
    let Part::Value(spelling) = &mut parts[word] else { return };
    let Some(line) = known.iter().find(|line| plain_text(spelling) == Some(line.word)) else { return };
    spell(spelling, Form::Bare);
    let mut arguments = line.arguments.iter();
    let mut key: Option<String> = None;
    let mut left_out = false;
    for at in word + 1..parts.len() {
        let is_key = matches!(parts[at + 1..].iter().find(|part| part.is_written()), Some(Part::Equals));
        match &mut parts[at] {
            Part::Slashdash => left_out = true,
            Part::Value(_) if left_out => left_out = is_key,
            Part::Value(spelling) if is_key => {
                let name = plain_text(spelling).unwrap_or_default().to_owned();
                if line.property(&name).is_some() {
                    spell(spelling, Form::Bare);
                }
                key = Some(name);
            }
            Part::Value(spelling) => {
                let slot = match key.take() {
                    Some(key) => line.property(&key).map(|property| property.slot).or(line.free),
                    None => next_argument(&mut arguments),
                };
                if let (Some(slot), Some(text)) = (slot, plain_text(spelling)) {
                    let form = form(slot, text);
                    spell(spelling, form);
                }
            }
            Part::Block(block) => {
                left_out = false;
                enforce(block, &inside(line, known));
            }
            Part::LineComment(_) | Part::BlockComment(_) | Part::Continuation | Part::Equals => {}
        }
    }
}

/// The lines that may stand in the block of a line.
fn inside(line: &'static Line, known: &[&'static Line]) -> Vec<&'static Line> {
    let mut lines: Vec<&'static Line> = match line.holds {
        // Of what it will be a part is not known here.
        Holds::Around if line.word == FRAGMENT.word => return Vec::new(),
        Holds::Around => return known.to_vec(),
        Holds::Nodes => line.slots().chain(KINDS.iter().copied()).collect(),
        _ => line.slots().collect(),
    };
    if line.holds == Holds::Node {
        lines.extend(CONDITIONS);
    }
    lines
}

/// The last argument of a line may take any number of values.
fn next_argument(arguments: &mut std::slice::Iter<'_, Argument>) -> Option<Slot> {
    let argument = arguments.as_slice().first()?;
    if argument.count != Count::Some {
        arguments.next();
    }
    Some(argument.slot)
}

/// How a text is spelled in a slot. A new slot says here which it is.
fn form(slot: Slot, text: &str) -> Form {
    match slot {
        Slot::Name | Slot::Reference(_) => Form::Bare,
        Slot::Word(words) if words.contains(&text) => Form::Bare,
        Slot::Time if text == "epoch" => Form::Bare,
        Slot::Text | Slot::Script | Slot::Expanded | Slot::Glob | Slot::Path | Slot::Part | Slot::Folder => {
            Form::Quoted
        }
        Slot::Late | Slot::Size | Slot::Platform | Slot::Regex | Slot::ModeChange => Form::Quoted,
        Slot::Word(_) | Slot::Time | Slot::Mode | Slot::Duration => Form::AsItIs,
        Slot::Int { .. } | Slot::Bool | Slot::Plain | Slot::Choice => Form::AsItIs,
    }
}

fn spell(spelling: &mut Cow<'_, str>, form: Form) {
    let respelled = match form {
        Form::Bare => quoted_text(spelling).filter(|text| is_name(text)).map(str::to_owned),
        // `$` is what stands before a block where `${…}` lacks quotes.
        Form::Quoted if is_bare_text(spelling) && spelling != "$" => Some(format!("\"{spelling}\"")),
        Form::Quoted | Form::AsItIs => None,
    };
    if let Some(respelled) = respelled {
        *spelling = Cow::Owned(respelled);
    }
}

/// The text that a spelling without escapes stands for.
fn plain_text(spelling: &str) -> Option<&str> {
    if is_bare_text(spelling) { Some(spelling) } else { quoted_text(spelling) }
}

/// Not a number nor a keyword.
fn is_bare_text(spelling: &str) -> bool {
    !spelling.starts_with(['"', '#']) && !number::begins_like_one(spelling)
}

/// What stands between quotes on one line, without escapes.
fn quoted_text(spelling: &str) -> Option<&str> {
    let hashes = spelling.bytes().take_while(|&byte| byte == b'#').count();
    let quoted = spelling.get(hashes..spelling.len().checked_sub(hashes)?)?;
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let has_escapes = hashes == 0 && text.contains('\\');
    (!has_escapes && !text.starts_with('"')).then_some(text)
}

/// What names, references and the words of slots look like, and what KDL reads as such without quotes.
fn is_name(text: &str) -> bool {
    text.starts_with(|symbol: char| symbol.is_ascii_alphabetic())
        && text.chars().all(|symbol| symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | '-' | '.'))
        && !matches!(text, "true" | "false" | "null" | "inf" | "nan")
}
