//! Small operations from tree to tree. Each writes the directories it changes and shares all others.

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::flatten;
use crate::tree::mode_change::ModeChange;
use crate::tree::overlay::Stack;
use crate::tree::tree::{Content, Directory, Entry, Metadata};

/// A tree that holds `entry` at `path` and nothing else but the directories on the way,
/// which get the metadata that `parents` knows for them. `path` is not the root.
pub fn wrap<E: From<StoreError>>(
    memo: &Memo,
    path: &TreePath,
    entry: Entry,
    mut parents: impl FnMut(&TreePath) -> Result<Metadata, E>,
) -> Result<TreeDigest, E> {
    let mut entry = entry;
    let mut at = path.clone();
    loop {
        let (Some(name), Some(parent)) = (at.name(), at.parent()) else {
            unreachable!("bug: nothing can be wrapped at the root");
        };
        let directory = Directory { entries: [(name.to_vec(), entry)].into() };
        let tree = encode::save(memo, &directory)?;
        if parent.is_root() {
            return Ok(tree);
        }
        entry = Entry { metadata: parents(&parent)?, content: Content::Directory { tree, opaque: false } };
        at = parent;
    }
}

/// `tree` without what stands at `path`; directories that become empty stay.
pub fn remove(memo: &Memo, tree: TreeDigest, path: &TreePath) -> Result<TreeDigest, StoreError> {
    let names: Vec<_> = path.names().collect();
    remove_names(memo, tree, &names)
}

fn remove_names(memo: &Memo, tree: TreeDigest, names: &[&[u8]]) -> Result<TreeDigest, StoreError> {
    let Some((&name, below)) = names.split_first() else { return encode::save(memo, &Directory::default()) };
    let mut directory = encode::load(memo, tree)?;
    if below.is_empty() {
        directory.entries.remove(name);
    } else {
        let Some(entry) = directory.entries.get_mut(name) else { return Ok(tree) };
        let Content::Directory { tree: child, .. } = &mut entry.content else { return Ok(tree) };
        *child = remove_names(memo, *child, below)?;
    }
    encode::save(memo, &directory)
}

/// Trees without whiteouts in one; where two hold a path, the later wins.
pub fn merge(memo: &Memo, trees: &[TreeDigest]) -> Result<TreeDigest, StoreError> {
    flatten::flatten_stack(memo, &Stack::plain(trees.iter().copied()))
}

/// The first path that both trees hold and for which `clash` says that it cannot be both.
/// Directories on both sides are gone into, and never clash themselves.
pub fn clash(
    memo: &Memo,
    lower: TreeDigest,
    upper: TreeDigest,
    clash: &dyn Fn(&Entry, &Entry) -> bool,
) -> Result<Option<TreePath>, StoreError> {
    clash_below(memo, lower, upper, clash, &TreePath::root())
}

fn clash_below(
    memo: &Memo,
    lower: TreeDigest,
    upper: TreeDigest,
    clash: &dyn Fn(&Entry, &Entry) -> bool,
    above: &TreePath,
) -> Result<Option<TreePath>, StoreError> {
    if lower == upper {
        return Ok(None);
    }
    let (lower, upper) = (encode::load(memo, lower)?, encode::load(memo, upper)?);
    for (name, new) in &upper.entries {
        let Some(old) = lower.entries.get(name) else { continue };
        let path = above.join(name);
        let found = match (old.tree(), new.tree()) {
            (Some(lower), Some(upper)) => clash_below(memo, lower, upper, clash, &path)?,
            _ => clash(old, new).then_some(path),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What all entries of a tree get instead of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    /// User and group id.
    pub owner: Option<(u32, u32)>,
    /// For all but symbolic links, which have none of their own.
    pub mode: Option<NewMode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewMode {
    Exact(u32),
    /// Made from each entry's own.
    Changed(ModeChange),
}

impl NewMode {
    fn of(&self, entry: &Entry) -> u32 {
        match self {
            NewMode::Exact(mode) => *mode,
            NewMode::Changed(change) => change.apply(entry.metadata.mode, entry.is_directory()),
        }
    }
}

/// `entry` and all below it with the stamp's owner and mode.
pub fn stamp(memo: &Memo, entry: &Entry, stamp: &Stamp) -> Result<Entry, StoreError> {
    if *stamp == Stamp::default() {
        return Ok(entry.clone());
    }
    stamp_all(memo, entry, stamp)
}

fn stamp_all(memo: &Memo, entry: &Entry, stamp: &Stamp) -> Result<Entry, StoreError> {
    let mut entry = entry.clone();
    if let Some((uid, gid)) = stamp.owner {
        (entry.metadata.uid, entry.metadata.gid) = (uid, gid);
    }
    if let (Some(mode), false) = (&stamp.mode, matches!(entry.content, Content::Symlink { .. })) {
        entry.metadata.mode = mode.of(&entry);
    }
    if let Content::Directory { tree, .. } = &mut entry.content {
        let mut directory = encode::load(memo, *tree)?;
        for child in directory.entries.values_mut() {
            *child = stamp_all(memo, child, stamp)?;
        }
        *tree = encode::save(memo, &directory)?;
    }
    Ok(entry)
}
