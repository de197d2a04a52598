//! Commits and trees as git stores them, read strictly: what no tree of ours can hold is refused by name.

use std::collections::HashSet;

use crate::exec::git::oid::{Format, Oid};

/// One name of a tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) oid: Oid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tree,
    File {
        executable: bool,
    },
    Link,
    /// A commit of another repository.
    Submodule,
}

/// The tree that a commit object names in its first line.
pub(super) fn tree_of(commit: &[u8]) -> Option<Oid> {
    let line = commit.split(|byte| *byte == b'\n').next()?;
    Oid::from_hex(std::str::from_utf8(line.strip_prefix(b"tree ")?).ok()?)
}

/// Why a tree object cannot be used, and the name that it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadTree {
    pub(super) name: String,
    pub(super) reason: &'static str,
}

/// The names of a tree object: `mode SP name NUL oid`, again and again.
pub(super) fn items(mut tree: &[u8], format: Format) -> Result<Vec<Item>, BadTree> {
    let mut items: Vec<Item> = Vec::new();
    let mut names = HashSet::new();
    while !tree.is_empty() {
        let (item, rest) = item(tree, format)?;
        if !names.insert(item.name.clone()) {
            return Err(bad(&item.name, "stands there twice"));
        }
        items.push(item);
        tree = rest;
    }
    Ok(items)
}

fn item(tree: &[u8], format: Format) -> Result<(Item, &[u8]), BadTree> {
    let cut = || bad(b"", "is cut off");
    let space = tree.iter().position(|byte| *byte == b' ').ok_or_else(cut)?;
    let (mode, rest) = (&tree[..space], &tree[space + 1..]);
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
    let (name, rest) = (&rest[..end], &rest[end + 1..]);
    let (oid, rest) = rest.split_at_checked(format.length()).ok_or_else(cut)?;
    let oid = Oid::from_bytes(oid).ok_or_else(cut)?;
    if let Some(reason) = refusal(name) {
        return Err(bad(name, reason));
    }
    let kind = kind(mode).ok_or_else(|| bad(name, "has a mode that git does not have"))?;
    Ok((Item { name: name.to_vec(), kind, oid }, rest))
}

/// As octal digits; 100664 is what git wrote in its first year.
fn kind(mode: &[u8]) -> Option<Kind> {
    match mode {
        b"40000" | b"040000" => Some(Kind::Tree),
        b"100644" | b"100664" => Some(Kind::File { executable: false }),
        b"100755" => Some(Kind::File { executable: true }),
        b"120000" => Some(Kind::Link),
        b"160000" => Some(Kind::Submodule),
        _ => None,
    }
}

/// Names that would lead elsewhere, or would be a repository to whoever looks at the files later.
fn refusal(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("has no name"),
        b"." | b".." => Some("would lead out of its folder"),
        name if name.contains(&b'/') => Some("holds a slash"),
        name if name.len() > 255 => Some("is longer than 255 bytes"),
        name if name.eq_ignore_ascii_case(b".git") => Some("would be a repository of its own"),
        _ => None,
    }
}

fn bad(name: &[u8], reason: &'static str) -> BadTree {
    BadTree { name: String::from_utf8_lossy(name).into_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(items: &[(&str, &str)]) -> Vec<u8> {
        let mut tree = Vec::new();
        for (mode, name) in items {
            tree.extend(format!("{mode} {name}\0").bytes());
            tree.extend([7; 20]);
        }
        tree
    }

    #[test]
    fn every_mode_of_git() {
        let tree = raw(&[
            ("100755", "a"),
            ("100644", "b"),
            ("40000", "c"),
            ("120000", "d"),
            ("160000", "e"),
            ("100664", "f"),
        ]);
        let kinds: Vec<Kind> = items(&tree, Format::Sha1).unwrap().iter().map(|item| item.kind).collect();
        let plain = Kind::File { executable: false };
        assert_eq!(
            kinds,
            [Kind::File { executable: true }, plain, Kind::Tree, Kind::Link, Kind::Submodule, plain]
        );
        assert_eq!(items(b"", Format::Sha1), Ok(Vec::new()));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (mode, name, reason) in [
            ("100644", "..", "would lead out of its folder"),
            ("40000", ".", "would lead out of its folder"),
            ("100644", "a/b", "holds a slash"),
            ("40000", ".GiT", "would be a repository of its own"),
            ("100644", "", "has no name"),
            ("100644", &"x".repeat(256), "is longer than 255 bytes"),
            ("20666", "null", "has a mode that git does not have"),
        ] {
            let found = items(&raw(&[(mode, name)]), Format::Sha1);
            assert_eq!(found, Err(BadTree { name: name.to_owned(), reason }));
        }
        assert_eq!(
            items(&raw(&[("100644", "a"), ("100755", "a")]), Format::Sha1).unwrap_err().reason,
            "stands there twice"
        );
    }

    #[test]
    fn what_is_cut_off_is_no_tree() {
        let tree = raw(&[("100644", "name")]);
        for end in 1..tree.len() {
            assert_eq!(items(&tree[..end], Format::Sha1).unwrap_err().reason, "is cut off", "{end}");
        }
    }

    #[test]
    fn a_commit_names_its_tree_first() {
        let hex = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let commit = format!("tree {hex}\nparent {hex}\n\nwords\n");
        assert_eq!(tree_of(commit.as_bytes()), Oid::from_hex(hex));
        assert_eq!(tree_of(b"object e69de29\ntree x\n"), None);
    }
}
