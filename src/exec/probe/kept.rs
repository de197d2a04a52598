//! What was found, kept in the store for as long as it holds: until the machine starts anew, another kernel or
//! another version of this program runs, or the process has other rights than the one that looked.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

use crate::exec::executor::ExecError;
use crate::exec::probe::Granted;
use crate::store::memo::Memo;
use crate::store::object::StoreError;

/// In the store's folder.
const KEPT_IN: &str = "isolation.json";

/// Lines of `/proc/self/status` that say what a process may do (proc_pid_status(5)).
const RIGHTS: [&str; 4] = ["CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp_filters:"];

/// What the kept answer holds for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    boot: String,
    kernel: String,
    uid: u32,
    version: String,
    /// Two containers may share a store, and all of the above.
    rights: Vec<String>,
    user_namespace: String,
    /// Of the store's filesystem: not each can be stacked on.
    device: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: Machine,
    granted: Granted,
}

pub(super) fn read(memo: &Memo) -> Option<Granted> {
    let json = fs::read(memo.folder().join(KEPT_IN)).ok()?;
    let kept: Kept = serde_json::from_slice(&json).ok()?;
    (kept.machine == machine(memo)).then_some(kept.granted)
}

pub(super) fn write(memo: &Memo, granted: &Granted) -> Result<(), ExecError> {
    let path = memo.folder().join(KEPT_IN);
    let kept = Kept { machine: machine(memo), granted: granted.clone() };
    let json = serde_json::to_vec_pretty(&kept).expect("bug: findings are always JSON");
    // Two processes may write at once: both write the same, and each whole or in place of the other's.
    let fresh = memo.work_folder()?;
    let file = fresh.path().join(KEPT_IN);
    fs::write(&file, json)
        .and_then(|()| fs::rename(&file, &path))
        .map_err(StoreError::io("cannot write", &path))?;
    Ok(())
}

fn machine(memo: &Memo) -> Machine {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_right = |line: &&str| RIGHTS.iter().any(|right| line.starts_with(right));
    let namespace = fs::read_link("/proc/self/ns/user").unwrap_or_default();
    Machine {
        boot: boot.trim().to_owned(),
        kernel: format!("{} {}", text(name.release()), text(name.version())),
        uid: rustix::process::geteuid().as_raw(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rights: status.lines().filter(is_right).map(str::to_owned).collect(),
        user_namespace: namespace.to_string_lossy().into_owned(),
        device: fs::metadata(memo.folder()).map_or(0, |metadata| metadata.dev()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::identity::Identity;
    use crate::exec::probe::Rung;

    #[test]
    fn what_is_kept_is_read_by_the_same_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let memo = Memo::open(folder.path()).unwrap();
        assert_eq!(read(&memo), None);
        let granted = Granted { rung: Rung::E, identity: Identity::Real };
        write(&memo, &granted).unwrap();
        assert_eq!(read(&memo), Some(granted));
        let path = folder.path().join(KEPT_IN);
        let kept = fs::read_to_string(&path).unwrap();
        for field in ["boot", "kernel", "version", "user_namespace"] {
            let other = kept.replacen(&format!("\"{field}\": \""), &format!("\"{field}\": \"x"), 1);
            assert_ne!(other, kept);
            fs::write(&path, other).unwrap();
            assert_eq!(read(&memo), None, "{field}");
        }
    }
}
