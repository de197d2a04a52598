//! `/dev`: six devices that hold nothing of the machine, and the usual links.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, minor, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::base::tree_path::TreePath;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::{Stubs, file_type, open_inside};
use crate::exec::sandbox::spec::Trouble;

/// Name, major, minor (Linux, admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// `more` are paths of the machine's devices that the run may see beside those that every run sees.
pub(super) fn mount(root: BorrowedFd<'_>, stubs: &mut Stubs, more: &[String]) -> Result<(), Trouble> {
    let place = stubs.folder(root, &TreePath::parse("dev").expect("bug: a plain name"))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let devices = mounts::memory("755", attributes)?;
    fill(devices.as_fd()).map_err(Trouble::at("make /dev"))?;
    // Mounts can be put onto a mount only when it hangs somewhere itself.
    mounts::attach(devices.as_fd(), place.as_fd()).map_err(Trouble::at("mount /dev"))?;
    for (name, major, minor) in DEVICES {
        bind(devices.as_fd(), name, (major, minor))?;
    }
    more.iter().try_for_each(|path| bind_granted(devices.as_fd(), path))?;
    let memory = mounts::memory("1777", attributes | MountAttrFlags::MOUNT_ATTR_NODEV)?;
    let place = open(devices.as_fd(), "shm").map_err(Trouble::at("make /dev/shm"))?;
    mounts::attach(memory.as_fd(), place.as_fd()).map_err(Trouble::at("mount /dev/shm"))
}

fn fill(devices: BorrowedFd<'_>) -> Result<(), Errno> {
    for (name, ..) in DEVICES {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(devices, name, flags, Mode::from_raw_mode(0o666))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, devices, name)?;
    }
    mkdirat(devices, "shm", Mode::from_raw_mode(0o755))
}

/// Shows the machine's own device, if it is the one it should be.
fn bind(devices: BorrowedFd<'_>, name: &str, number: (u32, u32)) -> Result<(), Trouble> {
    let action = || format!("show /dev/{name}");
    let device = mounts::view(&Path::new("/dev").join(name)).map_err(Trouble::at(action()))?;
    let stat = fstat(&device).map_err(Trouble::at(action()))?;
    let found = (major(stat.st_rdev), minor(stat.st_rdev));
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || found != number {
        return Err(Trouble::environment(format!("this machine's /dev/{name} is not what it should be")));
    }
    let place = open(devices, name).map_err(Trouble::at(action()))?;
    mounts::attach(device.as_fd(), place.as_fd()).map_err(Trouble::at(action()))
}

/// Shows a device where it is on the machine, and whoever may use it there may use it here. It is looked at before it
/// is mounted, by one descriptor for both: a link in its place, or on the way, is an error.
fn bind_granted(devices: BorrowedFd<'_>, path: &str) -> Result<(), Trouble> {
    let cannot = || Trouble::at::<Errno>(format!("show {path}"));
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    if DEVICES.iter().any(|(known, ..)| *known == name) {
        return Ok(());
    }
    let place = TreePath::parse(name).map_err(|error| Trouble::environment(error.to_string()))?;
    let machine = openat(CWD, "/dev", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let device = match open_inside(machine.map_err(cannot())?.as_fd(), &place, OFlags::PATH) {
        Err(Errno::LOOP) => return Err(no_device(path, "is a link, or lies behind one")),
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(no_device(path, "does not exist")),
        device => device.map_err(cannot())?,
    };
    match file_type(device.as_fd()).map_err(cannot())? {
        FileType::CharacterDevice | FileType::BlockDevice => {}
        _ => return Err(no_device(path, "is no device")),
    }
    let view = mounts::view_of(device.as_fd()).map_err(cannot())?;
    // Both lie in the run's own /dev, in memory: nothing of them has to be taken away.
    let under = Stubs::default().file(devices, &place)?;
    mounts::attach(view.as_fd(), under.as_fd()).map_err(cannot())
}

fn no_device(path: &str, why: &str) -> Trouble {
    Trouble::Environment {
        message: format!("this machine's {path} {why}"),
        help: Some("name one that it has: `ls -l /dev`".to_owned()),
    }
}

fn open(devices: BorrowedFd<'_>, name: &str) -> Result<std::os::fd::OwnedFd, Errno> {
    openat(devices, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
