//! The order of a layer's entries: a directory comes before what is in it; in a directory first the
//! opaque marker, then whiteouts, then the rest, each by name (image-spec, layer.md, "Whiteouts",
//! wants whiteouts first). Holds one directory per level, never the whole layer.

use std::collections::HashMap;
use std::vec;

use crate::base::digest::{BlobDigest, TreeDigest};
use crate::base::tree_path::TreePath;
use crate::oci::error::OciError;
use crate::oci::tar_header::{Kind, encode};
use crate::store::memo::Memo;
use crate::tree::encode::load;
use crate::tree::tree::{Content, Directory, Entry, LinkGroup, Metadata};

pub(crate) const WHITEOUT: &[u8] = b".wh.";
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// One entry of a layer: its header, and the content that follows it.
pub(crate) struct Member {
    pub header: Vec<u8>,
    pub content: Option<FileContent>,
}

#[derive(Clone, Copy)]
pub(crate) struct FileContent {
    pub blob: BlobDigest,
    pub size: u64,
}

/// The entries of a layer tree, in order. Ends after the first error.
pub(crate) struct Members<'a> {
    memo: &'a Memo,
    /// What is left of each directory on the way down.
    open: Vec<Open>,
    /// The first file of each link group.
    links: HashMap<LinkGroup, (TreePath, Entry)>,
}

struct Open {
    path: TreePath,
    opaque: bool,
    entries: vec::IntoIter<(Vec<u8>, Entry)>,
}

impl<'a> Members<'a> {
    pub(crate) fn of(memo: &'a Memo, tree: TreeDigest) -> Result<Members<'a>, OciError> {
        let root = Open::new(TreePath::root(), load(memo, tree)?, false);
        Ok(Members { memo, open: vec![root], links: HashMap::new() })
    }

    fn advance(&mut self) -> Result<Option<Member>, OciError> {
        while let Some(top) = self.open.last_mut() {
            if std::mem::take(&mut top.opaque) {
                return marker(&top.path, OPAQUE).map(Some);
            }
            let Some((name, entry)) = top.entries.next() else {
                self.open.pop();
                continue;
            };
            if matches!(entry.content, Content::Whiteout) {
                return marker(&top.path, &[WHITEOUT, name.as_slice()].concat()).map(Some);
            }
            let path = top.path.join(&name);
            if name.starts_with(WHITEOUT) {
                return Err(unpackable(&path, "names that begin with `.wh.` mean removed files"));
            }
            return self.member(path, entry).map(Some);
        }
        Ok(None)
    }

    fn member(&mut self, path: TreePath, entry: Entry) -> Result<Member, OciError> {
        let mut content = None;
        let kind = match &entry.content {
            Content::File { blob, size, link } => match self.first_of_group(*link, &path, &entry) {
                Some(first) => {
                    return member(&path, &entry.metadata, Kind::HardLink { target: first.as_bytes() });
                }
                None => {
                    content = Some(FileContent { blob: *blob, size: *size });
                    Kind::File { size: *size }
                }
            },
            Content::Directory { tree, opaque } => {
                self.open.push(Open::new(path.clone(), load(self.memo, *tree)?, *opaque));
                Kind::Directory
            }
            Content::Symlink { target } => Kind::Symlink { target },
            Content::Fifo => Kind::Fifo,
            Content::Device { block, major, minor } => {
                Kind::Device { block: *block, major: *major, minor: *minor }
            }
            Content::Whiteout => unreachable!("bug: whiteouts are markers"),
        };
        Ok(Member { content, ..member(&path, &entry.metadata, kind)? })
    }

    /// `None` where this is the first file of its group, or alone.
    fn first_of_group(
        &mut self,
        link: Option<LinkGroup>,
        path: &TreePath,
        entry: &Entry,
    ) -> Option<TreePath> {
        let group = link?;
        match self.links.get(&group) {
            Some((first, same)) if same == entry => Some(first.clone()),
            Some(_) => None,
            None => {
                self.links.insert(group, (path.clone(), entry.clone()));
                None
            }
        }
    }
}

impl Iterator for Members<'_> {
    type Item = Result<Member, OciError>;

    fn next(&mut self) -> Option<Result<Member, OciError>> {
        let next = self.advance();
        if next.is_err() {
            self.open.clear();
        }
        next.transpose()
    }
}

impl Open {
    fn new(path: TreePath, directory: Directory, opaque: bool) -> Open {
        let (mut entries, rest): (Vec<_>, Vec<_>) =
            directory.entries.into_iter().partition(|(_, entry)| matches!(entry.content, Content::Whiteout));
        entries.extend(rest);
        Open { path, opaque, entries: entries.into_iter() }
    }
}

fn marker(folder: &TreePath, name: &[u8]) -> Result<Member, OciError> {
    member(&folder.join(name), &Metadata::plain(0o644), Kind::File { size: 0 })
}

fn member(path: &TreePath, metadata: &Metadata, kind: Kind<'_>) -> Result<Member, OciError> {
    let mut header = Vec::new();
    encode(path.as_bytes(), metadata, kind, &mut header).map_err(|reason| unpackable(path, reason))?;
    Ok(Member { header, content: None })
}

fn unpackable(path: &TreePath, reason: &'static str) -> OciError {
    OciError::Unpackable { path: path.to_string(), reason }
}
