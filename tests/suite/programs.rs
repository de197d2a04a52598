//! Root filesystems with programs of this machine in them, for tests in which a real tool must run twice on
//! one root, which `host` never gives onward.

use std::fs;
use std::path::{Path, PathBuf};

use crate::space::{Space, busybox_root, have, tool};

/// Declares `root`: busybox's commands, and the programs that were put below `machine/`.
pub(crate) const MACHINE_ROOT: &str = r#"memobuild 1

files machine root="machine" gitignore=#false
tree root {
    from scratch
    copy machine to="/"
    copy "./busybox" to="/bin/busybox"
    symlink "/bin/sh" target="busybox"
    symlink "/bin/cat" target="busybox"
    symlink "/bin/cp" target="busybox"
    symlink "/bin/grep" target="busybox"
    symlink "/bin/mkdir" target="busybox"
    dir "/tmp"
}
"#;

/// What `MACHINE_ROOT` stands on. `false`, aloud, where the machine lacks something.
pub(crate) fn machine_root(space: &Space, programs: &[&str]) -> bool {
    let mut needed = vec!["ldd"];
    needed.extend(programs);
    if !have(&needed) || !busybox_root(space) {
        return false;
    }
    for program in programs {
        add_program(space, &find(program), Path::new("usr/bin").join(program).as_path());
    }
    true
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file()).unwrap()
}

/// A program at a place of its own, with the libraries that it is linked to where its loader looks for them.
pub(crate) fn add_program(space: &Space, program: &Path, at: &Path) {
    add_file(space, program, at);
    let libraries = tool("ldd", &[program.to_str().unwrap()]);
    for word in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        add_file(space, Path::new(word), Path::new(word.trim_start_matches('/')));
    }
}

/// A file of the machine below `machine/`.
pub(crate) fn add_file(space: &Space, file: &Path, at: &Path) {
    let place = space.workspace().join("machine").join(at);
    if place.exists() {
        return;
    }
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    // No link: it would change the machine's files for all tests that look at them.
    fs::copy(file, &place).unwrap();
}

/// The files of a folder, without those of the folders in it.
pub(crate) fn add_folder(space: &Space, folder: &Path, at: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_file() {
            add_file(space, &entry.path(), &at.join(entry.file_name()));
        }
    }
}
