//! The build files of a workspace: the first ones, and all that they name by label or import, each
//! read once. Nothing outside of the workspace's root is read, whatever links say.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::base::tree_path::TreePath;
use crate::lang::code::Code;
use crate::lang::label::{self, Label};
use crate::lang::mistake::{Findings, Mistake};
use crate::lang::parse;
use crate::lang::source::{self, FILE_NAME, Sources};
use crate::lang::syntax::{Document, Node, Value};

/// Files of one build: a bound for what imports can pull in.
const MOST_FILES: usize = 20_000;

/// Bytes of all files together.
const MOST_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub struct Files {
    pub sources: Sources,
    pub files: Vec<File>,
    places: BTreeMap<TreePath, usize>,
    /// Why a file that something names was not read.
    refused: BTreeMap<TreePath, Mistake>,
}

#[derive(Debug)]
pub struct File {
    /// From the workspace's root.
    pub path: TreePath,
    /// The folder that it lies in.
    pub package: TreePath,
    /// `None` when it is no KDL, which was told.
    pub document: Option<Document>,
    /// Only what holds in the whole workspace is read from it.
    pub is_for_settings: bool,
}

/// Reads the build files of `packages` and what they lead to.
pub fn load(root: &Path, packages: &[TreePath], findings: &mut Findings) -> Files {
    let mut files = Files::default();
    let workspace = match Dir::open_ambient_dir(root, ambient_authority()) {
        Ok(workspace) => workspace,
        Err(error) => {
            let message = format!("cannot open the workspace {}: {error}", root.display());
            findings.add(Mistake::new(Code::FileRead, message, "name another folder with -C"));
            return files;
        }
    };
    let wanted: Vec<TreePath> = packages.iter().map(build_file).collect();
    let mut queue: VecDeque<TreePath> = wanted.iter().cloned().collect();
    while let Some(path) = queue.pop_front() {
        if files.places.contains_key(&path) || files.refused.contains_key(&path) {
            continue;
        }
        match files.read(root, &workspace, &path, findings) {
            Ok(file) => queue.extend(leads_to(&files.files[file])),
            Err(mistake) if wanted.contains(&path) => findings.add(mistake),
            Err(mistake) => drop(files.refused.insert(path, mistake)),
        }
    }
    // What holds in the whole workspace stands there; its nodes are no part of a build that names none.
    let top = build_file(&TreePath::root());
    if files.file(&top).is_none()
        && let Ok(file) = files.read(root, &workspace, &top, findings)
    {
        files.files[file].is_for_settings = true;
    }
    files
}

/// As if the texts were the files of a workspace.
pub fn from_texts(texts: &[(&str, &str)], findings: &mut Findings) -> Files {
    let mut files = Files::default();
    for (name, text) in texts {
        let path = TreePath::parse(name).expect("bug: a file's path");
        files.add(path, text, findings);
    }
    files
}

impl Files {
    /// The build file of a folder.
    pub fn package(&self, folder: &TreePath) -> Option<usize> {
        self.file(&build_file(folder))
    }

    pub fn file(&self, path: &TreePath) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// Why there is no such file.
    pub fn refusal(&self, path: &TreePath) -> Option<&Mistake> {
        self.refused.get(path)
    }

    fn read(
        &mut self,
        root: &Path,
        workspace: &Dir,
        path: &TreePath,
        findings: &mut Findings,
    ) -> Result<usize, Mistake> {
        let name = shown(path);
        if self.files.len() + self.refused.len() >= MOST_FILES || self.sources.bytes() > MOST_BYTES {
            let message = format!("the build names more than {MOST_FILES} files, or 16 MiB of them");
            return Err(Mistake::new(Code::FileSize, message, "let a build file name fewer packages"));
        }
        // Follows links as far as they stay in the workspace.
        let real = match workspace.canonicalize(path.as_path()) {
            Ok(real) => root.join(real),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => root.join(path.as_path()),
            Err(error) => {
                let message = format!("{name} cannot be opened in the workspace: {error}");
                let help = "it must be a file in the workspace, and no link may lead out of that";
                return Err(Mistake::new(Code::FileRead, message, help));
            }
        };
        let text = source::read(&real, &name)?;
        Ok(self.add(path.clone(), &text, findings))
    }

    fn add(&mut self, path: TreePath, text: &str, findings: &mut Findings) -> usize {
        let id = self.sources.add(&shown(&path), text);
        let source = self.sources.source(id);
        let document = parse::parse(&source.text, source.base, findings);
        let package = path.parent().unwrap_or_default();
        self.places.insert(path.clone(), self.files.len());
        self.files.push(File { path, package, document, is_for_settings: false });
        self.files.len() - 1
    }
}

impl File {
    /// From the workspace's root.
    pub fn name(&self) -> String {
        shown(&self.path)
    }
}

/// Whether a file is the one that its folder is known by.
pub fn is_build_file(path: &TreePath) -> bool {
    path.name() == Some(FILE_NAME.as_bytes())
}

pub fn build_file(folder: &TreePath) -> TreePath {
    folder.join(FILE_NAME.as_bytes())
}

fn shown(path: &TreePath) -> String {
    path.to_string().trim_start_matches('/').to_owned()
}

/// Files that the texts of this one may name: which of them really do is seen when they are read.
fn leads_to(file: &File) -> Vec<TreePath> {
    let mut found = Vec::new();
    let nodes = file.document.iter().flat_map(|document| &document.nodes);
    nodes.for_each(|node| named_in(node, &mut found));
    found
}

fn named_in(node: &Node, found: &mut Vec<TreePath>) {
    for entry in &node.entries {
        let Value::Text(text) = &entry.value else { continue };
        if !text.starts_with("//") {
            continue;
        }
        match node.word.as_str() {
            "import" => found.extend(imported(text)),
            _ => {
                if let Some(Label::Package(folder, _)) = label::parse(text) {
                    found.push(build_file(&folder));
                }
            }
        }
    }
    node.children().iter().for_each(|child| named_in(child, found));
}

/// The file that an `import` names: `//build/go.kdl`, or the build file of `//build`.
pub fn imported(text: &str) -> Option<TreePath> {
    let rest = text.strip_prefix("//")?;
    let path = TreePath::parse(rest).ok()?;
    let is_file = rest.ends_with(".kdl");
    Some(if is_file { path } else { build_file(&path) })
}
