//! An emulator for programs of another processor, registered with the kernel for this sandbox only: binfmt_misc
//! belongs to a user namespace since Linux 6.7. The machine's own registrations are neither seen nor changed.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::exec::emulation::Emulator;
use crate::exec::sandbox::spec::Trouble;
use crate::exec::sandbox::sys::{self, Side};

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
        enter_namespace().map_err(Trouble::at("make a user namespace for an emulator"))?;
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

/// Only a process outside of the new namespace may write its ids, so one stays behind for that.
fn enter_namespace() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let ids = ["uid_map", "gid_map"].map(|name| fs::read_to_string(format!("/proc/self/{name}")));
    let [uids, gids] = ids;
    let maps = [("/proc/1/uid_map", same_ids(&uids?)), ("/proc/1/gid_map", same_ids(&gids?))];
    match sys::fork()? {
        Side::Child => write_ids(theirs, &maps),
        Side::Parent { pid } => {
            drop(theirs);
            sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
            ours.write_all(&[0])?;
            let pid = Pid::from_raw(pid).expect("bug: fork gives a positive number");
            let code = loop {
                match waitpid(Some(pid), WaitOptions::empty()) {
                    Err(rustix::io::Errno::INTR) => {}
                    ended => break ended?.and_then(|(_, status)| status.exit_status()),
                }
            };
            match code {
                Some(0) => Ok(()),
                code => Err(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
            }
        }
    }
}

/// Once the namespace is there; ends the process with the number of the error.
fn write_ids(mut told: UnixStream, maps: &[(&str, String)]) -> ! {
    let written =
        told.read_exact(&mut [0]).and_then(|()| maps.iter().try_for_each(|(path, map)| fs::write(path, map)));
    let code = written.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
    match sys::exit(code) {}
}

/// Every id that there is, as itself (user_namespaces(7), "User and group ID mappings").
fn same_ids(map: &str) -> String {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace();
        let (inside, count) = (numbers.next()?, numbers.nth(1)?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    map.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_what_they_are() {
        assert_eq!(same_ids("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(same_ids("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }
}
