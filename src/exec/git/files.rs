//! The files of a commit as a tree in the store, with those of its submodules where they are wanted. Modes are 0755 and
//! 0644, all is owned by 0:0, and nothing is there but what the commit holds: equal commits are equal trees.

use std::collections::HashMap;

use crate::base::tree_path::TreePath;
use crate::exec::git::address::Address;
use crate::exec::git::error::GitError;
use crate::exec::git::modules;
use crate::exec::git::object::{Item, Kind};
use crate::exec::git::objects::Objects;
use crate::exec::git::oid::Oid;
use crate::exec::git::program::Git;
use crate::exec::git::repository::Repository;
use crate::exec::git::snapshot::{self, Snapshot};
use crate::store::memo::Memo;
use crate::tree::encode::save;
use crate::tree::tree::{Content, Directory, Entry, Metadata};

/// What is asked of a repository.
pub(super) struct Wanted<'w> {
    pub(super) address: &'w Address,
    pub(super) commit: Oid,
    /// A branch or tag that has the commit, where one is known.
    pub(super) reference: Option<&'w str>,
    pub(super) path: TreePath,
    pub(super) submodules: bool,
}

/// Repositories inside each other.
const DEEPEST: usize = 10;

/// Folders inside each other.
const DEEPEST_FOLDER: usize = 512;

/// As archives may have: a few objects can name each other so that they come to any number.
const MOST_ENTRIES: u64 = 4_000_000;

pub(super) fn files(memo: &Memo, git: &Git<'_>, wanted: &Wanted<'_>) -> Result<Entry, GitError> {
    Ok(fetch(memo, git, wanted, 0)?.entry)
}

/// `depth`: of repositories around this one.
fn fetch(memo: &Memo, git: &Git<'_>, wanted: &Wanted<'_>, depth: usize) -> Result<Composed, GitError> {
    if depth > DEEPEST {
        return Err(GitError::TooDeep(DEEPEST));
    }
    let repository = Repository::take(memo, git, wanted.address, wanted.commit.format())?;
    let read = match read(memo, git, &repository, wanted) {
        // What was kept is damaged: all is fetched anew.
        Err(GitError::Damaged(_)) => {
            repository.begin()?;
            read(memo, git, &repository, wanted)
        }
        read => read,
    };
    let snapshot = match read {
        Err(error) if !error.is_input() => return Err(error),
        read => {
            repository.put_back();
            read?
        }
    };
    let has_submodules = wanted.submodules && snapshot.has_submodules();
    if !has_submodules {
        snapshot.refuse_submodule()?;
    }
    let addresses = if has_submodules { modules::addresses(git, &snapshot.modules)? } else { HashMap::new() };
    let submodules = Submodules { memo, git, wanted, addresses, rest: &snapshot.rest, depth };
    let mut composing = Composing { snapshot: &snapshot, submodules, known: HashMap::new(), entries: 0 };
    composing.compose(&snapshot.top, &snapshot.at, 0)
}

fn read(
    memo: &Memo,
    git: &Git<'_>,
    repository: &Repository<'_>,
    wanted: &Wanted<'_>,
) -> Result<Snapshot, GitError> {
    repository.bring(wanted.commit, wanted.reference)?;
    let mut objects = Objects::open(git, repository.path())?;
    snapshot::read(memo, &mut objects, wanted.commit, &wanted.path, &wanted.address.shown())
}

#[derive(Clone)]
struct Composed {
    entry: Entry,
    /// Itself and all below it.
    entries: u64,
    /// It depends on where it is: a submodule is in it.
    is_of_its_place: bool,
}

struct Submodules<'s> {
    memo: &'s Memo,
    git: &'s Git<'s>,
    wanted: &'s Wanted<'s>,
    addresses: HashMap<Vec<u8>, String>,
    /// What is taken of a submodule that is the whole result.
    rest: &'s TreePath,
    depth: usize,
}

impl Submodules<'_> {
    fn files(&self, commit: Oid, path: &TreePath, rest: TreePath) -> Result<Composed, GitError> {
        let url = self.addresses.get(path.as_bytes()).ok_or_else(|| GitError::NoUrl(path.to_string()))?;
        let inside = |cause| GitError::Submodule { path: path.to_string(), cause: Box::new(cause) };
        let address = self.wanted.address.submodule(url).map_err(inside)?;
        let wanted = Wanted { address: &address, commit, reference: None, path: rest, submodules: true };
        fetch(self.memo, self.git, &wanted, self.depth + 1).map_err(|error| match error {
            GitError::Store(_) | GitError::Cancelled | GitError::NoProgram | GitError::Damaged(_) => error,
            cause => inside(cause),
        })
    }
}

struct Composing<'c> {
    snapshot: &'c Snapshot,
    submodules: Submodules<'c>,
    /// Folders that are the same wherever they are.
    known: HashMap<Oid, Composed>,
    /// So far.
    entries: u64,
}

impl Composing<'_> {
    fn compose(&mut self, item: &Item, path: &TreePath, depth: usize) -> Result<Composed, GitError> {
        let (entry, is_of_its_place) = match item.kind {
            Kind::Tree => return self.folder(item.oid, path, depth),
            Kind::File { executable } => {
                let (blob, size) = self.snapshot.files[&item.oid];
                (Entry::file(blob, size, if executable { 0o755 } else { 0o644 }), false)
            }
            Kind::Link => {
                let target = self.snapshot.targets[&item.oid].clone();
                (Entry { metadata: Metadata::plain(0o777), content: Content::Symlink { target } }, false)
            }
            Kind::Submodule if self.submodules.wanted.submodules => {
                let rest = if depth == 0 { self.submodules.rest.clone() } else { TreePath::root() };
                let mut composed = self.submodules.files(item.oid, path, rest)?;
                composed.is_of_its_place = true;
                self.count(composed.entries)?;
                return Ok(composed);
            }
            Kind::Submodule => (Entry::directory(save(self.submodules.memo, &Directory::default())?), false),
        };
        self.count(1)?;
        Ok(Composed { entry, entries: 1, is_of_its_place })
    }

    fn folder(&mut self, oid: Oid, path: &TreePath, depth: usize) -> Result<Composed, GitError> {
        if let Some(known) = self.known.get(&oid).cloned() {
            self.count(known.entries)?;
            return Ok(known);
        }
        if depth > DEEPEST_FOLDER {
            return Err(GitError::Entry { path: path.to_string(), reason: "lies too deep" });
        }
        self.count(1)?;
        let mut directory = Directory::default();
        let (mut entries, mut is_of_its_place) = (1, false);
        let snapshot = self.snapshot;
        for item in &snapshot.trees[&oid] {
            let below = self.compose(item, &path.join(&item.name), depth + 1)?;
            entries += below.entries;
            is_of_its_place |= below.is_of_its_place;
            directory.entries.insert(item.name.clone(), below.entry);
        }
        let entry = Entry::directory(save(self.submodules.memo, &directory)?);
        let composed = Composed { entry, entries, is_of_its_place };
        if !is_of_its_place {
            self.known.insert(oid, composed.clone());
        }
        Ok(composed)
    }

    fn count(&mut self, more: u64) -> Result<(), GitError> {
        self.entries = self.entries.saturating_add(more);
        if self.entries > MOST_ENTRIES { Err(GitError::TooMany(MOST_ENTRIES)) } else { Ok(()) }
    }
}
