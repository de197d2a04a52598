//! Two trees → what changed between them: as a change that leads from one to the other, and as a list for people.
//! Equal subtrees are recognised by their digest and not loaded.

use std::collections::BTreeSet;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::flatten;
use crate::tree::overlay::Stack;
use crate::tree::tree::{Content, Directory, Entry};

/// The change that makes `after` out of `before`; `None` stands for an empty root.
pub fn diff(memo: &Memo, before: Option<TreeDigest>, after: TreeDigest) -> Result<TreeDigest, StoreError> {
    match before {
        None => Ok(after),
        Some(before) => diff_directories(memo, before, after),
    }
}

/// `change` done to `base`, which holds no whiteouts: neither does the result.
pub fn apply(memo: &Memo, base: TreeDigest, change: TreeDigest) -> Result<TreeDigest, StoreError> {
    flatten::flatten_stack(memo, &Stack::plain([base]).under(change))
}

/// One line of what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: TreePath,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// With all below it.
    Added,
    /// With all below it.
    Removed,
    /// Other content, another kind of entry, another mode, owner or xattr.
    Changed,
}

/// What differs, sorted by path.
pub fn changes(memo: &Memo, before: TreeDigest, after: TreeDigest) -> Result<Vec<Change>, StoreError> {
    let mut list = Vec::new();
    collect(memo, before, after, &TreePath::root(), &mut list)?;
    Ok(list)
}

fn diff_directories(memo: &Memo, before: TreeDigest, after: TreeDigest) -> Result<TreeDigest, StoreError> {
    let mut change = Directory::default();
    if before != after {
        let (before, after) = (encode::load(memo, before)?, encode::load(memo, after)?);
        for (name, old, new) in pairs(&before, &after) {
            if let Some(entry) = diff_entries(memo, old, new)? {
                change.entries.insert(name.clone(), entry);
            }
        }
    }
    encode::save(memo, &change)
}

fn diff_entries(memo: &Memo, old: Option<&Entry>, new: Option<&Entry>) -> Result<Option<Entry>, StoreError> {
    let Some(new) = new else { return Ok(old.map(|_| Entry::whiteout())) };
    let Some(old) = old else { return Ok(Some(new.clone())) };
    match (&old.content, &new.content) {
        _ if old == new => Ok(None),
        (Content::Directory { tree: before, .. }, Content::Directory { tree: after, .. }) => {
            let tree = diff_directories(memo, *before, *after)?;
            let content = Content::Directory { tree, opaque: false };
            Ok(Some(Entry { metadata: new.metadata.clone(), content }))
        }
        _ => Ok(Some(new.clone())),
    }
}

fn collect(
    memo: &Memo,
    before: TreeDigest,
    after: TreeDigest,
    above: &TreePath,
    list: &mut Vec<Change>,
) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    let (before, after) = (encode::load(memo, before)?, encode::load(memo, after)?);
    for (name, old, new) in pairs(&before, &after) {
        let path = above.join(name);
        let kind = match (old, new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) => {
                let (Some(before), Some(after)) = (old.tree(), new.tree()) else {
                    list.push(Change { path, kind: ChangeKind::Changed });
                    continue;
                };
                if old.metadata != new.metadata {
                    list.push(Change { path: path.clone(), kind: ChangeKind::Changed });
                }
                collect(memo, before, after, &path, list)?;
                continue;
            }
        };
        list.push(Change { path, kind });
    }
    Ok(())
}

/// Every name of either, in order, with what it stands for in both.
fn pairs<'d>(
    before: &'d Directory,
    after: &'d Directory,
) -> impl Iterator<Item = (&'d Vec<u8>, Option<&'d Entry>, Option<&'d Entry>)> {
    let names: BTreeSet<_> = before.entries.keys().chain(after.entries.keys()).collect();
    names.into_iter().map(|name| (name, before.entries.get(name), after.entries.get(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::dsl::{memo, show, tree};

    #[test]
    fn what_changed() {
        let (_folder, memo) = memo();
        for (before, after, change, list) in [
            ("a=1", "a=1", "{}", ""),
            ("a=1", "a=2", "a=2", "Changed /a"),
            ("a=1", "a=1:600", "a=1:600", "Changed /a"),
            ("{}", "d/a=1 d/b=2", "d/a=1 d/b=2", "Added /d"),
            ("d/a=1 d/b=2", "{}", "d!", "Removed /d"),
            ("d/a=1 d/b=2", "d/a=1 d/c=2", "d/b! d/c=2", "Removed /d/b, Added /d/c"),
            ("d/a=1", "d/:700 d/a=1", "d/:700", "Changed /d"),
            ("d/a=1", "d=1", "d=1", "Changed /d"),
            ("d=1", "d/a=1", "d/a=1", "Changed /d"),
            ("l->a", "l->b", "l->b", "Changed /l"),
            ("d/a=1", "d/", "d/a!", "Removed /d/a"),
        ] {
            let (old, new) = (tree(&memo, before), tree(&memo, after));
            let made = diff(&memo, Some(old), new).unwrap();
            assert_eq!(show(&memo, made), change, "`{before}` to `{after}`");
            let listed = changes(&memo, old, new).unwrap();
            let listed: Vec<_> =
                listed.iter().map(|change| format!("{:?} {}", change.kind, change.path)).collect();
            assert_eq!(listed.join(", "), list, "`{before}` to `{after}`");
        }
    }

    #[test]
    fn equal_subtrees_are_not_loaded() {
        let (_folder, memo) = memo();
        let unknown = Entry::directory(TreeDigest::of(b"not in the store"));
        let with = |text: &str| {
            let mut root = encode::load(&memo, tree(&memo, text)).unwrap();
            root.entries.insert(b"same".to_vec(), unknown.clone());
            encode::save(&memo, &root).unwrap()
        };
        let (before, after) = (with("a=1"), with("a=2"));
        let change = diff(&memo, Some(before), after).unwrap();
        assert_eq!(show(&memo, change), "a=2");
        assert_eq!(apply(&memo, before, change).unwrap(), after);
        assert_eq!(changes(&memo, before, after).unwrap().len(), 1);
    }
}
