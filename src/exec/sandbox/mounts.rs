//! Mounts by descriptor, through the new mount calls (Linux 5.2). Nothing here takes a path below a sandbox's root:
//! places there come as descriptors (`place.rs`).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys;

/// A fresh filesystem that lives in memory; `mode` is its root folder's, in octal.
pub(super) fn memory(mode: &str, attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    sized_memory(mode, None, attributes)
}

/// `size` is in bytes; without one, the kernel gives half of the machine's memory.
pub(super) fn sized_memory(
    mode: &str,
    size: Option<u64>,
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Trouble> {
    let fs = open_filesystem("tmpfs")?;
    let configure = || {
        fsconfig_set_string(fs.as_fd(), "mode", mode)?;
        if let Some(size) = size {
            fsconfig_set_string(fs.as_fd(), "size", size.to_string())?;
        }
        fsconfig_create(fs.as_fd())
    };
    configure().map_err(|error| explained(fs.as_fd(), "mount a tmpfs", error))?;
    finish(fs.as_fd(), attributes)
}

/// A fresh filesystem of files in memory that are never written to a swap device.
pub(super) fn unswapped_memory(attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    let fs = open_filesystem("ramfs")?;
    fsconfig_create(fs.as_fd()).map_err(|error| explained(fs.as_fd(), "mount a ramfs", error))?;
    finish(fs.as_fd(), attributes)
}

/// The processes of the caller's own process namespace.
pub(super) fn processes() -> Result<OwnedFd, Trouble> {
    let fs = open_filesystem("proc")?;
    fsconfig_create(fs.as_fd()).map_err(|error| explained(fs.as_fd(), "mount /proc", error))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    finish(fs.as_fd(), attributes)
}

/// Terminals of a sandbox's own; the first is number 0.
pub(super) fn terminals(attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    let fs = open_filesystem("devpts")?;
    let configure = || {
        fsconfig_set_string(fs.as_fd(), "ptmxmode", "666")?;
        fsconfig_set_string(fs.as_fd(), "mode", "620")?;
        fsconfig_create(fs.as_fd())
    };
    configure().map_err(|error| explained(fs.as_fd(), "mount a place for terminals", error))?;
    finish(fs.as_fd(), attributes)
}

pub(super) fn open_filesystem(kind: &str) -> Result<OwnedFd, Trouble> {
    fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(Trouble::at(format!("use the {kind} filesystem")))
}

pub(super) fn finish(fs: BorrowedFd<'_>, attributes: MountAttrFlags) -> Result<OwnedFd, Trouble> {
    fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|error| explained(fs, "make a mount", error))
}

/// The error with what the kernel says about it: a filesystem being set up can be read for that.
pub(super) fn explained(fs: BorrowedFd<'_>, action: &str, error: Errno) -> Trouble {
    let mut words = [0; 512];
    let words = match rustix::io::read(fs, &mut words[..]) {
        Ok(count) => String::from_utf8_lossy(&words[..count]).trim().to_owned(),
        Err(_) => String::new(),
    };
    match words.split_once(' ') {
        Some((_, words)) => Trouble::at(format!("{action} ({words})"))(error),
        None => Trouble::at(action)(error),
    }
}

/// A second view of a folder or file and of what is mounted below it.
pub(super) fn view(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(CWD, path, flags)
}

/// The same for what a descriptor stands for.
pub(super) fn view_of(place: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(place, "", flags)
}

pub(super) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags)
}

/// Nothing below can be written, be a device, or give other rights to who runs it.
pub(super) fn make_read_only(mount: BorrowedFd<'_>) -> Result<(), Trouble> {
    set_read_only(mount, libc::AT_RECURSIVE)
}

/// The same, but for what is mounted below it.
pub(super) fn make_itself_read_only(mount: BorrowedFd<'_>) -> Result<(), Trouble> {
    set_read_only(mount, 0)
}

/// No file of it is a device.
pub(super) fn make_deviceless(mount: BorrowedFd<'_>) -> Result<(), Trouble> {
    sys::set_mount_attributes(mount, libc::MOUNT_ATTR_NODEV, 0)
        .map_err(Trouble::at("keep devices out of a mount"))
}

fn set_read_only(mount: BorrowedFd<'_>, reach: i32) -> Result<(), Trouble> {
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    sys::set_mount_attributes(mount, attributes, reach).map_err(Trouble::at("make a mount read-only"))
}
