//! What a run wrote below its copy-on-write mounts: it is thrown away, and told to whoever may expect it on the
//! root. Looked for after every run, since a later build may be the first to stand on that root, and a run whose
//! mounts were not written to pays one listing for each of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::places;
use crate::exec::sandbox::root::{copied_place, own_place};
use crate::exec::sandbox::spec::{Mounted, Part, Root, Spec, WRAPPED};
use crate::graph::op::Access;
use crate::store::record::Lost;

/// Entries that are looked at: who writes more is told of so many.
const MOST_ENTRIES: usize = 10_000;

/// `folders` are where the spec's snapshots are. Nothing where no node can stand on the root. What cannot be read
/// is not told: it is for a warning only.
pub(super) fn lost(spec: &Spec, folders: &[PathBuf]) -> Lost {
    if spec.is_test || matches!(spec.root, Root::Host { .. }) {
        return Lost::default();
    }
    let places = places::all(spec).into_iter().map(|placed| placed.at().clone()).collect();
    let mut search = Search { spec, places, lost: Lost::default(), left: MOST_ENTRIES };
    for (number, mounted) in spec.mounts.iter().enumerate() {
        match (mounted.source.part, mounted.access) {
            (_, Access::Ro) => {}
            (Part::File, Access::Cow) => {
                let source = folders[mounted.source.snapshot].join(WRAPPED);
                search.look_at_file(mounted, &source, &copied_place(spec, number));
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
