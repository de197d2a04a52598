//! What a walk takes. The tables are what the reference makes of the same rules and files.

use super::*;

/// The paths that Docker's builder would take of these files, as its walk finds them.
fn taken<'p>(text: &str, paths: &[&'p str]) -> Vec<&'p str> {
    let ignore = DockerIgnore::parse(text.as_bytes()).unwrap();
    let takes = |path: &str| {
        let ends = path.match_indices('/').map(|(end, _)| end);
        let mut position = ignore.top();
        for end in ends {
            if !position.enters(&path.as_bytes()[..end]) {
                return false;
            }
            position = ignore.at(&path.as_bytes()[..end]);
        }
        position.leaves_out(path.as_bytes()).is_none()
    };
    paths.iter().copied().filter(|path| takes(path)).collect()
}

const FILES: &[&str] = &[
    "a",
    "a|b",
    "ab",
    "b/a",
    "b/ab",
    "b/c/a",
    "d.txt",
    "d1",
    "docs/x.md",
    "docs/deep/y.md",
    "docs/deep/z.txt",
    "e/f/g",
    "e/f/h",
    "x{2}",
    "xx",
];

#[test]
fn what_is_left_out() {
    for (rules, left_out) in [
        ("", ""),
        ("a", "a"),
        ("/a", "a"),
        ("./a/", "a"),
        ("a\nA", "a"),
        ("**/a", "a b/a b/c/a"),
        ("**a", "a b/a b/c/a"),
        ("*a", "a"),
        ("a*", "a a|b ab"),
        ("?", "a b/a b/ab b/c/a e/f/g e/f/h"),
        ("b/", "b/a b/ab b/c/a"),
        ("b/**", "b/a b/ab b/c/a"),
        ("b/*", "b/a b/ab b/c/a"),
        ("b**", "b/a b/ab b/c/a"),
        ("**/b", "b/a b/ab b/c/a"),
        ("**/c/a", "b/c/a"),
        ("b/*/a", "b/c/a"),
        ("b/**/a", "b/a b/c/a"),
        ("docs\n!docs/x.md", "docs/deep/y.md docs/deep/z.txt"),
        ("docs\n!docs/deep", "docs/x.md"),
        ("docs/\n!docs/deep\ndocs/deep/y.md", "docs/x.md docs/deep/y.md"),
        ("!a\na", "a"),
        ("a\n!a\na", "a"),
        ("e/f/g\n!e", "e/f/g"),
        ("e/f/g\n!e/**", ""),
        ("e\n!e/*/**", "e/f/g e/f/h"),
        ("e\n!e/*/g", "e/f/h"),
        ("e\n!e/*/*", ""),
        ("e\n!e/f/", ""),
        ("x{2}", "x{2}"),
        ("x{2}?", ""),
        ("x{2}*", "xx"),
        ("[x]{2}", "xx"),
        ("a|b", "a|b"),
        ("a|b*", "a a|b ab b/a b/ab b/c/a"),
        ("d\\d", "d1"),
        ("d[0-9]", "d1"),
        ("d[^0-9]", ""),
        ("d[[:digit:]]", "d1"),
        ("\\x61b", "ab"),
        ("a^", ""),
        ("a^*", ""),
        ("[ab]", "a b/a b/ab b/c/a"),
        ("[a*]b", ""),
        ("*.txt", "d.txt"),
        ("d.txt", "d.txt"),
        ("d?txt", "d.txt"),
        ("d+txt", ""),
        ("..\n../a", ""),
        ("a/../b", "b/a b/ab b/c/a"),
        ("/", ""),
        ("# a\n #a\n\\#a", ""),
        ("/!a\na", "a"),
        ("!!a\na", "a"),
    ] {
        let taken = taken(rules, FILES);
        let missing: Vec<&str> = FILES.iter().copied().filter(|path| !taken.contains(path)).collect();
        assert_eq!(missing.join(" "), left_out, "{rules:?}");
    }
}

#[test]
fn what_is_left() {
    for (rules, expected) in [
        ("*\n!docs/deep/y.md", "docs/deep/y.md"),
        ("*\n!*.txt", "d.txt"),
        ("*\n!**/*.md", "docs/x.md docs/deep/y.md"),
        ("**\n!docs/**\n**/deep", "docs/x.md"),
        ("*\n!e/f\ne/f/g", "e/f/h"),
        ("*\n!e/**\ne/f", ""),
        ("*\n!e/f/g\ne", "e/f/g"),
        ("b/a\n!b\n*", ""),
    ] {
        assert_eq!(taken(rules, FILES).join(" "), expected, "{rules:?}");
    }
}

#[test]
fn what_is_refused() {
    for rules in ["\\x*", "!/..", "[b-a]", "a[", "x\\", "*{2}", "[]a]"] {
        assert!(DockerIgnore::parse(rules.as_bytes()).is_err(), "{rules:?}");
    }
    let error = DockerIgnore::parse(b"a\n\n  ! \n").unwrap_err();
    assert_eq!((error.line, error.pattern.as_str()), (3, "!"));
}

/// Each line is small, all together are not.
#[test]
fn memory_has_an_end() {
    let error = DockerIgnore::parse("*a{1000}\n".repeat(200).as_bytes()).unwrap_err();
    assert_eq!((error.line, error.reason.as_str()), (98, "the patterns so far are too large to be compiled"));
}
