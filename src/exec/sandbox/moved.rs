//! A run's caches where nothing can be mounted: each is moved into the run's root, and back when nobody lives there any
//! more. Nobody else has it meanwhile. With a helper that is killed a cache is lost, which costs the next run time.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, FileType, OFlags, RenameFlags, fstat, renameat_with, statat};
use rustix::io::Errno;

use crate::exec::sandbox::caches::UNFINISHED;
use crate::exec::sandbox::gift::Gift;
use crate::exec::sandbox::lent::CacheFolder;
use crate::exec::sandbox::place::{Stubs, open_inside};
use crate::exec::sandbox::spec::Trouble;

/// Moved back when it is dropped.
pub(super) struct Moved {
    home: PathBuf,
    /// Where it is now: a name in a folder.
    folder: OwnedFd,
    name: Vec<u8>,
}

/// Gives what is still to be given to its owner.
pub(super) fn move_in(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    cache: &CacheFolder,
) -> Result<(Moved, Option<Gift>), Trouble> {
    let action = || format!("move the cache to `{}`", cache.at);
    let (above, name) =
        cache.at.parent().zip(cache.at.name()).ok_or_else(|| Trouble::at(action())(Errno::ISDIR))?;
    let folder = stubs.folder(root, &above)?;
    let moved = renameat_with(CWD, &cache.folder, &folder, name, RenameFlags::NOREPLACE);
    match moved {
        Err(Errno::EXIST) => {
            let message = format!("nothing can be put at `{}`: something else stands there", cache.at);
            return Err(Trouble::input(message, "use another path"));
        }
        moved => moved.map_err(Trouble::at(action()))?,
    }
    let moved = Moved { home: cache.folder.clone(), folder, name: name.to_vec() };
    let place =
        open_inside(root, &cache.at, OFlags::RDONLY | OFlags::DIRECTORY).map_err(Trouble::at(action()))?;
    let mode = fstat(&place).map_err(Trouble::at(action()))?.st_mode & 0o7777;
    let gift = || Gift { place, owner: cache.owner.clone(), mode: cache.mode };
    Ok((moved, (mode == UNFINISHED).then(gift)))
}

impl Drop for Moved {
    fn drop(&mut self) {
        let found = statat(&self.folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW);
        // A link or a file that stands there by now is no cache.
        if found.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            let _ = renameat_with(&self.folder, &*self.name, CWD, &self.home, RenameFlags::NOREPLACE);
        }
    }
}
