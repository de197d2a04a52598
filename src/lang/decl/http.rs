//! `http`: a file at a URL, or the content of an archive there.

use crate::graph::op::{Fetch, Op};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::lower::TREE;
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::table::{Holds, Line, Slot, may, one};

pub const LINE: Line = Line {
    word: "http",
    doc: "A file at a URL, as a tree of that one file. The lock file holds its digest where the line does not.",
    example: "http sources \"https://example.org/tool-1.2.tar.gz\" extract=#true strip=1",
    arguments: &[one("NAME", Slot::Name), one("URL", Slot::Text)],
    properties: &[
        may("sha256", Slot::Text, "64 hexadecimal digits; other bytes are an error."),
        may("name", Slot::Text, "What the file is called; default the last segment of the URL."),
        may("mode", Slot::Mode, "Default 0o644."),
        may("extract", Slot::Bool, "Whether the content of the archive is taken; default #false."),
        may("strip", Slot::Int { min: 0, max: 100 }, "Leading folders that are dropped from its names."),
    ],
    holds: Holds::Node,
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn outputs(_: &Item) -> Outputs {
    Outputs::only(TREE, Type::Tree)
}

fn check(item: &Item, findings: &mut Findings) {
    if let Some(url) = item.argument(1)
        && let Some(text) = url.text()
        && !["https://", "http://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        let message = format!("`{}` is no address that `http` fetches", shorten(text));
        let mistake = Mistake::new(Code::SourceForm, message, "write it in full: \"https://…\"");
        findings.add(mistake.at(url.span.clone(), "not http or https"));
    }
    if let Some(given) = item.property("sha256")
        && let Some(text) = given.text()
        && !is_hexadecimal(text, &[64])
    {
        let message = format!("`{}` is not a SHA-256 digest", shorten(text));
        let mistake = Mistake::new(Code::TypeValue, message, "write 64 hexadecimal digits in lower case");
        findings.add(mistake.at(given.span.clone(), "given here"));
    }
    if let Some(given) = item.property("name")
        && let Some(text) = given.text()
        && (text.is_empty() || text.contains(['/', '\0']) || [".", ".."].contains(&text))
    {
        let message = format!("`{}` is no name of a file", shorten(text));
        let mistake = Mistake::new(Code::TypeValue, message, "name=\"tool.tar.gz\"");
        findings.add(mistake.at(given.span.clone(), "given here"));
    }
}

/// In lower case, with one of these lengths.
pub fn is_hexadecimal(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len())
        && text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
}

fn lower(item: &Item, _: &mut Edges<'_>) -> Op {
    let text = |name: &str| item.property(name).and_then(Given::text).map(str::to_owned);
    let strip = item.property("strip").and_then(Given::int).unwrap_or(0);
    Op::Fetch(Fetch::Http {
        url: item.argument(1).and_then(Given::text).unwrap_or_default().to_owned(),
        sha256: text("sha256"),
        name: text("name"),
        mode: item.property("mode").and_then(Given::mode),
        extract: item.property("extract").and_then(Given::truth).unwrap_or(false),
        strip: u32::try_from(strip).unwrap_or(0),
    })
}
