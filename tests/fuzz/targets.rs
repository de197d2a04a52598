//! What the fuzzer tries, and what the ordinary tests try again with the corpus: no text may make the
//! language panic, hang or fill the memory.
//!
//! One input holds several files. What stands before the first line `%% NAME` is `memobuild.kdl`; each such
//! line begins another file of the workspace. They are really written, so that the way from the disk is tried too.

use std::path::Path;

use memobuild::graph::render;
use memobuild::lang::{self, mistake::Mistake};
use miette::{GraphicalReportHandler, GraphicalTheme};

const BEGIN: &str = "%% ";
const MOST_FILES: usize = 8;

/// Reads the files, resolves them, and shows what came of it as a person would see it.
pub(crate) fn language(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let folder = tempfile::Builder::new().prefix("memobuild-fuzz-").tempdir().expect("a folder");
    for (name, content) in files(text) {
        write(folder.path(), name, content);
    }
    match lang::load(folder.path(), &params(text)) {
        Ok(loaded) => {
            draw(&loaded.warnings);
            render::text(&loaded.graph);
            render::json(&loaded.graph);
            render::dot(&loaded.graph);
        }
        Err(mistakes) => {
            mistakes.records();
            draw(&mistakes.shown);
        }
    }
}

fn draw(mistakes: &[Mistake]) {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    for mistake in mistakes {
        handler.render_report(&mut String::new(), mistake).expect("a mistake has a picture");
    }
}

/// `--param a=b` in a comment in the first line.
fn params(text: &str) -> Vec<(String, String)> {
    let first = text.lines().next().unwrap_or_default();
    let flags = first.strip_prefix("// ").into_iter().flat_map(|flags| flags.split("--param "));
    flags
        .filter_map(|flag| flag.trim().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
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
