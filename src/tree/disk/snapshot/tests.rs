//! Snapshots on a real filesystem: made once, sealed, and remade after damage.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::base::digest::BlobDigest;
use crate::store::object::{Object, StoreError};
use crate::tree::encode;
use crate::tree::tree::Directory;

/// A store with a tree of two equal files, one of them below.
fn sample(store: &Path) -> (Memo, TreeDigest) {
    let memo = Memo::open(store).unwrap();
    let blob = memo.write_blob(b"content").unwrap();
    let mut directory = Directory::default();
    directory.entries.insert(b"a".to_vec(), Entry::file(blob, 7, 0o444));
    let below = encode::save(&memo, &directory).unwrap();
    directory.entries.insert(b"below".to_vec(), Entry::directory(below));
    (memo.clone(), encode::save(&memo, &directory).unwrap())
}

/// In the form that anybody may make.
fn make_one(memo: &Memo, tree: TreeDigest) -> Result<PathBuf, TreeError> {
    snapshot(memo, tree, Age::Slot(3), &SnapshotForm::one_id(), &Cancel::default())
}

/// As another process would see it.
fn forget(root: &Path) {
    *turn(root.parent().unwrap()).lock().unwrap() = false;
}

fn write_behind(file: &Path, bytes: &[u8]) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
}

#[test]
fn modes_times_and_links_are_the_trees() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    let root = make_one(&memo, tree).unwrap();
    for name in ["", "a", "below", "below/a"] {
        let metadata = fs::symlink_metadata(root.join(name)).unwrap();
        let mode = if metadata.is_dir() { 0o755 } else { 0o444 };
        assert_eq!(metadata.mode() & 0o7777, mode, "{name}");
        assert_eq!(metadata.mtime(), time(tree, 3), "{name}");
        assert!(metadata.is_dir() || metadata.nlink() == 1, "{name}");
    }
    assert_eq!(make_one(&memo, tree).unwrap(), root);
    assert_eq!(snapshot_usage(&memo).unwrap(), SnapshotUsage { snapshots: 1, files: 2, bytes: 14 });
}

#[test]
fn one_that_was_written_to_is_made_again() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    let root = make_one(&memo, tree).unwrap();
    write_behind(&root.join("below/a"), b"cOntent");
    forget(&root);
    assert_eq!(make_one(&memo, tree).unwrap(), root);
    assert_eq!(fs::read(root.join("below/a")).unwrap(), b"content");
    fs::write(root.join("extra"), "").unwrap();
    forget(&root);
    make_one(&memo, tree).unwrap();
    assert!(!root.join("extra").exists());
    fs::write(root.parent().unwrap().join(SEAL), "").unwrap();
    forget(&root);
    make_one(&memo, tree).unwrap();
    assert_ne!(fs::read_to_string(root.parent().unwrap().join(SEAL)).unwrap(), "");
}

#[test]
fn one_that_cannot_be_made_again_says_why() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    let root = make_one(&memo, tree).unwrap();
    write_behind(&root.join("a"), b"cOntent");
    forget(&root);
    for folder in walk_files(&store.path().join("blobs")) {
        fs::remove_file(folder).unwrap();
    }
    let memo = Memo::open(store.path()).unwrap();
    let missing = Object::Blob(BlobDigest::of(b"content"));
    match make_one(&memo, tree) {
        Err(TreeError::Store(StoreError::Missing(object))) => assert_eq!(object, missing),
        other => panic!("{other:?}"),
    }
    assert!(!root.exists());
}

fn walk_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk_files(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn an_audit_reads_every_byte() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    let root = make_one(&memo, tree).unwrap();
    let place = root.parent().unwrap().to_owned();
    let verify = || verify_snapshots(&memo, &Cancel::default()).unwrap();
    assert!(verify().is_empty());
    write_behind(&root.join("below/a"), b"cOntent");
    // As if the disk had done it: the times tell nothing.
    let seal = Seal::take(&root, Coverage::Open, &Cancel::default()).unwrap();
    fs::write(place.join(SEAL), seal.to_text()).unwrap();
    assert_eq!(verify(), std::slice::from_ref(&place));
    assert!(!place.exists());
    assert!(verify().is_empty());
}

#[test]
fn all_threads_get_the_same_one() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| make_one(&memo, tree).unwrap())).collect();
        for maker in makers {
            assert_eq!(fs::read(maker.join().unwrap().join("a")).unwrap(), b"content");
        }
    });
}

/// Two processes have no lock in common: whoever renames second takes the first one's.
#[test]
fn the_slower_maker_drops_its_own() {
    let store = tempfile::tempdir().unwrap();
    let (memo, tree) = sample(store.path());
    let root = make_one(&memo, tree).unwrap();
    let inode = fs::metadata(&root).unwrap().ino();
    let made =
        make(&memo, tree, Age::Slot(3), &SnapshotForm::one_id(), root.parent().unwrap(), &Cancel::default());
    assert!(!made.unwrap());
    assert_eq!(fs::metadata(&root).unwrap().ino(), inode);
}
