//! `pull`: an image that exists already, from an image layout on this machine.

use crate::graph::op::{ImageSource, Op, Pull};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::table::{DOC, Line, Slot, may, one};

pub const LINE: Line = Line {
    word: "pull",
    doc: "An image from an image layout: a folder below the workspace or an absolute one.",
    example: "pull base \"oci:images/base:v1\"",
    arguments: &[one("NAME", Slot::Name), one("oci:PATH[:TAG]", Slot::Text)],
    properties: &[may("digest", Slot::Text, "`sha256:…` of its manifest; another one is an error.")],
    body: &[&DOC],
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower };

fn outputs(_: &Item) -> Outputs {
    Outputs::only("image", Type::Image)
}

fn check(item: &Item, findings: &mut Findings) {
    if let Some(source) = item.argument(1)
        && let Some(text) = source.text()
        && layout(text).is_none()
    {
        let message = format!("`{}` names no image layout", shorten(text));
        let help = "`pull` reads layouts, \"oci:PATH\" or \"oci:PATH:TAG\", without `..`; `skopeo copy` makes them from a registry";
        findings
            .add(Mistake::new(Code::PullTransport, message, help).at(source.span.clone(), "not a layout"));
    }
    if let Some(digest) = item.property("digest")
        && let Some(text) = digest.text()
        && !is_digest(text)
    {
        let message = format!("`{}` is not a digest", shorten(text));
        let help = "write \"sha256:\" and 64 hexadecimal digits";
        findings.add(Mistake::new(Code::TypeValue, message, help).at(digest.span.clone(), "given here"));
    }
}

fn lower(item: &Item, _: &mut Edges<'_>) -> Op {
    let source = item.argument(1).and_then(Given::text).unwrap_or_default();
    let (path, tag) = layout(source).expect("bug: a pull that was not checked");
    Op::Pull(Pull {
        source: ImageSource::Layout { path: path.to_owned(), reference: tag.map(str::to_owned) },
        digest: item.property("digest").and_then(Given::text).map(str::to_owned),
    })
}

/// Path and tag, split at the first colon as skopeo does.
fn layout(text: &str) -> Option<(&str, Option<&str>)> {
    let rest = text.strip_prefix("oci:")?;
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let leaves = path.split('/').any(|name| name == "..");
    (!path.is_empty() && !leaves && tag != Some("")).then_some((path, tag))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        for (text, expected) in [
            ("oci:a/b", Some(("a/b", None))),
            ("oci:/a:v1", Some(("/a", Some("v1")))),
            ("oci:a:x:y", Some(("a", Some("x:y")))),
            ("oci:", None),
            ("oci:a:", None),
            ("oci:../a", None),
            ("docker.io/library/alpine", None),
        ] {
            assert_eq!(layout(text), expected, "{text}");
        }
    }
}
