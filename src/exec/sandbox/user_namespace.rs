//! A user namespace below the sandbox's own, in which every id is what it was: for what needs rights over namespaces,
//! and must not have them over those that the sandbox is made of.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::exec::sandbox::sys::{self, Side};

/// Single-threaded callers only, with /proc mounted. Mounts that are there now can then be neither taken away nor
/// looked under.
pub(super) fn enter_one_deeper() -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let ids = ["uid_map", "gid_map"].map(|name| fs::read_to_string(format!("/proc/self/{name}")));
    let [uids, gids] = ids;
    let maps = [("/proc/1/uid_map", same_ids(&uids?)), ("/proc/1/gid_map", same_ids(&gids?))];
    // Only a process outside of the new namespace may write its ids, so one stays behind for that.
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
