//! `pull`: an image that exists already, from an image layout on this machine.

use crate::base::digest::OciDigest;
use crate::graph::op::{ImageSource, LayoutForm, Op, Pull};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::table::{Holds, Line, Slot, may, one};
use crate::net::reference::Reference;

pub const LINE: Line = Line {
    word: "pull",
    doc: "An image that exists already: of a registry, of an image layout, or of an archive (oci-archive:FILE, docker-archive:FILE); each below the workspace or absolute.",
    example: "pull base \"oci:images/base:v1\"",
    arguments: &[one("NAME", Slot::Name), one("REGISTRY/REPOSITORY:TAG|oci:PATH[:TAG]", Slot::Text)],
    properties: &[may("digest", Slot::Text, "`sha256:…` of its manifest; another one is an error.")],
    holds: Holds::Node,
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: true };

/// For messages: what people mean who pull a label.
pub const NOT_FOR_LABELS: &str =
    "`pull` is for registries; to use another package's node, name it in `from`, `mount` or `copy`.";

fn outputs(_: &Item) -> Outputs {
    Outputs::only("image", Type::Image)
}

fn check(item: &Item, findings: &mut Findings) {
    if let Some(given) = item.argument(1)
        && let Some(text) = given.text()
        && source(text).is_none()
    {
        let message = format!("`{}` names no image", shorten(text));
        let mistake = Mistake::new(Code::PullTransport, message, instead_of(text));
        findings.add(mistake.at(given.span.clone(), "not an image"));
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

/// What to write instead of a text that names no image.
fn instead_of(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match text.split_once("://") {
        _ if text.starts_with("//") => NOT_FOR_LABELS.to_owned(),
        Some((_, image)) if is_reference(image) => format!("write it without the transport: \"{image}\""),
        None if is_reference(&lower) => format!("write it in lower case: \"{lower}\""),
        _ => "write \"docker.io/library/alpine:3.22\", or a layout without `..`: \"oci:PATH:TAG\"".to_owned(),
    }
}

fn lower(item: &Item, _: &mut Edges<'_>) -> Op {
    let text = item.argument(1).and_then(Given::text).unwrap_or_default();
    let source = source(text).expect("bug: a pull that was not checked");
    let in_name = match &source {
        ImageSource::Registry(name) => name.split_once('@').map(|(_, digest)| digest),
        ImageSource::Layout { .. } => None,
    };
    let digest = item.property("digest").and_then(Given::text).or(in_name).map(str::to_owned);
    Op::Pull(Pull { source, digest })
}

fn source(text: &str) -> Option<ImageSource> {
    for form in [LayoutForm::Folder, LayoutForm::Archive, LayoutForm::DockerArchive] {
        if let Some(rest) = text.strip_prefix(form.word()).and_then(|rest| rest.strip_prefix(':')) {
            let (path, tag) = layout(rest)?;
            let (path, reference) = (path.to_owned(), tag.map(str::to_owned));
            return Some(ImageSource::Layout { path, reference, form });
        }
    }
    is_reference(text).then(|| ImageSource::Registry(text.to_owned()))
}

fn is_reference(text: &str) -> bool {
    text.parse::<Reference>().is_ok()
}

/// Path and tag, split at the first colon as skopeo does.
fn layout(rest: &str) -> Option<(&str, Option<&str>)> {
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    let leaves = path.split('/').any(|name| name == "..");
    (!path.is_empty() && !leaves && tag != Some("")).then_some((path, tag))
}

fn is_digest(text: &str) -> bool {
    text.parse::<OciDigest>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        for (text, expected) in [
            ("oci:a/b", Some(("a/b", None, LayoutForm::Folder))),
            ("oci:/a:v1", Some(("/a", Some("v1"), LayoutForm::Folder))),
            ("oci:a:x:y", Some(("a", Some("x:y"), LayoutForm::Folder))),
            ("oci-archive:a.tar:1", Some(("a.tar", Some("1"), LayoutForm::Archive))),
            ("docker-archive:a.tar:h:5/x:1", Some(("a.tar", Some("h:5/x:1"), LayoutForm::DockerArchive))),
            ("oci:", None),
            ("oci:a:", None),
            ("oci:../a", None),
            ("docker-archive:a/../../b", None),
        ] {
            let found = source(text);
            let found = found.as_ref().map(|source| match source {
                ImageSource::Layout { path, reference, form } => (path.as_str(), reference.as_deref(), *form),
                ImageSource::Registry(name) => panic!("{text} is no registry's {name}"),
            });
            assert_eq!(found, expected, "{text}");
        }
    }
}
