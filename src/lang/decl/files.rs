//! `files`: local files as a tree. A source that is looked at in every build.

use crate::base::tree_path::TreePath;
use crate::graph::op::Op;
use crate::graph::value::Type;
use crate::lang::decl::{Declaration, Edges, Outputs, nothing_to_check};
use crate::lang::item::{Given, Item};
use crate::lang::lower::TREE;
use crate::lang::table::{EXCLUDE, Holds, INCLUDE, Line, Slot, may, one};
use crate::tree::scan::{IgnoreFile, IgnoreSyntax, Modes, Scan};

pub const LINE: Line = Line {
    word: "files",
    doc: "Local files as a tree. Without `include`: all below `root` but `.git`.",
    example: "files src root=\"services/api\" {\n    include \"src/**\" \"Cargo.toml\"\n    exclude \"**/*.tmp\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may("root", Slot::Folder, "The folder, below the package's; default that one itself."),
        may("gitignore", Slot::Bool, "Whether `.gitignore` files leave files out; default #true."),
        may(
            "modes",
            Slot::Word(&["canonical", "exact"]),
            "`canonical` (default): 0755 for what is executable and 0644 for the rest; `exact`: as on disk.",
        ),
    ],
    body: &[&INCLUDE, &EXCLUDE, &IGNORE_FILE],
    holds: Holds::Node,
    ..Line::EMPTY
};

const IGNORE_FILE: Line = Line {
    word: "ignore-file",
    doc: "Leaves out what the rules of this file leave out, relative to `root`; none of them takes back what \
          another file or an `exclude` leaves out.",
    example: "ignore-file \".dockerignore\" syntax=docker",
    arguments: &[one("PATH", Slot::Part)],
    properties: &[may(
        "syntax",
        Slot::Word(&["docker", "git"]),
        "As Docker's builder reads its file, or as git does; default `docker` where the name ends in \
         `.dockerignore`, else `git`.",
    )],
    ..Line::EMPTY
};

pub const KIND: Declaration =
    Declaration { line: &LINE, check: nothing_to_check, outputs, lower, is_of_a_platform: false };

fn outputs(_: &Item) -> Outputs {
    Outputs::only(TREE, Type::Tree)
}

fn lower(item: &Item, edges: &mut Edges<'_>) -> Op {
    Op::Scan(Scan {
        root: item.property("root").and_then(Given::path).unwrap_or(edges.package()).clone(),
        include: item.globs("include"),
        exclude: item.globs("exclude"),
        gitignore: item.property("gitignore").and_then(Given::truth).unwrap_or(true),
        ignore_files: item.each("ignore-file").filter_map(ignore_file).collect(),
        modes: match item.property("modes").and_then(Given::text) {
            Some("exact") => Modes::Exact,
            _ => Modes::Canonical,
        },
        single: false,
    })
}

fn ignore_file(item: &Item) -> Option<IgnoreFile> {
    let path = item.argument(0)?.path()?.clone();
    let syntax = match item.property("syntax").and_then(Given::text) {
        Some("docker") => IgnoreSyntax::Docker,
        Some("git") => IgnoreSyntax::Git,
        _ => IgnoreSyntax::of_name(&path),
    };
    Some(IgnoreFile { path, syntax })
}

/// What `"./src"` in a tree slot stands for.
pub fn anonymous(path: &TreePath) -> Op {
    Op::Scan(Scan {
        root: path.clone(),
        include: Vec::new(),
        exclude: Vec::new(),
        gitignore: true,
        ignore_files: Vec::new(),
        modes: Modes::Canonical,
        single: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::{Request, load_texts};

    fn scan(line: &str) -> Scan {
        let top = "memobuild 1\ndefault \"//services/api:out\"\n";
        let package = format!("memobuild 1\n{line}\ntree out {{ copy src to=\"/\"; }}\n");
        let texts = [("memobuild.kdl", top), ("services/api/memobuild.kdl", &package)];
        let graph = load_texts(&texts, &Request::root()).unwrap().graph;
        let scans = graph.nodes.iter().find_map(|node| match &node.op {
            Op::Scan(scan) => Some(scan.clone()),
            _ => None,
        });
        scans.unwrap()
    }

    #[test]
    fn paths_are_those_of_the_package() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        assert_eq!(scan("files src").root, path("services/api"));
        assert_eq!(scan("files src root=\"web\"").root, path("services/api/web"));
        let found = scan("files src root=\"web\" { ignore-file \"x/.dockerignore\"; }");
        assert_eq!(found.ignore_files[0].path, path("x/.dockerignore"), "relative to `root`");
    }
}
