//! Layers seen as one root, as a mount of them would show it, without writing anything out.
//! Only directories on the way to what is asked for are loaded. Never touches a file system.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::upper::{Below, Held};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Directory, Entry, Metadata};

/// Symbolic links followed on one way before it counts as a loop, as Linux does (path_resolution(7)).
pub(in crate::tree) const MOST_LINKS: usize = 40;

/// A root made of layers.
pub struct Layers<'m> {
    memo: &'m Memo,
    root: Stack,
}

/// One directory as several layers make it, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stack {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tree) struct Part {
    pub(in crate::tree) tree: TreeDigest,
    /// Known to hold no whiteouts and no opaque directories, so that it need not be looked through for them.
    pub(in crate::tree) plain: bool,
}

/// What a name stands for in a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    Directory {
        /// Of the topmost layer that has it.
        metadata: Metadata,
        stack: Stack,
        /// Nothing from under the stack shows through.
        closed: bool,
    },
    /// Anything but a directory.
    Other(Entry),
    /// A layer removes the name: under the stack it may still stand.
    Removed,
}

impl<'m> Layers<'m> {
    /// `layers` are changes, lowest first.
    pub fn new(memo: &'m Memo, layers: impl IntoIterator<Item = TreeDigest>) -> Layers<'m> {
        Layers { memo, root: Stack::changes(layers) }
    }

    /// A tree without whiteouts, seen the same way.
    pub fn plain(memo: &'m Memo, tree: TreeDigest) -> Layers<'m> {
        Layers { memo, root: Stack::plain([tree]) }
    }

    pub fn root(&self) -> &Stack {
        &self.root
    }

    /// What stands at `path`, with no symbolic link followed. The root is a directory of mode 0755 owned by 0:0.
    pub fn find(&self, path: &TreePath) -> Result<Option<Merged>, StoreError> {
        let mut found =
            Merged::Directory { metadata: Metadata::plain(0o755), stack: self.root.clone(), closed: true };
        for name in path.names() {
            let Merged::Directory { stack, .. } = found else { return Ok(None) };
            match stack.child(self.memo, name)? {
                None | Some(Merged::Removed) => return Ok(None),
                Some(child) => found = child,
            }
        }
        Ok(Some(found))
    }

    /// The names in the directory at `path`; `None` where there is no directory.
    pub fn directory(&self, path: &TreePath) -> Result<Option<BTreeMap<Vec<u8>, Merged>>, StoreError> {
        let Some(Merged::Directory { stack, .. }) = self.find(path)? else { return Ok(None) };
        let mut names = stack.list(self.memo)?;
        names.retain(|_, merged| *merged != Merged::Removed);
        Ok(Some(names))
    }

    /// `path` with the symbolic links among its parents followed, as inside a chroot.
    /// What does not exist stays as written.
    pub fn resolve_parents(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        self.follow(path, false)
    }

    /// As `resolve_parents`, and the last name followed too.
    pub fn resolve(&self, path: &TreePath) -> Result<TreePath, TreeError> {
        self.follow(path, true)
    }

    fn follow(&self, path: &TreePath, last_too: bool) -> Result<TreePath, TreeError> {
        let mut rest: VecDeque<Vec<u8>> = path.names().map(<[u8]>::to_vec).collect();
        let mut resolved = TreePath::root();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    resolved = resolved.parent().unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            let here = resolved.join(&name);
            let may_follow = last_too || !rest.is_empty();
            let Some(target) = self.link_target(&here)?.filter(|_| may_follow) else {
                resolved = here;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(TreeError::Loop(path.clone()));
            }
            if target.first() == Some(&b'/') {
                resolved = TreePath::root();
            }
            for name in target.split(|&byte| byte == b'/').rev() {
                check_name(&here, &target, name)?;
                rest.push_front(name.to_vec());
            }
        }
        Ok(resolved)
    }

    fn link_target(&self, path: &TreePath) -> Result<Option<Vec<u8>>, StoreError> {
        match self.find(path)? {
            Some(Merged::Other(Entry { content: Content::Symlink { target }, .. })) => Ok(Some(target)),
            _ => Ok(None),
        }
    }
}

impl Below for Layers<'_> {
    fn directory(&self, path: &TreePath) -> Result<BTreeMap<Vec<u8>, Held>, TreeError> {
        let held = |merged| match merged {
            Merged::Directory { metadata, .. } => Held::Directory(metadata),
            Merged::Other(entry) => Held::Other(entry),
            Merged::Removed => unreachable!("bug: a listing holds no removed name"),
        };
        let names = Layers::directory(self, path)?.unwrap_or_default();
        Ok(names.into_iter().map(|(name, merged)| (name, held(merged))).collect())
    }
}

/// A name from a link's target, which nothing has checked yet.
fn check_name(path: &TreePath, target: &[u8], name: &[u8]) -> Result<(), TreeError> {
    if name == b".." {
        return Ok(());
    }
    TreePath::parse(name).map(drop).map_err(|error| TreeError::BadTarget {
        path: path.clone(),
        target: String::from_utf8_lossy(target).into_owned(),
        reason: error.to_string(),
    })
}

impl Stack {
    /// Trees that may hold whiteouts.
    pub fn changes(trees: impl IntoIterator<Item = TreeDigest>) -> Stack {
        Stack { parts: trees.into_iter().map(|tree| Part { tree, plain: false }).collect() }
    }

    /// Trees that hold none.
    pub fn plain(trees: impl IntoIterator<Item = TreeDigest>) -> Stack {
        Stack { parts: trees.into_iter().map(|tree| Part { tree, plain: true }).collect() }
    }

    /// `change` over this.
    pub fn under(mut self, change: TreeDigest) -> Stack {
        self.parts.push(Part { tree: change, plain: false });
        self
    }

    pub(in crate::tree) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What `name` stands for; `None` where no layer says anything about it.
    pub fn child(&self, memo: &Memo, name: &[u8]) -> Result<Option<Merged>, StoreError> {
        let directories = self.load(memo)?;
        Ok(self.merged(&directories, name))
    }

    pub fn list(&self, memo: &Memo) -> Result<BTreeMap<Vec<u8>, Merged>, StoreError> {
        let directories = self.load(memo)?;
        Ok(self.list_loaded(&directories))
    }

    pub(in crate::tree) fn load(&self, memo: &Memo) -> Result<Vec<Directory>, StoreError> {
        self.parts.iter().map(|part| encode::load(memo, part.tree)).collect()
    }

    /// `directories` are this stack's own, loaded.
    pub(in crate::tree) fn list_loaded(&self, directories: &[Directory]) -> BTreeMap<Vec<u8>, Merged> {
        let names: BTreeSet<_> = directories.iter().flat_map(|directory| directory.entries.keys()).collect();
        let merged = |name: &Vec<u8>| Some((name.clone(), self.merged(directories, name)?));
        names.into_iter().filter_map(merged).collect()
    }

    fn merged(&self, directories: &[Directory], name: &[u8]) -> Option<Merged> {
        let mut metadata = None;
        let mut parts = Vec::new();
        let mut closed = false;
        for (part, directory) in self.parts.iter().zip(directories).rev() {
            let Some(entry) = directory.entries.get(name) else { continue };
            match &entry.content {
                Content::Directory { tree, opaque } => {
                    metadata.get_or_insert_with(|| entry.metadata.clone());
                    parts.push(Part { tree: *tree, plain: part.plain });
                    closed = *opaque;
                }
                _ if metadata.is_some() => closed = true,
                Content::Whiteout => return Some(Merged::Removed),
                _ => return Some(Merged::Other(entry.clone())),
            }
            if closed {
                break;
            }
        }
        parts.reverse();
        metadata.map(|metadata| Merged::Directory { metadata, stack: Stack { parts }, closed })
    }
}

#[cfg(test)]
mod tests;
