//! The sandbox alone around `/bin/true`, beside runc and bwrap. Bar: 6 ms of CPU. What a run writes, captured: 20,000
//! new files in less than 1 s of CPU.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Cost, best, have, memobuild, once, print};

/// A root filesystem of one program.
pub(crate) const ROOT: &str = "memobuild 1
tree root {
    from scratch
    copy \"./busybox\" to=\"/bin/busybox\"
    symlink \"/bin/sh\" target=\"busybox\"
    symlink \"/bin/true\" target=\"busybox\"
    symlink \"/bin/sleep\" target=\"busybox\"
}
";

const RUNS: usize = 40;

/// A workspace with busybox in it; `None`, aloud, where it is not installed.
pub(crate) fn busybox_workspace(folder: &Path) -> Option<PathBuf> {
    let workspace = folder.join("workspace");
    fs::create_dir_all(&workspace).unwrap();
    let filled = have("busybox") && fs::copy("/bin/busybox", workspace.join("busybox")).is_ok();
    filled.then_some(workspace)
}

pub(crate) fn run(folder: &Path) {
    let Some(workspace) = busybox_workspace(folder) else { return };
    let mut round = 0;
    let mut build = |runs: usize| {
        round += 1;
        let mut text = ROOT.to_owned();
        for number in 0..runs {
            let _ = writeln!(
                text,
                "run r{number} {{ from root; env N=\"{number}-{round}\"; exec \"/bin/true\"; }}"
            );
        }
        let names: Vec<String> = (0..runs).map(|number| format!("r{number}")).collect();
        let _ = writeln!(text, "group all root {}\ndefault all", names.join(" "));
        fs::write(workspace.join("memobuild.kdl"), text).unwrap();
        once(&mut memobuild(folder, &["build", "--jobs", "2"]))
    };
    build(1);
    let none = best(5, || build(0));
    let many = best(5, || build(RUNS));
    let each = Cost {
        wall: (many.wall - none.wall) / RUNS as f64,
        cpu: (many.cpu - none.cpu) / RUNS as f64,
        memory: many.memory,
    };
    print("memobuild, one sandbox of forty", each);
    peers(folder, &workspace);
    capture(folder, &workspace);
}

/// The same files written onto the root and into memory, where nobody looks at them; each time into a new store.
fn capture(folder: &Path, workspace: &Path) {
    for number in 0..20_000 {
        let place = workspace.join(format!("many/{}", number % 200));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(number.to_string()), format!("{number} ").repeat(700)).unwrap();
    }
    let mut stores = 0;
    let mut build = |to: &str| {
        let run = format!(
            "files many {{ include \"many/**\"; }}\nrun r {{ from root; mount many at=\"/src\" access=ro; \
             tmpfs \"/memory\"; exec \"/bin/busybox\" \"cp\" \"-r\" \"/src/many\" \"{to}\"; }}\ndefault r\n"
        );
        fs::write(workspace.join("memobuild.kdl"), ROOT.to_owned() + &run).unwrap();
        // Moved, not removed: ext4 looks at each inode that was removed within a minute before it takes another one.
        stores += 1;
        let _ = fs::rename(folder.join("store"), folder.join(format!("store-{stores}")));
        once(&mut memobuild(folder, &["build"]))
    };
    let thrown_away = best(3, || build("/memory/many"));
    let kept = best(3, || build("/made"));
    let each =
        Cost { wall: kept.wall - thrown_away.wall, cpu: kept.cpu - thrown_away.cpu, memory: kept.memory };
    print("capture of 20,000 new files", each);
}

fn peers(folder: &Path, workspace: &Path) {
    let root = folder.join("bundle/rootfs");
    for name in ["bin", "proc", "dev", "sys"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy(workspace.join("busybox"), root.join("bin/true")).unwrap();
    if have("bwrap") {
        let mut command = Command::new("bwrap");
        command.args(["--unshare-all", "--ro-bind"]).arg(&root).args([
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "/bin/true",
        ]);
        print("bwrap (no overlay, no filter)", best(10, || once(&mut command)));
    }
    if have("runc") {
        once(Command::new("runc").args(["spec", "--bundle"]).arg(folder.join("bundle")));
        let path = folder.join("bundle/config.json");
        let text = fs::read_to_string(&path).unwrap();
        let text =
            text.replace("\"terminal\": true", "\"terminal\": false").replace("\"sh\"", "\"/bin/true\"");
        fs::write(&path, text).unwrap();
        let mut number = 0;
        let mut run = || {
            number += 1;
            let mut command = Command::new("runc");
            command
                .arg("--root")
                .arg(folder.join("runc"))
                .args(["run", "--bundle"])
                .arg(folder.join("bundle"));
            command.arg(format!("memobuild-bench-{number}"));
            once(&mut command)
        };
        print("runc", best(10, &mut run));
    }
}
