//! The `.gitignore` files in force in a directory: its own and those above it, up to the workspace.
//! Only these: never the user's global file, `.ignore` or `.git/info/exclude`, and no repository is needed.
//! A directory that is ignored is never entered, so, as in git, nothing in it can be taken back by `!`.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::OnceLock;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::base::digest::BlobDigest;
use crate::tree::scan::ScanError;
use crate::tree::scan::place::{Place, as_path};

pub(crate) const FILE: &CStr = c".gitignore";

/// One file's rules, and those above. The file is read when the first name must be judged: where the
/// index answers, it is not.
pub(crate) struct Ignores<'a> {
    above: Option<&'a Ignores<'a>>,
    place: &'a Place<'a>,
    /// What the file held when it was looked at.
    content: BlobDigest,
    rules: OnceLock<Rules>,
}

struct Rules {
    matcher: Gitignore,
    text: Vec<u8>,
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
        self.judge(path, is_directory, |_, _| true, false)
    }

    /// As `ignores`, with the rule.
    pub(crate) fn rule(&self, path: &[u8], is_directory: bool) -> Result<Option<Rule>, ScanError> {
        self.judge(path, is_directory, |level, pattern| Some(level.describe(pattern)), None)
    }

    fn judge<T>(
        &self,
        path: &[u8],
        is_directory: bool,
        ignored: impl Fn(&Ignores<'_>, &str) -> T,
        taken: T,
    ) -> Result<T, ScanError> {
        let mut level = Some(self);
        while let Some(ignores) = level {
            let start = if ignores.place.path().is_empty() { 0 } else { ignores.place.path().len() + 1 };
            match ignores.rules()?.matcher.matched(as_path(&path[start..]), is_directory) {
                Match::Ignore(glob) => return Ok(ignored(ignores, glob.original())),
                Match::Whitelist(_) => return Ok(taken),
                Match::None => level = ignores.above,
            }
        }
        Ok(taken)
    }

    fn rules(&self) -> Result<&Rules, ScanError> {
        if self.rules.get().is_none() {
            let rules = self.read()?;
            let _ = self.rules.set(rules);
        }
        Ok(self.rules.get().expect("bug: just set"))
    }

    fn read(&self) -> Result<Rules, ScanError> {
        let mut file = std::fs::File::from(self.place.open(FILE)?);
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut text)
            .map_err(|source| ScanError::Unreadable { path: self.place.shown(FILE), source })?;
        if BlobDigest::of(&text) != self.content {
            return Err(ScanError::Changed { path: self.place.shown(FILE) });
        }
        Ok(Rules { matcher: compile(&text), text })
    }

    fn describe(&self, pattern: &str) -> Rule {
        let text = self.rules.get().map_or(&[][..], |rules| &rules.text);
        let line = lines(text).position(|line| line.trim_end_matches(' ') == pattern.trim_end_matches(' '));
        Rule {
            file: self.place.shown(FILE),
            line: line.map_or(0, |line| line + 1),
            pattern: pattern.to_owned(),
        }
    }
}

/// Git passes over lines it cannot read; so do we.
fn compile(text: &[u8]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for line in lines(text) {
        let _ = builder.add_line(None, &line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// As git cuts them: a byte order mark and the CR of CRLF are no part of a pattern.
fn lines(text: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|&byte| byte == b'\n')
        .map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
}
