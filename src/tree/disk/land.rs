//! A tree into a folder that people keep: what would change there, and the change itself. Modes are canonical
//! (0644, 0755) and owners the caller's, as in a checkout; of modes, only whether a file can be executed is
//! compared, and empty folders are no difference, since git knows neither. No link in the folder is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::base::durable;
use crate::base::remove::remove;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::tree::disk::materialize::{Materialize, Owners, Whiteouts, materialize};
use crate::tree::encode;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, Metadata};

/// Folders inside each other.
const DEEPEST: usize = 256;

/// A tree that is to be kept, in its canonical form.
#[derive(Debug)]
pub struct Landing {
    entry: Entry,
    /// Files and links, from the top of the tree; of a single file, its path is the root.
    wanted: BTreeMap<TreePath, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Added,
    Changed,
    Removed,
}

/// What would become of files and links, by their paths below the destination.
pub type Changes = BTreeMap<TreePath, Change>;

impl Landing {
    /// Refuses what no folder of sources holds: devices, and links that lead more than `above` folders up.
    pub fn new(memo: &Memo, entry: &Entry, above: usize) -> Result<Landing, TreeError> {
        let mut reading = Reading { memo, above, wanted: BTreeMap::new() };
        let entry = reading.entry(&TreePath::root(), entry, 0)?;
        Ok(Landing { entry, wanted: reading.wanted })
    }

    /// `merge`: what else is there stays, and what is in the way is an error.
    pub fn changes(&self, to: &Path, merge: bool) -> Result<Changes, TreeError> {
        let mut there = BTreeMap::new();
        if !merge || !self.entry.is_directory() {
            list(to, &TreePath::root(), &mut there, 0)?;
        } else {
            self.look(to, &mut there)?;
        }
        let mut changes = Changes::new();
        for (path, entry) in &self.wanted {
            match there.get(path) {
                Some(()) if is_same(&at(to, path), entry)? => {}
                Some(()) => drop(changes.insert(path.clone(), Change::Changed)),
                None => drop(changes.insert(path.clone(), Change::Added)),
            }
        }
        let others = there.into_keys().filter(|path| !self.wanted.contains_key(path));
        changes.extend(others.map(|path| (path, Change::Removed)));
        if merge && changes.values().any(|change| *change == Change::Removed) {
            return Err(TreeError::InTheWay { path: to.to_owned() });
        }
        Ok(changes)
    }

    /// Which of the wanted paths are there. Only folders may stand where folders are wanted, and no folder
    /// where a file is.
    fn look(&self, to: &Path, there: &mut BTreeMap<TreePath, ()>) -> Result<(), TreeError> {
        let mut folders: BTreeSet<TreePath> = BTreeSet::new();
        for path in self.wanted.keys() {
            let is_new = |path: &TreePath| !folders.contains(path);
            let above: Vec<TreePath> =
                std::iter::successors(path.parent(), TreePath::parent).take_while(is_new).collect();
            for folder in above {
                check_folder(&at(to, &folder))?;
                folders.insert(folder);
            }
            match fs::symlink_metadata(at(to, path)) {
                Ok(metadata) if metadata.is_dir() => {
                    return Err(TreeError::InTheWay { path: at(to, path) });
                }
                Ok(_) => drop(there.insert(path.clone(), ())),
                Err(error) if is_nothing(&error) => {}
                Err(error) => return Err(TreeError::io("cannot look at", &at(to, path))(error)),
            }
        }
        Ok(())
    }

    /// Makes the changes, and any empty folder. Whoever looks at a folder that is replaced finds the old or the
    /// new one; what is merged comes file by file.
    pub fn write(&self, memo: &Memo, to: &Path, merge: bool, cancel: &Cancel) -> Result<(), TreeError> {
        let merge = merge && self.entry.is_directory();
        let folder = if merge { to } else { to.parent().unwrap_or(to) };
        fs::create_dir_all(folder).map_err(TreeError::io("cannot make", folder))?;
        let fresh = folder.join(format!(".memobuild-export-{}", std::process::id()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(now.as_nanos()).unwrap_or_default();
        let options = Materialize { owners: Owners::Single, time, whiteouts: Whiteouts::Refuse };
        remove(&fresh).map_err(TreeError::io("cannot remove", &fresh))?;
        let written = materialize(memo, &self.entry, &fresh, &options, cancel).and_then(|()| {
            if merge {
                return self.move_in(&fresh, to);
            }
            durable::exchange(&fresh, to).map_err(TreeError::io("cannot put in place", to))
        });
        // What was there before, or what an error left.
        remove(&fresh).map_err(TreeError::io("cannot remove", &fresh))?;
        written
    }

    fn move_in(&self, fresh: &Path, to: &Path) -> Result<(), TreeError> {
        for (path, change) in self.changes(to, true)? {
            if change == Change::Removed {
                continue;
            }
            let place = at(to, &path);
            let folder = place.parent().unwrap_or(to);
            fs::create_dir_all(folder).map_err(TreeError::io("cannot make", folder))?;
            fs::rename(at(fresh, &path), &place).map_err(TreeError::io("cannot put in place", &place))?;
        }
        Ok(())
    }
}

struct Reading<'m> {
    memo: &'m Memo,
    above: usize,
    wanted: BTreeMap<TreePath, Entry>,
}

impl Reading<'_> {
    fn entry(&mut self, path: &TreePath, entry: &Entry, depth: usize) -> Result<Entry, TreeError> {
        let canonical = match &entry.content {
            Content::Directory { tree, .. } => {
                if depth == DEEPEST {
                    let path = PathBuf::from(path.to_string());
                    return Err(TreeError::TooDeep { path, limit: DEEPEST });
                }
                let mut directory = encode::load(self.memo, *tree)?;
                for (name, entry) in &mut directory.entries {
                    *entry = self.entry(&path.join(name), entry, depth + 1)?;
                }
                return Ok(Entry::directory(encode::save(self.memo, &directory)?));
            }
            Content::File { blob, size, .. } => {
                let mode = if entry.metadata.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                Entry::file(*blob, *size, mode)
            }
            Content::Symlink { target } => {
                self.leads_inside(path, target)?;
                Entry { metadata: Metadata::plain(0o777), content: entry.content.clone() }
            }
            Content::Fifo | Content::Device { .. } | Content::Whiteout => {
                return Err(TreeError::Special { path: path.clone() });
            }
        };
        self.wanted.insert(path.clone(), canonical.clone());
        Ok(canonical)
    }

    /// By its text: what it leads through may be there or not.
    fn leads_inside(&self, path: &TreePath, target: &[u8]) -> Result<(), TreeError> {
        let mut depth = (self.above + path.names().count()).saturating_sub(1);
        let mut stays = target.first() != Some(&b'/');
        for name in target.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    stays &= depth > 0;
                    depth = depth.saturating_sub(1);
                }
                _ => depth += 1,
            }
        }
        if stays {
            return Ok(());
        }
        Err(TreeError::LeadsOut { path: path.clone(), target: String::from_utf8_lossy(target).into_owned() })
    }
}

fn at(to: &Path, path: &TreePath) -> PathBuf {
    if path.is_root() { to.to_owned() } else { to.join(path.as_path()) }
}

fn is_nothing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn check_folder(path: &Path) -> Result<(), TreeError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(TreeError::InTheWay { path: path.to_owned() }),
        Err(error) if is_nothing(&error) => Ok(()),
        Err(error) => Err(TreeError::io("cannot look at", path)(error)),
    }
}

/// All that is no folder, below `path` or at it.
fn list(
    to: &Path,
    path: &TreePath,
    there: &mut BTreeMap<TreePath, ()>,
    depth: usize,
) -> Result<(), TreeError> {
    let here = at(to, path);
    let metadata = match fs::symlink_metadata(&here) {
        Ok(metadata) => metadata,
        Err(error) if is_nothing(&error) => return Ok(()),
        Err(error) => return Err(TreeError::io("cannot look at", &here)(error)),
    };
    if !metadata.is_dir() {
        there.insert(path.clone(), ());
        return Ok(());
    }
    if depth == DEEPEST {
        return Err(TreeError::TooDeep { path: to.to_owned(), limit: DEEPEST });
    }
    for entry in fs::read_dir(&here).map_err(TreeError::io("cannot read", &here))? {
        let name = entry.map_err(TreeError::io("cannot read", &here))?.file_name();
        list(to, &path.join(name.as_bytes()), there, depth + 1)?;
    }
    Ok(())
}

fn is_same(path: &Path, wanted: &Entry) -> Result<bool, TreeError> {
    let failed = |error| TreeError::io("cannot read", path)(error);
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    match &wanted.content {
        Content::Symlink { target } => {
            Ok(metadata.is_symlink() && fs::read_link(path).map_err(failed)?.as_os_str().as_bytes() == target)
        }
        Content::File { blob, size, .. } => {
            let runs = metadata.permissions().mode() & 0o111 != 0;
            let looks_alike =
                metadata.is_file() && metadata.size() == *size && runs == (wanted.metadata.mode & 0o111 != 0);
            Ok(looks_alike && BlobDigest::of(&fs::read(path).map_err(failed)?) == *blob)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests;
