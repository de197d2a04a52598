//! Every kind is shown in an example, and every line and property of the table stands in an example or in a
//! golden case, so that nothing of the language goes untried.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use kdl::{KdlDocument, KdlNode};
use memobuild::lang::table::{KINDS, Line};
use memobuild::lang::{Request, format, load_texts};

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

/// The blocks of a section of README: one whose first line names a file is of that, others of the root's.
fn blocks(section: &str) -> BTreeMap<String, String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let text = readme.split("\n## ").find(|text| text.starts_with(section)).unwrap();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for block in text.split("```kdl\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let named = block.strip_prefix("// ").and_then(|rest| rest.lines().next());
        let name = named.filter(|name| name.ends_with(".kdl")).unwrap_or("memobuild.kdl");
        let file = files.entry(name.to_owned()).or_default();
        if !file.is_empty() {
            file.push('\n');
        }
        file.push_str(block);
    }
    files
}

#[test]
fn what_readme_shows_loads_without_a_word_and_is_well_formatted() {
    for (section, count) in [("A build file", 1), ("The language in five minutes", 2)] {
        let files = blocks(section);
        assert_eq!(files.len(), count, "{section}: {files:?}");
        for (name, text) in &files {
            assert_eq!(&format::format(name, text).unwrap(), text, "{section}: {name}");
        }
        let texts: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
        let loaded = load_texts(&texts, &Request::root()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert!(loaded.warnings.shown.is_empty(), "{section}: {:?}", loaded.warnings);
    }
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
