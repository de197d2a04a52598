//! `http` and `git` sources. Before a key is asked for, what a name points to now is found out, once in a build, so
//! that the key holds content and every node sees the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::cancel::Cancel;
use crate::exec::beyond;
use crate::exec::executor::ExecError;
use crate::exec::git::{self, Around, Source};
use crate::graph::op::Fetch;
use crate::store::memo::Memo;
use crate::tree::tree::Entry;

pub struct Fetching {
    memo: Memo,
    workspace: PathBuf,
    cancel: Cancel,
    asks: bool,
    /// Commits by address and reference, as they were found.
    commits: Mutex<BTreeMap<(String, Option<String>), String>>,
}

impl Fetching {
    pub fn new(memo: &Memo, workspace: &Path, cancel: &Cancel) -> Fetching {
        Fetching {
            memo: memo.clone(),
            workspace: workspace.to_owned(),
            cancel: cancel.clone(),
            asks: true,
            commits: Mutex::default(),
        }
    }

    pub fn asking_nobody(self) -> Fetching {
        Fetching { asks: false, ..self }
    }

    /// Fills in the commit that a branch or tag is now, where none is known.
    pub fn pin(&self, fetch: &mut Fetch) -> Result<(), ExecError> {
        match fetch {
            Fetch::Git { url, commit, reference, .. } if commit.is_none() && self.asks => {
                *commit = Some(self.commit(url, reference.as_deref())?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The commit that `reference`, or the repository's own branch, is now.
    pub fn commit(&self, url: &str, reference: Option<&str>) -> Result<String, ExecError> {
        let key = (url.to_owned(), reference.map(str::to_owned));
        let mut commits = self.commits.lock().expect("bug: poisoned");
        if let Some(known) = commits.get(&key) {
            return Ok(known.clone());
        }
        let found = git::resolve(&self.around(&self.cancel), url, reference)?;
        Ok(commits.entry(key).or_insert(found).clone())
    }

    pub fn fetch(&self, fetch: &Fetch, cancel: &Cancel) -> Result<Entry, ExecError> {
        match fetch {
            Fetch::Git { url, commit, reference, submodules, path } => {
                let commit = match commit {
                    Some(commit) => commit.clone(),
                    None => self.commit(url, reference.as_deref())?,
                };
                let (reference, path) = (reference.as_deref(), path.as_ref());
                let source = Source { url, reference, submodules: *submodules, path };
                Ok(git::fetch(&self.around(cancel), &source, &commit)?)
            }
            Fetch::Http { .. } => Err(beyond::fetching(fetch)),
        }
    }

    fn around<'a>(&'a self, cancel: &'a Cancel) -> Around<'a> {
        Around { memo: &self.memo, workspace: &self.workspace, cancel }
    }
}
