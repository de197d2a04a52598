//! The lines that make nodes out of nodes: rows of the table. `declare.rs` and `read.rs` do what they say;
//! no kind of node hears of them.

use crate::lang::table::{DOC, Holds, Line, Often, Slot, Wants, maybe, must, one, some};

pub const IMPORT: Line = Line {
    word: "import",
    doc: "Makes the templates and fragments of another file usable, as `NAME.TEMPLATE`.",
    example: "import \"//build/go.kdl\" as=go",
    arguments: &[one("FILE", Slot::Text)],
    properties: &[must("as", Slot::Name, "The name that stands for the file here.")],
    ..Line::EMPTY
};

pub const AXIS: Line = Line {
    word: "axis",
    doc: "A dimension in which nodes vary; its values are texts. One of each name in a workspace.",
    example: "axis python \"3.12\" \"3.13\"",
    arguments: &[one("NAME", Slot::Name), some("VALUE", Slot::Text)],
    body: &[&DOC],
    ..Line::EMPTY
};

pub const MATRIX: Line = Line {
    word: "matrix",
    doc: "The node stands once for each value of these axes; what refers to it follows.",
    example: "matrix python",
    arguments: &[some("AXIS", Slot::Name)],
    body: &[&EXCLUDED, &INCLUDED],
    ..Line::EMPTY
};

const EXCLUDED: Line = Line {
    word: "exclude",
    doc: "Leaves out the coordinates that have all of these values.",
    example: "exclude python=\"3.12\" mode=debug",
    free: Some(Slot::Plain),
    ..Line::EMPTY
};

const INCLUDED: Line = Line {
    word: "include",
    doc: "Adds one coordinate, with a value for each axis.",
    example: "include python=\"3.14\" mode=debug",
    free: Some(Slot::Plain),
    ..Line::EMPTY
};

pub const PICK: Line = Line {
    word: "pick",
    doc: "Takes the node at these values of its axes, whatever those of this node are.",
    example: "pick python=\"3.12\"",
    free: Some(Slot::Plain),
    ..Line::EMPTY
};

pub const EACH: Line = Line {
    word: "each",
    doc: "Takes the node at every value of these axes, in their order.",
    example: "each python",
    arguments: &[some("AXIS", Slot::Name)],
    ..Line::EMPTY
};

pub const MAP: Line = Line {
    word: "map",
    doc: "A table, used as `${map.NAME.FIELD}`. With `by`, a row is found by that value; `else` is the row for all others.",
    example: "map target by=platform.arch {\n    amd64 triple=\"x86_64-linux-gnu\"\n    arm64 triple=\"aarch64-linux-gnu\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    free: Some(Slot::Plain),
    body: &[&DOC],
    holds: Holds::Rows,
    ..Line::EMPTY
};

pub const TEMPLATE: Line = Line {
    word: "template",
    doc: "Nodes with parameters, to be used any number of times. Their names are private; `output` makes one visible.",
    example: "template program {\n    param src type=tree\n    run compile {\n        from host\n        mount src at=\"/src\"\n        exec \"make\" \"-C\" \"/src\"\n        output bin \"/src/bin\"\n    }\n    output bin compile.bin\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&TEMPLATE_OUTPUT, &DOC],
    holds: Holds::Nodes,
    ..Line::EMPTY
};

pub const TEMPLATE_OUTPUT: Line = Line {
    word: "output",
    doc: "What an instance of the template gives, as `INSTANCE.NAME`.",
    example: "output bin compile.bin",
    arguments: &[one("NAME", Slot::Name), one("REF", Slot::Reference(Wants::Any))],
    ..Line::EMPTY
};

pub const FRAGMENT: Line = Line {
    word: "fragment",
    doc: "Lines of a body, spliced where `use` names them. A body's own line wins over them.",
    example: "fragment offline {\n    env NETWORK=\"off\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&DOC],
    holds: Holds::Around,
    ..Line::EMPTY
};

pub const USE: Line = Line {
    word: "use",
    doc: "An instance of a template, called NAME; or, in a body, the lines of a fragment. The block gives parameters their values.",
    example: "use program hello {\n    src \"./src\"\n}",
    arguments: &[one("TEMPLATE", Slot::Text), maybe("NAME", Slot::Name)],
    holds: Holds::Values,
    ..Line::EMPTY
};

pub const WHEN: Line = Line {
    word: "when",
    doc: "Counts only where all of these values are equal: param, matrix, platform, build.",
    example: "when platform.os=linux {\n    files native root=\"linux\"\n}",
    often: Often::Many,
    free: Some(Slot::Plain),
    holds: Holds::Around,
    ..Line::EMPTY
};

pub const UNLESS: Line = Line {
    word: "unless",
    doc: "Counts only where not all of these values are equal.",
    example: "unless platform.os=linux {\n    files native root=\"others\"\n}",
    often: Often::Many,
    free: Some(Slot::Plain),
    holds: Holds::Around,
    ..Line::EMPTY
};
