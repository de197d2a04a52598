//! An emulator for programs of another processor, registered with the kernel for this sandbox only: binfmt_misc
//! belongs to a user namespace since Linux 6.7. The machine's own registrations are neither seen nor changed.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

use crate::exec::emulation::Emulator;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::user_namespace;

/// Opened while the machine's files can be seen.
pub(super) fn open(emulator: &Emulator) -> Result<OwnedFd, Trouble> {
    openat(CWD, &emulator.program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(Trouble::at(format!("open {}", emulator.program.display())))
}

/// Needs /proc. The emulator stays registered until all copies of the descriptor are closed. A sandbox that shares
/// the machine's user namespace gets one of its own, in which every id means what it did.
pub(super) fn register(
    emulator: &Emulator,
    program: OwnedFd,
    has_namespace: bool,
) -> Result<OwnedFd, Trouble> {
    if !has_namespace {
        user_namespace::enter_one_deeper().map_err(Trouble::at("make a user namespace for an emulator"))?;
    }
    let rule = emulator.header.rule(&format!("/proc/self/fd/{}", program.as_raw_fd()));
    let register = || -> io::Result<OwnedFd> {
        let context = fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let file = openat(&mount, "register", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        fs::File::from(file).write_all(rule.as_bytes())?;
        Ok(mount)
    };
    register().map_err(|error| Trouble::Environment {
        message: format!("this kernel lets no sandbox have an emulator of its own: {error}"),
        help: Some(
            "Linux 6.7 does; else register qemu-user-static for the whole machine (systemd-binfmt)"
                .to_owned(),
        ),
    })
}
