//! A copy that a command had → the change it made: as an overlay's upper folder would tell it, found by comparing the
//! copy with what was noted of it before. What shows the same is the same, and is not read.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::RwLock;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::tree::disk::capture::{CaptureOptions, Ids};
use crate::tree::disk::contents::{Contents, ReadFolder, joined};
use crate::tree::disk::descent::{self, Folders, failed};
use crate::tree::disk::inode::{FolderFacts, Reader};
use crate::tree::disk::notes::{Facts, Noted, NotedFolder, Notes, PLAIN, changed};
use crate::tree::disk::owned::Identity;
use crate::tree::disk::upper::{Below, compare};
use crate::tree::error::TreeError;
use crate::tree::tree::{Entry, Metadata};

/// The root directory of the change, as `capture_upper` gives it. `below` is what the copy was made of.
pub fn capture_copied(
    memo: &Memo,
    folder: BorrowedFd<'_>,
    notes: &Notes,
    below: &dyn Below,
    options: &CaptureOptions,
    cancel: &Cancel,
) -> Result<TreeDigest, TreeError> {
    let mut contents = read(memo, folder, notes, options, cancel)?;
    compare(&mut contents, below, options, cancel)?;
    Ok(contents.join(memo, options, cancel)?.1)
}

/// Paths of all that is new or was touched and is no folder, at most so many; in the order of names, a folder's own
/// before those below it. What cannot be read is not told.
pub fn touched(folder: BorrowedFd<'_>, notes: &Notes, most: usize) -> Vec<Vec<u8>> {
    let mut touched = Vec::new();
    let mut waiting = vec![(Vec::new(), Some(Notes::TOP))];
    while let Some((path, noted)) = waiting.pop() {
        let Ok(opened) = descent::open_below(folder, &path) else { continue };
        let Ok(mut names) = descent::list(opened.as_fd()) else { continue };
        names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut below = Vec::new();
        for (name, kind) in names {
            let before = noted.and_then(|noted| notes.folder(noted).names.get(&name));
            match (kind, before) {
                (FileType::Directory, Some(Noted::Folder(number))) => {
                    below.push((joined(&path, &name), Some(*number)));
                }
                (FileType::Directory, _) => below.push((joined(&path, &name), None)),
                (_, Some(Noted::Other(facts))) if is_untouched(opened.as_fd(), &name, facts) => {}
                _ if touched.len() == most => return touched,
                _ => touched.push(joined(&path, &name)),
            }
        }
        waiting.extend(below.into_iter().rev());
    }
    touched
}

fn is_untouched(folder: BorrowedFd<'_>, name: &[u8], noted: &Facts) -> bool {
    Facts::of(folder, name).is_ok_and(|facts| facts == *noted)
}

struct Reading<'a> {
    reader: Reader<'a>,
    root: BorrowedFd<'a>,
    notes: &'a Notes,
    leave_out: HashSet<&'a [u8]>,
}

/// A folder as it is now.
struct Now {
    folder: ReadFolder,
    /// Its number in the notes, where it is the same folder.
    noted: Option<usize>,
    below: Vec<Vec<u8>>,
}

/// What differs, as if it lay in the upper folder of an overlay.
fn read(
    memo: &Memo,
    root: BorrowedFd<'_>,
    notes: &Notes,
    options: &CaptureOptions,
    cancel: &Cancel,
) -> Result<Contents, TreeError> {
    let leave_out = options.leave_out.iter().map(TreePath::as_bytes).collect();
    let reader = Reader { memo, options, upper: Some(PLAIN), cancel, unlocking: RwLock::new(()) };
    let reading = Reading { reader, root, notes, leave_out };
    let mut folders = Folders::new();
    let mut levels = vec![vec![Folders::ROOT]];
    let mut noted = vec![Some(Notes::TOP)];
    let mut read: Vec<ReadFolder> = Vec::new();
    while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
        descent::check_depth(levels.len(), &folders, level[0])?;
        let found = descent::for_each(level, options.single_threaded, cancel, |&id| {
            reading.folder(&folders, id, noted[id])
        })?;
        let mut next = Vec::new();
        for (&id, now) in level.iter().zip(found) {
            noted[id] = now.noted;
            for name in now.below {
                let before = now.noted.and_then(|number| notes.folder(number).names.get(&name));
                noted.push(match before {
                    Some(Noted::Folder(number)) => Some(*number),
                    _ => None,
                });
                next.push(folders.add(id, name));
            }
            read.push(now.folder);
        }
        levels.push(next);
    }
    let mut contents = Contents { folders, levels, read };
    contents.link();
    contents.leave_out_quiet();
    Ok(contents)
}

impl Reading<'_> {
    /// `noted` is the folder that had this name before, if one had.
    fn folder(&self, folders: &Folders, id: usize, noted: Option<usize>) -> Result<Now, TreeError> {
        let path = folders.path(id);
        let (opened, FolderFacts { metadata, .. }) = self.open(folders, id)?;
        let identity =
            Identity::of(opened.as_fd(), b"").map_err(|error| failed("cannot look at", &path, b"", error))?;
        let same = noted.filter(|&number| self.notes.folder(number).identity == identity);
        // One that was made in place of another shows nothing of that.
        let opaque = noted.is_some() && same.is_none();
        let before = same.map(|number| self.notes.folder(number));
        let implied = match before {
            Some(before) => self
                .is_same(before, opened.as_fd(), &metadata)
                .map_err(|error| failed("cannot look at", &path, b"", error))?,
            None => false,
        };
        let mut names =
            descent::list(opened.as_fd()).map_err(|error| failed("cannot list", &path, b"", error))?;
        if !self.leave_out.is_empty() {
            names.retain(|(name, _)| !self.leave_out.contains(&*joined(&path, name)));
        }
        let there: HashSet<&[u8]> = names.iter().map(|(name, _)| name.as_slice()).collect();
        let gone = before.into_iter().flat_map(|before| before.names.keys());
        let gone: Vec<Vec<u8>> = gone.filter(|name| !there.contains(name.as_slice())).cloned().collect();
        names.retain(|(name, kind)| match before.and_then(|before| before.names.get(name)) {
            Some(Noted::Other(facts)) if *kind != FileType::Directory => {
                !is_untouched(opened.as_fd(), name, facts)
            }
            _ => true,
        });
        let Reader { options, cancel, .. } = self.reader;
        let found = descent::for_each(&names, options.single_threaded, cancel, |(name, kind)| {
            self.reader.read(opened.as_fd(), &path, name, *kind)
        })?;
        let facts = FolderFacts { metadata, opaque };
        let mut folder = ReadFolder::new(facts, names.into_iter().map(|(name, _)| name).zip(found));
        folder.implied = implied;
        folder.directory.entries.extend(gone.into_iter().map(|name| (name, Entry::whiteout())));
        let below = std::mem::take(&mut folder.below);
        Ok(Now { folder, noted: same, below })
    }

    /// Where somebody tells owners, the disk shows only whether anything about the folder was changed.
    fn is_same(&self, before: &NotedFolder, opened: BorrowedFd<'_>, now: &Metadata) -> Result<bool, Errno> {
        let owners = match self.reader.options.ids {
            Ids::AllRoot => true,
            Ids::Exact => (before.metadata.uid, before.metadata.gid) == (now.uid, now.gid),
            Ids::Told(_) => before.changed == changed(&rustix::fs::fstat(opened)?),
        };
        Ok(owners && before.metadata.mode == now.mode && before.metadata.xattrs == now.xattrs)
    }

    fn open(&self, folders: &Folders, id: usize) -> Result<(OwnedFd, FolderFacts), TreeError> {
        match folders.place(id) {
            None => self.reader.open_root(self.root),
            Some((parent, name)) => {
                let parent_path = folders.path(parent);
                let parent = folders.open(self.root, parent)?;
                self.reader.open_folder(parent.as_fd(), &parent_path, name)
            }
        }
    }
}
