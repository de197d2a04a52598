//! Repositories on the disk, fetched as any others: what comes out, what is refused, what is kept.

mod hostile;
mod origin;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::tree::dsl::{memo, path, show};
use crate::tree::tree::Content;
use origin::Origin;

struct World {
    folder: tempfile::TempDir,
    memo: Memo,
    cancel: Cancel,
}

impl World {
    fn new() -> World {
        let (folder, memo) = memo();
        World { folder, memo, cancel: Cancel::default() }
    }

    fn origin(&self, name: &str) -> Option<Origin> {
        Origin::new(&self.folder.path().join(name), "sha1")
    }

    fn around(&self) -> Around<'_> {
        Around { memo: &self.memo, workspace: self.folder.path(), cancel: &self.cancel }
    }

    fn resolve(&self, origin: &Origin, reference: Option<&str>) -> Result<String, GitError> {
        resolve(&self.around(), origin.url(), reference)
    }

    fn entry(&self, origin: &Origin, commit: &str, submodules: bool, part: &str) -> Result<Entry, GitError> {
        let part = path(part);
        let source = Source { url: origin.url(), reference: None, submodules, path: Some(&part) };
        fetch(&self.around(), &source, commit)
    }

    /// The tree as text, or the error.
    fn fetch(&self, origin: &Origin, commit: &str, submodules: bool, part: &str) -> String {
        match self.entry(origin, commit, submodules, part) {
            Ok(entry) => {
                entry.tree().map_or_else(|| format!("{:?}", entry.content), |tree| show(&self.memo, tree))
            }
            Err(error) => error.to_string().replace(&self.folder.path().display().to_string(), "HERE"),
        }
    }

    /// Folders of kept repositories.
    fn kept(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.memo.folder().join("git"));
        folder.map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    }
}

/// Every kind of entry that git has but a submodule.
fn fill(origin: &Origin) -> String {
    origin
        .file("a", "one")
        .executable("bin/run", "#!")
        .link("link", "bin/run")
        .file("bin/deep/b", "two")
        .commit()
}

const FILLED: &str = "a=one bin/deep/b=two bin/run=#!:755 link->bin/run";

#[test]
fn a_commit_is_a_plain_tree() {
    let world = World::new();
    for format in ["sha1", "sha256"] {
        let Some(origin) = Origin::new(&world.folder.path().join(format), format) else { return };
        let commit = fill(&origin);
        assert_eq!(world.fetch(&origin, &commit, false, ""), FILLED, "{format}");
    }
}

#[test]
fn names_lead_to_commits() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let first = origin.file("a", "1").commit();
    origin.git(&["tag", "-a", "-m", "words", "v1"]);
    origin.git(&["update-ref", "refs/pull/7/head", &first]);
    let second = origin.file("a", "2").commit();
    for (reference, expected) in [
        (None, &second),
        (Some("main"), &second),
        (Some("v1"), &first),
        (Some("refs/tags/v1"), &first),
        (Some("refs/pull/7/head"), &first),
    ] {
        assert_eq!(world.resolve(&origin, reference).unwrap(), *expected, "{reference:?}");
    }
    assert_eq!(world.fetch(&origin, &first, false, ""), "a=1", "a commit that no branch begins with");
    for (reference, expected) in [
        ("mian", "did you mean ref=\"main\"?"),
        ("something", "name a branch or a tag that `git ls-remote` lists"),
        ("--upload-pack=x", "name a branch or a tag that `git ls-remote` lists"),
    ] {
        let error = world.resolve(&origin, Some(reference)).unwrap_err();
        let crate::exec::executor::ExecError::Input { help, .. } = error.into() else {
            panic!("{reference}")
        };
        assert_eq!(help, expected);
    }
}

#[test]
fn a_part_of_a_commit() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let commit = fill(&origin);
    for (part, expected) in [
        ("bin", "deep/b=two run=#!:755"),
        ("bin/deep", "b=two"),
        ("bni", "`/bni` is not in the commit"),
        ("link", "`/link` leads through `/link`, which is a symbolic link"),
        ("link/x", "`/link/x` leads through `/link`, which is a symbolic link"),
        ("a/x", "`/a/x` leads through `/a`, which is a file"),
    ] {
        assert_eq!(world.fetch(&origin, &commit, false, part), expected);
    }
    let file = world.entry(&origin, &commit, false, "bin/run").unwrap();
    assert_eq!(file.metadata.mode, 0o755);
    assert!(matches!(file.content, Content::File { size: 2, .. }));
    let Err(GitError::NoPath { nearest, .. }) = world.entry(&origin, &commit, false, "bin/deap") else {
        panic!("it is there")
    };
    assert_eq!(nearest.as_deref(), Some("bin/deep"));
}

#[test]
fn what_is_not_there_is_told() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let commit = fill(&origin);
    let other = "1".repeat(40);
    assert_eq!(world.fetch(&origin, &other, false, ""), format!("HERE/a has no commit {other}"));
    origin.git(&["tag", "-a", "-m", "words", "v1"]);
    let tag = origin.git(&["rev-parse", "v1"]);
    let expected = format!("{tag} of HERE/a is a tag, not a commit");
    assert_eq!(world.fetch(&origin, &tag, false, ""), expected);
    let nowhere = Origin::new(&world.folder.path().join("b"), "sha1").unwrap();
    fs::remove_dir_all(nowhere.folder()).unwrap();
    assert_eq!(world.fetch(&nowhere, &commit, false, ""), "there is no repository at HERE/b");
    let empty = world.origin("c").unwrap();
    assert!(matches!(world.resolve(&empty, None), Err(GitError::NoHead { .. })));
}

/// What is kept is used again, for what is new as well, and believed no further than its hashes.
#[test]
fn a_repository_is_kept_and_not_believed() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let first = fill(&origin);
    assert_eq!(world.fetch(&origin, &first, false, ""), FILLED);
    assert_eq!(world.kept().len(), 1);
    let second = origin.file("a", "other").commit();
    assert_eq!(world.fetch(&origin, &second, false, "a"), world.fetch(&origin, &second, false, "a"));
    let kept = world.kept().remove(0);
    let packs = || {
        let entries = fs::read_dir(kept.join("objects/pack")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "pack")).collect::<Vec<_>>()
    };
    assert_eq!(packs().len(), 2, "one for each commit that was fetched");
    for pack in packs() {
        let mut bytes = fs::read(&pack).unwrap();
        let end = bytes.len() - 25;
        bytes[20..end].fill(7);
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
    assert_eq!(world.fetch(&origin, &first, false, ""), FILLED, "fetched anew");
    fs::rename(origin.folder(), origin.folder().with_extension("gone")).unwrap();
    assert_eq!(world.fetch(&origin, &first, false, ""), FILLED, "from what is kept");
}

/// Its names of objects are true, but one object is another one.
#[test]
fn an_object_under_a_wrong_name_is_noticed() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let commit = origin.file("a", "one").commit();
    assert_eq!(world.fetch(&origin, &commit, false, ""), "a=one");
    let kept = world.kept().remove(0);
    let (one, two) = (origin.object("blob", b"one"), origin.object("blob", b"two"));
    let loose = |oid: &str| Path::new(&oid[..2]).join(&oid[2..]);
    // A loose object beside the pack; git looks into packs first.
    fs::remove_dir_all(kept.join("objects/pack")).unwrap();
    for object in ["HEAD", "HEAD^{tree}"].map(|name| origin.git(&["rev-parse", name])).iter().chain([&one]) {
        let to = kept.join("objects").join(loose(object));
        let from = if *object == one { &two } else { object };
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(origin.folder().join(".git/objects").join(loose(from)), to).unwrap();
    }
    assert_eq!(world.fetch(&origin, &commit, false, ""), "a=one");
}

#[test]
fn two_at_once_have_a_repository_each() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let commit = fill(&origin);
    std::thread::scope(|scope| {
        let fetches: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.fetch(&origin, &commit, false, ""))).collect();
        fetches.into_iter().for_each(|fetch| assert_eq!(fetch.join().unwrap(), FILLED));
    });
    assert_eq!(world.kept().len(), 1);
}

#[test]
fn submodules_are_empty_or_there() {
    let world = World::new();
    let (Some(origin), Some(library)) = (world.origin("a"), world.origin("library")) else { return };
    let inner = library.file("src/lib", "code").commit();
    library.file("src/lib", "later").commit();
    let modules = "[submodule \"any name\"]\n\tpath = libs/inner\n\turl = ../library\n\tbranch = nowhere\n";
    origin.file("a", "one").file(".gitmodules", modules);
    origin.git(&["add", "-A"]);
    let commit = origin.submodule("libs/inner", &inner).commit_index();
    let shown = |with: bool, part: &str| world.fetch(&origin, &commit, with, part);
    let text = "a=one";
    assert!(shown(false, "").ends_with(&format!(" {text} libs/inner/")), "{}", shown(false, ""));
    assert!(shown(true, "").ends_with(&format!(" {text} libs/inner/src/lib=code")), "{}", shown(true, ""));
    assert_eq!(shown(true, "libs"), "inner/src/lib=code");
    assert_eq!(shown(true, "libs/inner/src"), "lib=code");
    assert_eq!(shown(false, "libs/inner"), "{}");
    assert_eq!(
        shown(false, "libs/inner/src"),
        "`/libs/inner/src` leads through `/libs/inner`, which is a submodule"
    );
}
