//! The folders of a run that are copies, where nothing can be stacked: the root, and mounts that can be written.
//! What each was like before the commands began is noted, so that what they did can be found.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::root::{make_ground, own_place, source};
use crate::exec::sandbox::spec::{Mounted, Root, Spec, Trouble};
use crate::exec::sandbox::workplace::{self, make_folder, open};
use crate::tree::disk::copy::{Noted, Stop, ToCopy, copy, copy_with_top};
use crate::tree::disk::notes::Notes;
use crate::tree::disk::snapshot;

#[derive(Default)]
pub(super) struct Copies {
    /// Of the root, where it is a copy.
    pub root: Option<Copied>,
    /// Of mounts, by their number.
    pub mounts: BTreeMap<usize, Copied>,
    /// What was noted of the snapshots, where owners are told, of all copies.
    pub noted: Vec<Noted>,
}

/// One that commands may have changed since.
pub(super) struct Copied {
    pub folder: OwnedFd,
    pub notes: Notes,
    /// What is there and is none of it, relative to the folder.
    pub left_out: Vec<TreePath>,
}

/// What making copies takes.
pub(super) struct Copying<'a> {
    pub spec: &'a Spec,
    /// Where the spec's snapshots are.
    pub folders: &'a [PathBuf],
    pub stop: &'a Stop<'a>,
}

impl Copying<'_> {
    /// What the root's layers come to, over the places that every sandbox has. Nothing of it lies in the folders of
    /// `leave_out`.
    pub(super) fn lay_root(&self, leave_out: &[TreePath], copies: &mut Copies) -> Result<OwnedFd, Trouble> {
        let place = workplace::copied_root(&self.spec.work);
        if let Some(around) = place.parent() {
            make_folder(around, 0o700)?;
        }
        make_folder(&place, 0o755)?;
        let mut lowers = vec![make_ground(&workplace::ground(&self.spec.work), self.spec)?];
        // Of the ground nothing was noted.
        let mut notes = vec![snapshot::Notes::default()];
        if let Root::Layers { stack, .. } = &self.spec.root {
            for &number in stack {
                notes.extend(self.notes(number)?);
                lowers.push(self.folders[number].clone());
            }
        }
        let root = open_copy(&place)?;
        let what = ToCopy { lowers: &lowers, notes: &notes, flavour: self.spec.flavour(), leave_out };
        copies.noted.extend(copy(&what, root.as_fd(), self.stop)?);
        Ok(root)
    }

    /// What was noted of a snapshot, where the disk does not tell it.
    fn notes(&self, snapshot: usize) -> Result<Option<snapshot::Notes>, Trouble> {
        let read = || snapshot::Notes::read(&self.folders[snapshot]);
        Ok(self.spec.tells_owners.then(read).transpose()?)
    }

    /// Fills an empty folder with what is mounted there.
    pub(super) fn fill(
        &self,
        mounted: &Mounted,
        folder: BorrowedFd<'_>,
        leave_out: &[TreePath],
        copies: &mut Copies,
    ) -> Result<(), Trouble> {
        let lowers = [source(mounted, self.folders)];
        let notes = Vec::from_iter(self.notes(mounted.source.snapshot)?);
        let what = ToCopy { lowers: &lowers, notes: &notes, flavour: self.spec.flavour(), leave_out };
        copies.noted.extend(copy_with_top(&what, folder, self.stop)?);
        Ok(())
    }

    /// A copy for the mount of this number, to be attached.
    pub(super) fn mount(
        &self,
        (number, mounted): (usize, &Mounted),
        copies: &mut Copies,
    ) -> Result<(OwnedFd, Copied), Trouble> {
        let own = own_place(self.spec, number);
        let place = own.join("copy");
        make_folder(&own, 0o700)?;
        make_folder(&place, 0o755)?;
        let folder = open_copy(&place)?;
        self.fill(mounted, folder.as_fd(), &[], copies)?;
        let view = mounts::view(&place).map_err(Trouble::at("show a copy of what is mounted"))?;
        Ok((view, Copied::new(folder, Vec::new())?))
    }
}

impl Copied {
    pub(super) fn new(folder: OwnedFd, left_out: Vec<TreePath>) -> Result<Copied, Trouble> {
        let notes = Notes::take(folder.as_fd(), &left_out)?;
        Ok(Copied { folder, notes, left_out })
    }
}

fn open_copy(place: &Path) -> Result<OwnedFd, Trouble> {
    open(place).map_err(Trouble::at::<Errno>(format!("open {}", place.display())))
}
