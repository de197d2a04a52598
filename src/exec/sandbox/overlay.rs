//! Folders stacked, with a fresh one on top that takes what is written. Since Linux 6.7 they are named to the kernel one
//! by one. Before, their names are one text: of 255 bytes through the new mount calls, which is too short for most
//! stacks, and of a page through the old one. So there they are named by the numbers of descriptors, in which nothing
//! has to be escaped either.

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, mount,
    unmount,
};

use crate::base::kernel;
use crate::exec::sandbox::mounts;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::workplace::open;

/// Whatever the machine's defaults are, an upper folder must be readable by itself.
const SETTINGS: [(&str, &str); 3] = [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

/// Nothing of it is ever synced, since after a crash it is thrown away.
const VOLATILE: &str = "volatile";

/// In a user namespace the overlay keeps its marks in `user.*` xattrs.
const USER_MARKS: &str = "userxattr";

pub(super) struct Overlay<'a> {
    /// Lowest first.
    pub lowers: &'a [PathBuf],
    /// Both empty, on one filesystem.
    pub upper: &'a Path,
    pub work: &'a Path,
    pub user_marks: bool,
}

impl Overlay<'_> {
    pub(super) fn mount(&self) -> Result<OwnedFd, Trouble> {
        if names_one_by_one() { self.mount_one_by_one() } else { self.mount_at_once() }
    }

    fn mount_one_by_one(&self) -> Result<OwnedFd, Trouble> {
        let fs = mounts::open_filesystem("overlay")?;
        self.configure(fs.as_fd())
            .map_err(|error| mounts::explained(fs.as_fd(), "stack the root's layers", error))?;
        mounts::finish(fs.as_fd(), MountAttrFlags::MOUNT_ATTR_NODEV)
    }

    fn configure(&self, fs: BorrowedFd<'_>) -> Result<(), Errno> {
        self.lowers.iter().rev().try_for_each(|lower| fsconfig_set_string(fs, "lowerdir+", lower))?;
        fsconfig_set_string(fs, "upperdir", self.upper)?;
        fsconfig_set_string(fs, "workdir", self.work)?;
        SETTINGS.iter().try_for_each(|&(name, value)| fsconfig_set_string(fs, name, value))?;
        fsconfig_set_flag(fs, VOLATILE)?;
        if self.user_marks {
            fsconfig_set_flag(fs, USER_MARKS)?;
        }
        fsconfig_create(fs)
    }

    /// The old call mounts at a place: at the overlay's own folder, where nobody looks, and only until there is a
    /// descriptor for it.
    fn mount_at_once(&self) -> Result<OwnedFd, Trouble> {
        let cannot = || Trouble::at::<Errno>("stack the root's layers");
        let topmost_first: Result<Vec<OwnedFd>, Errno> =
            self.lowers.iter().rev().map(|lower| open(lower)).collect();
        let (lowers, upper, work) = (
            topmost_first.map_err(cannot())?,
            open(self.upper).map_err(cannot())?,
            open(self.work).map_err(cannot())?,
        );
        let options = CString::new(self.options(&lowers, &upper, &work)).expect("bug: options with a NUL");
        match mount("overlay", self.work, "overlay", MountFlags::NODEV, options.as_c_str()) {
            Err(Errno::NODEV) => Err(Trouble::at("use the overlay filesystem")(Errno::NODEV)),
            mounted => mounted.map_err(cannot()),
        }?;
        let view = mounts::view(self.work);
        unmount(self.work, UnmountFlags::DETACH).map_err(cannot())?;
        view.map_err(cannot())
    }

    fn options(&self, lowers: &[OwnedFd], upper: &OwnedFd, work: &OwnedFd) -> String {
        let name = |folder: &OwnedFd| format!("/proc/self/fd/{}", folder.as_raw_fd());
        let lowers: Vec<String> = lowers.iter().map(name).collect();
        let settings: String = SETTINGS.iter().map(|(name, value)| format!("{name}={value},")).collect();
        format!(
            "{settings}{VOLATILE}{},lowerdir={},upperdir={},workdir={}",
            if self.user_marks { format!(",{USER_MARKS}") } else { String::new() },
            lowers.join(":"),
            name(upper),
            name(work)
        )
    }
}

/// Asked of the kernel by its version: those before take such a name without a word, and complain in the machine's log
/// when the overlay is made.
fn names_one_by_one() -> bool {
    kernel::is_since(6, 7)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::UnshareFlags;

    use super::*;
    use crate::base::skipped::skipped;
    use crate::exec::sandbox::sys;

    /// On a thread with mounts of its own.
    fn read_in(overlay: &Overlay<'_>, how: fn(&Overlay<'_>) -> Result<OwnedFd, Trouble>) -> Vec<String> {
        let read = || {
            sys::unshare(UnshareFlags::NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            let top = how(overlay).unwrap_or_else(|trouble| panic!("{trouble:?}"));
            assert!(fs::read_dir(overlay.work).unwrap().all(|entry| entry.unwrap().file_name() == "work"));
            let top = openat(&top, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
            let names = rustix::fs::Dir::read_from(&top).unwrap();
            let mut names: Vec<String> =
                names.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
            names.sort();
            let topmost = openat(&top, "same", OFlags::RDONLY, Mode::empty()).unwrap();
            names.push(std::io::read_to_string(fs::File::from(topmost)).unwrap());
            let made = openat(&top, "made", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            drop(made);
            names
        };
        std::thread::scope(|scope| scope.spawn(read).join().unwrap())
    }

    /// More than a text of 255 bytes holds, and names in which a text would need escapes.
    #[test]
    fn both_ways_stack_the_same() {
        let at = |name: &str| openat(CWD, name, OFlags::PATH, Mode::empty());
        if !rustix::process::geteuid().is_root() || at("/sys/module/overlay").is_err() {
            skipped("only root can mount, and only an overlay that the kernel has");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut lowers = Vec::new();
        for number in 0..70 {
            let lower = folder.path().join(format!("{number}:\\,b"));
            fs::create_dir(&lower).unwrap();
            fs::write(lower.join(format!("of{number}")), "").unwrap();
            fs::write(lower.join("same"), number.to_string()).unwrap();
            lowers.push(lower);
        }
        let stack = |how: fn(&Overlay<'_>) -> Result<OwnedFd, Trouble>| {
            let own = tempfile::tempdir_in(folder.path()).unwrap();
            let (upper, work) = (own.path().join("upper"), own.path().join("work"));
            [&upper, &work].iter().for_each(|folder| fs::create_dir(folder).unwrap());
            let overlay = Overlay { lowers: &lowers, upper: &upper, work: &work, user_marks: false };
            let seen = read_in(&overlay, how);
            assert!(upper.join("made").exists());
            seen
        };
        let seen = stack(|overlay| overlay.mount_at_once());
        assert_eq!((seen.len(), seen.last().unwrap().as_str()), (74, "69"));
        if names_one_by_one() {
            assert_eq!(stack(|overlay| overlay.mount_one_by_one()), seen);
        }
    }
}
