//! What the fuzzer tries, and what the ordinary tests try again with the corpus: no text may make the
//! language panic, hang or fill the memory.
//!
//! One input holds several files. What stands before the first line `%% NAME` is `memobuild.kdl`; each such
//! line begins another file of the workspace. They are really written, so that the way from the disk is tried too.

use std::path::Path;

use kdl::{KdlDocument, KdlEntry, KdlNode};
use memobuild::base::tree_path::TreePath;
use memobuild::graph::render;
use memobuild::lang::format::format;
use memobuild::lang::mistake::{Mistakes, draw};
use memobuild::lang::{self, Flag, Request};
use miette::GraphicalTheme;

const BEGIN: &str = "%% ";
const MOST_FILES: usize = 8;

/// Reads the files, resolves them, and shows what came of it as a person would see it.
pub(crate) fn language(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let folder = tempfile::Builder::new().prefix("memobuild-fuzz-").tempdir().expect("a folder");
    for (name, content) in files(text) {
        write(folder.path(), name, content);
    }
    match lang::load(folder.path(), &Request { params: &params(text), ..Request::root() }) {
        Ok(loaded) => {
            picture(&loaded.warnings);
            render::text(&loaded.graph);
            render::json(&loaded.graph);
            render::dot(&loaded.graph);
        }
        Err(mistakes) => {
            mistakes.records();
            picture(&mistakes);
        }
    }
}

fn picture(mistakes: &Mistakes) {
    for mistake in &mistakes.shown {
        draw(mistake, GraphicalTheme::unicode_nocolor(), 100);
    }
}

/// `--param a=b` in a comment in the first line.
fn params(text: &str) -> Vec<Flag> {
    let first = text.lines().next().unwrap_or_default();
    let flags = first.strip_prefix("// ").into_iter().flat_map(|flags| flags.split("--param "));
    flags
        .filter_map(|flag| flag.trim().split_once('='))
        .map(|(name, value)| Flag { package: TreePath::root(), name: name.into(), value: value.into() })
        .collect()
}

/// The files of an input. A line that names none is text of the file that it stands in.
pub(crate) fn files(text: &str) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    let (mut name, mut start, mut at) = ("memobuild.kdl", 0, 0);
    for line in text.split_inclusive('\n') {
        let begun = line.strip_prefix(BEGIN).map(str::trim_end).filter(|name| is_safe(name));
        if let Some(begun) = begun.filter(|_| files.len() + 1 < MOST_FILES) {
            files.push((name, &text[start..at]));
            (name, start) = (begun, at + line.len());
        }
        at += line.len();
    }
    files.push((name, &text[start..]));
    files
}

/// Whether a name stays below the folder of the try.
fn is_safe(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_part =
        |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_plain);
    name.len() <= 64 && name.split('/').all(is_part)
}

/// A name may be a folder of an earlier one, or lie below a file: then there is no such file.
fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    if path.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok()) {
        let _ = std::fs::write(path, content);
    }
}

/// Formats each file: the data stay, and what is formatted is not changed again.
pub(crate) fn fmt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (_, content) in files(text) {
        let Ok(once) = format("memobuild.kdl", content) else { continue };
        let twice = format("memobuild.kdl", &once).ok();
        assert_eq!(twice.as_ref(), Some(&once), "formatted again, it is another text");
        assert!(
            same(&read(content.strip_prefix('\u{feff}').unwrap_or(content)), &read(&once)),
            "other data:\n{content}\n{once}"
        );
    }
}

fn read(text: &str) -> KdlDocument {
    KdlDocument::parse_v2(text).expect("what is formatted is KDL")
}

fn same(one: &KdlDocument, other: &KdlDocument) -> bool {
    let mut pairs = one.nodes().iter().zip(other.nodes());
    one.nodes().len() == other.nodes().len() && pairs.all(|(one, other)| same_node(one, other))
}

fn same_node(one: &KdlNode, other: &KdlNode) -> bool {
    // By how they are shown: `#nan` equals nothing.
    let entries = |node: &KdlNode| -> Vec<String> {
        let name = |entry: &KdlEntry| entry.name().map(|name| name.value().to_owned());
        node.entries().iter().map(|entry| format!("{:?} {:?}", name(entry), entry.value())).collect()
    };
    one.name().value() == other.name().value()
        && entries(one) == entries(other)
        && match (one.children(), other.children()) {
            (Some(one), Some(other)) => same(one, other),
            (None, None) => true,
            _ => false,
        }
}
