//! The objects of one commit, read into the store: from the commit to its tree, from there to what a path names, and
//! to all below it.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _};

use crate::base::digest::BlobDigest;
use crate::base::suggest::nearest;
use crate::base::tree_path::TreePath;
use crate::exec::git::error::{GitError, SUBMODULE};
use crate::exec::git::object::{self, BadTree, Item, Kind};
use crate::exec::git::objects::Objects;
use crate::exec::git::oid::Oid;
use crate::store::memo::Memo;

/// What a path of a commit names, with all below it.
pub(super) struct Snapshot {
    pub(super) top: Item,
    /// What of the path lies inside of `top`, which is a submodule then.
    pub(super) rest: TreePath,
    /// Where `top` is.
    pub(super) at: TreePath,
    pub(super) trees: HashMap<Oid, Vec<Item>>,
    /// Blobs in the store, with their sizes.
    pub(super) files: HashMap<Oid, (BlobDigest, u64)>,
    pub(super) targets: HashMap<Oid, Vec<u8>>,
    /// The text of `.gitmodules`; empty where there is none.
    pub(super) modules: Vec<u8>,
}

/// As long as Linux takes, without the NUL.
const LONGEST_TARGET: u64 = 4095;

/// `address` is for messages.
pub(super) fn read(
    memo: &Memo,
    objects: &mut Objects<'_>,
    commit: Oid,
    path: &TreePath,
    address: &str,
) -> Result<Snapshot, GitError> {
    let (kind, bytes) = objects.read(commit)?;
    let root = (kind == "commit").then(|| object::tree_of(&bytes)).flatten();
    let Some(root) = root else {
        return Err(GitError::NotACommit { address: address.to_owned(), commit: commit.to_string(), kind });
    };
    let names = tree(objects, root)?;
    let modules = names.iter().find(|item| item.name == b".gitmodules" && is_file(item.kind));
    let modules = modules.map(|item| objects.read(item.oid)).transpose()?;
    let top = Item { name: Vec::new(), kind: Kind::Tree, oid: root };
    let (top, at, rest) = descend(objects, top, path)?;
    let mut snapshot = Snapshot {
        top,
        rest,
        at,
        trees: HashMap::new(),
        files: HashMap::new(),
        targets: HashMap::new(),
        modules: modules.map(|(_, text)| text).unwrap_or_default(),
    };
    snapshot.read_trees(objects)?;
    snapshot.read_files(memo, objects)?;
    Ok(snapshot)
}

const fn is_file(kind: Kind) -> bool {
    matches!(kind, Kind::File { .. })
}

fn tree(objects: &mut Objects<'_>, oid: Oid) -> Result<Vec<Item>, GitError> {
    let (kind, bytes) = objects.read(oid)?;
    items(oid, &kind, &bytes)
}

fn items(oid: Oid, kind: &str, bytes: &[u8]) -> Result<Vec<Item>, GitError> {
    if kind != "tree" {
        return Err(GitError::Entry {
            path: oid.to_string(),
            reason: "is no folder, though a folder names it so",
        });
    }
    let unusable = |BadTree { name, reason }| GitError::Entry { path: name, reason };
    object::items(bytes, oid.format()).map_err(unusable)
}

/// The item at `path`; or the submodule on the way there, and what is left of the path.
fn descend(
    objects: &mut Objects<'_>,
    root: Item,
    path: &TreePath,
) -> Result<(Item, TreePath, TreePath), GitError> {
    let (mut item, mut at) = (root, TreePath::root());
    for name in path.names() {
        let through = |what| GitError::Through { path: path.to_string(), at: at.to_string(), what };
        match item.kind {
            Kind::Tree => {}
            Kind::Link => return Err(through("a symbolic link")),
            Kind::File { .. } => return Err(through("a file")),
            Kind::Submodule => break,
        }
        let below = tree(objects, item.oid)?;
        let next = at.join(name);
        match below.iter().find(|item| item.name == name) {
            Some(found) => item = found.clone(),
            None => return Err(no_path(path, &at, name, &below)),
        }
        at = next;
    }
    if item.kind == Kind::Link {
        return Err(GitError::Through {
            path: path.to_string(),
            at: at.to_string(),
            what: "a symbolic link",
        });
    }
    let rest = path.strip_prefix(&at).unwrap_or_else(TreePath::root);
    Ok((item, at, rest))
}

fn no_path(path: &TreePath, at: &TreePath, name: &[u8], there: &[Item]) -> GitError {
    let names: Vec<String> =
        there.iter().map(|item| String::from_utf8_lossy(&item.name).into_owned()).collect();
    let near = nearest(&String::from_utf8_lossy(name), names.iter().map(String::as_str));
    let near = near.map(|name| at.join(name.as_bytes()).to_string().trim_start_matches('/').to_owned());
    GitError::NoPath { path: path.to_string(), nearest: near }
}

impl Snapshot {
    /// Where `submodules` are not fetched, a path cannot go into one.
    pub(super) fn refuse_submodule(&self) -> Result<(), GitError> {
        if self.top.kind == Kind::Submodule && !self.rest.is_root() {
            let path = self.at.below(&self.rest).to_string();
            return Err(GitError::Through { path, at: self.at.to_string(), what: SUBMODULE });
        }
        Ok(())
    }

    pub(super) fn has_submodules(&self) -> bool {
        self.items().any(|item| item.kind == Kind::Submodule)
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.trees.values().flatten().chain([&self.top])
    }

    /// All trees below the top, level by level, each once.
    fn read_trees(&mut self, objects: &mut Objects<'_>) -> Result<(), GitError> {
        let mut level: Vec<Oid> = match self.top.kind {
            Kind::Tree => vec![self.top.oid],
            _ => Vec::new(),
        };
        while !level.is_empty() {
            let mut next = HashSet::new();
            objects.each(&level, &mut |oid, kind, _, bytes| {
                let mut read = Vec::new();
                bytes.read_to_end(&mut read)?;
                let items = items(oid, kind, &read)?;
                next.extend(items.iter().filter(|item| item.kind == Kind::Tree).map(|item| item.oid));
                self.trees.insert(oid, items);
                Ok(())
            })?;
            level = next.into_iter().filter(|oid| !self.trees.contains_key(oid)).collect();
        }
        Ok(())
    }

    /// Files go to the store as they come; targets of links stay in memory.
    fn read_files(&mut self, memo: &Memo, objects: &mut Objects<'_>) -> Result<(), GitError> {
        let of = |wanted: fn(Kind) -> bool| -> Vec<Oid> {
            let found = self.items().filter(|item| wanted(item.kind)).map(|item| item.oid);
            found.collect::<HashSet<Oid>>().into_iter().collect()
        };
        let (files, links) = (of(is_file), of(|kind| kind == Kind::Link));
        objects.each(&files, &mut |oid, kind, _, bytes| {
            refuse_other(oid, kind)?;
            let mut writer = memo.blob_writer()?;
            io::copy(bytes, &mut writer)?;
            let written = writer.finish()?;
            self.files.insert(oid, (written.blob, written.size));
            Ok(())
        })?;
        objects.each(&links, &mut |oid, kind, _, bytes| {
            refuse_other(oid, kind)?;
            let mut target = Vec::new();
            bytes.take(LONGEST_TARGET + 1).read_to_end(&mut target)?;
            if target.is_empty() || target.contains(&0) || target.len() as u64 > LONGEST_TARGET {
                return Err(GitError::Entry {
                    path: oid.to_string(),
                    reason: "is a link that leads nowhere",
                });
            }
            self.targets.insert(oid, target);
            Ok(())
        })
    }
}

fn refuse_other(oid: Oid, kind: &str) -> Result<(), GitError> {
    match kind {
        "blob" => Ok(()),
        _ => {
            Err(GitError::Entry { path: oid.to_string(), reason: "is no file, though a folder names it so" })
        }
    }
}
