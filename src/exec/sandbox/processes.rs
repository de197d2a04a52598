//! `/proc`: the sandbox's own processes, without the parts that show or change the machine.
//! Mounted by its first process, and covered before anything foreign runs.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::exec::sandbox::mounts;
use crate::exec::sandbox::spec::Trouble;

/// Files that read as empty.
const EMPTY_FILES: [&str; 8] =
    ["kcore", "key-users", "keys", "kmsg", "latency_stats", "sched_debug", "sysrq-trigger", "timer_list"];
/// Folders that are empty.
const EMPTY_FOLDERS: [&str; 4] = ["acpi", "asound", "firmware", "scsi"];
/// Folders that can only be read: root could change the machine there without any capability.
const READ_ONLY: [&str; 4] = ["bus", "fs", "irq", "sys"];

/// Mounts all of it; `root` has a folder `proc`.
pub(super) fn mount(root: BorrowedFd<'_>) -> Result<OwnedFd, Trouble> {
    let cannot = || Trouble::at::<Errno>("mount /proc");
    let place = open(root, "proc").map_err(cannot())?;
    let processes = mounts::processes()?;
    mounts::attach(processes.as_fd(), place.as_fd()).map_err(cannot())?;
    Ok(processes)
}

/// Covers what is the machine's in what `mount` gave; `null` is the true `/dev/null`.
pub(super) fn cover_machine(processes: BorrowedFd<'_>, null: BorrowedFd<'_>) -> Result<(), Trouble> {
    for name in EMPTY_FILES {
        cover(processes, name, || mounts::view_of(null))?;
    }
    let nothing = mounts::memory("555", MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    // Before Linux 6.15 nothing can be viewed a second time that hangs nowhere yet: so the first place gets itself.
    let mut hangs = false;
    for name in EMPTY_FOLDERS {
        cover(processes, name, || match std::mem::replace(&mut hangs, true) {
            true => mounts::view_of(nothing.as_fd()),
            false => Ok(rustix::io::fcntl_dupfd_cloexec(&nothing, 0)?),
        })?;
    }
    for name in READ_ONLY {
        make_read_only(processes, name)?;
    }
    Ok(())
}

/// How many there are now, seen from inside.
pub(super) fn count() -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
    entries.filter(is_process).count() as u64
}

fn cover(
    processes: BorrowedFd<'_>,
    name: &str,
    with: impl FnOnce() -> Result<OwnedFd, Errno>,
) -> Result<(), Trouble> {
    let cover = || match open(processes, name) {
        Ok(place) => mounts::attach(with()?.as_fd(), place.as_fd()),
        // Which of them exist depends on how the kernel was built.
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    };
    cover().map_err(Trouble::at(format!("hide /proc/{name}")))
}

fn make_read_only(processes: BorrowedFd<'_>, name: &str) -> Result<(), Trouble> {
    let place = match open(processes, name) {
        Err(Errno::NOENT) => return Ok(()),
        place => place.map_err(Trouble::at(format!("open /proc/{name}")))?,
    };
    let view = mounts::view_of(place.as_fd()).map_err(Trouble::at(format!("protect /proc/{name}")))?;
    mounts::make_read_only(view.as_fd())?;
    mounts::attach(view.as_fd(), place.as_fd()).map_err(Trouble::at(format!("protect /proc/{name}")))
}

fn open(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
