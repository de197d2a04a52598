//! Local folder → tree. One `Scanner` a build, shared by all of its scans, so that overlapping ones
//! look at each file once. Content stays where it is: a scan stores directories, and tells the memo
//! where the files are.

mod filter;
mod reach;
mod walk;
mod compose;
mod place;
mod folder;
mod ignores;
mod ignore_file;
mod git_ignore;
mod wildmatch;
pub mod docker_ignore;
mod explain;
mod hash;
mod clock;
mod index;
mod index_writer;
mod origin;
mod bits;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, TreeDigest};
use crate::base::durable;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};
use crate::tree::glob::BadGlob;
use crate::tree::scan::clock::Clock;
use crate::tree::scan::folder::Folder;
use crate::tree::scan::hash::hash_file;
use crate::tree::scan::index::Index;
use crate::tree::scan::origin::LocalFiles;
use crate::tree::scan::place::Place;
use crate::tree::scan::reach::Job;
use crate::tree::tree::{Content, Entry};

pub use crate::tree::scan::ignore_file::{IgnoreFile, IgnoreSyntax};

#[cfg(test)]
mod tests;

/// Which files, and what is kept of their modes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Scan {
    /// Below the workspace's root. Where it is ignored by a `.gitignore` above it, naming it here wins.
    pub root: TreePath,
    /// Globs relative to `root` (`tree/glob.rs`). Empty: all but `.git`.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// Obey the `.gitignore` files below `root` and above it up to the workspace.
    pub gitignore: bool,
    /// Whose rules, relative to `root`, leave out more.
    pub ignore_files: Vec<IgnoreFile>,
    pub modes: Modes,
    /// `root` is a file, link or folder (`"./entrypoint.sh"`), and the value is that entry itself.
    pub single: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Modes {
    /// 0755 where its owner may execute it or it is a directory, else 0644; owner 0:0; no xattrs.
    Canonical,
    /// As on disk; owner 0:0; no xattrs.
    Exact,
}

/// What a scan gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    pub entry: Entry,
    /// Files and links in it.
    pub files: u64,
    /// Read by this scan. 0 where all was known.
    pub bytes_hashed: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error(transparent)]
    Glob(#[from] BadGlob),
    #[error("`{glob}` matches no file")]
    Empty { glob: String, ignored: Option<Ignored> },
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a folder", path.display())]
    NotDirectory { path: PathBuf },
    #[error("the ignore file {} does not exist", path.display())]
    NoIgnoreFile { path: PathBuf },
    #[error("{} is not a file", path.display())]
    NotFile { path: PathBuf },
    #[error("the ignore file {} has more than {limit} bytes", path.display())]
    LargeIgnoreFile { path: PathBuf, limit: u64 },
    /// `line` is from 1.
    #[error("{}:{line}: `{pattern}` is not a pattern: {reason}", path.display())]
    IgnoreLine { path: PathBuf, line: usize, pattern: String, reason: String },
    /// The root of a scan, or what leads to it.
    #[error("{} is a symbolic link, which scans do not follow", path.display())]
    Link { path: PathBuf },
    /// The store, or what `-o` names.
    #[error("{} is written by the build itself", path.display())]
    LeftOut { path: PathBuf },
    #[error("{} is a socket, fifo or device, which no tree can hold", path.display())]
    Special { path: PathBuf },
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} vanished while it was looked at", path.display())]
    Vanished { path: PathBuf },
    #[error("{} changed while it was looked at", path.display())]
    Changed { path: PathBuf },
    #[error("{} lies more than {limit} folders deep", path.display())]
    TooDeep { path: PathBuf, limit: usize },
    #[error("the names in {} are more than 4 GiB", path.display())]
    TooMany { path: PathBuf },
    #[error("cannot start threads: {0}")]
    Threads(String),
    #[error("cannot write {}: {source}", path.display())]
    Index { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cancelled")]
    Cancelled,
}

/// Why a glob is empty: what it matches is left out by ignore files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Files that match.
    pub count: u64,
    /// The file that leaves the first of them out, from the workspace.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    pub pattern: String,
}

impl ScanError {
    pub(crate) fn from_errno(path: PathBuf, errno: Errno) -> ScanError {
        match errno {
            Errno::NOENT => ScanError::Vanished { path },
            // What was a directory or file a moment ago is a link or something else now.
            Errno::LOOP | Errno::NOTDIR => ScanError::Changed { path },
            errno => ScanError::Unreadable { path, source: errno.into() },
        }
    }
}

pub struct Scanner {
    workspace: Arc<Workspace>,
    memo: Memo,
    cancel: Cancel,
    clock: Clock,
    threads: ThreadPool,
    index: PathBuf,
    left_out: Mutex<Vec<Vec<u8>>>,
}

/// What a build has seen.
pub(crate) struct Workspace {
    /// Absolute, without links.
    pub(crate) path: PathBuf,
    directory: OwnedFd,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) root: Folder,
    pub(crate) index: Option<Index>,
    /// Whether the index lacks something.
    pub(crate) news: bool,
    /// How many scans have added to it.
    pub(crate) scans: u64,
}

impl Workspace {
    /// `path` is absolute, without links.
    fn open(path: PathBuf, index: Option<Index>) -> Result<Workspace, ScanError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty());
        let directory = directory.map_err(|errno| unreadable(&path)(errno.into()))?;
        let indexed = index.as_ref().and_then(Index::root);
        let root = Folder { indexed, ..Folder::default() };
        let state = State { root, index, news: false, scans: 0 };
        Ok(Workspace { path, directory, state: Mutex::new(state) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // What a scan that panicked has left is complete slot by slot.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn place(&self) -> Result<Place<'static>, ScanError> {
        let directory = self.directory.try_clone();
        Ok(Place::workspace(directory.map_err(unreadable(&self.path))?))
    }
}

impl Scanner {
    /// Without `trust_index` all files are read and all directories stored again, as after damage.
    pub fn new(
        workspace: &Path,
        memo: &Memo,
        trust_index: bool,
        cancel: &Cancel,
    ) -> Result<Scanner, ScanError> {
        let folder = memo.folder().join("index");
        std::fs::create_dir_all(&folder).map_err(StoreError::io("cannot create", &folder))?;
        let workspace = workspace.canonicalize().map_err(unreadable(workspace))?;
        let name = BlobDigest::of(workspace.as_os_str().as_bytes()).to_hex();
        let index = folder.join(name);
        let last = if trust_index { Index::open(&index) } else { None };
        let workspace = Arc::new(Workspace::open(workspace, last)?);
        memo.offer(Arc::new(LocalFiles::new(workspace.clone())));
        let scanner = Scanner {
            workspace,
            memo: memo.clone(),
            cancel: cancel.clone(),
            clock: Clock::read(&folder),
            threads: threads(0)?,
            index,
            left_out: Mutex::default(),
        };
        scanner.leave_out(&[memo.folder()]);
        Ok(scanner)
    }

    /// Files and folders that no scan takes, such as what the build writes. Paths outside of the
    /// workspace, and those that do not exist, may be among them.
    pub fn leave_out(&self, paths: &[&Path]) {
        let inside = paths.iter().filter_map(|path| inside(&self.workspace.path, path));
        self.left_out.lock().expect("bug: poisoned").extend(inside);
    }

    /// One at a time: each uses all cores.
    pub fn scan(&self, request: &Scan) -> Result<Scanned, ScanError> {
        let state = &mut *self.workspace.state();
        state.scans += 1;
        let left_out = self.left_out.lock().expect("bug: poisoned").clone();
        let job = Job { request, left_out: &left_out, cancel: &self.cancel, clock: &self.clock };
        let place = self.workspace.place()?;
        let run = |state: &mut State, reuse| {
            self.threads.install(|| job.run(state, &place, Some(&self.memo), reuse))
        };
        let scanned = run(state, true)?;
        match scanned.entry.content {
            Content::Directory { tree, .. } if !self.memo.has(Object::Tree(tree)) => run(state, false),
            _ => Ok(scanned),
        }
    }

    /// Keeps what was seen for the next build, where anything is new.
    pub fn finish(&self) -> Result<(), ScanError> {
        let state = &mut *self.workspace.state();
        if !state.news {
            return Ok(());
        }
        let bytes = index_writer::write(&state.root, state.index.as_ref());
        durable::write_atomically(&self.index, &bytes, 0o600)
            .map_err(|source| ScanError::Index { path: self.index.clone(), source })?;
        state.news = false;
        Ok(())
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> ScanError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => ScanError::Missing { path: path.to_owned() },
        _ => ScanError::Unreadable { path: path.to_owned(), source },
    }
}

/// `count` of them, or one a core where it is 0. Walks recurse, and a thread that waits takes up other
/// walks: stacks are large, and only touched where needed.
fn threads(count: usize) -> Result<ThreadPool, ScanError> {
    ThreadPoolBuilder::new()
        .num_threads(count)
        .stack_size(64 << 20)
        .thread_name(|number| format!("scan-{number}"))
        .build()
        .map_err(|error| ScanError::Threads(error.to_string()))
}

/// `path` from the workspace, where it is below it. Its last name need not exist.
fn inside(workspace: &Path, path: &Path) -> Option<Vec<u8>> {
    let absolute = path.canonicalize().or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
        Ok::<_, io::Error>(folder.join(path.file_name().unwrap_or_default()))
    });
    let absolute = absolute.ok()?;
    let relative = absolute.strip_prefix(workspace).ok()?;
    Some(relative.as_os_str().as_bytes().to_vec()).filter(|path| !path.is_empty())
}

/// What `memobuild hash` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashResult {
    /// As `b3sum` prints it.
    File(BlobDigest),
    /// The tree that `files` gives with `gitignore=#false` and nothing else said: canonical modes, no `.git`.
    Folder(TreeDigest),
}

/// Names a file or folder without a store. A link is followed, those inside a folder are not.
pub fn hash_path(path: &Path) -> Result<HashResult, ScanError> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    if metadata.is_dir() {
        return hash_folder(path).map(HashResult::Folder);
    }
    if !metadata.is_file() {
        return Err(ScanError::Special { path: path.to_owned() });
    }
    let file = std::fs::File::open(path).map_err(unreadable(path))?;
    let digest = threads(0)?.install(|| hash_file(file.as_fd(), metadata.len())).map_err(unreadable(path))?;
    digest.map(HashResult::File).ok_or_else(|| ScanError::Changed { path: path.to_owned() })
}

fn hash_folder(path: &Path) -> Result<TreeDigest, ScanError> {
    let workspace = Workspace::open(path.canonicalize().map_err(unreadable(path))?, None)?;
    let request = Scan {
        root: TreePath::root(),
        include: Vec::new(),
        exclude: Vec::new(),
        gitignore: false,
        ignore_files: Vec::new(),
        modes: Modes::Canonical,
        single: false,
    };
    let cancel = Cancel::default();
    let job = Job { request: &request, left_out: &[], cancel: &cancel, clock: &Clock::never() };
    let place = workspace.place()?;
    let scanned = threads(0)?.install(|| job.run(&mut workspace.state(), &place, None, true))?;
    match scanned.entry.content {
        Content::Directory { tree, .. } => Ok(tree),
        _ => Err(ScanError::NotDirectory { path: path.to_owned() }),
    }
}
