//! Which files are in.

use super::*;

fn ignoring_nothing(request: Scan) -> Scan {
    Scan { gitignore: false, ..request }
}

#[test]
fn globs_ignore_files_and_git() {
    let space = Space::new(&[
        (".git/HEAD", "ref"),
        (".gitignore", "*.o\n/dist/\n"),
        ("hello.c", "1"),
        ("hello.o", "2"),
        ("dist/app.js", "3"),
        ("src/a.c", "4"),
        ("src/a.o", "5"),
        ("src/sub/.gitignore", "!keep.o\nsecret\n"),
        ("src/sub/keep.o", "6"),
        ("src/sub/secret", "7"),
        ("src/sub/none/", ""),
        ("objects/x.o", "8"),
    ]);
    let check = |request: Scan, expected: &[&str]| {
        assert_eq!(space.paths(&request), expected, "{request:?}");
    };
    check(
        all(),
        &[".gitignore", "hello.c", "src/a.c", "src/sub/.gitignore", "src/sub/keep.o", "src/sub/none/"],
    );
    check(including(&["hello.c"]), &["hello.c"]);
    check(including(&["**/*.c"]), &["hello.c", "src/a.c"]);
    check(including(&["src"]), &["src/a.c", "src/sub/.gitignore", "src/sub/keep.o", "src/sub/none/"]);
    check(including(&["src/sub/none/"]), &["src/sub/none/"]);
    check(
        Scan { exclude: vec!["src/sub".to_owned(), "**/.gitignore".to_owned()], ..all() },
        &["hello.c", "src/a.c"],
    );
    check(ignoring_nothing(including(&["**/*.o"])), &["hello.o", "objects/x.o", "src/a.o", "src/sub/keep.o"]);
    check(including(&["hello.c", ".git/HEAD"]), &[".git/HEAD", "hello.c"]);
    check(below("src/sub"), &[".gitignore", "keep.o", "none/"]);
    check(below("objects"), &[]);
    check(below("dist"), &["app.js"]);
}

/// The rules are in the key of what was made of a folder: changing them counts at once, at any depth.
#[test]
fn changed_rules_count() {
    let space = Space::new(&[("a/b/x.o", ""), ("a/b/y.c", "")]);
    assert_eq!(space.paths(&all()), ["a/b/x.o", "a/b/y.c"]);
    space.write(".gitignore", "*.o");
    space.settle();
    assert_eq!(space.paths(&all()), [".gitignore", "a/b/y.c"]);
    assert_eq!(space.paths(&all()), [".gitignore", "a/b/y.c"]);
    space.write(".gitignore", "*.c");
    assert_eq!(space.paths(&all()), [".gitignore", "a/b/x.o"]);
    fs::remove_file(space.path(".gitignore")).unwrap();
    assert_eq!(space.paths(&all()), ["a/b/x.o", "a/b/y.c"]);
}

#[test]
fn what_the_build_writes_is_left_out() {
    let space = Space::new(&[("a", ""), ("out/image/index.json", ""), ("out/b", "")]);
    let memo = Memo::open(&space.path(".store")).unwrap();
    let scan = |written: &[&str]| {
        let scanner = Scanner::new(&space.path(""), &memo, true, &Cancel::default()).unwrap();
        let written: Vec<PathBuf> = written.iter().map(|path| space.path(path)).collect();
        scanner.leave_out(&written.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        let scanned = scanner.scan(&all()).unwrap();
        scanner.finish().unwrap();
        scanned.files
    };
    assert_eq!(scan(&["out/image", "not/there", "missing.tar"]), 2);
    assert_eq!(scan(&[]), 3);
    assert_eq!(scan(&["out"]), 1);
    let scanner = Scanner::new(&space.path(""), &memo, true, &Cancel::default()).unwrap();
    assert!(matches!(scanner.scan(&below(".store")), Err(ScanError::LeftOut { .. })));
}

/// A made-up project with ignore files of every sort, as git sees it.
#[test]
fn the_same_files_as_git() {
    if !exists("git") {
        return;
    }
    let space = Space::new(&[]);
    let folders =
        ["", "a/", "a/b/", "a/b/c/", "d/", "d/e/", "build/", "a/build/", "d/build/x/", "node_modules/p/"];
    let names =
        ["x.c", "x.o", "y.o", "keep.o", "README", "log.txt", "#odd", "!bang", "sp ace", "[b]", "build.log"];
    for folder in folders {
        for name in names {
            space.write(&format!("{folder}{name}"), name);
        }
    }
    let rules = [
        (".gitignore", "*.o\r\n!keep.o\n/build/\nnode_modules\n\\#odd\n# comment\n\n"),
        ("a/.gitignore", "\u{feff}b/*.txt\n!x.o\nbuild\n"),
        ("a/b/.gitignore", "/README\n\\!bang\nsp ace\nlog.txt   \n"),
        ("a/b/c/.gitignore", "*\n!.gitignore\n!x.*\n"),
        ("d/.gitignore", "**/x.c\ne/**\n!e/README\n/build/x/*\n!/build/x/y.o\n"),
        ("d/e/.gitignore", "[[]b]\n[!a-w].c\n"),
    ];
    for (path, text) in rules {
        space.write(path, text);
    }
    run(&space.path(""), "git", &["init", "-q"]);
    let listed = run(&space.path(""), "git", &["ls-files", "-co", "--exclude-standard", "-z"]);
    let mut expected: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    expected.sort_unstable();
    let mut paths = space.paths(&all());
    paths.sort_unstable();
    assert_eq!(paths, expected);
    assert!((20..100).contains(&paths.len()), "{paths:?}");
}
