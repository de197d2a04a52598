//! A bare repository of one's own, into which commits are fetched. It is kept under the store's folder for the next
//! commit from the same place, so that only what is new is fetched: whoever uses it moves it into his work folder and
//! back afterwards. So nobody else sees it meanwhile (another build begins an empty one), and a crash loses no more than
//! what could be fetched again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::durable;
use crate::base::facts::{FactSink as _, HashSink};
use crate::base::remove::remove;
use crate::exec::git::address::Address;
use crate::exec::git::error::GitError;
use crate::exec::git::oid::{Format, Oid};
use crate::exec::git::program::{Git, Ran, Reach};
use crate::exec::git::said::{Said, said};
use crate::store::memo::Memo;

pub(super) struct Repository<'r> {
    git: &'r Git<'r>,
    address: &'r Address,
    format: Format,
    /// In the work folder.
    path: PathBuf,
    /// Where it is kept.
    place: PathBuf,
}

/// Below the store's folder.
const KEPT: &str = "git";

/// One for each fetch: more of them make git slow.
const MOST_PACKS: usize = 50;

/// Pauses before another attempt where a connection broke off.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];

impl<'r> Repository<'r> {
    /// The kept one, or else an empty one.
    pub(super) fn take(
        memo: &Memo,
        git: &'r Git<'r>,
        address: &'r Address,
        format: Format,
    ) -> Result<Repository<'r>, GitError> {
        let mut name = HashSink::new("memobuild 2026-11-28 git repository v1");
        name.fact("format", format.name().as_bytes());
        name.fact("address", address.shown().as_bytes());
        let name = name.finish().to_hex();
        let (path, place) = (git.work.join(&name), memo.folder().join(KEPT).join(&name));
        let repository = Repository { git, address, format, path, place };
        if durable::rename_noreplace(&repository.place, &repository.path).is_err() {
            repository.begin()?;
        }
        Ok(repository)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties it.
    pub(super) fn begin(&self) -> Result<(), GitError> {
        remove(&self.path)?;
        let format = format!("--object-format={}", self.format.name());
        let path = self.path.to_string_lossy();
        let arguments = ["init", "--quiet", "--bare", "--template=", &format, "--", &path];
        let ran = self.git.run(Reach::Nothing, None, &arguments, b"")?;
        if ran.is_success { Ok(()) } else { Err(GitError::Io(std::io::Error::other(ran.stderr))) }
    }

    /// For the next commit. Where another build was quicker, its own is kept.
    pub(super) fn put_back(self) {
        let packs = fs::read_dir(self.path.join("objects/pack")).map_or(0, Iterator::count);
        // A pack has an index, and a reverse one, beside it.
        if packs > 3 * MOST_PACKS {
            return;
        }
        let above = self.place.parent().map(fs::create_dir_all);
        if above.is_some_and(|made| made.is_ok()) {
            let _ = durable::rename_noreplace(&self.path, &self.place);
        }
    }

    pub(super) fn has(&self, commit: Oid) -> Result<bool, GitError> {
        let object = format!("{commit}^{{commit}}");
        Ok(self.git.run(Reach::Nothing, Some(&self.path), &["cat-file", "-e", &object], b"")?.is_success)
    }

    /// Brings the commit here with all its files: alone where the server allows to ask for it so, else with a branch or
    /// tag that has it, else with everything.
    pub(super) fn bring(&self, commit: Oid, reference: Option<&str>) -> Result<(), GitError> {
        if self.has(commit)? {
            return Ok(());
        }
        let kept = format!("refs/kept/{commit}");
        let (alone, tip) = (format!("+{commit}:{kept}"), format!("+{}:{kept}", reference.unwrap_or("HEAD")));
        let ways = [(&*alone, true), (&tip, true), (&tip, false), ("+refs/*:refs/all/*", false)];
        let mut unable = None;
        for (refspec, is_shallow) in ways {
            if !is_shallow {
                // What was cut off once would stay so.
                self.begin()?;
            }
            match self.fetch(refspec, is_shallow)? {
                None if self.has(commit)? => return Ok(()),
                None => unable = None,
                Some(Said::Final(error) | Said::Interrupted(error)) => return Err(error),
                Some(Said::NotThere) if refspec == alone => break,
                Some(Said::NotThere) => {}
                Some(Said::Unable(error)) => unable = Some(error),
            }
        }
        let (address, commit) = (self.address.shown(), commit.to_string());
        Err(unable.unwrap_or(GitError::NoCommit { address, commit }))
    }

    /// `None` where it worked.
    fn fetch(&self, refspec: &str, is_shallow: bool) -> Result<Option<Said>, GitError> {
        let depth = if is_shallow { "--depth=1" } else { "--update-shallow" };
        let arguments = [&["fetch"][..], &FETCH, &[depth, "--", self.address.as_str(), refspec]].concat();
        ask(self.git, self.address, || self.git.run(reach(self.address), Some(&self.path), &arguments, b""))
            .map(Result::err)
    }
}

const FETCH: [&str; 7] = [
    "--quiet",
    "--no-progress",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--force",
];

const fn reach(address: &Address) -> Reach {
    if address.is_local() { Reach::Disk } else { Reach::Network }
}

/// What the repository says its refs are now, as `git ls-remote` writes it.
pub(super) fn listing(git: &Git<'_>, address: &Address) -> Result<String, GitError> {
    let arguments = ["ls-remote", "--quiet", "--", address.as_str()];
    match ask(git, address, || git.run(reach(address), None, &arguments, b""))? {
        Ok(ran) => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Err(Said::Final(error) | Said::Interrupted(error) | Said::Unable(error)) => Err(error),
        Err(Said::NotThere) => Err(GitError::NoRepository { address: address.shown() }),
    }
}

/// Again, after a pause, where the connection broke off.
fn ask(
    git: &Git<'_>,
    address: &Address,
    run: impl Fn() -> Result<Ran, GitError>,
) -> Result<Result<Ran, Said>, GitError> {
    let mut pauses = PAUSES.iter();
    loop {
        let ran = run()?;
        if ran.is_success {
            return Ok(Ok(ran));
        }
        let said = said(address, &ran.stderr);
        match (&said, pauses.next()) {
            (Said::Interrupted(_), Some(pause)) => wait(*pause, git)?,
            _ => return Ok(Err(said)),
        }
    }
}

fn wait(pause: Duration, git: &Git<'_>) -> Result<(), GitError> {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if git.cancel.is_raised() {
            return Err(GitError::Cancelled);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
