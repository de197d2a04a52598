//! One layer (or tree) while operations are laid into it, each by the landing rule of `copy`: a directory's
//! entries land in `to`, a file lands as `to`. A layer takes from the root below only the metadata of
//! the parents of `to`, the links among them, and what `remove` finds: it is the same on every root alike there.

use std::cell::OnceCell;
use std::ops::ControlFlow;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::exec::executor::ExecError;
use crate::oci::image::Layer;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::edit;
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::flatten::squash;
use crate::tree::glob::Glob;
use crate::tree::overlay::{Layers, Merged};
use crate::tree::select::{unmatched, visit_matches};
use crate::tree::tree::{Content, Directory, Entry, Metadata};

pub struct Landing<'m> {
    supply: &'m Supply,
    memo: &'m Memo,
    /// The root that the layer will lie on, lowest first.
    layers: &'m [Layer],
    /// Its trees, once something was looked up there: what lands in `/` needs none of them.
    below: OnceCell<Vec<TreeDigest>>,
    layer: TreeDigest,
}

impl<'m> Landing<'m> {
    pub fn on(supply: &'m Supply, layers: &'m [Layer]) -> Result<Landing<'m>, StoreError> {
        let memo = supply.memo();
        let layer = encode::save(memo, &Directory::default())?;
        Ok(Landing { supply, memo, layers, below: OnceCell::new(), layer })
    }

    /// A change; without a root below, a tree without whiteouts.
    pub fn finish(self) -> TreeDigest {
        self.layer
    }

    /// The root with what has landed so far.
    pub fn root(&self) -> Result<Layers<'m>, ExecError> {
        Ok(Layers::new(self.memo, self.below()?.iter().copied().chain([self.layer])))
    }

    fn below(&self) -> Result<&[TreeDigest], ExecError> {
        if let Some(below) = self.below.get() {
            return Ok(below);
        }
        let trees = self.supply.trees(self.layers)?;
        Ok(self.below.get_or_init(|| trees))
    }

    /// A directory's entries land in `to`. If `to` is there already, or a link to it, it keeps its metadata;
    /// else it is made with the entry's. Nothing of another kind is ever replaced by a directory, nor a directory by it.
    pub fn land_directory(&mut self, to: &TreePath, entry: Entry) -> Result<(), ExecError> {
        if to.is_root() {
            return self.lay_checked(to, entry);
        }
        let root = self.root()?;
        let at = root.resolve(to)?;
        let metadata = match root.find(&at)? {
            None => entry.metadata,
            Some(Merged::Directory { metadata, .. }) => metadata,
            Some(_) => return Err(directory_on_file(to)),
        };
        self.lay_checked(&at, Entry { metadata, content: entry.content })
    }

    /// Anything but a directory lands as `to` and replaces what is there, if that is no directory
    /// nor a link to one.
    pub fn land_file(&mut self, to: &TreePath, entry: Entry) -> Result<(), ExecError> {
        let root = self.root()?;
        let at = root.resolve_parents(to)?;
        let end = match root.resolve(&at) {
            // A link that leads nowhere is replaced as any file is.
            Err(TreeError::Loop(_) | TreeError::BadTarget { .. }) => at.clone(),
            end => end?,
        };
        if let Some(Merged::Directory { .. }) = root.find(&end)? {
            return Err(file_on_directory(to));
        }
        self.lay_checked(&at, entry)
    }

    /// Makes the directory, with the parents that are missing; one that is there gets the mode and keeps all else.
    pub fn make_directory(&mut self, path: &TreePath, mode: u32) -> Result<(), ExecError> {
        let root = self.root()?;
        let at = root.resolve(path)?;
        let metadata = match root.find(&at)? {
            None => Metadata::plain(mode),
            Some(Merged::Directory { metadata, .. }) => Metadata { mode, ..metadata },
            Some(_) => return Err(directory_on_file(path)),
        };
        let tree = encode::save(self.memo, &Directory::default())?;
        self.lay_checked(&at, Entry { metadata, content: Content::Directory { tree, opaque: false } })
    }

    /// Lays a whole tree over everything; what it holds wins, of whatever kind.
    pub fn lay(&mut self, tree: TreeDigest) -> Result<(), StoreError> {
        self.layer = match self.layers {
            [] => edit::merge(self.memo, &[self.layer, tree])?,
            _ => squash(self.memo, &[self.layer, tree])?,
        };
        Ok(())
    }

    /// Takes away what the globs name: from the layer what landed before, and by a whiteout what the root holds.
    pub fn remove(&mut self, globs: &[String]) -> Result<(), ExecError> {
        let globs = Glob::parse_all(globs)?;
        let root = self.root()?;
        if let Some(glob) = unmatched(self.memo, root.root(), &globs)? {
            return Err(removes_nothing(glob));
        }
        let mut paths = Vec::new();
        let flow = visit_matches(self.memo, root.root(), &globs, &mut |path| {
            paths.push(path);
            ControlFlow::Continue(())
        })?;
        debug_assert!(flow.is_continue());
        for path in paths {
            self.layer = edit::remove(self.memo, self.layer, &path)?;
            if Layers::new(self.memo, self.below()?.iter().copied()).find(&path)?.is_some() {
                let change = self.wrap(&path, Entry::whiteout())?;
                self.lay(change)?;
            }
        }
        Ok(())
    }

    fn lay_checked(&mut self, at: &TreePath, entry: Entry) -> Result<(), ExecError> {
        let change = match entry.tree() {
            Some(tree) if at.is_root() => tree,
            _ => self.wrap(at, entry)?,
        };
        if let Some(path) = edit::clash(self.memo, self.layer, change, &other_kind)? {
            return Err(clashes(&path));
        }
        Ok(self.lay(change)?)
    }

    /// `entry` at `at`, below parents as the root has them.
    fn wrap(&self, at: &TreePath, entry: Entry) -> Result<TreeDigest, ExecError> {
        let root = self.root()?;
        edit::wrap(self.memo, at, entry, |parent| match root.find(parent)? {
            Some(Merged::Directory { metadata, .. }) => Ok(metadata),
            Some(_) => Err(below_a_file(at, parent)),
            None => Ok(Metadata::plain(0o755)),
        })
    }
}

fn other_kind(old: &Entry, new: &Entry) -> bool {
    old.is_directory() != new.is_directory() && old.content != Content::Whiteout
}

fn directory_on_file(to: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("a directory lands on `{to}`, which is no directory"),
        help: format!("choose another target, or `remove` `{to}` first"),
    }
}

fn file_on_directory(to: &TreePath) -> ExecError {
    let inside = if to.is_root() { "/".to_owned() } else { format!("{to}/") };
    ExecError::Input {
        message: format!("a file lands on `{to}`, which is a directory"),
        help: format!("write `{inside}` to put the file inside it"),
    }
}

fn below_a_file(at: &TreePath, parent: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("`{at}` cannot be made: `{parent}` is no directory"),
        help: format!("choose another target, or `remove` `{parent}` first"),
    }
}

fn clashes(path: &TreePath) -> ExecError {
    ExecError::Input {
        message: format!("at `{path}` a directory and a file land on each other"),
        help: format!("exclude one of the two, or `remove` `{path}` in between"),
    }
}

fn removes_nothing(glob: &Glob) -> ExecError {
    ExecError::Input {
        message: format!("`remove` `{}` matches nothing", glob.text()),
        help: "globs of `remove` begin at the root of what is composed".to_owned(),
    }
}
