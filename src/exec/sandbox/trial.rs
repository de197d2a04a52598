//! Walls tried out on a thread that ends with them, for `doctor`: what holds, and as far as the kernel takes it.

use std::fs;
use std::io;

use landlock::LandlockStatus;
use rustix::thread::UnshareFlags;

use crate::exec::sandbox::{landlock as files, seccomp, sys};

/// What was seen; else why it does not hold.
type Tried = Result<String, String>;

/// Locks a thread into nothing, and lets it read a file.
pub(crate) fn landlock() -> Tried {
    on_a_thread(|| {
        let status = files::lock_into(&[], false).map_err(|error| error.to_string())?;
        match (status.landlock, fs::read_dir("/")) {
            (LandlockStatus::Available { effective_abi, kernel_abi }, Err(_)) => {
                let version = kernel_abi.unwrap_or(effective_abi as i32);
                let missing = match version {
                    ..4 => "; neither TCP nor signals are held back",
                    4..6 => "; signals and abstract sockets are not held back",
                    _ => "",
                };
                Ok(format!("files outside of a sandbox are held back (version {version}{missing})"))
            }
            (LandlockStatus::Available { .. }, Ok(_)) => Err("it holds nothing back".to_owned()),
            (LandlockStatus::NotEnabled, _) => Err("the kernel has it, and does not use it".to_owned()),
            _ => Err("the kernel does not have it".to_owned()),
        }
    })
}

/// Lets a thread make a call that its filter refuses.
pub(crate) fn seccomp() -> Tried {
    on_a_thread(|| {
        seccomp::restrict().map_err(|error| error.to_string())?;
        match sys::unshare(UnshareFlags::empty()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok("system calls are filtered".to_owned())
            }
            _ => Err("a filter refuses nothing".to_owned()),
        }
    })
}

fn on_a_thread(trial: impl FnOnce() -> Tried + Send) -> Tried {
    std::thread::scope(|scope| scope.spawn(trial).join())
        .unwrap_or_else(|_| Err("the trial came to no end".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::skipped::skipped;

    #[test]
    fn walls_hold_for_one_thread_only() {
        for _ in 0..2 {
            assert_eq!(seccomp(), Ok("system calls are filtered".to_owned()));
            match landlock() {
                Ok(message) => assert!(message.starts_with("files outside"), "{message}"),
                Err(message) => skipped(&format!("landlock: {message}")),
            }
        }
        assert!(fs::read_dir("/").is_ok());
    }
}
