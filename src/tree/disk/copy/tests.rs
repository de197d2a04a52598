//! Copies of stacks on a real filesystem, beside what the same layers come to as trees.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::base::digest::TreeDigest;
use crate::store::fixture::memo;
use crate::store::memo::Memo;
use crate::tree::disk::capture::{CaptureOptions, Ids, capture_folder};
use crate::tree::disk::snapshot::{Age, SnapshotForm, snapshot, time};
use crate::tree::dsl::{self, Sketch};
use crate::tree::flatten::flatten;
use crate::tree::tree::Entry;

/// The layers stacked and copied, in the form that anybody may make.
fn copy_of(memo: &Memo, layers: &[TreeDigest], leave_out: &[&str]) -> tempfile::TempDir {
    copy_with_notes(memo, layers, leave_out).0
}

fn copy_with_notes(
    memo: &Memo,
    layers: &[TreeDigest],
    leave_out: &[&str],
) -> (tempfile::TempDir, Vec<Noted>) {
    let form = SnapshotForm::one_id();
    let made = |tree: &TreeDigest| snapshot(memo, *tree, Age::Slot(0), &form, &Cancel::default()).unwrap();
    let lowers: Vec<PathBuf> = layers.iter().map(made).collect();
    let leave_out: Vec<_> = leave_out.iter().map(|path| dsl::path(path)).collect();
    let dest = tempfile::tempdir().unwrap();
    fs::set_permissions(dest.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let notes: Vec<Notes> = lowers.iter().map(|lower| Notes::read(lower).unwrap()).collect();
    let what = ToCopy { lowers: &lowers, notes: &notes, flavour: form.flavour, leave_out: &leave_out };
    let noted = copy(&what, descent::open_path(dest.path()).unwrap().as_fd(), &|| false).unwrap();
    (dest, noted)
}

fn shown(memo: &Memo, folder: &Path) -> TreeDigest {
    let opened = descent::open_path(folder).unwrap();
    let options = CaptureOptions { ids: Ids::AllRoot, ..CaptureOptions::default() };
    let entry: Entry = capture_folder(memo, opened.as_fd(), &options, &Cancel::default()).unwrap();
    entry.tree().unwrap()
}

#[test]
fn a_copy_shows_what_the_layers_come_to() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let layers = (dsl::trees(), dsl::changes(), dsl::changes());
    proptest!(ProptestConfig::with_cases(20), |((base, one, other) in layers)| {
        let (_folder, memo) = memo();
        let trees = [&base, &one, &other].map(|layer: &Sketch| layer.save(&memo));
        let copied = copy_of(&memo, &trees, &[]);
        let flat = flatten(&memo, &trees).unwrap();
        prop_assert_eq!(dsl::show(&memo, shown(&memo, copied.path())), dsl::show(&memo, flat));
    });
}

#[test]
fn what_is_left_out_is_not_copied() {
    let (_folder, memo) = memo();
    let tree = dsl::tree(&memo, "dev/null=x etc/hosts=x etc/passwd=x lib->x src/a/b=x srcs=x");
    let copied = copy_of(&memo, &[tree], &["dev", "etc/hosts", "lib", "src/a"]);
    assert_eq!(dsl::show(&memo, shown(&memo, copied.path())), "etc/hosts=x etc/passwd=x lib->x src/ srcs=x");
}

#[test]
fn times_and_links_are_those_of_the_snapshots_and_inodes_are_not() {
    let (_folder, memo) = memo();
    let [lower, upper] = ["a=1 b=2#7 c=2#7 d/e=3", "d/f=4"].map(|text| dsl::tree(&memo, text));
    let copied = copy_of(&memo, &[lower, upper], &[]);
    let look = |name: &str| fs::symlink_metadata(copied.path().join(name)).unwrap();
    for (name, tree) in [("a", lower), ("b", lower), ("d", upper), ("d/e", lower), ("d/f", upper)] {
        assert_eq!(look(name).mtime(), time(tree, 0), "{name}");
    }
    assert_eq!([look("a").nlink(), look("b").nlink(), look("c").nlink()], [1, 2, 2]);
    assert_eq!(look("b").ino(), look("c").ino());
}

#[test]
fn what_was_noted_of_snapshots_is_noted_of_their_copies() {
    let (_folder, memo) = memo();
    let lower =
        dsl::tree(&memo, "a=1:644:7:8 b=2#7:644:9:9 c=2#7:644:9:9 d/:755:3:3 d/e=3 f=4:644:5:5 l->a:777:6:6");
    let upper = dsl::tree(&memo, "d/:2755:1:2 f=5 x=6:600:33:0");
    let (copied, noted) = copy_with_notes(&memo, &[lower, upper], &[]);
    let owner = |name: &str| {
        let metadata = fs::symlink_metadata(copied.path().join(name)).unwrap();
        let found: Vec<_> = noted.iter().filter(|noted| noted.identity.number == metadata.ino()).collect();
        found.iter().map(|noted| (noted.note.owned.uid, noted.note.owned.gid)).collect::<Vec<_>>()
    };
    for (name, expected) in
        [("a", (7, 8)), ("b", (9, 9)), ("c", (9, 9)), ("d", (1, 2)), ("l", (6, 6)), ("x", (33, 0))]
    {
        assert_eq!(owner(name), [expected], "{name}");
    }
    assert_eq!([owner("d/e"), owner("f")], [[], []]);
    assert_eq!(noted.iter().filter(|noted| noted.note.gives_group).count(), 1);
}

#[test]
fn large_files_and_long_stops() {
    let (_folder, memo) = memo();
    let content: Vec<u8> = (0..700_000u32).map(|number| (number % 251) as u8).collect();
    let mut directory = crate::tree::tree::Directory::default();
    let blob = memo.write_blob(&content).unwrap();
    directory.entries.insert(b"large".to_vec(), Entry::file(blob, content.len() as u64, 0o644));
    let tree = crate::tree::encode::save(&memo, &directory).unwrap();
    let copied = copy_of(&memo, &[tree], &[]);
    assert!(fs::read(copied.path().join("large")).unwrap() == content);
    let again = tempfile::tempdir().unwrap();
    let what =
        ToCopy { lowers: &[copied.path().to_owned()], notes: &[], flavour: Flavour::User, leave_out: &[] };
    let again = descent::open_path(again.path()).unwrap();
    assert!(matches!(copy(&what, again.as_fd(), &|| true), Err(TreeError::Cancelled)));
}
