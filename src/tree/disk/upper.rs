//! The upper side of an overlay → a change: what a command wrote and removed, and nothing it merely touched.
//! Knows the root below only by what `Below` answers.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::tree::disk::capture::{CaptureOptions, Ids};
use crate::tree::disk::contents::{self, Contents, ReadFolder};
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, Metadata};
use crate::tree::xattr::is_privileged;

/// What the root held before the command ran.
pub trait Below: Sync {
    /// The names in the directory at `path`; none where there is no directory.
    fn directory(&self, path: &TreePath) -> Result<BTreeMap<Vec<u8>, Held>, TreeError>;
}

/// What a name stood for: several layers may make one directory, which then is no single tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Directory(Metadata),
    /// Anything but a directory.
    Other(Entry),
}

/// The root directory of the change; that of the empty directory if there is none.
pub fn capture_upper(
    memo: &Memo,
    upper: BorrowedFd<'_>,
    below: &dyn Below,
    options: &CaptureOptions<'_>,
    cancel: &Cancel,
) -> Result<TreeDigest, TreeError> {
    let mut contents = contents::read(memo, upper, Some(options.flavour), options, cancel)?;
    compare(&mut contents, below, options, cancel)?;
    Ok(contents.join(memo, options, cancel)?.1)
}

/// Leaves in `contents` only what differs from `below`, from the top down.
pub(crate) fn compare(
    contents: &mut Contents,
    below: &dyn Below,
    options: &CaptureOptions<'_>,
    cancel: &Cancel,
) -> Result<(), TreeError> {
    let Contents { folders, levels, read } = contents;
    // Where what lies below shows through: the names there.
    let mut held: Vec<Option<BTreeMap<Vec<u8>, Held>>> = vec![None; read.len()];
    for level in levels {
        for &id in level.iter() {
            if let Some((parent, name)) = folders.place(id) {
                let before = held[parent].as_ref().and_then(|names| names.get(name));
                compare_folder(&mut read[id], before, options.ids);
                if before.is_none() && leads_to_left_out(&folders.path(id), options) {
                    read[id].implied = true;
                }
            }
        }
        let found = descent::for_each(level, options.single_threaded, cancel, |&id| {
            let shows_through = folders.place(id).is_none_or(|(parent, name)| {
                let before = held[parent].as_ref().and_then(|names| names.get(name));
                matches!(before, Some(Held::Directory(_))) && !read[id].opaque
            });
            if shows_through { names_below(below, folders, id).map(Some) } else { Ok(None) }
        })?;
        for (&id, names) in level.iter().zip(found) {
            compare_entries(&mut read[id].directory.entries, names.as_ref(), options.ids);
            held[id] = names;
        }
    }
    Ok(())
}

fn names_below(
    below: &dyn Below,
    folders: &Folders,
    id: usize,
) -> Result<BTreeMap<Vec<u8>, Held>, TreeError> {
    let path = folders.path(id);
    let too_long = |_| failed("cannot look up", &path, b"", rustix::io::Errno::NAMETOOLONG);
    below.directory(&TreePath::parse(&path).map_err(too_long)?)
}

/// A folder that was there before is only a change if its own metadata is another, if it hides what was in it,
/// or for what is in it.
fn compare_folder(folder: &mut ReadFolder, before: Option<&Held>, ids: Ids<'_>) {
    match before {
        Some(Held::Directory(before)) => {
            if matches!(ids, Ids::AllRoot) {
                (folder.metadata.uid, folder.metadata.gid) = (before.uid, before.gid);
            }
            folder.implied = !folder.opaque && folder.metadata == *before;
        }
        // Nothing was in it: there is nothing to hide.
        _ => folder.opaque = false,
    }
}

fn compare_entries(
    entries: &mut BTreeMap<Vec<u8>, Entry>,
    before: Option<&BTreeMap<Vec<u8>, Held>>,
    ids: Ids<'_>,
) {
    entries.retain(|name, entry| {
        let before = before.and_then(|names| names.get(name));
        match (before, &entry.content) {
            (before, Content::Whiteout) => before.is_some(),
            (Some(Held::Other(before)), _) => {
                adopt(entry, before, ids);
                !is_same(entry, before)
            }
            _ => true,
        }
    });
}

/// Where one user stands for all, a name keeps the owner it had, unless somebody knows better, and a file that was
/// only touched the privileges that copying it up cost it.
fn adopt(entry: &mut Entry, before: &Entry, ids: Ids<'_>) {
    use std::mem::discriminant;
    if discriminant(&entry.content) != discriminant(&before.content) {
        return;
    }
    match ids {
        Ids::Exact => return,
        Ids::AllRoot => (entry.metadata.uid, entry.metadata.gid) = (before.metadata.uid, before.metadata.gid),
        Ids::Told(_) => {}
    }
    if same_content(&entry.content, &before.content) {
        for (name, value) in before.metadata.xattrs.iter().filter(|(name, _)| is_privileged(name)) {
            entry.metadata.xattrs.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn is_same(entry: &Entry, before: &Entry) -> bool {
    entry.metadata == before.metadata && same_content(&entry.content, &before.content)
}

/// Copying up breaks a link, which alone is no change; a link that was made is one.
fn same_content(content: &Content, before: &Content) -> bool {
    match (content, before) {
        (Content::File { blob, link: None, .. }, Content::File { blob: blob_before, .. }) => {
            blob == blob_before
        }
        (content, before) => content == before,
    }
}

/// Whether the folder had to be made for something that is left out.
fn leads_to_left_out(path: &[u8], options: &CaptureOptions<'_>) -> bool {
    options
        .leave_out
        .iter()
        .any(|left_out| left_out.as_bytes().strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/")))
}

#[cfg(test)]
mod tests;
