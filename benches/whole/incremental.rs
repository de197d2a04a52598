//! One changed file in 10,000, to a written image layout. Bar: 400 ms with zstd level 1.

use std::fs;
use std::path::Path;

use crate::context;
use crate::measure::{Cost, best, buildah, have, memobuild, once, print};

pub(crate) fn run(folder: &Path) {
    let workspace = folder.join("workspace");
    fs::create_dir_all(&workspace).unwrap();
    context::files(&workspace.join("src"), 10_000, 4_096);
    fs::write(
        workspace.join("memobuild.kdl"),
        "memobuild 1\nfiles src root=\"src\"\nimage app { from scratch; copy src to=\"/src\"; compress zstd level=1; }\n",
    )
    .unwrap();
    let mut edits = 0;
    let mut edit = || {
        edits += 1;
        fs::write(workspace.join("src/d7/f350.txt"), format!("edit {edits}\n")).unwrap();
    };
    let build = || once(&mut memobuild(folder, &["build", "-o", "oci:image"]));
    build();
    let ours = best(5, || {
        edit();
        build()
    });
    print("memobuild, one of 10,000 files changed", ours);
    if have("buildah") {
        fs::write(workspace.join("Dockerfile"), "FROM scratch\nCOPY src /src\n").unwrap();
        let build = || {
            let bud = ["bud", "--layers", "-q", "-t", "x", workspace.to_str().unwrap()];
            let push = ["push", "-q", "--compression-format", "zstd", "x", "oci:image-of-buildah"];
            let (one, two) = (once(&mut buildah(folder, &bud)), once(&mut buildah(folder, &push)));
            Cost { wall: one.wall + two.wall, cpu: one.cpu + two.cpu, memory: one.memory.max(two.memory) }
        };
        build();
        let theirs = best(2, || {
            edit();
            build()
        });
        print("buildah, the same", theirs);
        println!("  = buildah takes {:.1} × the wall time", theirs.wall / ours.wall);
    }
}
