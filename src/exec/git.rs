//! `git` sources: which commit a branch or a tag is now, and a commit's files as a tree. Git carries the objects here;
//! what is made of them is decided here alone, so that nothing that was fetched is ever run or obeyed.

mod address;
pub mod error;
mod files;
mod modules;
mod object;
mod objects;
mod oid;
mod program;
mod refs;
mod repository;
mod said;
mod snapshot;

use std::path::Path;

use crate::base::address::shown;
use crate::base::cancel::Cancel;
use crate::base::tree_path::TreePath;
use crate::exec::git::address::Address;
use crate::exec::git::error::GitError;
use crate::exec::git::files::{Wanted, files};
use crate::exec::git::oid::Oid;
use crate::exec::git::program::Git;
use crate::lang::decl::git::is_reference;
use crate::store::memo::Memo;
use crate::tree::tree::Entry;

/// The machine's side of a fetch.
pub struct Around<'a> {
    pub memo: &'a Memo,
    /// Relative paths of repositories are below it.
    pub workspace: &'a Path,
    pub cancel: &'a Cancel,
}

/// What of a commit is wanted.
pub struct Source<'s> {
    pub url: &'s str,
    pub reference: Option<&'s str>,
    pub submodules: bool,
    pub path: Option<&'s TreePath>,
}

/// The commit that a branch, a tag or `refs/…` is now, or the repository's own branch: 40 or 64 hexadecimal digits.
pub fn resolve(around: &Around<'_>, url: &str, reference: Option<&str>) -> Result<String, GitError> {
    let address = Address::parse(url, around.workspace)?;
    refuse_options(&address, reference)?;
    let work = around.memo.work_folder()?;
    let git = Git { cancel: around.cancel, work: work.path() };
    let listing = repository::listing(&git, &address)?;
    Ok(refs::commit(&listing, &address, reference)?.to_string())
}

/// The files of the commit, in the store.
pub fn fetch(around: &Around<'_>, source: &Source<'_>, commit: &str) -> Result<Entry, GitError> {
    let address = Address::parse(source.url, around.workspace)?;
    refuse_options(&address, source.reference)?;
    let unknown = || GitError::NoCommit { address: shown(source.url), commit: commit.to_owned() };
    let wanted = Wanted {
        address: &address,
        commit: Oid::from_hex(commit).ok_or_else(unknown)?,
        reference: source.reference,
        path: source.path.cloned().unwrap_or_else(TreePath::root),
        submodules: source.submodules,
    };
    let work = around.memo.work_folder()?;
    files(around.memo, &Git { cancel: around.cancel, work: work.path() }, &wanted)
}

/// The language refuses them, too; what is handed to git is looked at here once more.
fn refuse_options(address: &Address, reference: Option<&str>) -> Result<(), GitError> {
    match reference.filter(|reference| !is_reference(reference)) {
        None => Ok(()),
        Some(reference) => Err(GitError::NoReference {
            address: address.shown(),
            reference: reference.to_owned(),
            nearest: None,
        }),
    }
}

#[cfg(test)]
mod tests;
