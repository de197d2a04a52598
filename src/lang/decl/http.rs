//! `http`: a file at a URL, or the content of an archive there.

use crate::base::address::shown;
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
        may(
            "name",
            Slot::Text,
            "What the file is called where it lands in a folder; default the last segment of the URL.",
        ),
        may("mode", Slot::Mode, "Default 0o644."),
        may(
            "extract",
            Slot::Bool,
            "Whether the content of the archive is taken, with its own modes; default #false.",
        ),
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
        let message = format!("`{}` is no address that `http` fetches", shorten(&shown(text)));
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
    check_extract(item, findings);
}

/// What is said of a file means nothing for an archive's content, and the other way round.
fn check_extract(item: &Item, findings: &mut Findings) {
    let refused: &[(&str, &str, &str)] = match is_extracted(item) {
        true => &[
            ("mode", "an archive says itself which modes its files have", "leave `mode` out, or `extract`"),
            ("name", "an archive says itself what its files are called", "leave `name` out, or `extract`"),
        ],
        false => {
            &[("strip", "`strip` is for the names in archives", "add extract=#true, or leave `strip` out")]
        }
    };
    for (property, message, help) in refused {
        if let Some(given) = item.property(property) {
            let mistake = Mistake::new(Code::SlotExtra, *message, *help);
            findings.add(mistake.at(given.span.clone(), "given here"));
        }
    }
}

fn is_extracted(item: &Item) -> bool {
    item.property("extract").and_then(Given::truth).unwrap_or(false)
}

/// What the file is called where it lands in a folder: `name`, or the last segment of the address.
pub fn file_name(item: &Item) -> Option<String> {
    if is_extracted(item) {
        return None;
    }
    let given = item.property("name").and_then(Given::text).map(str::to_owned);
    given.or_else(|| last_segment(item.argument(1)?.text()?))
}

fn last_segment(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split(['?', '#']).next()?;
    let (_, last) = path.rsplit_once('/')?;
    (!matches!(last, "" | "." | "..")).then(|| last.to_owned())
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
        extract: is_extracted(item),
        strip: u32::try_from(strip).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_their_address_ends() {
        for (url, expected) in [
            ("https://h/a/tool-1.2.tar.gz", Some("tool-1.2.tar.gz")),
            ("https://h/a?b=/c#/d", Some("a")),
            ("https://h/a/", None),
            ("https://h", None),
            ("https://h/..", None),
        ] {
            assert_eq!(last_segment(url).as_deref(), expected, "{url}");
        }
    }
}
