//! What a run wrote below its copy-on-write mounts: it is thrown away, and told to whoever may expect it on the
//! root. Looked for after every run, since a later build may be the first to stand on that root, and a run whose
//! mounts were not written to pays one listing for each of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::copies::{Copied, Copies};
use crate::exec::sandbox::places;
use crate::exec::sandbox::root::{copied_place, own_place};
use crate::exec::sandbox::spec::{Mounted, Part, Root, Spec, WRAPPED};
use crate::exec::sandbox::workplace::copied_root;
use crate::graph::op::Access;
use crate::store::record::Lost;
use crate::tree::disk::copied::touched;

/// Entries that are looked at: who writes more is told of so many.
const MOST_ENTRIES: usize = 10_000;

/// `folders` are where the spec's snapshots are. Nothing where no node can stand on the root. What cannot be read
/// is not told: it is for a warning only.
pub(super) fn lost(spec: &Spec, folders: &[PathBuf], copies: &Copies) -> Lost {
    if spec.is_test || matches!(spec.root, Root::Host { .. }) {
        return Lost::default();
    }
    let places = places::all(spec).into_iter().map(|placed| placed.at().clone()).collect();
    let mut search = Search { spec, places, lost: Lost::default(), left: MOST_ENTRIES };
    for (number, mounted) in spec.mounts.iter().enumerate() {
        if let Some(copied) = copies.mounts.get(&number) {
            search.look_at_copy(mounted, copied);
            continue;
        }
        match (mounted.source.part, mounted.access) {
            (_, Access::Ro) => {}
            (Part::File, Access::Cow) => {
                let source = folders[mounted.source.snapshot].join(WRAPPED);
                let copy = match spec.walls.has_namespaces() {
                    true => copied_place(spec, number),
                    false => copied_root(&spec.work).join(mounted.at.as_path()),
                };
                search.look_at_file(mounted, &source, &copy);
            }
            (Part::All | Part::Folder, Access::Cow) => {
                search.look_below(mounted.at.clone(), own_place(spec, number).join("upper"));
            }
        }
    }
    search.lost
}

struct Search<'a> {
    spec: &'a Spec,
    /// Of everything that is mounted.
    places: BTreeSet<TreePath>,
    lost: Lost,
    /// Entries that may still be looked at.
    left: usize,
}

impl Search<'_> {
    fn look_at_copy(&mut self, mounted: &Mounted, copied: &Copied) {
        let touched = touched(copied.folder.as_fd(), &copied.notes, self.left);
        self.left -= touched.len();
        for path in touched {
            let path = path.split(|&byte| byte == b'/').fold(mounted.at.clone(), |at, name| at.join(name));
            if !self.is_in_a_lower_mount(&path, &mounted.at) {
                self.add(&path);
            }
        }
    }

    /// Whether something else is mounted in this mount, and has the path.
    fn is_in_a_lower_mount(&self, path: &TreePath, this: &TreePath) -> bool {
        let mut lower = self.places.iter().filter(|at| *at != this && at.starts_with(this));
        lower.any(|at| path.starts_with(at))
    }

    fn look_at_file(&mut self, mounted: &Mounted, source: &Path, copy: &Path) {
        let facts = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        if facts(source) != facts(copy) {
            self.add(&mounted.at);
        }
    }

    /// In the order of names, a folder's own before those below it.
    fn look_below(&mut self, at: TreePath, upper: PathBuf) {
        let mut waiting = vec![(at, upper)];
        while let Some((at, folder)) = waiting.pop() {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut entries: Vec<_> = entries.take(self.left).collect();
            self.left -= entries.len();
            entries.sort_by_key(fs::DirEntry::file_name);
            let mut below = Vec::new();
            for entry in entries {
                let path = at.join(entry.file_name().as_bytes());
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => below.push((path, entry.path())),
                    // A whiteout: something was removed, nothing was written.
                    Ok(kind) if kind.is_char_device() => {}
                    // The place of another mount.
                    Ok(_) if self.places.contains(&path) => {}
                    Ok(_) => self.add(&path),
                    Err(_) => {}
                }
            }
            waiting.extend(below.into_iter().rev());
        }
    }

    /// Unless an output has it.
    fn add(&mut self, path: &TreePath) {
        let is_kept = self.spec.outputs.iter().any(|output| path.starts_with(&output.path));
        if !is_kept {
            self.lost.add(path.to_string());
        }
    }
}
