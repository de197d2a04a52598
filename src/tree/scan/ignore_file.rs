//! The files that a scan's `ignore-file` lines name: more rules, relative to the scan's root. Each file
//! leaves out what it leaves out; none takes back what another, a `.gitignore` or a glob leaves out.
//! They are read once a scan, before the walk, and what they hold is in the name of every view.

use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::digest::BlobDigest;
use crate::base::tree_path::TreePath;
use crate::tree::scan::ScanError;
use crate::tree::scan::docker_ignore::{self, BadLine, DockerIgnore};
use crate::tree::scan::folder::{Kind, Listing};
use crate::tree::scan::git_ignore::GitIgnore;
use crate::tree::scan::ignores::Rule;
use crate::tree::scan::place::{Place, shown};

/// Bytes that an ignore file may have.
const LARGEST: u64 = 1 << 20;

/// A file that leaves out files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IgnoreFile {
    /// Below the workspace's root.
    pub path: TreePath,
    pub syntax: IgnoreSyntax,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum IgnoreSyntax {
    /// As Docker's builder reads `.dockerignore`.
    Docker,
    /// As git reads `.git/info/exclude`.
    Git,
}

impl IgnoreSyntax {
    /// What a file of this name holds, where nothing is said.
    pub fn of_name(path: &TreePath) -> IgnoreSyntax {
        match path.name() {
            Some(name) if name.ends_with(b".dockerignore") => IgnoreSyntax::Docker,
            _ => IgnoreSyntax::Git,
        }
    }
}

/// All of a scan, compiled.
#[derive(Default)]
pub(crate) struct IgnoreFiles {
    files: Vec<Compiled>,
}

struct Compiled {
    path: TreePath,
    content: BlobDigest,
    rules: Rules,
}

enum Rules {
    Docker(DockerIgnore),
    Git(GitIgnore),
}

impl IgnoreFiles {
    /// From `workspace`, never by a link.
    pub(crate) fn read(files: &[IgnoreFile], workspace: &Place<'_>) -> Result<IgnoreFiles, ScanError> {
        let files = files.iter().map(|file| Compiled::read(file, workspace));
        Ok(IgnoreFiles { files: files.collect::<Result<_, _>>()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What names the rules: how each file is read, and what it holds.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (&'static str, BlobDigest)> {
        self.files.iter().map(|file| match file.rules {
            Rules::Docker(_) => ("docker-ignore", file.content),
            Rules::Git(_) => ("git-ignore", file.content),
        })
    }

    /// In one directory, relative to the scan's root as all paths here.
    pub(crate) fn at(&self, directory: &[u8]) -> IgnorePosition<'_> {
        let docker = self.files.iter().filter_map(|file| match &file.rules {
            Rules::Docker(rules) => Some((file, rules.at(directory))),
            Rules::Git(_) => None,
        });
        let git = self.files.iter().filter_map(|file| match &file.rules {
            Rules::Git(rules) => Some((file, rules)),
            Rules::Docker(_) => None,
        });
        IgnorePosition { docker: docker.collect(), git: git.collect() }
    }
}

impl Compiled {
    fn read(file: &IgnoreFile, workspace: &Place<'_>) -> Result<Compiled, ScanError> {
        let text = read(&file.path, workspace)?;
        let rules = match file.syntax {
            IgnoreSyntax::Git => Rules::Git(GitIgnore::parse(&text)),
            IgnoreSyntax::Docker => {
                let rules = DockerIgnore::parse(&text);
                Rules::Docker(rules.map_err(|BadLine { line, pattern, reason }| {
                    let path = shown(file.path.as_bytes());
                    ScanError::IgnoreLine { path, line, pattern, reason }
                })?)
            }
        };
        Ok(Compiled { path: file.path.clone(), content: BlobDigest::of(&text), rules })
    }
}

/// The rules in one directory that the walk has entered.
pub(crate) struct IgnorePosition<'a> {
    docker: Vec<(&'a Compiled, docker_ignore::Position<'a>)>,
    git: Vec<(&'a Compiled, &'a GitIgnore)>,
}

impl IgnorePosition<'_> {
    /// Whether a file directly in the directory is taken, or a folder entered.
    pub(crate) fn takes(&self, path: &[u8], is_directory: bool) -> bool {
        self.git_rule(path, is_directory).is_none()
            && self.docker.iter().all(|(_, position)| match is_directory {
                true => position.enters(path),
                false => position.leaves_out(path).is_none(),
            })
    }

    /// Why all below a folder is left out, or a file. A folder of which Docker's rules may take back
    /// something has no reason.
    pub(crate) fn rule(&self, path: &[u8], is_directory: bool) -> Option<Rule> {
        let docker = self.docker.iter().filter(|_| !is_directory).find_map(|(file, position)| {
            let reason = position.leaves_out(path)?;
            Some(Rule {
                file: shown(file.path.as_bytes()),
                line: reason.line,
                pattern: reason.pattern.to_owned(),
            })
        });
        docker.or_else(|| self.git_rule(path, is_directory))
    }

    fn git_rule(&self, path: &[u8], is_directory: bool) -> Option<Rule> {
        self.git.iter().find_map(|(file, rules)| {
            let rule = rules.decides(path, is_directory).filter(|rule| !rule.exception)?;
            Some(Rule { file: shown(file.path.as_bytes()), line: rule.line, pattern: rule.text.clone() })
        })
    }

    /// Whether the directory itself is in the tree although nothing in it is. Docker's builder sends a
    /// folder that is not left out, whatever becomes of its content.
    pub(crate) fn keeps(&self, listing: &Listing, path_of: impl Fn(&[u8]) -> Vec<u8>) -> bool {
        let is_left_out = |slot| {
            let path = path_of(listing.name(slot).to_bytes());
            self.docker.iter().any(|(_, position)| position.leaves_out(&path).is_some())
        };
        !self.is_left_out() && listing.slots.iter().all(is_left_out)
    }

    /// Whether Docker's rules leave the directory out, so that it is only walked for what comes back.
    pub(crate) fn is_left_out(&self) -> bool {
        self.docker.iter().any(|(_, position)| position.is_left_out())
    }
}

fn read(path: &TreePath, workspace: &Place<'_>) -> Result<Vec<u8>, ScanError> {
    let file = shown(path.as_bytes());
    let unreadable = |source| ScanError::Unreadable { path: file.clone(), source };
    if path.is_root() {
        return Err(ScanError::NotFile { path: file });
    }
    let opened = open(path.as_bytes(), workspace)?;
    let stat = statx(&opened, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    let stat = stat.map_err(|errno| unreadable(errno.into()))?;
    if Kind::of_mode(stat.stx_mode.into()) != Kind::File {
        return Err(ScanError::NotFile { path: file });
    }
    let mut text = Vec::new();
    std::fs::File::from(opened).take(LARGEST + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(ScanError::LargeIgnoreFile { path: file, limit: LARGEST });
    }
    Ok(text)
}

fn open(path: &[u8], place: &Place<'_>) -> Result<OwnedFd, ScanError> {
    let rest = path.get(place.path().len()..).unwrap_or_default();
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let (name, deeper) = match rest.iter().position(|&byte| byte == b'/') {
        Some(end) => (&rest[..end], true),
        None => (rest, false),
    };
    let here = place.path_of(name);
    let failed = |errno| match errno {
        Errno::NOENT => ScanError::NoIgnoreFile { path: shown(path) },
        Errno::LOOP => ScanError::Link { path: shown(&here) },
        Errno::NOTDIR => ScanError::NotDirectory { path: shown(&here) },
        errno => ScanError::Unreadable { path: shown(&here), source: errno.into() },
    };
    let name = std::ffi::CString::new(name).map_err(|_| failed(Errno::NOENT))?;
    let stat = statx(place.directory()?, &name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    let kind = Kind::of_mode(stat.map_err(failed)?.stx_mode.into());
    match (kind, deeper) {
        (Kind::Symlink, _) => Err(failed(Errno::LOOP)),
        (Kind::Directory, true) => open(path, &place.below(&name)?),
        (_, true) => Err(failed(Errno::NOTDIR)),
        (_, false) => place.open(&name),
    }
}
