//! `memobuild lock`, and what policies make of its file, over real image layouts.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::skipped::skipped;
use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

/// A layout below the workspace, in which the only file says `content`.
fn layout(space: &Space, path: &str, content: &str) {
    let maker = Space::new();
    maker.file(
        "memobuild.kdl",
        format!("memobuild 1\nimage base {{ from scratch; file \"/word\" \"{content}\"; }}\n"),
    );
    let place = space.workspace().join(path);
    let _ = fs::remove_dir_all(&place);
    maker.ok(&["build", "-o", &format!("oci:{}:v1", place.display())]);
}

const FILE: &str = "memobuild 1\n\
    pull base \"oci:base:v1\"\n\
    image app { from base; file \"/x\" \"x\"; }\n\
    default app\n";

/// With a layout and a file that stands on it.
fn space() -> Space {
    let space = Space::new();
    layout(&space, "base", "one");
    space.file("memobuild.kdl", FILE);
    space
}

fn lock_file(space: &Space) -> PathBuf {
    space.workspace().join("memobuild.lock")
}

fn locked(space: &Space) -> String {
    fs::read_to_string(lock_file(space)).unwrap()
}

#[test]
fn a_layout_is_pinned_and_a_changed_one_refused() {
    let space = space();
    let ran = space.ok(&["lock"]);
    assert_eq!(ran.stdout, "memobuild.lock: 1 entry, 1 added, 0 changed, 0 removed\n");
    let text = locked(&space);
    assert!(text.starts_with("memobuild-lock 1\nimage \"oci:base:v1\" digest=\"sha256:"), "{text}");
    assert_eq!(text.lines().count(), 2);
    let inode = fs::metadata(lock_file(&space)).unwrap().ino();
    assert!(space.ok(&["lock"]).stdout.contains("0 added, 0 changed"));
    assert_eq!(fs::metadata(lock_file(&space)).unwrap().ino(), inode, "a current file is not touched");
    space.ok(&["lock", "--check"]);
    space.ok(&["build"]);

    layout(&space, "base", "two");
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let ran = space.run(&["lock", "--check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), "stale        image \"oci:base:v1\"\n"));
    assert!(ran.stderr.contains("help: run `memobuild lock`"), "{}", ran.stderr);
    assert_eq!(locked(&space), text, "--check writes nothing");
    let json: serde_json::Value =
        serde_json::from_str(&space.run(&["lock", "--check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["differences"][0]["state"], "stale");
    assert!(space.ok(&["lock", "--update", "base"]).stdout.contains("1 changed"));
    assert_ne!(locked(&space), text);
    space.ok(&["build"]);
}

#[test]
fn check_names_what_is_missing_and_superfluous() {
    let space = space();
    let ran = space.run(&["lock", "--check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), "missing      image \"oci:base:v1\"\n"));
    assert!(!lock_file(&space).exists());
    space.ok(&["lock"]);
    space.file("memobuild.kdl", FILE.replace("oci:base:v1", "oci:base"));
    let ran = space.run(&["lock", "--check"]);
    let expected = "missing      image \"oci:base\"\nsuperfluous  image \"oci:base:v1\"\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), expected));
    let ran = space.ok(&["lock"]);
    assert_eq!(ran.stdout, "memobuild.lock: 1 entry, 1 added, 0 changed, 1 removed\n");
    space.ok(&["lock", "--check"]);
}

#[test]
fn an_update_leaves_other_entries_and_comments() {
    let space = space();
    layout(&space, "other", "one");
    space.file("memobuild.kdl", format!("{FILE}pull other \"oci:other:v1\"\n"));
    space.ok(&["lock"]);
    let text =
        locked(&space).replace("image \"oci:other", "// reviewed\nfuture \"entry\"\nimage \"oci:other");
    space.file("memobuild.lock", &text);
    layout(&space, "base", "two");
    layout(&space, "other", "two");
    space.ok(&["lock", "--update", "other"]);
    let new = locked(&space);
    // Entries are sorted; what a newer program wrote and the comment above it stay together.
    assert!(
        new.starts_with("memobuild-lock 1\n// reviewed\nfuture \"entry\"\nimage \"oci:base:v1\""),
        "{new}"
    );
    let line = |text: &str, of: &str| text.lines().find(|line| line.contains(of)).unwrap().to_owned();
    assert_eq!(line(&new, "oci:base"), line(&text, "oci:base"));
    assert_ne!(line(&new, "oci:other"), line(&text, "oci:other"));
    let ran = space.run(&["lock", "--update", "app"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("`app` leaves nothing to memobuild.lock"), "{}", ran.stderr);
}

#[test]
fn profile_ci_builds_only_what_is_locked_and_writes_nothing() {
    let space = space();
    let ran = space.run(&["build", "--profile", "ci"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("memo::lock::missing"), "{}", ran.stderr);
    assert!(ran.stderr.contains("oci:base:v1 has no entry in memobuild.lock"), "{}", ran.stderr);
    assert!(ran.stderr.contains("(profile `ci` has `unpinned deny`)"), "{}", ran.stderr);
    assert_eq!(space.run(&["plan", "--profile", "ci"]).code, Some(2));
    let ran = space.run(&["lock", "--profile", "ci"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("profile `ci` has `lock frozen`"), "{}", ran.stderr);
    assert!(!lock_file(&space).exists());
    space.ok(&["lock"]);
    space.ok(&["build", "--profile", "ci"]);
    space.ok(&["lock", "--check", "--profile", "ci"]);
    // Another target needs nothing that is unpinned.
    space.file(
        "memobuild.kdl",
        format!("{FILE}pull more \"oci:more\"\nimage b {{ from scratch; file \"/b\" \"b\"; }}\n"),
    );
    space.ok(&["build", "b", "--profile", "ci"]);
}

#[test]
fn a_mistaken_lock_file_is_told_in_its_own_text() {
    let space = space();
    space.ok(&["lock"]);
    let text = locked(&space);
    space.file("memobuild.lock", format!("{text}<<<<<<< ours\n"));
    for command in [&["build"][..], &["check"], &["plan"], &["lock"], &["lock", "--check"]] {
        let ran = space.run(command);
        assert_eq!(ran.code, Some(2), "{command:?}");
        assert!(ran.stderr.contains("memo::lock::conflict"), "{command:?} {}", ran.stderr);
        assert!(ran.stderr.contains("memobuild.lock:3:1"), "{command:?} {}", ran.stderr);
    }
}

#[test]
fn a_layout_that_is_not_there_leaves_the_file_alone() {
    let space = space();
    space.ok(&["lock"]);
    let text = locked(&space);
    space.file("memobuild.kdl", format!("{FILE}pull gone \"oci:gone\"\n"));
    let ran = space.run(&["lock"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("oci:gone") && ran.stderr.contains("left as it is"), "{}", ran.stderr);
    assert_eq!(locked(&space), text);
}

/// What a locked run downloads is known by what comes out of it.
#[test]
fn outputs_of_locked_runs_are_pinned() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    let file = |word: &str| {
        format!(
            "{BUSYBOX_ROOT}run modules {{\n    from root\n    network locked\n    sh \"echo {word} > /mod/word\"\n    \
             output mod \"/mod\"\n}}\nimage app {{ from scratch; copy modules.mod to=\"/\"; }}\ndefault app\n"
        )
    };
    space.file("memobuild.kdl", file("one"));
    // The language of this version may not know `network locked` yet.
    if space.run(&["check"]).stderr.contains("locked") {
        skipped("this version's language does not have `network locked`");
        return;
    }
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("memo::lock::missing"), "{}", ran.stderr);
    space.ok(&["lock"]);
    assert!(locked(&space).contains("run \"//:modules\" output=\"mod\" digest=\""), "{}", locked(&space));
    space.ok(&["lock", "--check"]);
    space.ok(&["build"]);
}

#[test]
fn nothing_to_lock_makes_no_file() {
    let space = Space::new();
    space.file("memobuild.kdl", "memobuild 1\nimage a { from scratch; file \"/a\" \"a\"; }\n");
    space.ok(&["lock"]);
    space.ok(&["lock", "--check"]);
    assert!(!lock_file(&space).exists());
}

/// Where no one digest leads to all platforms, each has its own line.
#[test]
fn manifests_beside_each_other_are_pinned_by_platform() {
    let space = space();
    let path = space.workspace().join("base/index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut entry = index["manifests"][0].clone();
    entry.as_object_mut().unwrap().remove("annotations");
    let of = |architecture: &str| {
        let mut entry = entry.clone();
        entry["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
        entry
    };
    index["manifests"] = [of("amd64"), of("arm64")].into_iter().collect();
    fs::write(&path, index.to_string()).unwrap();
    space.file("memobuild.kdl", FILE.replace("oci:base:v1", "oci:base"));
    space.ok(&["lock"]);
    let text = locked(&space);
    assert!(text.contains("image \"oci:base\" {\n    platform \"linux/"), "{text}");
    assert!(text.contains(entry["digest"].as_str().unwrap()), "{text}");
    space.ok(&["lock", "--check"]);
    space.ok(&["build", "--profile", "ci"]);
}
