//! Images out and in: archives of one large file and of many small ones, of the unchanged and of the changed, beside
//! buildah with the same compression; unpacking beside GNU tar.
//! Bars: the large file 3 s, unchanged 0.7 s, one of many changed 1 s, one of 10,000 into a layout 100 ms beyond a build
//! that finds nothing to do, unpacking 1.5 × tar, memory 150 MiB.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::context;
use crate::measure::{Cost, best, buildah, have, memobuild, once, print};

/// As the build file says it, and as buildah does.
const COMPRESSIONS: [(&str, &[&str]); 3] = [
    ("none", &["-D"]),
    ("gzip level=6", &["--compression-format", "gzip", "--compression-level", "6"]),
    ("zstd level=3", &["--compression-format", "zstd", "--compression-level", "3"]),
];

pub(crate) fn run(folder: &Path) {
    large(folder);
    many(folder);
    layout(folder);
}

fn workspace(folder: &Path, compression: &str) {
    let text = format!(
        "memobuild 1\nfiles src root=\"src\"\nimage app {{ from scratch; copy src to=\"/src\"; compress {compression}; }}\n"
    );
    fs::write(folder.join("workspace/memobuild.kdl"), text).unwrap();
}

fn archive(folder: &Path) -> Cost {
    once(&mut memobuild(folder, &["build", "-o", "oci-archive:image.tar"]))
}

/// From scratch, by copying the same folder, into the same kind of archive.
fn archive_of_buildah(folder: &Path, options: &[&str]) -> Cost {
    let of_script = |arguments: &[&str]| {
        let output = buildah(folder, arguments).output().unwrap();
        assert!(output.status.success(), "buildah {arguments:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let container = of_script(&["from", "scratch"]);
    let source = folder.join("workspace/src");
    let copied = once(&mut buildah(folder, &["copy", "-q", &container, source.to_str().unwrap(), "/src"]));
    let committed = once(&mut buildah(folder, &["commit", "-q", &container, "bench"]));
    let to = format!("oci-archive:{}", folder.join("buildah.tar").display());
    let pushed = once(&mut buildah(folder, &[&["push", "-q"], options, &["bench", &to]].concat()));
    of_script(&["rm", &container]);
    let _ = fs::remove_file(folder.join("buildah.tar"));
    Cost {
        wall: copied.wall + committed.wall + pushed.wall,
        cpu: copied.cpu + committed.cpu + pushed.cpu,
        memory: copied.memory.max(committed.memory).max(pushed.memory),
    }
}

fn compare(ours: Cost, theirs: Option<Cost>, bar: f64) {
    print!("  = {:.0} % of the bar of {bar:.0} ms", ours.wall / bar * 100.0);
    if let Some(theirs) = theirs {
        let (wall, cpu) = (theirs.wall / ours.wall, theirs.cpu / ours.cpu);
        print!("; buildah takes {wall:.1} × the wall time and {cpu:.1} × the CPU");
    }
    println!();
}

/// Fresh stores, so that nothing is remembered.
fn forget(folder: &Path) {
    for name in ["store", "image.tar", "buildah"] {
        let path = folder.join(name);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

fn large(folder: &Path) {
    const SIZE: usize = 2_000_000_000;
    for kind in ["that compresses", "of noise"] {
        fs::create_dir_all(folder.join("workspace/src")).unwrap();
        let mut file = File::create(folder.join("workspace/src/large")).unwrap();
        let mut state = 1_u64;
        for _ in 0..SIZE / 10_000_000 {
            let bytes = match kind {
                "of noise" => noise(&mut state, 10_000_000),
                _ => context::content(&mut state, 10_000_000),
            };
            file.write_all(&bytes).unwrap();
        }
        for (compression, options) in COMPRESSIONS {
            forget(folder);
            workspace(folder, compression);
            let first = archive(folder);
            print(&format!("memobuild, 2 GB {kind}, {compression}"), first);
            let theirs = have("buildah").then(|| archive_of_buildah(folder, options));
            theirs.iter().for_each(|theirs| print("buildah, the same", *theirs));
            compare(first, theirs, 3000.0);
            let again = best(3, || archive(folder));
            print("memobuild, again unchanged", again);
            compare(again, None, 700.0);
        }
        forget(folder);
        fs::remove_dir_all(folder.join("workspace")).unwrap();
    }
}

fn noise(state: &mut u64, size: usize) -> Vec<u8> {
    let mut next = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state ^ *state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes()
    };
    (0..size / 8).flat_map(|_| next()).collect()
}

fn many(folder: &Path) {
    fs::create_dir_all(folder.join("workspace/src")).unwrap();
    context::files(&folder.join("workspace/src"), 20_000, 26_600);
    let mut edits = 0;
    for (compression, options) in COMPRESSIONS {
        forget(folder);
        workspace(folder, compression);
        let first = archive(folder);
        print(&format!("memobuild, 532 MB in 20,000 files, {compression}"), first);
        let theirs = have("buildah").then(|| archive_of_buildah(folder, options));
        theirs.iter().for_each(|theirs| print("buildah, the same", *theirs));
        compare(first, theirs, theirs.map_or(f64::INFINITY, |theirs| theirs.wall));
        let changed = best(3, || {
            edits += 1;
            fs::write(folder.join("workspace/src/d200/f10003.txt"), format!("edit {edits}\n")).unwrap();
            archive(folder)
        });
        print("memobuild, one of 20,000 files changed", changed);
        compare(changed, None, 1000.0);
        unpack(folder, compression);
    }
    forget(folder);
    fs::remove_dir_all(folder.join("workspace")).unwrap();
}

/// The layer of the archive just written, into an empty store, beside tar into an empty folder.
fn unpack(folder: &Path, compression: &str) {
    let layout = folder.join("layout");
    fs::create_dir_all(&layout).unwrap();
    once(Command::new("tar").arg("-xf").arg(folder.join("image.tar")).arg("-C").arg(&layout));
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let layer = blobs.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let own = folder.join("unpacking");
    fs::create_dir_all(own.join("workspace")).unwrap();
    fs::rename(&layer, own.join("workspace/layer")).unwrap();
    fs::write(
        own.join("workspace/memobuild.kdl"),
        "memobuild 1\nfiles layer { include \"layer\"; }\ntree all { extract layer.layer to=\"/\"; }\n",
    )
    .unwrap();
    let ours = best(2, || {
        let _ = fs::remove_dir_all(own.join("store"));
        once(&mut memobuild(&own, &["build", "all"]))
    });
    print(&format!("memobuild, unpacking it, {compression}"), ours);
    if !compression.starts_with("zstd") || have("zstd") {
        let to = folder.join("untarred");
        let tar = best(2, || {
            let _ = fs::remove_dir_all(&to);
            fs::create_dir(&to).unwrap();
            let option = match compression.split(' ').next() {
                Some("gzip") => "-xzf",
                _ => "-xf",
            };
            let mut command = Command::new("tar");
            if compression.starts_with("zstd") {
                command.arg("--zstd");
            }
            once(command.arg(option).arg(own.join("workspace/layer")).arg("-C").arg(&to))
        });
        print("GNU tar, the same", tar);
        println!("  = {:.2} × tar's wall time; the bar is 1.5", ours.wall / tar.wall);
        fs::remove_dir_all(&to).unwrap();
    }
    fs::remove_dir_all(&own).unwrap();
    fs::remove_dir_all(&layout).unwrap();
}

fn layout(folder: &Path) {
    fs::create_dir_all(folder.join("workspace/src")).unwrap();
    context::files(&folder.join("workspace/src"), 10_000, 1_024);
    workspace(folder, "gzip level=6");
    let build = || once(&mut memobuild(folder, &["build", "-o", "oci:layout"]));
    build();
    let nothing = best(5, || once(&mut memobuild(folder, &["build"])));
    let mut edits = 0;
    let changed = best(5, || {
        edits += 1;
        fs::write(folder.join("workspace/src/d100/f5003.txt"), format!("edit {edits}\n")).unwrap();
        build()
    });
    print("memobuild, nothing to do, 10,000 files", nothing);
    print("memobuild, one of 10,000 into a layout", changed);
    compare(Cost { wall: changed.wall - nothing.wall, ..changed }, None, 100.0);
}
