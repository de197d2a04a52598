//! Folders before and after, as `path=content` texts.

use super::*;
use crate::tree::dsl::{memo, tree};

/// The folder with files and links of `before`, and the tree that lands in it.
struct Story {
    folder: tempfile::TempDir,
    memo: Memo,
    _store: tempfile::TempDir,
}

impl Story {
    fn new(before: &[(&str, &str)]) -> Story {
        let (store, memo) = memo();
        let story = Story { folder: tempfile::tempdir().unwrap(), memo, _store: store };
        for (path, content) in before {
            let path = story.to().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        story
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("to")
    }

    fn landing(&self, text: &str) -> Landing {
        Landing::new(&self.memo, &Entry::directory(tree(&self.memo, text)), 1).unwrap()
    }

    fn land(&self, text: &str, merge: bool) -> String {
        let landing = self.landing(text);
        let changes = landing.changes(&self.to(), merge).unwrap();
        landing.write(&self.memo, &self.to(), merge, &Cancel::default()).unwrap();
        assert_eq!(landing.changes(&self.to(), merge).unwrap(), Changes::new(), "it is current now");
        let shown = changes.iter().map(|(path, change)| format!("{change:?} {path}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn files(&self) -> String {
        let mut there = BTreeMap::new();
        list(&self.to(), &TreePath::root(), &mut there, 0).unwrap();
        let left = fs::read_dir(self.folder.path()).unwrap().count();
        assert!(left <= 1, "nothing is left beside it");
        let read = |path: &TreePath| fs::read_to_string(at(&self.to(), path)).unwrap();
        there.keys().map(|path| format!("{path}={}", read(path))).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn replacing_removes_what_else_is_there() {
    let story = Story::new(&[("a", "old"), ("b/c", "1"), ("x/y", "2")]);
    assert_eq!(story.land("a=new b/c=1 d=3", false), "Changed /a, Added /d, Removed /x/y");
    assert_eq!(story.files(), "/a=new /b/c=1 /d=3");
    assert_eq!(story.land("a/b=1", false), "Removed /a, Added /a/b, Removed /b/c, Removed /d");
    assert_eq!(story.files(), "/a/b=1");
}

#[test]
fn merging_keeps_it() {
    let story = Story::new(&[("a", "old"), ("b/c", "1"), ("x/y", "2")]);
    assert_eq!(story.land("a=new b/d=3", true), "Changed /a, Added /b/d");
    assert_eq!(story.files(), "/a=new /b/c=1 /b/d=3 /x/y=2");
    assert_eq!(story.land("z/y=4", true), "Added /z/y");
}

#[test]
fn a_new_folder_is_made_with_those_above_it() {
    for merge in [false, true] {
        let story = Story::new(&[]);
        assert_eq!(story.land("a=1 e/", merge), "Added /a");
        assert_eq!(story.files(), "/a=1");
        assert_eq!(fs::metadata(story.to().join("a")).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::metadata(story.to()).unwrap().permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn a_file_lands_as_the_destination() {
    let story = Story::new(&[]);
    let blob = story.memo.write_blob(b"word").unwrap();
    let landing = Landing::new(&story.memo, &Entry::file(blob, 4, 0o6700), 1).unwrap();
    for merge in [false, true] {
        fs::write(story.to(), "other").unwrap();
        assert_eq!(landing.changes(&story.to(), merge).unwrap()[&TreePath::root()], Change::Changed);
        landing.write(&story.memo, &story.to(), merge, &Cancel::default()).unwrap();
        assert_eq!(fs::read(story.to()).unwrap(), b"word");
        assert_eq!(fs::metadata(story.to()).unwrap().permissions().mode() & 0o7777, 0o755);
        fs::set_permissions(story.to(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(landing.changes(&story.to(), merge).unwrap(), Changes::new(), "as a umask leaves it");
    }
}

#[test]
fn what_is_in_the_way_of_merging_is_an_error() {
    for (before, wanted) in [("a/b", "a=1"), ("a", "a/b=1")] {
        let story = Story::new(&[(before, "0")]);
        let error = story.landing(wanted).changes(&story.to(), true).unwrap_err();
        assert!(matches!(error, TreeError::InTheWay { .. }), "{error}");
    }
}

/// A link in the folder leads to where nothing may be written.
#[test]
fn no_link_of_the_folder_is_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "kept").unwrap();
    let story = Story::new(&[("b", "1")]);
    std::os::unix::fs::symlink(outside.path(), story.to().join("a")).unwrap();
    let landing = story.landing("a/kept=2");
    assert!(matches!(landing.changes(&story.to(), true), Err(TreeError::InTheWay { .. })));
    assert!(landing.write(&story.memo, &story.to(), true, &Cancel::default()).is_err());
    story.land("a/kept=2", false);
    assert_eq!(story.files(), "/a/kept=2");
    assert_eq!(fs::read_to_string(outside.path().join("kept")).unwrap(), "kept");
}

#[test]
fn links_and_kinds_of_the_tree() {
    let story = Story::new(&[]);
    let check = |content: Content, above: usize| {
        let link = Entry { metadata: Metadata::plain(0o777), content };
        let directory = crate::tree::tree::Directory { entries: [(b"l".to_vec(), link)].into() };
        let entry = Entry::directory(encode::save(&story.memo, &directory).unwrap());
        Landing::new(&story.memo, &entry, above).map(drop)
    };
    let link = |target: &str| Content::Symlink { target: target.into() };
    for (target, above, stays) in [
        ("x", 0, true),
        ("../x", 0, false),
        ("../x", 1, true),
        ("a/../../x", 1, true),
        ("../../x", 1, false),
        ("/etc", 3, false),
    ] {
        assert_eq!(check(link(target), above).is_ok(), stays, "{target}");
    }
    assert!(matches!(check(Content::Fifo, 1), Err(TreeError::Special { .. })));
}
