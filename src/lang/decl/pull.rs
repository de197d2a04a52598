//! `pull`: an image that exists already, from an image layout on this machine.

use crate::graph::op::{ImageSource, Op, Pull};
use crate::graph::value::Type;
use crate::lang::code::Code;
use crate::lang::decl::{Declaration, Edges, Outputs};
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::table::{Holds, Line, Slot, may, one};

pub const LINE: Line = Line {
    word: "pull",
    doc: "An image that exists already: of a registry, or of an image layout, a folder below the workspace or an absolute one.",
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
    Op::Pull(Pull {
        source: source(text).expect("bug: a pull that was not checked"),
        digest: item.property("digest").and_then(Given::text).map(str::to_owned),
    })
}

fn source(text: &str) -> Option<ImageSource> {
    if text.starts_with("oci:") {
        let (path, tag) = layout(text)?;
        return Some(ImageSource::Layout { path: path.to_owned(), reference: tag.map(str::to_owned) });
    }
    is_reference(text).then(|| ImageSource::Registry(text.to_owned()))
}

/// `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]` (distribution-spec, "Pulling manifests").
fn is_reference(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    let is_word = |word: &str, more: &str| {
        !word.is_empty() && word.chars().all(|symbol| symbol.is_ascii_alphanumeric() || more.contains(symbol))
    };
    let mut parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 1 && (parts[0].contains(['.', ':']) || parts[0] == "localhost") {
        let host = parts.remove(0);
        let (host, port) = host.rsplit_once(':').unwrap_or((host, "1"));
        if !is_word(host, ".-[]:") || port.parse::<u16>().is_err() {
            return false;
        }
    }
    let is_lower = |part: &&str| is_word(part, "._-") && !part.bytes().any(|byte| byte.is_ascii_uppercase());
    parts.iter().all(is_lower)
        && tag.is_none_or(|tag| is_word(tag, "._-") && tag.len() <= 128)
        && digest.is_none_or(is_digest)
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
    fn references() {
        let digest = format!("alpine@sha256:{}", "0a".repeat(32));
        for (text, expected) in [
            ("alpine", true),
            ("docker.io/library/alpine:3.22", true),
            ("localhost:5000/a/b_c.d:V1", true),
            (digest.as_str(), true),
            ("alpine@sha256:0a", false),
            ("Alpine", false),
            ("a//b", false),
            ("alpine:", false),
            ("docker://alpine", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn layouts() {
        for (text, expected) in [
            ("oci:a/b", Some(("a/b", None))),
            ("oci:/a:v1", Some(("/a", Some("v1")))),
            ("oci:a:x:y", Some(("a", Some("x:y")))),
            ("oci:", None),
            ("oci:a:", None),
            ("oci:../a", None),
        ] {
            assert_eq!(layout(text), expected, "{text}");
        }
    }
}
