//! Somebody who sits at a sandbox: they have a command of their own in it, with a terminal that is the sandbox's or
//! with their standard input through a pipe. No descriptor of theirs gets inside.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchown, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde::{Deserialize, Serialize};

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::account::Account;
use crate::exec::sandbox::ask;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::open_inside;
use crate::exec::sandbox::rights;
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::{Reply, Spec, Trouble, send};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Started when the other commands have ended, however they did.
    pub command: Vec<String>,
    /// Of the size that theirs has, where they sit at one.
    pub terminal: Option<Size>,
    /// The signal that asks it to end.
    pub stop_signal: i32,
}

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub rows: u16,
    pub columns: u16,
}

impl Size {
    pub(crate) fn of_window(size: Winsize) -> Size {
        Size { rows: size.ws_row, columns: size.ws_col }
    }

    pub(crate) fn as_window(self) -> Winsize {
        Winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// What their standard input comes through becomes the helper's own, and so that of what it starts.
pub(super) fn take_input(spec: &Spec, main: &mut UnixStream) -> Result<(), Trouble> {
    if spec.session.as_ref().is_none_or(|session| session.terminal.is_some()) {
        return Ok(());
    }
    ask(main, &Reply::WantsInput)?;
    match rights::receive::<1, 1>(&*main).map_err(Trouble::at("take the standard input"))? {
        Some((_, [input])) => {
            rustix::stdio::dup2_stdin(input).map_err(Trouble::at("take the standard input"))
        }
        None => Err(Trouble::environment("the main process is gone")),
    }
}

/// Where terminals are: a filesystem of the sandbox's own, which knows none of the machine's. `root` has its `/dev`.
pub(super) fn mount_terminals(root: BorrowedFd<'_>) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<Errno>("make a place for terminals");
    let devices = open_inside(root, &known("dev"), OFlags::PATH | OFlags::DIRECTORY).map_err(cannot())?;
    mkdirat(&devices, "pts", Mode::from_raw_mode(0o755)).map_err(cannot())?;
    symlinkat("pts/ptmx", &devices, "ptmx").map_err(cannot())?;
    let place = openat(&devices, "pts", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let terminals = mounts::terminals(MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    mounts::attach(terminals.as_fd(), place.map_err(cannot())?.as_fd()).map_err(cannot())
}

/// The first terminal of the sandbox: its far side goes to the main process. What is given keeps it open when nobody
/// inside has it.
pub(super) fn open_terminal(
    root: BorrowedFd<'_>,
    size: Size,
    account: &Account,
    main: &UnixStream,
) -> Result<OwnedFd, Trouble> {
    let cannot = || Trouble::at::<Errno>("make a terminal");
    let path = TreePath::parse("dev/pts/ptmx").expect("bug: a plain path");
    let far = open_inside(root, &path, OFlags::RDWR | OFlags::NOCTTY).map_err(cannot())?;
    unlockpt(&far).map_err(cannot())?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let near = ioctl_tiocgptpeer(&far, flags).map_err(cannot())?;
    if account.uid != 0 {
        fchown(&near, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(account.gid))).map_err(cannot())?;
    }
    tcsetwinsize(&far, size.as_window()).map_err(cannot())?;
    send(main, &Reply::Terminal)
        .and_then(|()| rights::send(main, b"t", &[far.as_fd()]))
        .map_err(Trouble::at("hand out the terminal"))?;
    Ok(near)
}

/// Makes the first terminal that of the calling process, which leads a session without one.
pub(super) fn take_terminal() -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = openat(rustix::fs::CWD, "/dev/pts/0", flags, Mode::empty())?;
    ioctl_tiocsctty(&terminal)?;
    rustix::stdio::dup2_stdin(&terminal)?;
    rustix::stdio::dup2_stdout(&terminal)?;
    rustix::stdio::dup2_stderr(&terminal)
}
