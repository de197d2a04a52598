//! The lines that compose files: `copy`, `merge`, `file`, `dir`, `symlink`, `remove`. Shared by
//! `tree`, `image` and its `layer`.

use crate::graph::graph::Select;
use crate::graph::op::{Mode, Owner, Place};
use crate::lang::code::Code;
use crate::lang::decl::Edges;
use crate::lang::item::{Given, Item};
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::names::last_name;
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
        may("mode", Slot::Mode, "The mode of every file and folder, such as 0o755."),
    ],
    body: &[&INCLUDE, &EXCLUDE],
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
        "What one path with two contents is: the `last` wins (default), or an `error`.",
    )],
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
    [COPY.word, MERGE.word, FILE.word, DIR.word, SYMLINK.word, REMOVE.word].contains(&item.line.word)
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

/// The operations of one line.
pub fn lower(item: &Item, edges: &mut Edges<'_>) -> Vec<Place> {
    match item.line.word {
        "copy" => copy(item, edges).into_iter().collect(),
        "merge" => vec![merge(item, edges)],
        "file" => file(item).into_iter().collect(),
        "dir" => dirs(item),
        "symlink" => symlink(item).into_iter().collect(),
        _ => vec![Place::Remove { globs: item.texts() }],
    }
}

fn copy(item: &Item, edges: &mut Edges<'_>) -> Option<Place> {
    let to = item.property("to")?;
    let select = Select {
        path: item.property("path").and_then(Given::path).cloned(),
        include: item.globs("include"),
        exclude: item.globs("exclude"),
    };
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
        mode: item.property("mode").and_then(Given::mode).map(Mode::Exact),
        follow: false,
    })
}

fn merge(item: &Item, edges: &mut Edges<'_>) -> Place {
    Place::Merge {
        inputs: item
            .references()
            .map(|reference| edges.add("merge".to_owned(), reference, Select::default()))
            .collect(),
        conflicts_fail: item.property("conflicts").and_then(Given::text) == Some("error"),
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
