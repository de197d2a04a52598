//! The `.gitignore` files in force in a directory: its own and those above it, up to the workspace.
//! Only these: never the user's global file, `.ignore` or `.git/info/exclude`, and no repository is needed.
//! A directory that is ignored is never entered, so, as in git, nothing in it can be taken back by `!`.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::base::digest::BlobDigest;
use crate::tree::scan::ScanError;
use crate::tree::scan::git_ignore::{GitIgnore, GitRule};
use crate::tree::scan::place::Place;

pub(crate) const FILE: &CStr = c".gitignore";

/// One file's rules, and those above. The file is read when the first name must be judged: where the
/// index answers, it is not.
pub(crate) struct Ignores<'a> {
    above: Option<&'a Ignores<'a>>,
    place: &'a Place<'a>,
    /// What the file held when it was looked at.
    content: BlobDigest,
    rules: OnceLock<GitIgnore>,
}

/// The line that leaves a path out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// From the workspace.
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) pattern: String,
}

impl<'a> Ignores<'a> {
    pub(crate) fn new(
        above: Option<&'a Ignores<'a>>,
        place: &'a Place<'a>,
        content: BlobDigest,
    ) -> Ignores<'a> {
        Ignores { above, place, content, rules: OnceLock::new() }
    }

    /// `path` is from the workspace; the directories above it are not ignored.
    pub(crate) fn ignores(&self, path: &[u8], is_directory: bool) -> Result<bool, ScanError> {
        Ok(self.judge(path, is_directory)?.is_some())
    }

    /// As `ignores`, with the rule.
    pub(crate) fn rule(&self, path: &[u8], is_directory: bool) -> Result<Option<Rule>, ScanError> {
        let rule = self.judge(path, is_directory)?.map(|(level, rule)| Rule {
            file: level.place.shown(FILE),
            line: rule.line,
            pattern: rule.text.clone(),
        });
        Ok(rule)
    }

    /// The rule that leaves `path` out, and whose it is.
    fn judge(&self, path: &[u8], is_directory: bool) -> Result<Option<(&Ignores<'a>, &GitRule)>, ScanError> {
        let mut level = Some(self);
        while let Some(ignores) = level {
            let start = if ignores.place.path().is_empty() { 0 } else { ignores.place.path().len() + 1 };
            match ignores.rules()?.decides(&path[start..], is_directory) {
                Some(rule) if rule.exception => return Ok(None),
                Some(rule) => return Ok(Some((ignores, rule))),
                None => level = ignores.above,
            }
        }
        Ok(None)
    }

    fn rules(&self) -> Result<&GitIgnore, ScanError> {
        if self.rules.get().is_none() {
            let rules = self.read()?;
            let _ = self.rules.set(rules);
        }
        Ok(self.rules.get().expect("bug: just set"))
    }

    fn read(&self) -> Result<GitIgnore, ScanError> {
        let mut file = std::fs::File::from(self.place.open(FILE)?);
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut text)
            .map_err(|source| ScanError::Unreadable { path: self.place.shown(FILE), source })?;
        if BlobDigest::of(&text) != self.content {
            return Err(ScanError::Changed { path: self.place.shown(FILE) });
        }
        Ok(GitIgnore::parse(&text))
    }
}
