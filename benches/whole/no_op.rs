//! A build with nothing to do, against one `statx` pass over the same files.
//! Bar: 1.5 × the CPU of the pass + 15 ms; 200 MiB.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::context;
use crate::measure::{best, buildah, have, memobuild, once, print};

/// The word that makes this program do the pass, so that it is measured as a process too.
pub(crate) const STATX: &str = "statx-pass";

pub(crate) fn run(folder: &Path) {
    for count in [1_000, 10_000, 100_000] {
        let own = folder.join(count.to_string());
        let workspace = own.join("workspace");
        fs::create_dir_all(&workspace).unwrap();
        context::files(&workspace.join("src"), count, 1_024);
        fs::write(
            workspace.join("memobuild.kdl"),
            "memobuild 1\nfiles src root=\"src\"\nimage app { from scratch; copy src to=\"/src\"; }\n",
        )
        .unwrap();
        print(&format!("memobuild, cold, {count} files"), once(&mut memobuild(&own, &["build"])));
        std::thread::sleep(std::time::Duration::from_millis(50));
        once(&mut memobuild(&own, &["build"]));
        let pass = best(7, || {
            once(Command::new(std::env::current_exe().unwrap()).arg(STATX).arg(workspace.join("src")))
        });
        let ours = best(7, || once(&mut memobuild(&own, &["build"])));
        print(&format!("statx pass, {count} files"), pass);
        print(&format!("memobuild, no-op, {count} files"), ours);
        let bar = pass.cpu * 1.5 + 15.0;
        println!(
            "  = {:.2} × the pass; {:.0} % of the bar of {bar:.1} ms",
            ours.cpu / pass.cpu,
            ours.cpu / bar * 100.0
        );
        if count <= 10_000 && have("buildah") {
            fs::write(workspace.join("Dockerfile"), "FROM scratch\nCOPY src /src\n").unwrap();
            let build = || {
                once(&mut buildah(&own, &["bud", "--layers", "-q", "-t", "x", workspace.to_str().unwrap()]))
            };
            build();
            print(&format!("buildah, no-op, {count} files"), best(3, build));
        }
        fs::remove_dir_all(&own).unwrap();
    }
}

/// Lists every folder and asks for the status of every file, by directory descriptor, on one thread.
pub(crate) fn statx_pass(folder: &Path) {
    use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, StatxFlags, openat, statx};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut open = vec![openat(CWD, folder, flags, Mode::empty()).unwrap()];
    while let Some(directory) = open.pop() {
        for entry in Dir::read_from(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            statx(&directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).unwrap();
            if entry.file_type() == FileType::Directory {
                open.push(openat(&directory, name, flags, Mode::empty()).unwrap());
            }
        }
    }
}
