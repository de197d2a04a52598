//! What `ignore-file` lines leave out, and when that is looked at again.

use super::*;

fn ignoring(path: &str, syntax: IgnoreSyntax) -> Scan {
    let path = TreePath::parse(path).unwrap();
    Scan { gitignore: false, ignore_files: vec![IgnoreFile { path, syntax }], ..all() }
}

fn docker() -> Scan {
    ignoring(".dockerignore", IgnoreSyntax::Docker)
}

fn git() -> Scan {
    ignoring("rules", IgnoreSyntax::Git)
}

#[test]
fn docker_s_rules() {
    let check = |rules: &str, expected: &[&str]| {
        let space = Space::new(&[
            (".dockerignore", rules),
            ("a.md", ""),
            ("docs/a.md", ""),
            ("docs/b.txt", ""),
            ("docs/deep/a.md", ""),
            ("docs/none/", ""),
            ("src/x.c", ""),
        ]);
        assert_eq!(space.paths(&docker()), expected, "{rules:?}");
    };
    let all =
        &[".dockerignore", "a.md", "docs/a.md", "docs/b.txt", "docs/deep/a.md", "docs/none/", "src/x.c"];
    check("", all);
    check("#docs\nDocs\ndocs/x\n", all);
    check(".dockerignore\nsrc\n/docs/", &["a.md"]);
    check("**/*.md\n.d*", &["docs/b.txt", "docs/deep/", "docs/none/", "src/x.c"]);
    check("docs/*\n.*", &["a.md", "docs/", "src/x.c"]);
    check("*\n!docs/deep/a.md", &["docs/deep/a.md"]);
    check("*\n!**/a.md", &["a.md", "docs/a.md", "docs/deep/a.md"]);
    check("*\n!docs\ndocs/deep\ndocs/none", &["docs/a.md", "docs/b.txt"]);
    check("docs\n!docs/none\n.*", &["a.md", "docs/none/", "src/x.c"]);
    check("*\n!docs/*/**", &[]);
    check("**", &[]);
}

#[test]
fn git_s_rules() {
    let check = |rules: &str, expected: &[&str]| {
        let files =
            [("rules", rules), ("a.md", ""), ("docs/a.md", ""), ("docs/deep/a.md", ""), ("src/x.c", "")];
        assert_eq!(Space::new(&files).paths(&git()), expected, "{rules:?}");
    };
    check("a.md\n/rules", &["src/x.c"]);
    check("/a.md", &["docs/a.md", "docs/deep/a.md", "rules", "src/x.c"]);
    check("docs\n!docs/a.md\n", &["a.md", "rules", "src/x.c"]);
    check("docs/*\n!docs/a.md\nrules/", &["a.md", "docs/a.md", "rules", "src/x.c"]);
    check("[[:lower:]]*\n!docs\n", &[]);
}

/// Rules hold below the root of the scan, wherever their file lies.
#[test]
fn rules_are_relative_to_the_root() {
    let space = Space::new(&[("web/x/a", ""), ("web/x/b", ""), ("a", ""), ("ignore/rules", "/x/a\n")]);
    let request = |syntax| Scan { root: TreePath::parse("web").unwrap(), ..ignoring("ignore/rules", syntax) };
    assert_eq!(space.paths(&request(IgnoreSyntax::Docker)), ["x/b"]);
    assert_eq!(space.paths(&request(IgnoreSyntax::Git)), ["x/b"]);
}

#[test]
fn nothing_takes_back_what_something_else_leaves_out() {
    let space = Space::new(&[
        (".gitignore", "*.o\n"),
        (".dockerignore", "!**/x.o\n!b\nc\nrules\n.*"),
        ("rules", "!c\n!x.o\nd\n"),
        ("x.o", ""),
        ("b", ""),
        ("c", ""),
        ("d", ""),
        ("e/y.o", ""),
        ("f", ""),
    ]);
    let both = [docker().ignore_files, git().ignore_files].concat();
    let request = Scan { exclude: vec!["b".to_owned()], ignore_files: both, ..all() };
    assert_eq!(space.paths(&request), ["f"]);
}

/// At once, at any depth, and in a build that has the index of the last one.
#[test]
fn a_changed_file_counts() {
    for request in [docker(), git()] {
        let file = request.ignore_files[0].path.as_path().to_str().unwrap().to_owned();
        let space = Space::new(&[(&file, &file), ("a/b/x.o", ""), ("a/b/y.c", ""), ("a/keep/x.o", "")]);
        let check = |rules: &str, expected: &[&str]| {
            space.write(&file, &format!("{file}\n{rules}"));
            for _ in 0..2 {
                assert_eq!(space.paths(&request), expected, "{rules:?}");
                space.settle();
            }
        };
        check("", &["a/b/x.o", "a/b/y.c", "a/keep/x.o"]);
        check("**/*.o\n**/keep", &["a/b/y.c"]);
        check("**/*.c\n", &["a/b/x.o", "a/keep/x.o"]);
        let scanner = space.scanner();
        let first = scanner.scan(&request).unwrap();
        space.write(&file, &format!("{file}\na"));
        assert_ne!(scanner.scan(&request).unwrap().entry, first.entry, "in one build");
    }
    // The same text means two things.
    let space = Space::new(&[("rules", "/rules\nx"), ("a/x", "")]);
    assert!(space.paths(&git()).is_empty());
    assert_eq!(space.paths(&ignoring("rules", IgnoreSyntax::Docker)), ["a/x"]);
}

/// No build looks into what nothing can come back from.
#[test]
fn what_is_left_out_is_not_walked() {
    let walks = |rules: &str| {
        let space = Space::new(&[(".dockerignore", rules), ("node_modules/p/x", ""), ("src/p/y", "")]);
        let scanner = space.scanner();
        scanner.scan(&docker()).unwrap();
        let state = scanner.workspace.state();
        let listing = state.root.listing.as_ref().unwrap();
        listing.slots[listing.find(b"node_modules").unwrap()].child.is_some()
    };
    assert!(!walks("node_modules"));
    assert!(!walks("node_modules\n!src/p/y"));
    assert!(!walks("node_modules\n!src/**/y"));
    assert!(!walks("*\n!src"));
    assert!(walks("node_modules\n!node_modules/p/x"));
    assert!(walks("node_modules\n!**/x"));
}

#[test]
fn folders_that_nobody_may_read() {
    let space = Space::new(&[(".dockerignore", "secret\n!**/x"), ("secret/x", ""), ("y", "")]);
    fs::set_permissions(space.path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(space.path("secret")).is_ok() {
        crate::base::skipped::skipped("this user may read everything");
        return;
    }
    assert_eq!(space.paths(&docker()), [".dockerignore", "y"]);
    space.write(".dockerignore", "");
    assert!(matches!(space.scan(&docker()), Err(ScanError::Unreadable { .. })));
}

#[test]
fn what_an_empty_glob_tells() {
    let space =
        Space::new(&[("rules", "#\n\nweb\n"), (".dockerignore", "\n**/*.js"), ("web/a.js", ""), ("b", "")]);
    let check = |request: Scan, line: usize, pattern: &str| {
        let file = request.ignore_files[0].path.as_path().to_owned();
        let request = Scan { include: vec!["web/*.js".to_owned()], ..request };
        match space.scan(&request) {
            Err(ScanError::Empty { ignored: Some(ignored), .. }) => {
                assert_eq!(ignored, Ignored { count: 1, file, line, pattern: pattern.to_owned() });
            }
            other => panic!("{other:?}"),
        }
    };
    check(git(), 3, "web");
    check(docker(), 2, "**/*.js");
}

#[test]
fn what_is_no_ignore_file() {
    let space = Space::new(&[("a/bad", "x\n\n[z-a]b\n"), ("a/alone", "!\n"), ("d/f", ""), ("g", "")]);
    symlink("g", space.path("link")).unwrap();
    symlink("/etc", space.path("etc")).unwrap();
    space.write("large", &"x\n".repeat(600_000));
    space.write("long", &"x".repeat(70_000));
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, space.path("fifo"), fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let check = |path: &str, expected: &str| {
        let error = space.scan(&ignoring(path, IgnoreSyntax::Docker)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check("x", "the ignore file x does not exist");
    check("d/x/y", "the ignore file d/x/y does not exist");
    check("d", "d is not a file");
    check("fifo", "fifo is not a file");
    check("", ". is not a file");
    check("g/x", "g is not a folder");
    check("link", "link is a symbolic link, which scans do not follow");
    check("etc/passwd", "etc is a symbolic link, which scans do not follow");
    check("large", "the ignore file large has more than 1048576 bytes");
    check("a/bad", "a/bad:3: `[z-a]b` is not a pattern: a range in brackets runs backwards");
    check("a/alone", "a/alone:1: `!` is not a pattern: `!` stands alone");
    check("long", "long:1: `` is not a pattern: the line is longer than 65,535 bytes");
    let git = Scan { exclude: vec!["fifo".to_owned()], ..ignoring("a/bad", IgnoreSyntax::Git) };
    assert!(space.scan(&git).is_ok());
}
