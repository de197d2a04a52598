//! What the fuzzer has found worth keeping is tried in every run of the tests, without the fuzzer.
//! Its dictionary is made here, from the one table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memobuild::lang::table::{KINDS, Line, Slot};

#[path = "../fuzz/targets.rs"]
mod targets;

/// What the fuzzer calls a hang.
const LONGEST: Duration = Duration::from_secs(10);

/// Bytes of all inputs together, so that the repository stays small.
const LARGEST_CORPUS: u64 = 250_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn replay(target: &str, try_one: fn(&[u8])) {
    let mut bytes = 0;
    for entry in fs::read_dir(folder().join("corpus").join(target)).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let start = Instant::now();
        try_one(&input);
        assert!(start.elapsed() < LONGEST, "{} took {:?}", path.display(), start.elapsed());
        bytes += input.len() as u64;
    }
    assert!((1..LARGEST_CORPUS).contains(&bytes), "corpus/{target} has {bytes} bytes: minimise it");
}

#[test]
fn the_corpus_of_the_language_is_read() {
    replay("language", targets::language);
}

#[test]
fn the_corpus_of_fmt_is_formatted() {
    replay("fmt", targets::fmt);
}

#[test]
fn an_input_holds_several_files() {
    let check =
        |text: &str, expected: &[(&str, &str)]| assert_eq!(targets::files(text), expected, "{text:?}");
    check("", &[("memobuild.kdl", "")]);
    check("a\n%% b/c.kdl\nd\n", &[("memobuild.kdl", "a\n"), ("b/c.kdl", "d\n")]);
    check("%% b\r\n%% c", &[("memobuild.kdl", ""), ("b", ""), ("c", "")]);
    for outside in ["/etc/x", "../x", "a/../../x", "a//b", ".git/x", "a\0b", "", "é"] {
        let text = format!("%% {outside}\n");
        check(&text, &[("memobuild.kdl", &text)]);
    }
}

#[test]
fn the_dictionary_is_current() {
    let file = folder().join("words.dict");
    let current = dictionary();
    if fs::read_to_string(&file).unwrap_or_default() != current {
        fs::write(&file, current).unwrap();
        panic!("tests/fuzz/words.dict was stale and is written anew: commit it");
    }
}

/// Words and signs that no chance would put together, as libFuzzer reads them.
fn dictionary() -> String {
    let signs =
        ["#true", "#false", "#null", "#\"", "\"#", "\"\"\"", "/-", "/*", "*/", "//", "\\\n", "${", "$${"];
    let values = [
        "param.",
        "matrix.",
        "map.",
        "platform.os",
        "platform.arch",
        "build.arch",
        "from.env.PATH",
        "git.commit",
    ];
    let places = ["//pkg:name", "./path", "oci:", "sha256:", "host", "scratch", "\n%% a/memobuild.kdl\n"];
    let mut words: BTreeSet<String> =
        signs.iter().chain(&values).chain(&places).map(|word| (*word).to_owned()).collect();
    let mut seen = BTreeSet::new();
    for line in KINDS {
        add_words(line, &mut seen, &mut words);
    }
    let quoted = words.iter().map(|word| {
        let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\x0A");
        format!("\"{escaped}\"\n")
    });
    quoted.collect()
}

/// Lines may hold each other.
fn add_words(
    line: &'static Line,
    seen: &mut BTreeSet<(&'static str, &'static str)>,
    words: &mut BTreeSet<String>,
) {
    if !seen.insert((line.word, line.doc)) {
        return;
    }
    words.insert(line.word.to_owned());
    let slots = line.arguments.iter().map(|argument| argument.slot);
    for slot in slots.chain(line.properties.iter().map(|property| property.slot)) {
        if let Slot::Word(known) = slot {
            words.extend(known.iter().map(|word| (*word).to_owned()));
        }
    }
    words.extend(line.properties.iter().map(|property| format!("{}=", property.name)));
    for inner in line.body {
        add_words(inner, seen, words);
    }
}
