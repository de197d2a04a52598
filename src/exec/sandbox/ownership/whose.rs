//! Whose captured files are: asked of the mount through which commands saw them, since it is by the numbers it shows
//! that owners are known.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::ownership::inodes::{Inodes, Known};
use crate::exec::sandbox::ownership::places::{c_string, errno};
use crate::exec::sandbox::sys::listener::facts;
use crate::tree::disk::owned::{Owned, Whose};
use crate::tree::overlay::{Layers, Merged};

/// Bytes of path given to the kernel at once: below `PATH_MAX` with room to spare.
const CHUNK: usize = 3_000;

/// A folder that is captured.
pub(in crate::exec::sandbox) struct Seen<'a> {
    pub folder: BorrowedFd<'a>,
    pub inodes: &'a Inodes,
    /// The root before the run, where it is the root that is captured.
    pub below: Option<&'a Layers<'a>>,
}

impl Whose for Seen<'_> {
    fn whose(&self, path: &[u8], name: &[u8], is_copied: bool) -> Result<Owned, Errno> {
        let path = match (path, name) {
            (path, b"") => path.to_vec(),
            (b"", name) => name.to_vec(),
            (path, name) => [path, b"/", name].concat(),
        };
        match self.inodes.known(&self.facts(&path)?) {
            Known::Recorded(owned) | Known::Noted(owned) => Ok(owned),
            // Its number is not that of its original any more.
            Known::Nothing if is_copied => Ok(self.owner_below(&path).unwrap_or_default()),
            Known::Nothing => Ok(Owned::default()),
        }
    }
}

impl Seen<'_> {
    fn facts(&self, path: &[u8]) -> Result<libc::statx, Errno> {
        let mut rest = path;
        let mut at: Option<OwnedFd> = None;
        while rest.len() > CHUNK {
            let end = rest[..CHUNK].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let from = at.as_ref().map_or(self.folder, |folder| folder.as_fd());
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            at = Some(openat(from, &rest[..end], flags, Mode::empty())?);
            rest = &rest[end + 1..];
        }
        let from = at.as_ref().map_or(self.folder, |folder| folder.as_fd());
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
        let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
        let facts = facts(from, &c_string(rest.to_vec())?, flags, mask);
        Ok(facts.map_err(|error| errno(&error))?.numbers())
    }

    fn owner_below(&self, path: &[u8]) -> Option<Owned> {
        let metadata = match self.below?.find(&TreePath::parse(path).ok()?).ok()?? {
            Merged::Other(entry) => entry.metadata,
            Merged::Directory { metadata, .. } => metadata,
            Merged::Removed => return None,
        };
        Some(Owned { uid: metadata.uid, gid: metadata.gid, device: None })
    }
}

impl fmt::Debug for Seen<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Seen").finish_non_exhaustive()
    }
}
