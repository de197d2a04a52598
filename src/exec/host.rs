//! The built-in `host` root: which machine it is. Its fingerprint stands in keys for the programs that a run
//! on `host` may use, so that an upgraded compiler is a miss. It looks at names, sizes and times, never at contents.

use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::base::facts::{FactSink, HashSink};
use crate::exec::executor::ExecError;
use crate::exec::include;
use crate::graph::op::HostFolder;
use crate::graph::value::Machine;

/// Where runs look for programs (`PATH`), without the links that lead to the same folders.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What is rewritten whenever anything is installed: by dpkg, rpm (three places), apk, pacman; by ldconfig for
/// libraries that no package brought.
const PACKAGES: [&str; 7] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/lib/apk/db/installed",
    "/var/lib/pacman/local",
    "/etc/ld.so.cache",
];

/// 64 hexadecimal digits that are others when this machine's programs may be others.
pub fn fingerprint() -> Result<String, ExecError> {
    Ok(look(&[], &[])?.fingerprint)
}

/// This machine with the folders that a build file includes. `hidden`: workspace and store.
pub fn look(include: &[HostFolder], hidden: &[PathBuf]) -> Result<Machine, ExecError> {
    let mut sink = HashSink::new("memobuild 2026-11-28 host v1");
    user_fact(&mut sink, rustix::process::geteuid().is_root());
    write_facts(&mut sink, &PROGRAMS.map(Path::new), &PACKAGES.map(Path::new))?;
    let folders = include::folders(include, hidden)?;
    include::write_facts(&mut sink, &folders, hidden)?;
    Ok(Machine { fingerprint: sink.finish().to_hex(), folders, hidden: hidden.to_vec() })
}

/// In a user namespace the machine's files are nobody's, and some can't be read: who is not root sees another root.
fn user_fact(sink: &mut dyn FactSink, is_root: bool) {
    sink.fact("user", if is_root { b"root" } else { b"any" });
}

fn write_facts(sink: &mut dyn FactSink, programs: &[&Path], packages: &[&Path]) -> Result<(), ExecError> {
    sink.fact("architecture", std::env::consts::ARCH.as_bytes());
    sink.fact(
        "machine",
        &present(fs::read("/etc/machine-id"), Path::new("/etc/machine-id"))?.unwrap_or_default(),
    );
    for path in packages {
        if let Some(metadata) = present(fs::metadata(path), path)? {
            sink.fact(&path.to_string_lossy(), &facts_of(&metadata));
        }
    }
    let mut seen = Vec::new();
    for path in programs {
        let Some(folder) = present(fs::metadata(path), path)? else { continue };
        let identity = (folder.dev(), folder.ino());
        if !seen.contains(&identity) {
            seen.push(identity);
            write_folder(sink, path)?;
        }
    }
    Ok(())
}

fn write_folder(sink: &mut dyn FactSink, path: &Path) -> Result<(), ExecError> {
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(path).and_then(Iterator::collect).map_err(unreadable(path))?;
    // Looked at in the order in which they lie on the disk, and written in the order of their names.
    entries.sort_by_key(fs::DirEntry::ino);
    let mut facts = Vec::with_capacity(entries.len());
    for entry in entries {
        // A program may be replaced while we look.
        if let Some(metadata) = present(entry.metadata(), &entry.path())? {
            let mut known = facts_of(&metadata);
            if metadata.is_symlink() {
                known.extend(facts_behind(&entry.path()));
            }
            facts.push((entry.file_name(), known));
        }
    }
    facts.sort();
    sink.fact("programs", path.as_os_str().as_encoded_bytes());
    for (name, fact) in facts {
        sink.fact(&name.to_string_lossy(), &fact);
    }
    Ok(())
}

/// Which program a link leads to by now: on the way may lie other links, as in `/etc/alternatives`.
fn facts_behind(link: &Path) -> Vec<u8> {
    // One that leads nowhere, or round in a circle, is no program.
    let Ok(metadata) = fs::metadata(link) else { return Vec::new() };
    let mut facts = facts_of(&metadata);
    facts.extend(metadata.dev().to_le_bytes());
    facts.extend(metadata.ino().to_le_bytes());
    facts
}

/// Size, mode, time of the last change: 28 bytes.
fn facts_of(metadata: &fs::Metadata) -> Vec<u8> {
    let mut facts = Vec::with_capacity(28);
    facts.extend(metadata.size().to_le_bytes());
    facts.extend(metadata.mode().to_le_bytes());
    facts.extend(metadata.mtime().to_le_bytes());
    facts.extend(metadata.mtime_nsec().to_le_bytes());
    facts
}

/// `None` for what this machine does not have.
fn present<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, ExecError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path)(error)),
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExecError {
    move |error| ExecError::Environment {
        message: format!("cannot look at this machine's programs: {}: {error}", path.display()),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn of(programs: &[&Path]) -> String {
        let mut sink = HashSink::new("test");
        write_facts(&mut sink, programs, &[]).unwrap();
        sink.finish().to_hex()
    }

    #[test]
    fn one_machine_has_one_fingerprint() {
        assert_eq!(fingerprint().unwrap(), fingerprint().unwrap());
    }

    #[test]
    fn root_and_others_see_two_machines() {
        let of = |is_root| {
            let mut sink = HashSink::new("test");
            user_fact(&mut sink, is_root);
            sink.finish()
        };
        assert_ne!(of(true), of(false));
    }

    #[test]
    fn another_program_is_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("cc"), "one").unwrap();
        let before = of(&[path]);
        fs::write(path.join("cc"), "another").unwrap();
        let after = of(&[path]);
        assert_ne!(before, after);
        fs::write(path.join("ld"), "").unwrap();
        assert_ne!(of(&[path]), after);
    }

    /// As `update-alternatives` does it: the link among the programs stays as it is.
    #[test]
    fn another_program_behind_two_links_is_another_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let (programs, others) = (folder.path().join("bin"), folder.path().join("lib"));
        for made in [&programs, &others] {
            fs::create_dir(made).unwrap();
        }
        for name in ["gcc", "tcc"] {
            fs::write(others.join(name), "same").unwrap();
        }
        let alternative = folder.path().join("alternative");
        symlink(others.join("gcc"), &alternative).unwrap();
        symlink(&alternative, programs.join("cc")).unwrap();
        symlink("nowhere", programs.join("broken")).unwrap();
        let before = of(&[&programs]);
        assert_eq!(of(&[&programs]), before);
        fs::remove_file(&alternative).unwrap();
        symlink(others.join("tcc"), &alternative).unwrap();
        assert_ne!(of(&[&programs]), before);
    }

    #[test]
    fn a_folder_by_two_names_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("usr"), folder.path().join("bin"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(of(&[&real]), of(&[&real, &link]));
    }
}
