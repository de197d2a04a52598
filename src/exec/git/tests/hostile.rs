//! What was fetched is never run, never obeyed, and leads nowhere.

use std::fs;

use super::World;
use super::origin::Origin;

/// All that git would do with these files on a checkout leaves a mark, or another content.
#[test]
fn nothing_that_was_fetched_runs() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let mark = world.folder.path().join("ran");
    let program = format!("#!/bin/sh\ntouch {}\ncat\n", mark.display());
    let attributes =
        "* text eol=crlf ident export-subst filter=evil diff=evil merge=evil\n*.bin filter=lfs\n";
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    origin
        .executable("payload", &program)
        .file(".gitattributes", attributes)
        .file("id", "$Id$ $Format:%H$\n");
    origin.file("big.bin", pointer).file(".lfsconfig", "[lfs]\n\turl = https://nowhere.invalid\n");
    let commit = origin.commit();
    for (key, value) in [
        ("filter.evil.smudge", "./payload"),
        ("filter.evil.clean", "cat"),
        ("core.fsmonitor", "./payload"),
        ("core.sshCommand", "./payload"),
        ("core.alternateRefsCommand", "./payload"),
        ("uploadpack.packObjectsHook", "./payload"),
        ("core.hooksPath", "hooks"),
        ("core.pager", "./payload"),
    ] {
        origin.git(&["config", key, value]);
    }
    for hook in ["post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change", "update"] {
        origin.executable(&format!("hooks/{hook}"), &program);
        origin.executable(&format!(".git/hooks/{hook}"), &program);
    }
    let shown = world.fetch(&origin, &commit, true, "");
    assert!(!mark.exists(), "something ran");
    origin.git(&["checkout", "-q", "--detach"]);
    assert!(mark.exists(), "the trap is none");
    let tree = world.entry(&origin, &commit, true, "id").unwrap();
    let expected = crate::base::digest::BlobDigest::of(b"$Id$ $Format:%H$\n");
    assert!(matches!(tree.content, super::Content::File { blob, .. } if blob == expected), "{shown}");
    let tree = world.entry(&origin, &commit, true, "big.bin").unwrap();
    let expected = crate::base::digest::BlobDigest::of(pointer.as_bytes());
    assert!(matches!(tree.content, super::Content::File { blob, .. } if blob == expected), "{shown}");
}

/// A repository whose `.gitmodules` says so about its submodule `sub`, a commit of `other`.
fn with_module(world: &World, origin: &Origin, modules: &str) -> String {
    let other = world.origin("other").unwrap();
    let inner = other.file("secret", "word").commit();
    origin.file(".gitmodules", modules);
    origin.git(&["add", "-A"]);
    let commit = origin.submodule("sub", &inner).commit_index();
    world.fetch(origin, &commit, true, "")
}

#[test]
fn submodules_lead_nowhere_else() {
    let module = |url: &str| format!("[submodule \"s\"]\n\tpath = sub\n\turl = \"{url}\"\n");
    let local = "is a path of this machine, written by another repository";
    let outside = "leads out of where its repository lies";
    for (name, modules, expected) in [
        ("absolute", module("HERE/other"), format!("submodule `/sub`: `HERE/other` {local}")),
        ("file", module("file://HERE/other"), format!("submodule `/sub`: `file://HERE/other` {local}")),
        ("plain", module("other"), format!("submodule `/sub`: `other` {local}")),
        (
            "above",
            module("../../../../../../../../x"),
            format!("submodule `/sub`: `../../../../../../../../x` {outside}"),
        ),
        ("back", module("./x/../../other"), format!("submodule `/sub`: `./x/../../other` {outside}")),
        (
            "option",
            module("-u./payload"),
            "submodule `/sub`: `-u./payload` is nothing that git can fetch".to_owned(),
        ),
        (
            "program",
            module("ext::sh -c ./payload"),
            "submodule `/sub`: `ext::sh -c ./payload` is no address that git fetches here".to_owned(),
        ),
        ("none", String::new(), "the submodule `/sub` has no address in .gitmodules".to_owned()),
        (
            "elsewhere",
            "[submodule \"s\"]\n\tpath = ../../sub\n\turl = ../other\n".to_owned(),
            "the submodule `/sub` has no address in .gitmodules".to_owned(),
        ),
    ] {
        let world = World::new();
        let Some(origin) = world.origin(name) else { return };
        let modules = modules.replace("HERE", &world.folder.path().display().to_string());
        let found = with_module(&world, &origin, &modules);
        // Git's own check of what it fetches may come first.
        let is_refused_by_git = found.starts_with(&format!("git refuses what HERE/{name} holds: "));
        assert!(found == expected || is_refused_by_git, "{name}: {found}");
    }
}

/// A module file that includes another one, which would be read.
#[test]
fn includes_of_modules_are_not_followed() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let secret = world.folder.path().join("secret");
    fs::write(&secret, "[submodule \"s\"]\n\tpath = sub\n\turl = ../other\n").unwrap();
    let found = with_module(&world, &origin, &format!("[include]\n\tpath = {}\n", secret.display()));
    assert_eq!(found, "the submodule `/sub` has no address in .gitmodules");
}

/// Each commit has the one before as a submodule of itself.
#[test]
fn submodules_of_submodules_come_to_an_end() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    origin.file(".gitmodules", "[submodule \"s\"]\n\tpath = sub\n\turl = ../a\n");
    let mut commits = vec![origin.commit()];
    for _ in 0..12 {
        let last = commits.last().unwrap().clone();
        commits.push(origin.submodule("sub", &last).commit_index());
    }
    assert!(world.fetch(&origin, &commits[2], true, "sub/sub").starts_with(".gitmodules="));
    let found = world.fetch(&origin, &commits[12], true, "");
    assert!(found.ends_with("submodules lie in each other more than 10 deep"), "{found}");
}

/// Written past git's own checks, as an attacker would.
#[test]
fn trees_that_no_git_makes_are_refused() {
    for (mode, name) in
        [("100644", ".."), ("40000", "."), ("100644", "a/b"), ("40000", ".GIT"), ("100644", ".git")]
    {
        let world = World::new();
        let Some(origin) = world.origin("a") else { return };
        let (kind, content): (_, &[u8]) = if mode == "40000" { ("tree", b"") } else { ("blob", b"x") };
        let inner = origin.object(kind, content);
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let oid: Vec<u8> = inner.as_bytes().chunks(2).map(digits).collect();
        let tree = origin.object("tree", &[format!("{mode} {name}\0").as_bytes(), &oid].concat());
        let commit = origin.commit_tree(&tree);
        let found = world.entry(&origin, &commit, false, "");
        assert!(found.is_err(), "{name}: {found:?}");
    }
}

/// Old programs wrote such commits, and their files are as good as any.
#[test]
fn who_wrote_a_commit_when_does_not_matter() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    origin.file("a", "one").commit();
    let tree = origin.git(&["rev-parse", "HEAD^{tree}"]);
    let commit = format!("tree {tree}\nauthor a <a> b> 01 +051800\ncommitter <a@b>1 -0\n\nwords\n");
    let commit = origin.object("commit", commit.as_bytes());
    origin.git(&["update-ref", "refs/heads/main", &commit]);
    assert_eq!(world.fetch(&origin, &commit, false, ""), "a=one");
}

/// Ten folders of ten folders of …, which are eleven objects.
#[test]
fn a_bomb_does_not_go_off() {
    let world = World::new();
    let Some(origin) = world.origin("a") else { return };
    let mut below = origin.object("blob", b"x");
    let mut mode = "100644 blob";
    for _ in 0..10 {
        let lines: String = (0..10).map(|name| format!("{mode} {below}\tf{name}\n")).collect();
        fs::write(origin.folder().join("list"), lines).unwrap();
        below = origin.git(&["-c", "alias.tree=!git mktree < list", "tree"]);
        mode = "040000 tree";
    }
    let commit = origin.commit_tree(&below);
    assert_eq!(
        world.fetch(&origin, &commit, false, ""),
        "the commit has more than 4000000 files and folders"
    );
}
