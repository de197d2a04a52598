//! `http` and `git` sources. Before a key is asked for, what a name points to now is found out, once in a build, so
//! that the key holds content and every node sees the same.

use std::path::{Path, PathBuf};

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::exec::executor::ExecError;
use crate::exec::found::Found;
use crate::exec::git::{self, Around, Source};
use crate::exec::http::{self, Expected};
use crate::graph::op::Fetch;
use crate::net::http::Client;
use crate::oci::extract::extract;
use crate::oci::supply::Supply;
use crate::oci::unpack::Budget;
use crate::store::memo::{Memo, Written};
use crate::tree::edit::{Stamp, stamp};
use crate::tree::tree::Entry;

pub struct Fetching {
    supply: Supply,
    workspace: PathBuf,
    /// Commits by address and reference, as they were found.
    commits: Found<(String, Option<String>), String>,
    /// What was at an address, as it was found.
    files: Found<String, Written>,
}

impl Fetching {
    pub fn new(supply: &Supply, workspace: &Path) -> Fetching {
        Fetching {
            supply: supply.clone(),
            workspace: workspace.to_owned(),
            commits: Found::default(),
            files: Found::default(),
        }
    }

    /// Fills in what is there now, a commit or a digest, where neither is known.
    pub fn pin(&self, fetch: &mut Fetch) -> Result<(), ExecError> {
        match fetch {
            Fetch::Git { url, commit, reference, .. } if commit.is_none() => {
                *commit = Some(self.commit(url, reference.as_deref())?);
            }
            Fetch::Http { url, sha256, .. } if sha256.is_none() => {
                *sha256 = Some(self.file(url)?.oci.to_hex());
            }
            _ => {}
        }
        Ok(())
    }

    /// The commit that `reference`, or the repository's own branch, is now.
    pub fn commit(&self, url: &str, reference: Option<&str>) -> Result<String, ExecError> {
        let key = (url.to_owned(), reference.map(str::to_owned));
        self.commits.get(key, || Ok(git::resolve(&self.around(self.supply.cancel()), url, reference)?))
    }

    /// The bytes that are at the address now, in the store.
    pub fn file(&self, url: &str) -> Result<Written, ExecError> {
        self.files
            .get(url.to_owned(), || http::current(self.memo(), &self.client()?, url, self.supply.cancel()))
    }

    /// `node` is for messages.
    pub fn fetch(&self, fetch: &Fetch, node: &str, cancel: &Cancel) -> Result<Entry, ExecError> {
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
            Fetch::Http { url, sha256, name: _, mode, extract, strip } => {
                let file = match sha256 {
                    Some(hex) => self.known(url, hex, node, cancel)?,
                    None => self.file(url)?,
                };
                match extract {
                    true => self.content(&file, *strip),
                    false => Ok(Entry::file(file.blob, file.size, mode.unwrap_or(Fetch::MODE))),
                }
            }
        }
    }

    /// Bytes that were fetched before need no network, wherever they came from.
    fn known(&self, url: &str, hex: &str, node: &str, cancel: &Cancel) -> Result<Written, ExecError> {
        let digest: OciDigest = format!("sha256:{hex}").parse().map_err(|_| ExecError::Input {
            message: format!("`{hex}` is not a SHA-256 digest"),
            help: "write 64 hexadecimal digits in lower case".to_owned(),
        })?;
        match http::kept(self.memo(), digest)? {
            Some(file) => Ok(file),
            None => http::expected(self.memo(), &self.client()?, &Expected { url, digest, node }, cancel),
        }
    }

    /// The archive's content, with its own modes; it belongs to root, as all that is fetched.
    fn content(&self, archive: &Written, strip: u32) -> Result<Entry, ExecError> {
        let tree = extract(self.memo(), archive.blob, strip, Budget::DEFAULT)?;
        let owner = Stamp { owner: Some((0, 0)), ..Stamp::default() };
        Ok(stamp(self.memo(), &Entry::directory(tree), &owner)?)
    }

    fn client(&self) -> Result<Client, ExecError> {
        Ok(self.supply.network().client()?)
    }

    fn memo(&self) -> &Memo {
        self.supply.memo()
    }

    fn around<'a>(&'a self, cancel: &'a Cancel) -> Around<'a> {
        Around { memo: self.memo(), workspace: &self.workspace, cancel }
    }
}
