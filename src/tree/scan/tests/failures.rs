//! Every way to fail names the path.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn fails(space: &Space, request: &Scan) -> String {
    space.scan(request).unwrap_err().to_string()
}

#[test]
fn unfit_paths_and_globs() {
    let space = Space::new(&[("a/f", ""), ("b", "")]);
    symlink("/etc", space.path("out")).unwrap();
    symlink("a", space.path("in")).unwrap();
    let check = |request: Scan, expected: &str| assert_eq!(fails(&space, &request), expected);
    check(below("x"), "x does not exist");
    check(below("a/x"), "a/x does not exist");
    check(single("a/x"), "a/x does not exist");
    check(below("b"), "b is not a folder");
    check(below("b/c"), "b is not a folder");
    check(below("out"), "out is a symbolic link, which scans do not follow");
    check(below("in/f"), "in is a symbolic link, which scans do not follow");
    check(single("in/f"), "in is a symbolic link, which scans do not follow");
    check(including(&["b", "none"]), "`none` matches no file");
    check(including(&["!b"]), "`!b` is not a glob: `!` is not understood here, write an `exclude`");
    assert!(fails(&space, &including(&["a[z-a]"])).starts_with("`a[z-a]` is not a glob: "));
}

#[test]
fn an_empty_glob_tells_what_is_ignored() {
    let space = Space::new(&[
        ("services/web/.gitignore", "# built\n\ndist/\n"),
        ("services/web/dist/a.js", ""),
        ("services/web/dist/sub/b.js", ""),
        ("services/web/x.ts", ""),
    ]);
    let request = Scan { include: vec!["dist/**".to_owned()], ..below("services/web") };
    let check = |request: &Scan, expected: Option<Ignored>| match space.scan(request) {
        Err(ScanError::Empty { glob, ignored }) => {
            assert_eq!(glob, "dist/**");
            assert_eq!(ignored, expected);
        }
        other => panic!("{other:?}"),
    };
    let file = PathBuf::from("services/web/.gitignore");
    check(&request, Some(Ignored { count: 2, file, line: 3, pattern: "dist/".to_owned() }));
    fs::remove_dir_all(space.path("services/web/dist")).unwrap();
    check(&request, None);
    // Also where all is as the index has it.
    space.settle();
    check(&request, None);
    check(&request, None);
}

#[test]
fn special_files() {
    let space = Space::new(&[("a/f", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(space.path("a/s.sock")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, space.path("a/pipe"), fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let exclude =
        |globs: &[&str]| Scan { exclude: globs.iter().map(|glob| glob.to_string()).collect(), ..all() };
    let text = "is a socket, fifo or device, which no tree can hold";
    assert_eq!(fails(&space, &exclude(&["a/pipe"])), format!("a/s.sock {text}"));
    assert_eq!(fails(&space, &exclude(&["**/*.sock"])), format!("a/pipe {text}"));
    assert_eq!(fails(&space, &single("a/pipe")), format!("a/pipe {text}"));
    assert_eq!(space.paths(&exclude(&["**/*.sock", "a/pipe"])), ["a/f"]);
    assert_eq!(space.paths(&including(&["a/f"])), ["a/f"]);
}

#[test]
fn unreadable_files() {
    let space = Space::new(&[("a/f", "x")]);
    fs::set_permissions(space.path("a/f"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(space.path("a/f")).is_ok() {
        crate::base::skipped::skipped("this user may read everything");
        return;
    }
    assert!(fails(&space, &all()).starts_with("cannot read a/f: "));
}

#[test]
fn too_deep() {
    let space = Space::new(&[]);
    fs::create_dir_all(space.path(&"d/".repeat(500))).unwrap();
    assert_eq!(space.paths(&all()), ["d/".repeat(500)]);
    fs::create_dir_all(space.path(&"d/".repeat(600))).unwrap();
    assert!(matches!(space.scan(&all()), Err(ScanError::TooDeep { .. })));
}

/// One thread changes files all the time: a scan fails with a reason or gives what was there at one time.
#[test]
fn changing_files() {
    let space = Space::new(&[("d/a", "0")]);
    let large = "x".repeat(1 << 20);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                fs::write(space.path("d/a"), &large[round % 9..]).unwrap();
                fs::write(space.path("d/b"), "b").unwrap();
                fs::remove_file(space.path("d/b")).unwrap();
            }
        });
        for _ in 0..100 {
            match space.scan(&all()) {
                Ok(scanned) => assert!((1..=2).contains(&scanned.files)),
                Err(ScanError::Changed { path } | ScanError::Vanished { path }) => {
                    assert!(path.starts_with("d"), "{}", path.display());
                }
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn cancelled() {
    let space = Space::new(&[("a", "")]);
    let cancel = Cancel::default();
    let scanner = Scanner::new(&space.path(""), &space.memo, true, &cancel).unwrap();
    cancel.raise();
    assert!(matches!(scanner.scan(&all()), Err(ScanError::Cancelled)));
}
