//! Ownership with one user id, whose system calls are answered by the sandbox's own process, beside root's sandbox, in
//! which the kernel answers all. Bar: a `dpkg` unpack of 100 packages costs less than a quarter more CPU.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Cost, MEMOBUILD, best, have, once, print};

/// Made by the tests, with debootstrap.
const DEBIAN: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/debian-bookworm.tar");

const PACKAGES: usize = 100;
const USER: u32 = 54321;

/// What runs on Debian.
const WORK: [(&str, &str); 4] = [
    ("true", "true"),
    ("dpkg --unpack of 100 packages", "dpkg --force-unsafe-io --unpack /debs/*.deb > /dev/null"),
    ("find / -size +1000000, four times", "for n in 1 2 3 4; do find / -xdev -size +1000000; done"),
    ("chown -R of /usr/share", "chown -R 7:8 /usr/share"),
];

pub(crate) fn run(folder: &Path) {
    if !rustix::process::geteuid().is_root() || !have("setpriv") || !have("dpkg-deb") {
        return;
    }
    if !Path::new(DEBIAN).exists() {
        println!("{DEBIAN} is not there: the tests make it");
        return;
    }
    let debs = packages(folder);
    for (name, work) in WORK {
        for user in [None, Some(USER)] {
            let place = Place::new(folder, user, &debs);
            let mut round = 0;
            let mut build = |work: &str| {
                round += 1;
                place.build(work, round)
            };
            build("true");
            let cost = best(3, || build(work));
            let who = if user.is_some() { "one id" } else { "root" };
            print(&format!("{name}, {who}"), cost);
        }
    }
}

/// A workspace and a store of one user's.
struct Place {
    folder: PathBuf,
    user: Option<u32>,
}

impl Place {
    fn new(folder: &Path, user: Option<u32>, debs: &Path) -> Place {
        let place = Place { folder: folder.join(format!("{user:?}")), user };
        let workspace = place.folder.join("workspace");
        if !workspace.exists() {
            fs::create_dir_all(&workspace).unwrap();
            fs::hard_link(DEBIAN, workspace.join("debian.tar"))
                .or_else(|_| fs::copy(DEBIAN, workspace.join("debian.tar")).map(drop))
                .unwrap();
            let copied = Command::new("cp").arg("-r").arg(debs).arg(workspace.join("debs")).status();
            assert!(copied.unwrap().success());
            chown(&place.folder, user, user).unwrap();
            chown(&workspace, user, user).unwrap();
        }
        place
    }

    fn build(&self, work: &str, round: usize) -> Cost {
        let mut text = "memobuild 1\nfiles debs root=\"debs\"\n".to_owned();
        text.push_str("tree root { from scratch; extract \"./debian.tar\" to=\"/\"; }\n");
        let _ = writeln!(
            text,
            "run work {{ from root; env ROUND=\"{round}\"; mount debs at=\"/debs\"; sh #\"{work}\"#; }}"
        );
        text.push_str("default work\n");
        fs::write(self.folder.join("workspace/memobuild.kdl"), text).unwrap();
        let mut command = match self.user {
            None => Command::new(MEMOBUILD),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let user = user.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", MEMOBUILD]);
                command
            }
        };
        command.arg("-C").arg(self.folder.join("workspace")).arg("--store").arg(self.folder.join("store"));
        once(command.arg("build").env("HOME", &self.folder).current_dir(&self.folder))
    }
}

/// Small packages with files of this machine, whose scripts do nothing.
fn packages(folder: &Path) -> PathBuf {
    let debs = folder.join("debs");
    fs::create_dir_all(&debs).unwrap();
    let documents = fs::read_dir("/usr/share/doc").unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = documents.filter(|path| path.is_dir() && !path.is_symlink()).collect();
    documents.sort();
    for number in 0..PACKAGES {
        let tree = folder.join(format!("package-{number}"));
        let files = tree.join(format!("usr/share/bench-{number}"));
        fs::create_dir_all(&files).unwrap();
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        for document in documents.iter().skip(number * 3 % documents.len().max(1)).take(12) {
            let copied = Command::new("cp").arg("-r").arg(document).arg(&files).status();
            assert!(copied.unwrap().success());
        }
        let control = format!(
            "Package: bench-{number}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\
             Description: for a benchmark\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let built =
            Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&debs).output();
        let built = built.unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        fs::remove_dir_all(&tree).unwrap();
    }
    debs
}
