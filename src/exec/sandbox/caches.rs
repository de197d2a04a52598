//! A run's caches: made where they are not there yet, and mounted. Each is one folder, opened once and mounted by
//! that: whatever runs do in it at the same time, no other place is ever meant.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use crate::base::cancel::Cancel;
use crate::base::digest::TreeDigest;
use crate::base::durable::rename_noreplace;
use crate::base::remove::remove;
use crate::exec::identity::Identity;
use crate::exec::sandbox::ask;
use crate::exec::sandbox::gift::Gift;
use crate::exec::sandbox::lent::CacheFolder;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::spec::{Reply, Spec, Trouble};
use crate::exec::sandbox::sys;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::materialize::{Materialize, Owners, SECOND, Whiteouts, materialize};
use crate::tree::disk::snapshot::FIRST_TIME;
use crate::tree::error::TreeError;
use crate::tree::tree::{Content, Entry, Metadata};

/// Of a folder that has not got its owner yet: the next run finds it so, and gives it one, should this one die.
pub(super) const UNFINISHED: u32 = 0;

/// Makes those that are not there. Another run may be faster: then its folder is taken.
pub(super) fn make(spec: &Spec, main: &mut UnixStream) -> Result<(), Trouble> {
    for cache in spec.lent.caches.iter().filter(|cache| !cache.folder.exists()) {
        let made = match cache.seed {
            None => fs::DirBuilder::new().mode(UNFINISHED).create(&cache.folder),
            Some(seed) => plant(spec, seed, cache, main)?,
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Trouble::at(format!("make the cache at `{}`", cache.at)))?,
        }
    }
    Ok(())
}

/// Aside first, so that no run ever finds a part of it.
fn plant(
    spec: &Spec,
    seed: TreeDigest,
    cache: &CacheFolder,
    main: &mut UnixStream,
) -> Result<io::Result<()>, Trouble> {
    let memo = Memo::open(&spec.store)?;
    let draft = spec.work.join("seed");
    match materialize_in(&memo, seed, &draft, &spec.identity) {
        Err(TreeError::Store(StoreError::Missing(_))) => {
            ask(main, &Reply::WantsTree(seed))?;
            materialize_in(&memo, seed, &draft, &spec.identity)?;
        }
        made => made?,
    }
    let named = rename_noreplace(&draft, &cache.folder);
    remove(&draft).map_err(Trouble::at("remove a seed that was not needed"))?;
    Ok(named)
}

/// Older than all that a run is given, since nobody knows what it was made from.
fn materialize_in(
    memo: &Memo,
    seed: TreeDigest,
    draft: &std::path::Path,
    identity: &Identity,
) -> Result<(), TreeError> {
    let owners = if matches!(identity, Identity::Single { .. }) { Owners::Single } else { Owners::Exact };
    let options = Materialize { owners, time: FIRST_TIME * SECOND, whiteouts: Whiteouts::Refuse };
    let entry = Entry {
        metadata: Metadata::plain(UNFINISHED),
        content: Content::Directory { tree: seed, opaque: false },
    };
    materialize(memo, &entry, draft, &options, &Cancel::default())
}

/// Gives what is still to be given to its owner.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    cache: &CacheFolder,
) -> Result<Option<Gift>, Trouble> {
    let action = || format!("mount the cache at `{}`", cache.at);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(CWD, &cache.folder, flags, Mode::empty()).map_err(Trouble::at(action()))?;
    let mount = mounts::view_of(folder.as_fd()).map_err(Trouble::at(action()))?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    sys::set_mount_attributes(mount.as_fd(), attributes, 0).map_err(Trouble::at(action()))?;
    let under = stubs.folder(root, &cache.at)?;
    mounts::attach(mount.as_fd(), under.as_fd()).map_err(Trouble::at(action()))?;
    let mode = fstat(&folder).map_err(Trouble::at(action()))?.st_mode & 0o7777;
    let gift = || Gift { place: folder, owner: cache.owner.clone(), mode: cache.mode };
    Ok((mode == UNFINISHED).then(gift))
}
