//! Equal content gives equal trees, other content other ones.

use super::*;
use crate::tree::tree::Metadata;

const FILES: &[(&str, &str)] = &[
    ("a.c", "int a;"),
    ("src/b.c", "int b;"),
    ("src/deep/c.c", "int c;"),
    ("src/deep/er/d.c", "int d;"),
    ("z/empty/", ""),
];

#[test]
fn nothing_but_content_counts() {
    let space = Space::new(FILES);
    let expected = space.digest(&all());
    let reversed: Vec<_> = FILES.iter().rev().copied().collect();
    let other = Space::new(&reversed);
    assert_eq!(other.digest(&all()), expected, "order of creation");
    for (path, _) in FILES.iter().filter(|(path, _)| !path.ends_with('/')) {
        let file = fs::File::options().write(true).open(other.path(path)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        fs::set_permissions(other.path(path), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::set_permissions(other.path("src"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(other.digest(&all()), expected, "times and umask");
    for count in [1, 2, 8] {
        let store = tempfile::tempdir().unwrap();
        let memo = Memo::open(store.path()).unwrap();
        let mut scanner = Scanner::new(&space.path(""), &memo, true, &Cancel::default()).unwrap();
        scanner.threads = threads(count).unwrap();
        let scanned = scanner.scan(&all()).unwrap();
        assert_eq!(tree_of(&scanned.entry), expected, "{count} threads");
        assert_eq!(scanned.files, 4);
    }
    assert_eq!(hash_path(&space.path("")).unwrap(), HashResult::Folder(expected));
}

#[test]
fn every_difference_counts() {
    type Change = fn(&Space);
    let changes: &[(&str, Change)] = &[
        ("content", |space| space.write("src/b.c", "int x;")),
        ("name", |space| fs::rename(space.path("src/b.c"), space.path("src/x.c")).unwrap()),
        ("executable", |space| {
            fs::set_permissions(space.path("src/x.c"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("link", |space| symlink("b.c", space.path("src/l")).unwrap()),
        ("target of the link", |space| {
            fs::remove_file(space.path("src/l")).unwrap();
            symlink("c.c", space.path("src/l")).unwrap();
        }),
        ("empty folder", |space| space.write("src/none/", "")),
        ("file instead of empty folder", |space| {
            fs::remove_dir(space.path("src/none")).unwrap();
            space.write("src/none", "");
        }),
        ("removed", |space| fs::remove_file(space.path("src/deep/c.c")).unwrap()),
    ];
    let space = Space::new(FILES);
    let mut seen = vec![space.digest(&all())];
    for (what, change) in changes {
        change(&space);
        let digest = space.digest(&all());
        assert!(!seen.contains(&digest), "{what}");
        assert_eq!(hash_path(&space.path("")).unwrap(), HashResult::Folder(digest), "{what}");
        seen.push(digest);
    }
}

#[test]
fn exact_modes_are_kept() {
    let space = Space::new(&[("d/f", "")]);
    let exact = Scan { modes: Modes::Exact, ..all() };
    for (folder, file) in [(0o750, 0o600), (0o750, 0o4755), (0o700, 0o4755), (0o1777, 0o644)] {
        fs::set_permissions(space.path("d/f"), fs::Permissions::from_mode(file)).unwrap();
        fs::set_permissions(space.path("d"), fs::Permissions::from_mode(folder)).unwrap();
        let root = encode::load(&space.memo, space.digest(&exact)).unwrap();
        assert_eq!(root.entries[&b"d"[..]].metadata, Metadata::plain(folder));
        let inner = encode::load(&space.memo, tree_of(&root.entries[&b"d"[..]])).unwrap();
        assert_eq!(inner.entries[&b"f"[..]].metadata, Metadata::plain(file));
    }
}

#[test]
fn single_entries() {
    let space = Space::new(&[("bin/run.sh", "#!/bin/sh\n"), ("lib/x", "x"), (".gitignore", "bin\n")]);
    fs::set_permissions(space.path("bin/run.sh"), fs::Permissions::from_mode(0o711)).unwrap();
    symlink("run.sh", space.path("bin/link")).unwrap();
    let file = space.scan(&single("bin/run.sh")).unwrap();
    assert_eq!(file.entry, Entry::file(BlobDigest::of(b"#!/bin/sh\n"), 10, 0o755));
    let link = space.scan(&single("bin/link")).unwrap();
    assert_eq!(link.entry.content, Content::Symlink { target: b"run.sh".to_vec() });
    assert_eq!(space.paths(&single("lib")), ["x"]);
    assert_eq!(space.digest(&single("lib")), space.digest(&below("lib")));
}

#[test]
fn hash_path_agrees_with_b3sum() {
    let space = Space::new(&[("empty", ""), ("abc", "abc"), ("large", &"0123456789".repeat(300_000))]);
    let hash = |name: &str| match hash_path(&space.path(name)).unwrap() {
        HashResult::File(digest) => digest.to_hex(),
        HashResult::Folder(_) => panic!("{name} is a file"),
    };
    assert_eq!(hash("empty"), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    assert_eq!(hash("abc"), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    if exists("b3sum") {
        let printed = run(&space.path(""), "b3sum", &["--no-names", "large"]);
        assert_eq!(hash("large"), printed.trim());
    }
    assert!(matches!(hash_path(&space.path("absent")), Err(ScanError::Missing { .. })));
}
