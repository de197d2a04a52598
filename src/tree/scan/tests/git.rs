//! Rules mean what git means by them: random ones, on random trees, beside git itself.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const NAMES: &[&str] = &[
    "a", "b", "c", "ab", "a.o", "b.o", "A", "{a,b}", "[a]", "*", "**", "a b", "a ", " ", "\\", "a\\", "!a",
    "#a", "-", "]", "é", "a\tb", "a[", "?", "a\r",
];

const PARTS: &[&str] = &[
    "a",
    "a",
    "b",
    "c",
    "ab",
    ".o",
    "/",
    "/",
    "/",
    "*",
    "*",
    "**",
    "**/",
    "/**",
    "/**/",
    "?",
    "[ab]",
    "[!a]",
    "[^b-]",
    "[a-c]",
    "[]a]",
    "[z-a]",
    "[[:alpha:]]",
    "[[:upper:]]",
    "[[:x:]]",
    "[\\]]",
    "[a",
    "]",
    "\\",
    "\\*",
    "\\/",
    " ",
    "\\ ",
    "!",
    "#",
    "\\#",
    "{a,b}",
    "{",
    "-",
    "\t",
    "\r",
    "é",
    "***",
];

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(select(NAMES), 1..4).prop_map(|names| names.join("/"))
}

fn rules() -> impl Strategy<Value = String> {
    let line =
        ("!?", prop::collection::vec(select(PARTS), 0..5)).prop_map(|(not, parts)| not + &parts.concat());
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.join("\n"))
}

/// Files, as far as the paths agree with each other.
fn populate(space: &Space, paths: &[String]) {
    for path in paths {
        let full = space.path(path);
        if fs::create_dir_all(full.parent().unwrap()).is_ok() && !full.is_dir() {
            fs::write(full, "").unwrap();
        }
    }
}

/// What git neither tracks nor ignores.
fn untracked(space: &Space, arguments: &[&str]) -> Vec<String> {
    run(&space.path(""), "git", &["init", "-q"]);
    let listed = run(&space.path(""), "git", &[&["ls-files", "-oz"], arguments].concat());
    let mut paths: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    paths.sort();
    paths
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn ignore_files_of_the_tree(
        paths in prop::collection::vec(path(), 10..30),
        files in prop::collection::vec((prop::option::of(path()), rules()), 1..4),
    ) {
        if !exists("git") {
            return Ok(());
        }
        let space = Space::new(&[]);
        populate(&space, &paths);
        for (folder, rules) in &files {
            let folder = space.path(folder.as_deref().unwrap_or_default());
            if folder.is_dir() {
                fs::write(folder.join(".gitignore"), rules).unwrap();
            }
        }
        let expected = untracked(&space, &["--exclude-per-directory=.gitignore"]);
        prop_assert_eq!(sorted(space.paths(&all())), expected);
    }

    #[test]
    fn ignore_files_by_name(paths in prop::collection::vec(path(), 10..30), rules in rules()) {
        if !exists("git") {
            return Ok(());
        }
        let space = Space::new(&[]);
        populate(&space, &paths);
        space.write("rules", &rules);
        let file = IgnoreFile { path: TreePath::parse("rules").unwrap(), syntax: IgnoreSyntax::Git };
        let request = Scan { gitignore: false, ignore_files: vec![file], ..all() };
        let expected = untracked(&space, &["--exclude-from=rules"]);
        prop_assert_eq!(sorted(space.paths(&request)), expected);
    }
}
