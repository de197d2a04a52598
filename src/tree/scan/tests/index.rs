//! The index saves work and changes no result.

use std::path::PathBuf;

use super::*;
use crate::store::memo::Origin as _;

fn project() -> Space {
    let space = Space::new(&[
        (".gitignore", "*.o\n"),
        ("a.c", "int a;"),
        ("a.o", "object"),
        ("src/b.c", "int b;"),
        ("src/deep/c.c", "int c;"),
        ("src/deep/d.c", "int d;"),
        ("docs/x.md", "x"),
    ]);
    symlink("a.c", space.path("link")).unwrap();
    space.settle();
    space
}

/// Bytes of all files that `project` takes.
const BYTES: u64 = 29;

/// The tree as a store that knows nothing gives it.
fn clean(space: &Space) -> TreeDigest {
    let store = tempfile::tempdir().unwrap();
    let memo = Memo::open(store.path()).unwrap();
    let scanner = Scanner::new(&space.path(""), &memo, true, &Cancel::default()).unwrap();
    tree_of(&scanner.scan(&all()).unwrap().entry)
}

#[test]
fn a_second_scan_reads_nothing() {
    let space = project();
    let first = space.scan(&all()).unwrap();
    assert_eq!(first.bytes_hashed, BYTES);
    // No stored directory is read or written, and only the root's is asked for.
    let trees = space.memo.folder().join("trees");
    let root = tree_of(&first.entry);
    let stored = || -> Vec<PathBuf> {
        let shards = fs::read_dir(&trees).unwrap().map(|shard| shard.unwrap().path());
        shards.flat_map(|shard| fs::read_dir(shard).unwrap()).map(|file| file.unwrap().path()).collect()
    };
    let (roots, others): (Vec<_>, Vec<_>) = stored()
        .into_iter()
        .partition(|path| root.to_hex().ends_with(path.file_name().unwrap().to_str().unwrap()));
    others.iter().for_each(|path| fs::remove_file(path).unwrap());
    let second = space.scan(&all()).unwrap();
    assert_eq!(second, Scanned { bytes_hashed: 0, ..first });
    assert_eq!(stored(), roots);
    // A lost root stores all again.
    fs::remove_file(&roots[0]).unwrap();
    assert_eq!(space.scan(&all()).unwrap(), second);
    assert!(space.paths(&all()).contains(&"src/deep/c.c".to_owned()));
}

#[test]
fn an_untrusted_index_is_not_used() {
    let space = project();
    let first = space.scan(&all()).unwrap();
    let scanner = Scanner::new(&space.path(""), &space.memo, false, &Cancel::default()).unwrap();
    assert_eq!(scanner.scan(&all()).unwrap(), first);
}

#[test]
fn one_index_whatever_the_spelling() {
    let space = project();
    space.scan(&all()).unwrap();
    let link = space.folder.path().join("link");
    symlink("workspace", &link).unwrap();
    let scanner = Scanner::new(&link, &space.memo, true, &Cancel::default()).unwrap();
    assert_eq!(scanner.scan(&all()).unwrap().bytes_hashed, 0);
}

#[test]
fn overlapping_scans_read_once() {
    let space = project();
    let scanner = space.scanner();
    let mut hashed = 0;
    for request in [including(&["**/*.c"]), all(), including(&["src"]), below("src"), single("a.c"), all()] {
        hashed += scanner.scan(&request).unwrap().bytes_hashed;
    }
    assert_eq!(hashed, BYTES);
}

/// A build that scans another part takes nothing from the index.
#[test]
fn parts_are_kept() {
    let space = project();
    space.scan(&all()).unwrap();
    space.write("docs/x.md", "y");
    space.settle();
    assert_eq!(space.scan(&below("docs")).unwrap().bytes_hashed, 1);
    let scanned = space.scan(&all()).unwrap();
    assert_eq!(scanned.bytes_hashed, 0);
    assert_eq!(tree_of(&scanned.entry), clean(&space));
}

#[test]
fn touched_files_give_the_same_tree() {
    let space = project();
    let first = space.scan(&all()).unwrap();
    let file = fs::File::options().write(true).open(space.path("src/deep/c.c")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::write(space.path("a.c"), "int a;").unwrap();
    let second = space.scan(&all()).unwrap();
    assert_eq!(second.entry, first.entry);
    assert_eq!(second.bytes_hashed, 12);
}

/// What could change without a trace is looked at again, however often it turns out the same.
#[test]
fn the_young_are_not_trusted() {
    let space = project();
    let future = SystemTime::now() + Duration::from_secs(3600);
    fs::File::open(space.path("src/b.c")).unwrap().set_modified(future).unwrap();
    fs::File::open(space.path("src")).unwrap().set_modified(future).unwrap();
    space.settle();
    let first = space.scan(&all()).unwrap();
    for _ in 0..3 {
        assert_eq!(space.scan(&all()).unwrap(), Scanned { bytes_hashed: 6, ..first.clone() });
        let scanner = space.scanner();
        scanner.scan(&all()).unwrap();
        let state = scanner.workspace.state();
        let settled = |folder: &Folder| folder.listing.as_ref().unwrap().settled;
        let listing = state.root.listing.as_ref().unwrap();
        let src = &listing.slots[listing.find(b"src").unwrap()];
        assert!(settled(&state.root) && !settled(src.child.as_ref().unwrap()));
    }
}

/// Same name, size and, where the kernel's clock is coarse, times: never the old content.
#[test]
fn racy_files_are_never_stale() {
    let space = Space::new(&[("d/f", "aaaa"), ("d/g", "cccc")]);
    for round in 0..400 {
        let text = format!("{round:04}");
        if round % 3 == 0 {
            fs::write(space.path("d/new"), &text).unwrap();
            fs::rename(space.path("d/new"), space.path("d/f")).unwrap();
        } else {
            fs::write(space.path("d/f"), &text).unwrap();
        }
        let root = encode::load(&space.memo, space.digest(&all())).unwrap();
        let inner = encode::load(&space.memo, tree_of(&root.entries[&b"d"[..]])).unwrap();
        let expected = Content::File { blob: BlobDigest::of(text.as_bytes()), size: 4, link: None };
        assert_eq!(inner.entries[&b"f"[..]].content, expected, "round {round}");
    }
}

/// Names that come and go, with scans between: what the index makes of it equals a scan without one.
#[test]
fn edits_equal_a_clean_scan() {
    let space = project();
    type Edit = fn(&Space);
    let edits: &[Edit] = &[
        |space| space.write("src/deep/new.c", "new"),
        |space| fs::remove_file(space.path("src/deep/new.c")).unwrap(),
        |space| fs::rename(space.path("src/deep"), space.path("src/moved")).unwrap(),
        |space| space.write("src/deep", "a file now"),
        |space| fs::remove_file(space.path("src/deep")).unwrap(),
        |space| fs::rename(space.path("src/moved"), space.path("src/deep")).unwrap(),
        |space| space.write("src/.gitignore", "b.c\n"),
        |space| space.write("src/.gitignore", "deep\n"),
        |space| fs::remove_dir_all(space.path("src")).unwrap(),
        |space| space.write("src/only", ""),
    ];
    for (number, edit) in edits.iter().enumerate() {
        edit(&space);
        for settled in [false, true] {
            assert_eq!(space.digest(&all()), clean(&space), "edit {number}, settled: {settled}");
            space.scan(&including(&["*.c"])).unwrap();
            space.settle();
        }
    }
}

#[test]
fn a_damaged_index_is_dropped() {
    let space = project();
    let expected = space.scan(&all()).unwrap();
    let path = space.scanner().index.clone();
    let intact = fs::read(&path).unwrap();
    assert!(Index::open(&path).is_some());
    for place in 0..intact.len() {
        let mut bytes = intact.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        assert!(Index::open(&path).is_none(), "byte {place}");
    }
    for length in [0, 1, 8, 47, 48, intact.len() - 1] {
        fs::write(&path, &intact[..length]).unwrap();
        assert!(Index::open(&path).is_none(), "{length} bytes");
    }
    assert_eq!(space.scan(&all()).unwrap(), expected);
    assert_eq!(space.scan(&all()).unwrap().bytes_hashed, 0);
}

#[test]
fn files_are_located() {
    let space = project();
    let locate = |scanner: &Scanner, text: &str| {
        LocalFiles::new(scanner.workspace.clone()).locate(&BlobDigest::of(text.as_bytes()))
    };
    for _ in 0..2 {
        let scanner = space.scanner();
        assert_eq!(locate(&scanner, "int c;"), None);
        scanner.scan(&all()).unwrap();
        let path = space.path("src/deep/c.c").canonicalize().unwrap();
        assert_eq!(locate(&scanner, "int c;"), Some(path));
        assert_eq!(locate(&scanner, "object"), None);
        scanner.finish().unwrap();
    }
}
