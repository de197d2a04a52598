//! `git`: the files of a commit.

use crate::graph::op::{Fetch, Op};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::http::is_hexadecimal;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::lower::TREE;
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::table::{Holds, Line, Slot, may, one};

pub const LINE: Line = Line {
    word: "git",
    doc: "The files of a commit. Of a `ref`, the lock file holds the commit where the line does not.",
    example: "git tool \"https://example.org/tool.git\" ref=\"v1.2\"",
    arguments: &[one("NAME", Slot::Name), one("URL", Slot::Text)],
    properties: &[
        may("commit", Slot::Text, "40 hexadecimal digits, or 64."),
        may("ref", Slot::Text, "A branch or a tag; default the repository's own branch."),
        may("submodules", Slot::Bool, "Whether the files of submodules are there, too; default #false."),
        may("path", Slot::Part, "The folder of it that is taken."),
    ],
    holds: Holds::Node,
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn outputs(_: &Item) -> Outputs {
    Outputs::only(TREE, Type::Tree)
}

/// What git itself would take for an option is refused.
fn check(item: &Item, findings: &mut Findings) {
    for given in item.argument(1).into_iter().chain(item.property("ref")) {
        if let Some(text) = given.text()
            && (text.is_empty() || text.starts_with('-') || text.contains(['\0', '\n']))
        {
            let message = format!("`{}` is nothing that git can fetch", shorten(text));
            let mistake = Mistake::new(Code::SourceForm, message, LINE.example);
            findings.add(mistake.at(given.span.clone(), "given here"));
        }
    }
    if let Some(given) = item.property("commit")
        && let Some(text) = given.text()
        && !is_hexadecimal(text, &[40, 64])
    {
        let message = format!("`{}` is no commit", shorten(text));
        let help = "write all 40 hexadecimal digits in lower case; branches and tags are ref=\"…\"";
        findings.add(Mistake::new(Code::TypeValue, message, help).at(given.span.clone(), "given here"));
    }
}

fn lower(item: &Item, _: &mut Edges<'_>) -> Op {
    let text = |name: &str| item.property(name).and_then(Given::text).map(str::to_owned);
    Op::Fetch(Fetch::Git {
        url: item.argument(1).and_then(Given::text).unwrap_or_default().to_owned(),
        commit: text("commit"),
        reference: text("ref"),
        submodules: item.property("submodules").and_then(Given::truth).unwrap_or(false),
        path: item.property("path").and_then(Given::path).cloned(),
    })
}
