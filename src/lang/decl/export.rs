//! `export`: where a result lands in the workspace, when `memobuild export` is asked for it.

use crate::lang::structure::PICK;
use crate::lang::table::{DOC, Line, Slot, Wants, may, must, one};

pub const LINE: Line = Line {
    word: "export",
    doc: "Files that `memobuild export` writes into the package's folder: generated code that is kept in the repository, for one.",
    example: "export generated gen.go to=\"gen\"",
    arguments: &[one("NAME", Slot::Name), one("REF", Slot::Reference(Wants::Tree))],
    properties: &[
        must(
            "to",
            Slot::Folder,
            "Where it lands, below the package's folder: a folder's entries in it, a file as it, or in it if it ends in `/`.",
        ),
        may("path", Slot::Part, "The part of REF that is taken."),
        may(
            "mode",
            Slot::Word(&["replace", "merge"]),
            "`replace` (default): what else is in the folder goes; `merge`: it stays.",
        ),
    ],
    body: &[&PICK, &DOC],
    ..Line::EMPTY
};
