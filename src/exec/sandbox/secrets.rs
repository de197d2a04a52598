//! A run's secrets as files. They lie in a filesystem that never leaves memory, not even to a swap device, and that is
//! of this sandbox alone; each is mounted by itself, read-only, and gone with the sandbox.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::MountAttrFlags;

use crate::base::hidden::Hidden;
use crate::exec::sandbox::gift::Gift;
use crate::exec::sandbox::lent::SecretFile;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys;
use crate::exec::sandbox::workplace::{self, make_folder};

/// A place for them.
pub(super) fn set_up(work: &Path) -> Result<(), Trouble> {
    let place = workplace::secrets(work);
    make_folder(&place, 0o700)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let memory = mounts::unswapped_memory(attributes)?;
    let under = workplace::open(&place).map_err(Trouble::at("open a place for secrets"))?;
    mounts::attach(memory.as_fd(), under.as_fd()).map_err(Trouble::at("mount a place for secrets"))
}

/// `number` is the secret's own. Gives what is still to be given to its owner.
pub(super) fn mount(
    root: BorrowedFd<'_>,
    stubs: &mut Stubs,
    work: &Path,
    (number, secret): (usize, &SecretFile),
    value: &Hidden,
) -> Result<Gift, Trouble> {
    let action = || format!("show a secret at `{}`", secret.at);
    let path = workplace::secrets(work).join(number.to_string());
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(CWD, &path, flags, Mode::RUSR).map_err(Trouble::at(action()))?;
    let mut file = File::from(file);
    file.write_all(value.bytes()).map_err(Trouble::at(action()))?;
    let mount = mounts::view_of(file.as_fd()).map_err(Trouble::at(action()))?;
    let attributes =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    sys::set_mount_attributes(mount.as_fd(), attributes, 0).map_err(Trouble::at(action()))?;
    let under = stubs.file(root, &secret.at)?;
    mounts::attach(mount.as_fd(), under.as_fd()).map_err(Trouble::at(action()))?;
    Ok(Gift { place: file.into(), owner: secret.owner.clone(), mode: secret.mode })
}
