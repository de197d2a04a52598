//! Images as other programs see them, and the same image whoever builds it, wherever, whenever.

use crate::skipped::skipped;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::space::{BUSYBOX_ROOT, Space, User, busybox_root, have, ordinary_user, run, tool};

const PROGRAM: &str = r##"
files data { include "data/**"; }
run make {
    from root
    mount data at="/data"
    sh "mkdir -p /made; cp -r /data/data /made/; chmod 0600 /made/data/one; cat /made/data/* > /made/all"
}
image app {
    from make
    layer data { copy data path="data" to="/srv/data" }
    env GREETING="hello"
    workdir "/srv"
    cmd "/bin/sh" "-c" "cat /made/all; echo $GREETING"
    label org.opencontainers.image.title="app"
}
"##;

fn fill(space: &Space) {
    space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{PROGRAM}"));
    space.file("data/one", "1\n");
    space.file("data/two", "2\n");
}

fn manifest_digest(layout: &Path) -> String {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    fs::read(layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())).unwrap()
}

#[test]
fn other_programs_read_the_image_and_run_it() {
    let space = Space::new();
    if !have(&["skopeo", "umoci", "runc", "sha256sum"]) || !busybox_root(&space) {
        return;
    }
    fill(&space);
    space.ok(&["build", "-o", "oci:image:v1", "-o", "oci-archive:image.tar"]);
    let layout = space.path().join("image");
    let inspected: Value =
        serde_json::from_str(&tool("skopeo", &["inspect", &format!("oci:{}:v1", layout.display())])).unwrap();
    assert_eq!(inspected["Labels"]["org.opencontainers.image.title"], "app");
    let archive = format!("oci-archive:{}", space.path().join("image.tar").display());
    let copied = space.path().join("copied");
    let policy = space.path().join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let policy = policy.to_str().unwrap();
    tool("skopeo", &["--policy", policy, "copy", &archive, &format!("oci:{}:v1", copied.display())]);
    assert_eq!(manifest_digest(&copied), manifest_digest(&layout));
    every_diff_id_is_right(&layout);
    let bundle = space.path().join("bundle");
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--image", &format!("{}:v1", layout.display())]);
    if !crate::space::is_root() {
        unpack.arg("--rootless");
    }
    let unpacked = run(unpack.arg(&bundle));
    assert_eq!(unpacked.code, Some(0), "{}", unpacked.stderr);
    let mode = fs::metadata(bundle.join("rootfs/made/data/one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    runs_under_runc(&space, &bundle);
}

fn every_diff_id_is_right(layout: &Path) {
    let manifest: Value = serde_json::from_slice(&blob(layout, &manifest_digest(layout))).unwrap();
    let config: Value =
        serde_json::from_slice(&blob(layout, manifest["config"]["digest"].as_str().unwrap())).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), config["rootfs"]["diff_ids"].as_array().unwrap().len());
    assert_eq!(layers.len(), 3);
    for (layer, diff_id) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        let digest = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = layout.join("blobs/sha256").join(digest);
        let sum = tool("sh", &["-c", &format!("gzip -dc < {} | sha256sum", path.display())]);
        assert_eq!(format!("sha256:{}", sum.split(' ').next().unwrap()), diff_id.as_str().unwrap());
    }
}

fn runs_under_runc(space: &Space, bundle: &Path) {
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = Value::Bool(false);
    // Hybrid and read-only cgroup trees keep runc from starting; the image is not about them.
    config["linux"].as_object_mut().unwrap().remove("resources");
    fs::write(&path, config.to_string()).unwrap();
    let state = space.path().join("runc");
    let name = format!("memobuild-test-{}", std::process::id());
    let ran =
        run(Command::new("runc").arg("--root").arg(state).args(["run", "--bundle"]).arg(bundle).arg(name));
    if ran.code != Some(0) && ran.stderr.contains("cgroup") {
        skipped(&format!("the run under runc: {}", ran.stderr.trim()));
        return;
    }
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "1\n2\nhello\n"), "{}", ran.stderr);
}

/// Other folders, users, umasks, time zones, file times and numbers of jobs: one digest.
#[test]
fn the_image_is_the_same_whoever_builds_it() {
    let mut digests = BTreeSet::new();
    let users = [Some(User::Current), Some(User::Current), ordinary_user()];
    for (number, user) in users.into_iter().flatten().enumerate() {
        let space = Space::of(user);
        if !busybox_root(&space) {
            return;
        }
        fill(&space);
        let strange_umask = if number == 1 { "0077" } else { "0002" };
        for name in ["data/one", "data/two"] {
            let mode = if number == 1 { 0o600 } else { 0o664 };
            fs::set_permissions(space.workspace().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let plain = space.command(&["build", "-o", "oci:image", "--jobs", &(1 + number * 3).to_string()]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "umask $0; exec \"$@\"", strange_umask])
            .arg(plain.get_program())
            .args(plain.get_args());
        shell.env("TZ", ["UTC", "Asia/Tokyo", "America/Lima"][number]).current_dir(space.path());
        shell.env("HOME", space.path()).env("LANG", ["C", "de_DE.UTF-8", "C.UTF-8"][number]);
        let ran = run(&mut shell);
        assert_eq!(ran.code, Some(0), "{user:?} {}", ran.stderr);
        digests.insert(manifest_digest(&space.path().join("image")));
    }
    assert_eq!(digests.len(), 1, "{digests:?}");
}

/// A file of a base that is appended to keeps its mode, and no file is a link of another one.
#[test]
fn copy_up_keeps_modes_and_files_are_single() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!(
            "{BUSYBOX_ROOT}
tree base {{ from root; file \"/a\" \"same\"; file \"/b\" \"same\"; file \"/c\" \"same\" mode=0o604; }}
run append {{
    from base
    sh \"cat /a >> /c; stat -c '%a %h %n' /a /b /c > /seen\"
    output seen \"/seen\" type=file
}}
tree out {{ copy append.seen to=\"/seen\" }}
default out
"
        ),
    );
    space.ok(&["build", "-o", "files:out"]);
    assert_eq!(fs::read_to_string(space.path().join("out/seen")).unwrap(), "644 1 /a\n644 1 /b\n604 1 /c\n");
}
