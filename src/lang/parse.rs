//! Text → KDL nodes, by the kdl crate. Its spans are good and its words are weak, and it recurses:
//! `slip.rs` looks first, bounds the depth, and says in our words what newcomers get wrong.

use std::borrow::Cow;

use kdl::{KdlDiagnostic, KdlDocument, KdlError};

use crate::lang::code::Code;
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::slip;
use crate::lang::token::{Kind, Tokens, is_newline};

/// Blocks this deep fit into any thread's stack (2 MiB), so that a usual file costs no thread.
const DEPTH_ON_ANY_STACK: usize = 8;

/// Bytes of stack for the deepest file that `slip.rs` lets through.
const LARGE_STACK: usize = 16 << 20;

/// `None` when something was added to `findings`.
pub fn parse(text: &str, findings: &mut Findings) -> Option<KdlDocument> {
    let before = findings.count();
    let depth = slip::look(text, findings);
    if findings.count() > before {
        return None;
    }
    match read(&plain_comments(text), depth) {
        Ok(document) => Some(document),
        Err(error) => {
            findings.add(explain(text, &error));
            None
        }
    }
}

fn read(text: &str, depth: usize) -> Result<KdlDocument, KdlError> {
    if depth <= DEPTH_ON_ANY_STACK {
        return KdlDocument::parse_v2(text);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(LARGE_STACK);
        match thread.spawn_scoped(scope, || KdlDocument::parse_v2(text)) {
            Ok(parse) => parse.join().expect("bug: the kdl crate panicked"),
            // No memory for a thread: the system's own stack limit decides.
            Err(_) => KdlDocument::parse_v2(text),
        }
    })
}

/// The text with white space for the `*` and `/` inside of comments: the kdl crate recurses once for each.
/// No place moves.
fn plain_comments(text: &str) -> Cow<'_, str> {
    let mut plain = Cow::Borrowed(text);
    if !text.contains("/*") {
        return plain;
    }
    for token in Tokens::new(text) {
        if !matches!(token.kind, Kind::Comment { .. }) || !text[token.span.clone()].starts_with("/*") {
            continue;
        }
        let inside = token.span.start + 2..token.span.end - 2;
        if text[inside.clone()].contains(['*', '/']) {
            let blanked = text[inside.clone()].replace(['*', '/'], " ");
            plain.to_mut().replace_range(inside, &blanked);
        }
    }
    plain
}

/// The first finding only: after it the kdl crate reports what follows from it.
fn explain(text: &str, error: &KdlError) -> Mistake {
    let Some(first) = error.diagnostics.first() else {
        return Mistake::new(Code::KdlSyntax, "this is not KDL 2", "see https://kdl.dev for its grammar");
    };
    let start = floor_boundary(text, first.span.offset());
    let end = floor_boundary(text, start + first.span.len());
    let span = start..start + text[start..end].find(is_newline).unwrap_or(end - start);
    if text[start..].trim_start_matches('#').starts_with("\"\"\"") {
        let help = "each line of the text begins with the same white space as the closing \"\"\"";
        return Mistake::new(Code::KdlString, "the lines of this text are not indented alike", help)
            .at(span, "this text");
    }
    Mistake::new(Code::KdlSyntax, "KDL does not allow this here", syntax_help(first)).at(span, "not expected")
}

fn syntax_help(diagnostic: &KdlDiagnostic) -> String {
    let order = "a line is: a word, values, key=value pairs, and last perhaps one block { … }";
    match &diagnostic.help {
        Some(help) => help.clone(),
        None => order.to_owned(),
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<Code> {
        let mut findings = Findings::default();
        let document = parse(text, &mut findings);
        assert_eq!(document.is_some(), findings.is_empty());
        let mistakes = findings.finish(&crate::lang::source::named(text));
        mistakes.shown.first().map(|mistake| mistake.code)
    }

    #[test]
    fn what_only_the_parser_sees() {
        assert_eq!(check("a \"\"\"\n  x\n y\n  \"\"\"\n"), Some(Code::KdlString));
        assert_eq!(check("a b\r\nc d\r\n"), None);
    }

    #[test]
    fn the_deepest_allowed_blocks_fit_the_stack() {
        let deep = format!("{}{}", "a {\n".repeat(64), "}\n".repeat(64));
        assert_eq!(check(&deep), None);
        let shallow = format!("{}{}", "a {\n".repeat(8), "}\n".repeat(8));
        let small = std::thread::Builder::new().stack_size(1 << 20);
        small.spawn(move || assert_eq!(check(&shallow), None)).unwrap().join().unwrap();
    }

    #[test]
    fn comments_of_any_length_fit_the_stack() {
        assert_eq!(check(&format!("a /*{}*/ b\n", "* - / - ".repeat(300_000))), None);
        assert_eq!(check(&format!("a /*{}*/ b\n", "/*é*/ ".repeat(300_000))), None);
        assert_eq!(plain_comments("a /* *é/* / */ */ b // *"), "a /*  é        */ b // *");
        assert_eq!(plain_comments("\"/* * */\" // /* * */"), "\"/* * */\" // /* * */");
    }

    /// The kdl crate recurses for what it does not expect, so that `slip` must know its whole grammar.
    #[test]
    fn the_kdl_crate_reads_what_is_let_through() {
        use proptest::prelude::*;
        const PIECES: &[&str] = &[
            "a",
            "b",
            " ",
            " ",
            " ",
            "\n",
            ";",
            "{",
            "}",
            "{",
            "}",
            "=",
            "/-",
            "\"x\"",
            "#\"y\"#",
            "1",
            "#true",
            "//c\n",
            "/*c*/",
            "\\\n",
            "\\",
            "\t",
            "-",
            ".",
            "+1",
            "é",
            "\"\"\"\n\"\"\"",
            "\"\"\"\n x\n \"\"\"",
            "\r\n",
            ",",
            "~",
            "'",
            "\"\"",
            "0x1",
            "1_",
            "-0",
            "+",
            "\\//x\n",
            "\u{85}",
            "\u{a0}",
        ];
        let text = proptest::collection::vec(proptest::sample::select(PIECES), 1..24);
        proptest!(ProptestConfig::with_cases(20_000), |(pieces in text)| {
            let text = pieces.concat();
            let mut findings = Findings::default();
            slip::look(&text, &mut findings);
            if findings.is_empty() {
                prop_assert!(KdlDocument::parse_v2(&text).is_ok(), "{text:?}");
            }
        });
    }
}
