//! Every kind is shown in an example, and every line and property of the table stands in an example or in a
//! golden case, so that nothing of the language goes untried.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kdl::{KdlDocument, KdlNode};
use memobuild::lang::table::{KINDS, Line};

/// Build files below a folder.
pub(crate) fn build_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(build_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "kdl") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What stands in files: nodes with what holds them, and properties with what they stand on.
#[derive(Default)]
struct Written {
    nodes: BTreeSet<(String, String)>,
    properties: BTreeSet<(String, String)>,
}

impl Written {
    /// Those files that are no KDL are there for another purpose.
    fn of(files: &[PathBuf]) -> Written {
        let mut written = Written::default();
        for file in files {
            if let Ok(document) = KdlDocument::parse_v2(&fs::read_to_string(file).unwrap()) {
                document.nodes().iter().for_each(|node| written.add("", node));
            }
        }
        written
    }

    fn add(&mut self, parent: &str, node: &KdlNode) {
        let word = node.name().value();
        self.nodes.insert((parent.to_owned(), word.to_owned()));
        let names = node.entries().iter().filter_map(|entry| entry.name());
        self.properties.extend(names.map(|name| (word.to_owned(), name.value().to_owned())));
        node.iter_children().for_each(|child| self.add(word, child));
    }
}

/// The words under which each line of the table may stand. A line is known by its word and its doc, since the
/// same one may be at several addresses.
type Lines = BTreeMap<(&'static str, &'static str), (&'static Line, BTreeSet<&'static str>)>;

fn collect(parent: &'static str, line: &'static Line, lines: &mut Lines) {
    let is_new = !lines.contains_key(&(line.word, line.doc));
    let (_, parents) = lines.entry((line.word, line.doc)).or_insert((line, BTreeSet::new()));
    parents.insert(parent);
    if is_new {
        line.body.iter().for_each(|inner| collect(line.word, inner, lines));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown() -> Vec<PathBuf> {
    let mut files = build_files(&root().join("examples"));
    files.push(root().join("memobuild.kdl"));
    files
}

#[test]
fn every_kind_is_shown() {
    let written = Written::of(&shown());
    for kind in KINDS {
        assert!(
            written.nodes.contains(&(String::new(), kind.word.to_owned())),
            "{} is in no example",
            kind.word
        );
    }
}

#[test]
fn every_line_and_property_is_tried() {
    let mut files = shown();
    files.extend(build_files(&root().join("src/lang/cases")));
    let written = Written::of(&files);
    let mut lines = Lines::new();
    KINDS.iter().for_each(|kind| collect("", kind, &mut lines));
    let mut missing = Vec::new();
    for (line, parents) in lines.values() {
        let stands_in = |parent: &&str| written.nodes.contains(&((*parent).to_owned(), line.word.to_owned()));
        if !parents.iter().any(stands_in) {
            missing.push(format!("{} in {parents:?}", line.word));
        }
        let is_written = |name: &str| written.properties.contains(&(line.word.to_owned(), name.to_owned()));
        let unwritten = line.properties.iter().filter(|property| !is_written(property.name));
        missing.extend(unwritten.map(|property| format!("{} {}=", line.word, property.name)));
    }
    assert!(missing.is_empty(), "in no example and no case:\n  {}", missing.join("\n  "));
}
