//! Laws of the printer, over random documents and all that lie in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use kdl::{KdlDocument, KdlEntry, KdlNode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::format;
use crate::lang::mistake::Findings;
use crate::lang::token::{Kind, Tokens, is_newline, is_space};
use crate::lang::{parse, source};

fn formatted(text: &str) -> Option<String> {
    format(&source::named(text)).ok()
}

fn data(text: &str) -> KdlDocument {
    let mut findings = Findings::default();
    let document = parse::parse(text, &mut findings);
    document.unwrap_or_else(|| panic!("{text:?}: {:?}", findings.finish(&source::named(text))))
}

fn same(one: &KdlDocument, other: &KdlDocument) -> bool {
    let entry = |one: &KdlEntry, other: &KdlEntry| {
        one.value() == other.value()
            && one.name().map(|key| key.value()) == other.name().map(|key| key.value())
    };
    let node = |one: &KdlNode, other: &KdlNode| {
        one.name().value() == other.name().value()
            && one.entries().len() == other.entries().len()
            && one.entries().iter().zip(other.entries()).all(|(one, other)| entry(one, other))
            && match (one.children(), other.children()) {
                (Some(one), Some(other)) => same(one, other),
                (None, None) => true,
                _ => false,
            }
    };
    one.nodes().len() == other.nodes().len()
        && one.nodes().iter().zip(other.nodes()).all(|(one, other)| node(one, other))
}

/// What comments say; how their lines are indented is no part of it.
fn comments(text: &str) -> Vec<Vec<&str>> {
    let white = |symbol: char| is_newline(symbol) || is_space(symbol);
    Tokens::new(text)
        .filter(|token| matches!(token.kind, Kind::Comment { .. }))
        .map(|token| text[token.span].split(white).filter(|word| !word.is_empty()).collect())
        .collect()
}

fn check(text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let once = formatted(text).unwrap_or_else(|| panic!("{text:?} is valid"));
    assert!(same(&data(text), &data(&once)), "other data:\n{text:?}\n{once:?}");
    assert_eq!(comments(text), comments(&once), "{text:?}\n{once:?}");
    assert_eq!(formatted(&once).as_ref(), Some(&once), "not the same again: {text:?}");
}

/// White space and comments within a line.
fn gap() -> impl Strategy<Value = String> {
    const GAPS: &[&str] = &[
        " ",
        " ",
        " ",
        "  ",
        "\t",
        "\u{a0}",
        "\u{3000} ",
        " /* c */ ",
        " /*a*//*b*/",
        " /* x\n   y */\t",
        "\\\n",
        " \\\r\n  ",
        " \\ // on\n",
        " \\//a\n\\ // b\n ",
        " \\\n \\\n",
        " \\\u{85}/* z */ ",
    ];
    select(GAPS).prop_map(str::to_owned)
}

/// What may stand around `=`.
fn tight_gap() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => gap()]
}

/// White space, comments and line ends between lines.
fn between() -> impl Strategy<Value = String> {
    const LINES: &[&str] = &[
        "\n",
        "\n\n",
        "\r\n",
        "\n \n\t\n",
        " ",
        "\u{2028}",
        "\n// own line  \n",
        "\n/* one */ ",
        "\n/*\n * a\n* b\n */\n",
        "\n/*\n  drawn\t\n*/\n\n",
        "// beside\n",
        "/* beside */",
        "\n\\\n",
        "\\ // odd\n",
        "\r",
        "\u{c}",
        "\n\n// a\n\n\n// b\n\n",
    ];
    vec(select(LINES), 0..3).prop_map(|pieces| pieces.concat())
}

fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "run",
        "from",
        "node",
        "user",
        "mount",
        "files",
        "include",
        "exclude",
        "image",
        "layer",
        "copy",
        "param",
        "values",
        "é",
        "a-b.c",
        "-",
        "$",
        "\"at\"",
        "to",
        "\"src\"",
        "#\"from\"#",
        "\"a b\"",
        "\"\"",
        "access",
        "\"r\\u{6f}\"",
        "'",
        "\"epoch\"",
        "created",
        "env",
        "<x>",
        "\"\"\"\n  run\n  \"\"\"",
        "\"true\"",
    ];
    select(WORDS).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    const VALUES: &[&str] = &[
        "1",
        "-1_000",
        "0o755",
        "0xfF",
        "1.50e+3",
        "#true",
        "#null",
        "#-inf",
        "\"x\\t\\\"\\\\\"",
        "\"a \\\n   b\"",
        "#\"a\\b\"c\"#",
        "##\"\"#\"##",
        "\"/src\"",
        "\"src/**\"",
        "\"ro\"",
        "ro",
        "\"//x:y\"",
        "\"{\"",
        "\"null\"",
    ];
    prop_oneof![select(VALUES).prop_map(str::to_owned), word(), multiline()]
}

/// A text of several lines, each after the same indentation, or blank, or after an escaped line end.
fn multiline() -> impl Strategy<Value = String> {
    const LINES: &[&str] =
        &["", "x", "  deeper ", "\ttab", "é \"q\" ", "{ // }", "a\\\\", "\"\" ", "$ \\s", "#"];
    let line = (select(LINES), any::<bool>());
    let newline = select(&["\n", "\r\n", "\u{85}"][..]);
    let indent = select(&["", "  ", "\t", "        ", " \u{a0}"][..]);
    (vec(line, 0..5), newline, indent, any::<bool>()).prop_map(|(lines, newline, indent, raw)| {
        let hash = if raw { "#" } else { "" };
        let mut text = format!("{hash}\"\"\"{newline}");
        for (line, odd) in lines {
            match (line.is_empty(), raw) {
                (true, _) => text += if odd { "      " } else { "" },
                // Goes on in a line that has no indentation, or an odd one.
                (false, false) if odd => text += &format!("{indent}{line}\\ {newline} {newline}   {line}"),
                (false, _) => text += &format!("{indent}{line}"),
            }
            text += newline;
        }
        text + &format!("{indent}\"\"\"{hash}")
    })
}

fn entry() -> impl Strategy<Value = String> {
    let property = (word(), tight_gap(), tight_gap(), value())
        .prop_map(|(key, before, after, value)| format!("{key}{before}={after}{value}"));
    let left_out = option::weighted(0.15, between().prop_map(|between| format!("/-{between}")));
    (left_out, prop_oneof![2 => value(), 1 => property])
        .prop_map(|(left_out, entry)| left_out.unwrap_or_default() + &entry)
}

/// The text of a line, and whether all of it is left out.
fn line(block: BoxedStrategy<String>) -> impl Strategy<Value = (String, bool)> {
    let left_out = option::weighted(0.15, between().prop_map(|between| format!("/-{between}")));
    let entries = vec((gap(), entry()).prop_map(|(gap, entry)| gap + &entry), 0..4);
    let other = (gap(), block.clone()).prop_map(|(gap, block)| format!("{gap}/-{block}"));
    let block = (tight_gap(), block).prop_map(|(gap, block)| gap + &block);
    (left_out, word(), entries, option::weighted(0.1, other), option::of(block)).prop_map(
        |(left_out, word, entries, other, block)| {
            let is_left_out = left_out.is_some();
            let other = other.unwrap_or_default();
            let block = block.unwrap_or_default();
            (left_out.unwrap_or_default() + &word + &entries.concat() + &other + &block, is_left_out)
        },
    )
}

fn lines(block: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let end = select(
        &["\n", "\r\n", ";", " ; ", " // end\n", "; // end \n", "\n\n\n", " /* e */\n", "\u{2029}"][..],
    );
    let line = (between(), line(block), end).prop_map(|(between, (line, left_out), end)| {
        // `/- a;` is more than the kdl crate reads.
        let end = if left_out { end.replace(';', "\n") } else { end.to_owned() };
        between + &line + &end
    });
    (vec(line, 0..5), between()).prop_map(|(lines, last)| lines.concat() + &last).boxed()
}

fn document() -> impl Strategy<Value = String> {
    let no_block = Just("{}".to_owned()).boxed();
    let one_line = |block: BoxedStrategy<String>| {
        vec((gap_in_line(), line(block)), 0..3).prop_map(|lines| {
            let text: String = lines
                .iter()
                .filter(|(_, (_, out))| !out)
                .map(|(gap, (line, _))| format!("{gap}{line};"))
                .collect();
            format!("{{{text}}}")
        })
    };
    let block = no_block.prop_recursive(3, 24, 4, move |inner| {
        let lines = lines(inner.clone()).prop_map(|lines| format!("{{{lines}}}"));
        prop_oneof![2 => lines, 1 => one_line(inner)]
    });
    lines(block.boxed())
}

fn gap_in_line() -> impl Strategy<Value = String> {
    select(&["", " ", "/* c */", "\t"][..]).prop_map(str::to_owned)
}

#[test]
fn random_documents_keep_their_data_and_comments() {
    proptest!(ProptestConfig::with_cases(2_000), |(text in document())| {
        check(&text);
    });
}

#[test]
fn any_text_is_formatted_or_refused() {
    const PIECES: &[&str] = &[
        "run", "from", "a", " ", " ", "\n", "\n", ";", "{", "}", "=", "/-", "\"x\"", "#\"y\"#", "1", "//c\n",
        "//", "/*c*/", "\\\n", "\\", "$", "\r\n", "\"\"\"\n", "\"\"\"", "\"", "#", "\u{85}", "\u{a0}",
        "\u{feff}", "é", "*/", "/*",
    ];
    let soup = vec(select(PIECES), 0..30).prop_map(|pieces| pieces.concat());
    proptest!(ProptestConfig::with_cases(10_000), |(text in prop_oneof![4 => soup, 1 => any::<String>()])| {
        if formatted(&text).is_some() {
            check(&text);
        }
    });
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kdl_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "kdl"));
    here.chain(folders.iter().flat_map(|folder| kdl_files(folder))).collect()
}

#[test]
fn the_files_of_the_repository_keep_their_data() {
    let files = [kdl_files(&root().join("examples")), kdl_files(&root().join("src"))].concat();
    let texts: Vec<String> = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let valid: Vec<&String> = texts.iter().filter(|text| formatted(text).is_some()).collect();
    assert!(valid.len() > 20, "the files are not where this test looks");
    valid.into_iter().for_each(|text| check(text));
}

#[test]
fn our_own_build_files_are_formatted() {
    for path in kdl_files(&root().join("examples")).into_iter().chain([root().join("memobuild.kdl")]) {
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(formatted(&text).unwrap(), text, "{}: say `memobuild fmt`", path.display());
    }
}
