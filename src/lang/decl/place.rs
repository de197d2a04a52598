//! The lines that compose files: `copy`, `merge`, `file`, `dir`, `symlink`, `remove`. Shared by
//! `tree`, `image` and its `layer`.

use crate::base::tree_path::TreePath;
use crate::graph::graph::Select;
use crate::graph::op::{Mode, Owner, Place};
use crate::lang::code::Code;
use crate::lang::decl::Edges;
use crate::lang::item::{Datum, Given, Item};
use crate::lang::lower::last_name;
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::structure::{EACH, PICK};
use crate::lang::table::{EXCLUDE, INCLUDE, Line, Slot, Wants, may, must, one, some};

pub const COPY: Line = Line {
    word: "copy",
    doc: "Takes files of another node. A folder's entries land in `to`; a file lands as `to`, or in it if `to` ends in `/`.",
    example: "copy build.dist to=\"/app\" mode=0o755",
    arguments: &[one("REF", Slot::Reference(Wants::Tree))],
    properties: &[
        must("to", Slot::Path, "Where the files land."),
        may("path", Slot::Part, "The part of REF that is taken; a root filesystem needs one."),
        may("owner", Slot::Text, "`user`, `user:group` or numbers; names are looked up in `from`."),
        may(
            "mode",
            Slot::ModeChange,
            "The mode of every file and folder: 0o755, or a change as chmod reads it.",
        ),
        may(
            "parents",
            Slot::Bool,
            "Whether `path`, and the folders that globs name, are kept below `to`; default #false.",
        ),
        may("follow", Slot::Bool, "Whether symbolic links become what they lead to; default #false."),
    ],
    body: &[&INCLUDE, &EXCLUDE, &PICK, &EACH],
    ..Line::EMPTY
};

pub const MERGE: Line = Line {
    word: "merge",
    doc: "Lays trees over one another; later ones win.",
    example: "merge src generated conflicts=error",
    arguments: &[some("REF", Slot::Reference(Wants::Tree))],
    properties: &[may(
        "conflicts",
        Slot::Word(&["last", "error"]),
        "What one path with two contents is: the `last` wins (default), or an `error` (default with `each`).",
    )],
    body: &[&PICK, &EACH],
    ..Line::EMPTY
};

pub const EXTRACT: Line = Line {
    word: "extract",
    doc: "The content of an archive: tar, plain or compressed, or zip. Its owners and modes are kept.",
    example: "extract sources to=\"/src\" strip=1",
    arguments: &[one("REF", Slot::Reference(Wants::Tree))],
    properties: &[
        must("to", Slot::Path, "Where the files land."),
        may("path", Slot::Part, "The archive, in REF."),
        may(
            "strip",
            Slot::Int { min: 0, max: 100 },
            "Leading folders that are dropped from its names; default 0.",
        ),
    ],
    body: &[&PICK],
    ..Line::EMPTY
};

pub const FILE: Line = Line {
    word: "file",
    doc: "A file with this text, which is substituted only where the line says `expand=#true`.",
    example: "file \"/etc/motd\" \"welcome\" mode=0o644",
    arguments: &[one("PATH", Slot::Path), one("TEXT", Slot::Script)],
    properties: &[
        may("mode", Slot::Mode, "Default 0o644."),
        may("expand", Slot::Bool, "Put values in the place of `${…}`."),
    ],
    ..Line::EMPTY
};

pub const DIR: Line = Line {
    word: "dir",
    doc: "Folders, with those above them.",
    example: "dir \"/var/lib/app\" \"/run/app\"",
    arguments: &[some("PATH", Slot::Path)],
    properties: &[may("mode", Slot::Mode, "Default 0o755.")],
    ..Line::EMPTY
};

pub const SYMLINK: Line = Line {
    word: "symlink",
    doc: "A symbolic link.",
    example: "symlink \"/bin/app\" target=\"../opt/app/run\"",
    arguments: &[one("PATH", Slot::Path)],
    properties: &[must("target", Slot::Text, "What it points to, as it is.")],
    ..Line::EMPTY
};

pub const REMOVE: Line = Line {
    word: "remove",
    doc: "Removes what matches these globs, from the root of what is composed.",
    example: "remove \"usr/share/doc/**\"",
    arguments: &[some("GLOB", Slot::Glob)],
    ..Line::EMPTY
};

/// Whether a line of a body composes files.
pub fn is_place(item: &Item) -> bool {
    [COPY.word, EXTRACT.word, MERGE.word, FILE.word, DIR.word, SYMLINK.word, REMOVE.word]
        .contains(&item.line.word)
}

/// What the slots' types let through and no tree can hold.
pub fn check(item: &Item, has_root: bool, findings: &mut Findings) {
    check_owner(item, has_root, findings);
    check_target(item, findings);
}

/// As long as Linux lets a link's target be.
const LONGEST_TARGET: usize = 4095;

fn check_target(item: &Item, findings: &mut Findings) {
    let Some(given) = item.property("target") else { return };
    let Some(target) = given.text() else { return };
    if (1..=LONGEST_TARGET).contains(&target.len()) {
        return;
    }
    let message = format!("a link's target has 1 to {LONGEST_TARGET} bytes, this one has {}", target.len());
    findings.add(
        Mistake::new(Code::TypeValue, message, "target=\"../opt/app/run\"")
            .at(given.span.clone(), "given here"),
    );
}

/// Names of owners need a root filesystem below.
fn check_owner(item: &Item, has_root: bool, findings: &mut Findings) {
    let Some(owner) = item.property("owner") else { return };
    let Some(text) = owner.text() else { return };
    let mut parts = text.splitn(2, ':');
    let well_formed = parts.clone().all(|part| !part.is_empty() && !part.contains([':', '\n']));
    let numeric = parts.all(|part| part.parse::<u32>().is_ok());
    if numeric || (has_root && well_formed) {
        return;
    }
    let message = if well_formed {
        format!("there is no root filesystem in which `{}` has a number", shorten(text))
    } else {
        format!("`{}` is not an owner", shorten(text))
    };
    let help = "write numbers: owner=\"1000:1000\"; names need a `from` that is not `scratch`";
    findings.add(Mistake::new(Code::CopyOwner, message, help).at(owner.span.clone(), "not known here"));
}

/// The operations among the lines of a body.
pub fn lower_all(body: &[Item], edges: &mut Edges<'_>) -> Vec<Place> {
    let lines = body.chunk_by(is_one_line).filter(|lines| is_place(&lines[0]));
    lines.flat_map(|line| lower(line, edges)).collect()
}

/// Whether both are readings of one line, which says `each`.
pub fn is_one_line(one: &Item, two: &Item) -> bool {
    one.word == two.word && one.only(EACH.word).is_some()
}

/// The operations of one line, which `each` may have repeated.
pub fn lower(line: &[Item], edges: &mut Edges<'_>) -> Vec<Place> {
    let places: Vec<Place> = line.iter().flat_map(|item| operations(item, edges)).collect();
    if line.len() > 1 { vec![Place::Each { copies: places }] } else { places }
}

fn operations(item: &Item, edges: &mut Edges<'_>) -> Vec<Place> {
    match item.line.word {
        "copy" => copy(item, edges).into_iter().collect(),
        "extract" => extract(item, edges).into_iter().collect(),
        "merge" => vec![merge(item, edges)],
        "file" => file(item).into_iter().collect(),
        "dir" => dirs(item),
        "symlink" => symlink(item).into_iter().collect(),
        _ => vec![Place::Remove { globs: item.texts() }],
    }
}

fn copy(item: &Item, edges: &mut Edges<'_>) -> Option<Place> {
    let to = item.property("to")?;
    let is_true = |name: &str| item.property(name).and_then(Given::truth).unwrap_or(false);
    let select = if is_true("parents") { with_parents(item) } else { select(item) };
    let path = to.path()?.clone();
    let reference = item.reference()?;
    let into = to.ends_in_slash();
    let name = match &select.path {
        Some(path) => last_name(path),
        None => edges.file_name(reference),
    };
    Some(Place::Copy {
        input: edges.add(format!("copy {path}"), reference, select),
        to: path,
        into,
        name: name.filter(|_| into),
        owner: item.property("owner").and_then(Given::text).map(|owner| Owner(owner.to_owned())),
        mode: item.property("mode").and_then(mode),
        follow: is_true("follow"),
    })
}

fn select(item: &Item) -> Select {
    Select {
        path: item.property("path").and_then(Given::path).cloned(),
        include: item.globs("include"),
        exclude: item.globs("exclude"),
    }
}

/// `path` becomes a glob, so that the folders above it stay, with their owners and modes.
fn with_parents(item: &Item) -> Select {
    let Select { path, include, exclude } = select(item);
    let Some(path) = path.filter(|path| !path.is_root()) else {
        return Select { path: Some(TreePath::root()), include, exclude };
    };
    let below =
        |globs: Vec<String>| -> Vec<String> { globs.iter().map(|glob| beneath(&path, glob)).collect() };
    let include = if include.is_empty() { vec![escaped(&path)] } else { below(include) };
    Select { path: Some(TreePath::root()), include, exclude: below(exclude) }
}

/// A glob of a folder, seen from the root.
fn beneath(folder: &TreePath, glob: &str) -> String {
    match glob.trim_end_matches('/').contains('/') {
        true => format!("{}/{}", escaped(folder), glob.trim_start_matches('/')),
        false => format!("{}/**/{glob}", escaped(folder)),
    }
}

/// A path as a glob that only it matches.
fn escaped(path: &TreePath) -> String {
    let mut glob = String::new();
    for symbol in path.to_string().chars() {
        if matches!(symbol, '*' | '?' | '[' | ']' | '\\' | '!') {
            glob.push('\\');
        }
        glob.push(symbol);
    }
    glob
}

fn mode(given: &Given) -> Option<Mode> {
    match &given.datum {
        Datum::Mode(mode) => Some(Mode::Exact(*mode)),
        Datum::ModeChange(text) => Some(Mode::Symbolic(text.clone())),
        _ => None,
    }
}

fn extract(item: &Item, edges: &mut Edges<'_>) -> Option<Place> {
    let to = item.property("to")?.path()?.clone();
    let select = Select { path: item.property("path").and_then(Given::path).cloned(), ..Select::default() };
    let strip = item.property("strip").and_then(Given::int).unwrap_or(0);
    Some(Place::Extract {
        input: edges.add(format!("extract {to}"), item.reference()?, select),
        to,
        strip: u32::try_from(strip).unwrap_or(0),
    })
}

fn merge(item: &Item, edges: &mut Edges<'_>) -> Place {
    Place::Merge {
        inputs: item
            .references()
            .map(|reference| edges.add("merge".to_owned(), reference, Select::default()))
            .collect(),
        conflicts_fail: match item.property("conflicts").and_then(Given::text) {
            Some(conflicts) => conflicts == "error",
            None => item.only(EACH.word).is_some(),
        },
    }
}

fn file(item: &Item) -> Option<Place> {
    Some(Place::File {
        path: item.argument(0)?.path()?.clone(),
        text: item.argument(1)?.text()?.to_owned(),
        mode: item.property("mode").and_then(Given::mode).unwrap_or(0o644),
    })
}

fn dirs(item: &Item) -> Vec<Place> {
    let mode = item.property("mode").and_then(Given::mode).unwrap_or(0o755);
    item.arguments
        .iter()
        .filter_map(Given::path)
        .map(|path| Place::Dir { path: path.clone(), mode })
        .collect()
}

fn symlink(item: &Item) -> Option<Place> {
    Some(Place::Symlink {
        path: item.argument(0)?.path()?.clone(),
        target: item.property("target")?.text()?.to_owned(),
    })
}
