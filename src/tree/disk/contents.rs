//! A folder read whole: every file's content is stored, every folder's entries are known, but the folders are
//! not joined to trees yet. Works level by level, so that depth costs no stack, in parallel within each.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::RwLock;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::store::memo::Memo;
use crate::tree::disk::capture::CaptureOptions;
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::inode::{FolderFacts, Found, Inode, Reader};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::links::link_group;
use crate::tree::tree::{Content, Directory, Entry, Metadata};
use crate::tree::xattr::Flavour;

/// Everything in a folder.
pub(crate) struct Contents {
    pub(crate) folders: Folders,
    /// The folders of each level, the root's first.
    pub(crate) levels: Vec<Vec<usize>>,
    /// By folder.
    pub(crate) read: Vec<ReadFolder>,
}

/// One folder.
pub(crate) struct ReadFolder {
    pub(crate) metadata: Metadata,
    pub(crate) opaque: bool,
    /// Only worth an entry if something in it is.
    pub(crate) implied: bool,
    /// All but folders; those join when they have become trees.
    pub(crate) directory: Directory,
    pub(crate) below: Vec<Vec<u8>>,
    linked: Vec<(Vec<u8>, Inode)>,
}

/// Reads all below `root`. `upper` says that it is the upper side of an overlay, and of which flavour.
pub(crate) fn read(
    memo: &Memo,
    root: BorrowedFd<'_>,
    upper: Option<Flavour>,
    options: &CaptureOptions<'_>,
    cancel: &Cancel,
) -> Result<Contents, TreeError> {
    let reader = Reader { memo, options, upper, cancel, unlocking: RwLock::new(()) };
    let leave_out: HashSet<&[u8]> = options.leave_out.iter().map(|path| path.as_bytes()).collect();
    let mut folders = Folders::new();
    let mut levels = vec![vec![Folders::ROOT]];
    let mut read: Vec<ReadFolder> = Vec::new();
    while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
        descent::check_depth(levels.len(), &folders, level[0])?;
        let found = descent::for_each(level, options.single_threaded, cancel, |&id| {
            read_folder(&reader, root, &folders, id, &leave_out)
        })?;
        let mut next = Vec::new();
        for (&id, mut folder) in level.iter().zip(found) {
            let below = std::mem::take(&mut folder.below);
            next.extend(below.into_iter().map(|name| folders.add(id, name)));
            read.push(folder);
        }
        levels.push(next);
    }
    let mut contents = Contents { folders, levels, read };
    contents.link();
    Ok(contents)
}

fn read_folder(
    reader: &Reader<'_>,
    root: BorrowedFd<'_>,
    folders: &Folders,
    id: usize,
    leave_out: &HashSet<&[u8]>,
) -> Result<ReadFolder, TreeError> {
    let path = folders.path(id);
    let (opened, facts) = match folders.place(id) {
        None => reader.open_root(root)?,
        Some((parent, name)) => {
            let parent_path = folders.path(parent);
            let parent = folders.open(root, parent)?;
            reader.open_folder(parent.as_fd(), &parent_path, name)?
        }
    };
    let mut names =
        descent::list(opened.as_fd()).map_err(|error| failed("cannot list", &path, b"", error))?;
    if !leave_out.is_empty() {
        names.retain(|(name, _)| !leave_out.contains(&*joined(&path, name)));
    }
    let found = descent::for_each(&names, reader.options.single_threaded, reader.cancel, |(name, kind)| {
        reader.read(opened.as_fd(), &path, name, *kind)
    })?;
    Ok(ReadFolder::new(facts, names.into_iter().map(|(name, _)| name).zip(found)))
}

impl ReadFolder {
    pub(crate) fn new(facts: FolderFacts, found: impl Iterator<Item = (Vec<u8>, Found)>) -> ReadFolder {
        let FolderFacts { metadata, opaque } = facts;
        let directory = Directory::default();
        let (below, linked) = (Vec::new(), Vec::new());
        let mut folder = ReadFolder { metadata, opaque, implied: false, directory, below, linked };
        for (name, found) in found {
            let entry = match found {
                Found::Nothing => continue,
                Found::Folder => {
                    folder.below.push(name);
                    continue;
                }
                Found::Other(entry) => entry,
                Found::Linked(entry, inode) => {
                    folder.linked.push((name.clone(), inode));
                    entry
                }
            };
            folder.directory.entries.insert(name, entry);
        }
        folder
    }
}

impl Contents {
    /// Names of one inode become a group, if there is more than one of them in here.
    pub(crate) fn link(&mut self) {
        let mut groups: BTreeMap<Inode, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (id, folder) in self.read.iter_mut().enumerate() {
            for (name, inode) in folder.linked.drain(..) {
                groups.entry(inode).or_default().push((id, name));
            }
        }
        for names in groups.into_values().filter(|names| names.len() > 1) {
            let paths: Vec<_> =
                names.iter().map(|(id, name)| joined(&self.folders.path(*id), name)).collect();
            let mut paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
            for (id, name) in &names {
                let entry = self.read[*id].directory.entries.get_mut(name);
                if let Some(Entry { content: Content::File { blob, link, .. }, .. }) = entry {
                    *link = Some(link_group(&mut paths, blob));
                }
            }
        }
    }

    /// Leaves out the folders that are as they were, with all below them.
    pub(crate) fn leave_out_quiet(&mut self) {
        let mut is_quiet: Vec<bool> =
            self.read.iter().map(|folder| folder.implied && folder.directory.entries.is_empty()).collect();
        for id in (0..is_quiet.len()).rev() {
            if let (false, Some((parent, _))) = (is_quiet[id], self.folders.place(id)) {
                is_quiet[parent] = false;
            }
        }
        is_quiet[Folders::ROOT] = false;
        self.levels.iter_mut().for_each(|level| level.retain(|&id| !is_quiet[id]));
    }

    /// Joins the folders to trees from the bottom up and stores them. The root's tree is the result.
    pub(crate) fn join(
        mut self,
        memo: &Memo,
        options: &CaptureOptions<'_>,
        cancel: &Cancel,
    ) -> Result<(Metadata, TreeDigest), TreeError> {
        let mut root = None;
        for level in self.levels.iter().rev() {
            let trees = descent::for_each(level, options.single_threaded, cancel, |&id| {
                Ok(encode::save(memo, &self.read[id].directory)?)
            })?;
            for (&id, tree) in level.iter().zip(trees) {
                let Some((parent, name)) = self.folders.place(id) else {
                    root = Some(tree);
                    continue;
                };
                let folder = &mut self.read[id];
                let entries = std::mem::take(&mut folder.directory.entries);
                if folder.implied && entries.is_empty() {
                    continue;
                }
                let content = Content::Directory { tree, opaque: folder.opaque };
                let entry = Entry { metadata: folder.metadata.clone(), content };
                self.read[parent].directory.entries.insert(name.to_vec(), entry);
            }
        }
        let tree = root.expect("bug: every walk has a root");
        Ok((self.read.swap_remove(Folders::ROOT).metadata, tree))
    }
}

/// The path of a name in the folder at `path`.
pub(crate) fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
