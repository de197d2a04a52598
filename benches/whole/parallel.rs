//! Eight one-second sleeps that do not depend on each other, cold. Bar: 1.15 s.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::measure::{best, memobuild, once, print};
use crate::sandbox::{ROOT, busybox_workspace};

pub(crate) fn run(folder: &Path) {
    let Some(workspace) = busybox_workspace(folder) else { return };
    let mut round = 0;
    let ours = best(3, || {
        round += 1;
        let mut text = ROOT.to_owned();
        for number in 0..8 {
            let _ = writeln!(
                text,
                "run s{number} {{ from root; env N=\"{number}-{round}\"; exec \"/bin/sleep\" \"1\"; }}"
            );
        }
        text += "group all s0 s1 s2 s3 s4 s5 s6 s7\ndefault all\n";
        fs::write(workspace.join("memobuild.kdl"), text).unwrap();
        once(&mut memobuild(folder, &["build"]))
    });
    print("memobuild, eight sleeps of one second", ours);
}
