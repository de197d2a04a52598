//! A change tree while a layer is read into it: the only place that decides what an entry does to the
//! ones before it. Lives in memory, knows no disk: an escaping path has nothing to escape to.
//!
//! A later entry replaces an earlier one of the same name, as tar does; a directory over a directory
//! changes its owner and mode and keeps what is in it.

use std::collections::BTreeMap;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::oci::error::OciError;
use crate::store::memo::Memo;
use crate::tree::encode::{load, save};
use crate::tree::links::link_group;
use crate::tree::tree::{Content, Directory, Entry, Metadata};

/// Names on the way to an entry; more would only serve to overflow a stack.
const DEPTH_MOST: u64 = 512;

pub(crate) struct Change<'a> {
    memo: &'a Memo,
    /// The layers below, lowest first.
    lower: &'a [TreeDigest],
    root: Folder,
    /// Files with several names so far, by number.
    inodes: usize,
    /// Folders that may still be made: two bytes of a path are enough to imply one.
    folders_left: u64,
    folders_most: u64,
}

#[derive(Default)]
struct Folder {
    /// `None` for a parent that the layer only implies.
    metadata: Option<Metadata>,
    opaque: bool,
    names: BTreeMap<Vec<u8>, Node>,
}

#[derive(Default)]
struct Node {
    /// Markers speak of the layers below only, so one and an entry of the same name go together.
    whiteout: bool,
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Absent,
    Folder(Folder),
    Other {
        entry: Entry,
        inode: Option<usize>,
    },
}

impl<'a> Change<'a> {
    pub(crate) fn on(memo: &'a Memo, lower: &'a [TreeDigest], folders_most: u64) -> Change<'a> {
        Change { memo, lower, root: Folder::default(), inodes: 0, folders_left: folders_most, folders_most }
    }

    /// A directory; the root's own owner and mode are no part of a change.
    pub(crate) fn directory(&mut self, path: &TreePath, metadata: Metadata) -> Result<(), OciError> {
        if path.is_root() {
            return Ok(());
        }
        let node = self.node(path)?;
        match &mut node.kind {
            Kind::Folder(folder) => folder.metadata = Some(metadata),
            kind => *kind = Kind::Folder(Folder { metadata: Some(metadata), ..Folder::default() }),
        }
        Ok(())
    }

    /// Anything but a directory.
    pub(crate) fn other(&mut self, path: &TreePath, entry: Entry) -> Result<(), OciError> {
        self.put(path, entry, None)
    }

    fn put(&mut self, path: &TreePath, entry: Entry, inode: Option<usize>) -> Result<(), OciError> {
        if path.is_root() {
            return Err(OciError::entry(b"/", "the root is a directory"));
        }
        self.node(path)?.kind = Kind::Other { entry, inode };
        Ok(())
    }

    /// The name of a lower layer's entry disappears.
    pub(crate) fn whiteout(&mut self, path: &TreePath) -> Result<(), OciError> {
        self.node(path)?.whiteout = true;
        Ok(())
    }

    /// Nothing of the directory shows through from below. In the root that is a whiteout for each name
    /// there, since a change has no place to say it of its root.
    pub(crate) fn opaque(&mut self, path: &TreePath) -> Result<(), OciError> {
        if !path.is_root() {
            self.folder(path)?.opaque = true;
            return Ok(());
        }
        for tree in self.lower {
            for name in load(self.memo, *tree)?.entries.into_keys() {
                self.root.names.entry(name).or_default().whiteout = true;
            }
        }
        Ok(())
    }

    /// A second name for a file of this layer; of anything else, or of a file of a layer below, a copy:
    /// links between layers do not exist.
    pub(crate) fn hard_link(&mut self, path: &TreePath, target: &TreePath) -> Result<(), OciError> {
        let unknown = || OciError::HardLink { path: path.to_string(), target: target.to_string() };
        if path == target {
            return Err(unknown());
        }
        let next = self.inodes;
        let found = match self.existing(target) {
            Some(Node { kind: Kind::Other { entry, inode }, .. }) => {
                let inode = *inode.get_or_insert(next);
                Some((entry.clone(), Some(inode)))
            }
            Some(_) => None,
            None => self.below(target)?.map(|entry| (entry, None)),
        };
        let (entry, inode) = found.filter(|(entry, _)| !entry.is_directory()).ok_or_else(unknown)?;
        self.inodes += usize::from(inode == Some(next));
        self.put(path, entry, inode)
    }

    /// Writes the directories, lowest first.
    pub(crate) fn save(mut self) -> Result<TreeDigest, OciError> {
        let mut names = vec![Vec::new(); self.inodes];
        collect_links(&self.root, &TreePath::root(), &mut names);
        self.settle_metadata()?;
        Ok(save_folder(self.memo, self.root, &names)?)
    }

    /// Implied parents get what the layers below say of them, else mode 0755 and owner 0:0.
    fn settle_metadata(&mut self) -> Result<(), OciError> {
        let mut root = std::mem::take(&mut self.root);
        self.settle_below(&TreePath::root(), &mut root)?;
        self.root = root;
        Ok(())
    }

    fn settle_below(&self, path: &TreePath, folder: &mut Folder) -> Result<(), OciError> {
        for (name, node) in &mut folder.names {
            if let Kind::Folder(folder) = &mut node.kind {
                let path = path.join(name);
                if folder.metadata.is_none() {
                    let lower = self.below(&path)?.filter(Entry::is_directory);
                    folder.metadata = Some(lower.map_or(Metadata::plain(0o755), |entry| entry.metadata));
                }
                self.settle_below(&path, folder)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, path: &TreePath) -> Result<&mut Node, OciError> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(OciError::entry(b"/", "the root is a directory"));
        };
        Ok(self.folder(&parent)?.names.entry(name.to_vec()).or_default())
    }

    /// The directory, made where the layer has not named it yet.
    fn folder(&mut self, path: &TreePath) -> Result<&mut Folder, OciError> {
        if path.names().count() as u64 > DEPTH_MOST {
            return Err(OciError::Budget { what: "names in one path", most: DEPTH_MOST });
        }
        let mut folder = &mut self.root;
        let mut at = TreePath::root();
        for name in path.names() {
            at = at.join(name);
            let node = folder.names.entry(name.to_vec()).or_default();
            if let Kind::Absent = node.kind {
                self.folders_left = self
                    .folders_left
                    .checked_sub(1)
                    .ok_or(OciError::Budget { what: "folders", most: self.folders_most })?;
                node.kind = Kind::Folder(Folder::default());
            }
            folder = match &mut node.kind {
                Kind::Folder(folder) => folder,
                _ => return Err(OciError::Through { path: path.to_string(), through: at.to_string() }),
            };
        }
        Ok(folder)
    }

    /// Only what this layer says.
    fn existing(&mut self, path: &TreePath) -> Option<&mut Node> {
        let mut folder = &mut self.root;
        let name = path.name()?;
        for name in path.parent()?.names() {
            folder = match &mut folder.names.get_mut(name)?.kind {
                Kind::Folder(folder) => folder,
                _ => return None,
            };
        }
        folder.names.get_mut(name).filter(|node| !matches!(node.kind, Kind::Absent))
    }

    /// What the layers below show at a path.
    fn below(&self, path: &TreePath) -> Result<Option<Entry>, OciError> {
        'layers: for tree in self.lower.iter().rev() {
            let mut directory = load(self.memo, *tree)?;
            let mut names = path.names().peekable();
            let mut hidden = false;
            while let Some(name) = names.next() {
                let entry = directory.entries.remove(name);
                match entry.map(|entry| (names.peek().is_none(), entry)) {
                    None if hidden => return Ok(None),
                    None => continue 'layers,
                    Some((_, Entry { content: Content::Whiteout, .. })) => return Ok(None),
                    Some((true, entry)) => return Ok(Some(entry)),
                    Some((false, Entry { content: Content::Directory { tree, opaque }, .. })) => {
                        hidden |= opaque;
                        directory = load(self.memo, tree)?;
                    }
                    Some((false, _)) => return Ok(None),
                }
            }
        }
        Ok(None)
    }
}

fn collect_links(folder: &Folder, path: &TreePath, links: &mut [Vec<TreePath>]) {
    for (name, node) in &folder.names {
        match &node.kind {
            Kind::Folder(folder) => collect_links(folder, &path.join(name), links),
            Kind::Other { inode: Some(inode), .. } => links[*inode].push(path.join(name)),
            Kind::Other { .. } | Kind::Absent => {}
        }
    }
}

fn save_folder(
    memo: &Memo,
    folder: Folder,
    links: &[Vec<TreePath>],
) -> Result<TreeDigest, crate::store::object::StoreError> {
    let mut directory = Directory::default();
    for (name, node) in folder.names {
        let entry = match node.kind {
            Kind::Absent if !node.whiteout => continue,
            Kind::Absent => Entry { metadata: Metadata::plain(0), content: Content::Whiteout },
            Kind::Folder(mut folder) => {
                let metadata = folder.metadata.take().expect("bug: metadata was settled before");
                let opaque = folder.opaque || node.whiteout;
                let tree = save_folder(memo, folder, links)?;
                Entry { metadata, content: Content::Directory { tree, opaque } }
            }
            Kind::Other { entry, inode } => linked(entry, inode.map(|inode| links[inode].as_slice())),
        };
        directory.entries.insert(name, entry);
    }
    save(memo, &directory)
}

/// A file whose other names were all replaced is no link any more.
fn linked(mut entry: Entry, paths: Option<&[TreePath]>) -> Entry {
    if let Content::File { blob, link, .. } = &mut entry.content {
        let paths = paths.filter(|paths| paths.len() > 1);
        *link = paths.map(|paths| {
            let mut paths: Vec<_> = paths.iter().map(TreePath::as_bytes).collect();
            link_group(&mut paths, blob)
        });
    }
    entry
}
