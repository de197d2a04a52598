//! One flipped byte anywhere in the store is noticed, mended by running again, and never exported.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::space::{BUSYBOX_ROOT, Space, busybox_root};

const WORK: &str = r##"
files source { include "in.txt"; }
run one { from root; mount source at="/src"; sh "cat /src/in.txt > /one"; output one "/one" type=file; }
run two { from one; sh "cat /one /one > /two"; output two "/two" type=file; }
image all {
    from two
    copy one.one to="/again"
}
"##;

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_below(&entry.path(), into);
        } else if kind.is_file() && entry.metadata().unwrap().len() > 0 {
            into.push(entry.path());
        }
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn export(space: &Space, name: &str) -> String {
    space.ok(&["build", "-o", &format!("oci:{name}")]);
    fs::read_to_string(space.path().join(name).join("index.json")).unwrap()
}

fn filled() -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{WORK}"));
        space.file("in.txt", "one line\n");
        space
    })
}

/// Every class of file in the store, each flipped in its own copy of the story: the next build that
/// needs it is right, and so is a build after an edit.
fn damage_is_mended(class: &str) {
    let Some(space) = filled() else { return };
    let right = export(&space, "clean");
    space.file("in.txt", "another line\n");
    let edited = export(&space, "clean-edited");
    let mut victims = Vec::new();
    files_below(&space.store().join(class), &mut victims);
    assert!(!victims.is_empty(), "the store has no {class}");
    for (number, victim) in victims.into_iter().enumerate() {
        if !victim.is_file() {
            continue; // An earlier round put it aside.
        }
        flip(&victim);
        assert_eq!(export(&space, &format!("edited-{number}")), edited, "after {}", victim.display());
        space.file("in.txt", "one line\n");
        assert_eq!(export(&space, &format!("first-{number}")), right, "after {}", victim.display());
        space.file("in.txt", format!("line {number}\n"));
        export(&space, &format!("new-{number}"));
        space.file("in.txt", "another line\n");
    }
}

#[test]
fn damaged_blobs_are_mended() {
    damage_is_mended("blobs");
}

#[test]
fn damaged_trees_are_mended() {
    damage_is_mended("trees");
}

#[test]
fn damaged_records_are_mended() {
    damage_is_mended("records");
}

#[test]
fn damaged_snapshots_are_mended() {
    damage_is_mended("snapshots");
}

#[test]
fn a_damaged_index_is_mended() {
    damage_is_mended("index");
}

#[test]
fn verify_names_what_is_damaged() {
    for class in ["blobs", "trees", "records", "snapshots"] {
        let Some(space) = filled() else { return };
        export(&space, "clean");
        space.ok(&["cache", "verify"]);
        let mut victims = Vec::new();
        files_below(&space.store().join(class), &mut victims);
        flip(&victims[0]);
        let ran = space.run(&["cache", "verify"]);
        assert_eq!(ran.code, Some(3), "{class}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("damaged"), "{class}: {}", ran.stdout);
        let again = space.run(&["cache", "verify"]);
        assert_eq!(again.code, Some(0), "{class} was put aside: {}{}", again.stdout, again.stderr);
    }
}
