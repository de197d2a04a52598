//! `git`: the files of a commit.

use crate::base::address::shown;
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
    doc: "The files of a commit, by https, ssh or from a path. Of a `ref`, the lock file holds the commit where the line does not.",
    example: "git tool \"https://example.org/tool.git\" ref=\"v1.2\"",
    arguments: &[one("NAME", Slot::Name), one("URL", Slot::Text)],
    properties: &[
        may("commit", Slot::Text, "40 hexadecimal digits, or 64."),
        may("ref", Slot::Text, "A branch, a tag or `refs/…`; default the repository's own branch."),
        may("submodules", Slot::Bool, "Whether the files of submodules are there, too; default #false."),
        may("path", Slot::Part, "The folder or file of it that is taken."),
    ],
    holds: Holds::Node,
    ..Line::EMPTY
};

pub const KIND: Declaration = Declaration { line: &LINE, check, outputs, lower, is_of_a_platform: false };

fn outputs(_: &Item) -> Outputs {
    Outputs::only(TREE, Type::Tree)
}

fn check(item: &Item, findings: &mut Findings) {
    if let Some(given) = item.argument(1)
        && let Some(text) = given.text()
        && let Err(BadAddress { reason, help }) = transport(text)
    {
        let message = format!("`{}` {reason}", shorten(&shown(text)));
        findings.add(Mistake::new(Code::SourceForm, message, help).at(given.span.clone(), "given here"));
    }
    if let Some(given) = item.property("ref")
        && let Some(text) = given.text()
        && !is_reference(text)
    {
        let message = format!("`{}` is no branch and no tag", shorten(text));
        let mistake = Mistake::new(Code::SourceForm, message, LINE.example);
        findings.add(mistake.at(given.span.clone(), "given here"));
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

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://`, `http://`, `ssh://`, `git://`.
    Url,
    /// `user@host:path`, which is ssh.
    Scp,
    /// `file://` and an absolute path.
    File,
    /// A path: absolute, or below the workspace's root.
    Path,
}

/// Why an address is refused, as the rest of a sentence, and what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAddress {
    pub reason: &'static str,
    pub help: &'static str,
}

/// What git would take for an option, or start a program for (`ext::`), is refused.
pub fn transport(address: &str) -> Result<Transport, BadAddress> {
    let bad = |reason, help| Err(BadAddress { reason, help });
    let before_slash = address.split('/').next().unwrap_or_default();
    if address.is_empty() || address.starts_with('-') || address.contains(|symbol: char| symbol.is_control())
    {
        return bad("is nothing that git can fetch", LINE.example);
    }
    if let Some((scheme, rest)) = address.split_once("://")
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        return match scheme {
            "file" if rest.starts_with('/') => Ok(Transport::File),
            "https" | "http" | "ssh" | "git" if is_host(rest) => Ok(Transport::Url),
            _ => bad("is no address that git fetches here", "write it as https://…, ssh://… or a path"),
        };
    }
    match before_slash.split_once(':') {
        Some((host, path)) if is_host(host) && !path.starts_with([':', '-']) => Ok(Transport::Scp),
        Some(_) => bad("is no address that git fetches here", "write it as https://…, ssh://… or a path"),
        None if !address.starts_with('/') && address.split('/').any(|name| name == "..") => {
            bad("leads out of the workspace", "write a repository elsewhere as an absolute path")
        }
        None => Ok(Transport::Path),
    }
}

/// What begins with a user or host that no program takes for an option (CVE-2017-1000117).
fn is_host(text: &str) -> bool {
    let authority = text.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    !host.is_empty() && !host.starts_with('-') && !authority.starts_with('-')
}

/// A name that git takes for a branch or a tag (git-check-ref-format), or a whole `refs/…`.
pub fn is_reference(text: &str) -> bool {
    let is_plain = |symbol: char| !symbol.is_control() && !" ~^:?*[\\".contains(symbol);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    !text.starts_with(['-', '+'])
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && text != "@"
        && text.chars().all(is_plain)
        && text.split('/').all(is_part)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, expected) in [
            ("https://example.org/a.git", Some(Transport::Url)),
            ("ssh://git@example.org:22/a", Some(Transport::Url)),
            ("git://example.org/a", Some(Transport::Url)),
            ("git@example.org:a/b.git", Some(Transport::Scp)),
            ("host:a", Some(Transport::Scp)),
            ("file:///srv/a", Some(Transport::File)),
            ("/srv/a:b", Some(Transport::Path)),
            ("vendor/a", Some(Transport::Path)),
            ("./a:b", Some(Transport::Path)),
            ("../a", None),
            ("a/../../b", None),
            ("file://host/a", None),
            ("ext::sh -c true", None),
            ("fd::17", None),
            ("https::https://example.org", None),
            ("ftp://example.org/a", None),
            ("ssh://-oProxyCommand=true/a", None),
            ("ssh://git@-oProxyCommand=true/a", None),
            ("-oProxyCommand=true:a", None),
            ("git@-oProxyCommand=true:a", None),
            ("--upload-pack=true", None),
            ("https:///a", None),
            ("a\nb", None),
            ("", None),
        ] {
            assert_eq!(transport(address).ok(), expected, "{address}");
        }
    }

    #[test]
    fn references() {
        for text in ["main", "v1.2", "feature/a-b", "refs/pull/1/head", "HEAD", "ü"] {
            assert!(is_reference(text), "{text}");
        }
        for text in [
            "",
            "-x",
            "--upload-pack=x",
            "a:b",
            "+a",
            "a..b",
            "a b",
            "a^",
            "a~1",
            "a*",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a.lock",
            "a@{1}",
            "@",
            "a\n",
            "a\\b",
            "a.",
        ] {
            assert!(!is_reference(text), "{text}");
        }
    }
}
