//! The first line of every file: `memobuild 1`.

use crate::lang::code::Code;
use crate::lang::files::File;
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::syntax::{Document, Node, Value};
use crate::lang::table::{MEMOBUILD, VERSION};

/// What follows the version line. `None` when the file is of another version of the language.
pub fn check<'a>(file: &File, document: &'a Document, findings: &mut Findings) -> Option<&'a [Node]> {
    let missing = |message: &str| {
        Mistake::new(Code::VersionMissing, message, format!("first line: {}", MEMOBUILD.example))
    };
    let nodes = &document.nodes;
    let Some((first, rest)) = nodes.split_first() else {
        findings.add(missing(&format!("the file {} is empty", file.name())));
        return None;
    };
    if first.word != MEMOBUILD.word {
        let mistake = missing("the file does not say which version of the language it is written in");
        findings.add(mistake.at(first.word_span.clone(), "the file begins here"));
        return Some(nodes);
    }
    match first.entries.as_slice() {
        [entry] if entry.key.is_none() && first.block.is_none() => match &entry.value {
            Value::Int(number) if *number == i128::from(VERSION) => return Some(rest),
            value => {
                let shown = match value {
                    Value::Int(number) => number.to_string(),
                    Value::Text(text) => format!("\"{text}\""),
                    _ => "another value".to_owned(),
                };
                let message = format!("this program reads version {VERSION} of the language, not {shown}");
                let help = format!("write {}, or use a newer memobuild", MEMOBUILD.example);
                let mistake = Mistake::new(Code::VersionUnknown, message, help);
                findings.add(mistake.at(entry.span.clone(), "another version"));
            }
        },
        _ => {
            let mistake = missing("the version line holds one number");
            findings.add(mistake.at(first.word_span.clone(), "not one number"));
        }
    }
    None
}
