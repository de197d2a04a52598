//! What a sandbox shows of snapshots: the notes that were taken of them, the devices on which the numbers of their
//! inodes hold, and the overlays through which they are copied.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::exec::sandbox::ownership::inodes::Inodes;
use crate::exec::sandbox::ownership::places::Places;
use crate::exec::sandbox::place::open_inside;
use crate::exec::sandbox::root::own_place;
use crate::exec::sandbox::spec::{Spec, Trouble, Walls};
use crate::exec::sandbox::sys::listener::facts;
use crate::exec::sandbox::workplace;
use crate::tree::disk::snapshot::Notes;

pub(in crate::exec::sandbox) struct Shown {
    /// Where the snapshots are whose notes were not read yet.
    unread: Vec<PathBuf>,
    devices: Vec<(u32, u32)>,
    /// The disk's, if folders of it are shown that outlive the run.
    outlived: Option<(u32, u32)>,
    layered: Vec<Layered>,
}

/// An overlay mount.
struct Layered {
    device: (u32, u32),
    /// Where it is mounted, as an absolute path without a slash at its end.
    at: Vec<u8>,
    /// Takes what is written there.
    upper: OwnedFd,
}

impl Shown {
    /// `top` is the root's top, with everything in its place; `folders` are where the spec's snapshots are.
    pub(in crate::exec::sandbox) fn new(
        spec: &Spec,
        folders: &[PathBuf],
        top: BorrowedFd<'_>,
    ) -> Result<Shown, Trouble> {
        let look = || -> Result<Shown, Errno> {
            let store = openat(CWD, &spec.store, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let mut layered = Vec::new();
            if spec.walls == Walls::Mounted {
                layered.push(Layered::new(top, Vec::new(), workplace::upper(&spec.work))?);
            }
            for (number, mounted) in spec.mounts.iter().enumerate() {
                let upper = own_place(spec, number).join("upper");
                if upper.exists() {
                    let place = open_inside(top, &mounted.at, OFlags::PATH)?;
                    let at = [b"/", mounted.at.as_bytes()].concat();
                    layered.push(Layered::new(place.as_fd(), at, upper)?);
                }
            }
            let disk = device(store.as_fd())?;
            // A root that is a copy lies on the disk as well, where nobody could tell a cache's folders from it.
            let is_apart = spec.walls == Walls::Mounted || !spec.lent.caches.is_empty();
            let mut devices = vec![disk];
            devices.extend(layered.iter().map(|layered| layered.device));
            Ok(Shown { unread: folders.to_vec(), devices, outlived: is_apart.then_some(disk), layered })
        };
        look().map_err(Trouble::at("look at its mounts"))
    }

    /// Once, and only when they are needed: most small runs ask for no owner.
    pub(super) fn read_into(&mut self, inodes: &mut Inodes) -> Result<(), Trouble> {
        if self.unread.is_empty() {
            return Ok(());
        }
        self.unread.sort();
        self.unread.dedup();
        let notes = self.unread.drain(..).map(|root| Notes::read(&root)).collect::<Result<_, _>>()?;
        inodes.learn(notes, self.devices.clone(), self.outlived);
        Ok(())
    }

    /// The number that a copied file has on the disk: the overlay shows that of the original, until the kernel is
    /// short of memory and has forgotten where the copy came from (in a user namespace no copy may tell).
    pub(super) fn number(&self, places: &Places, object: BorrowedFd<'_>, seen: &libc::statx) -> Option<u64> {
        let device = (seen.stx_dev_major, seen.stx_dev_minor);
        let layered = self.layered.iter().find(|layered| layered.device == device)?;
        layered.number(places, object, seen).filter(|&number| number != seen.stx_ino)
    }
}

impl Layered {
    fn new(top: BorrowedFd<'_>, at: Vec<u8>, upper: PathBuf) -> Result<Layered, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Layered { device: device(top)?, at, upper: openat(CWD, &upper, flags, Mode::empty())? })
    }

    fn number(&self, places: &Places, object: BorrowedFd<'_>, seen: &libc::statx) -> Option<u64> {
        let path = places.path_of(object).ok()?;
        let below = path.strip_prefix(self.at.as_slice())?.strip_prefix(b"/")?;
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
        let mask = libc::STATX_BTIME | libc::STATX_INO;
        let found = facts(self.upper.as_fd(), &CString::new(below).ok()?, flags, mask).ok()?.numbers();
        let birth = |facts: &libc::statx| (facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec);
        // It may have been renamed meanwhile.
        (birth(&found) == birth(seen)).then_some(found.stx_ino)
    }
}

fn device(of: BorrowedFd<'_>) -> Result<(u32, u32), Errno> {
    let found = facts(of, c"", libc::AT_EMPTY_PATH, libc::STATX_INO);
    let found = found.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?.numbers();
    Ok((found.stx_dev_major, found.stx_dev_minor))
}
