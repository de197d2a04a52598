//! Sockets behind which the main process hands on to the caller's ssh agents: each is one inode of the run's own folder,
//! mounted by itself, so that nothing around it is reached.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat};

use crate::exec::identity::Identity;
use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::lent::AgentSocket;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::Stubs;
use crate::exec::sandbox::spec::{Spec, Trouble};
use crate::exec::sandbox::sys;

pub(super) fn mount(root: BorrowedFd<'_>, stubs: &mut Stubs, agent: &AgentSocket) -> Result<(), Trouble> {
    let action = || format!("show an ssh agent at `{}`", agent.at);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = openat(CWD, &agent.socket, flags, Mode::empty()).map_err(Trouble::at(action()))?;
    let kind = FileType::from_raw_mode(fstat(&socket).map_err(Trouble::at(action()))?.st_mode);
    if kind != FileType::Socket {
        return Err(Trouble::environment("bug: an ssh agent's socket is none"));
    }
    let mount = mounts::view_of(socket.as_fd()).map_err(Trouble::at(action()))?;
    let attributes =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    sys::set_mount_attributes(mount.as_fd(), attributes, 0).map_err(Trouble::at(action()))?;
    let under = stubs.file(root, &agent.at)?;
    mounts::attach(mount.as_fd(), under.as_fd()).map_err(Trouble::at(action()))
}

/// To the run's user, who alone may connect.
pub(super) fn give(spec: &Spec, user: &Account) -> Result<(), Trouble> {
    if matches!(spec.identity, Identity::Single { .. }) {
        return Ok(());
    }
    let give = |agent: &AgentSocket| {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        chownat(CWD, &agent.socket, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    };
    spec.lent.agents.iter().try_for_each(give).map_err(Trouble::at("give an ssh agent to the run's user"))
}
