//! The one table: every kind, line and property of the language, with its type, its words of
//! documentation and an example. The reader is driven by it and the reference is printed from it.
//! The rows stand beside the code that lowers them, in `decl/`.

use crate::lang::{decl, structure};

/// What one KDL node may hold, at file level (a kind) or in a body (a slot).
#[derive(Debug)]
pub struct Line {
    pub word: &'static str,
    pub doc: &'static str,
    /// As it may stand in a file.
    pub example: &'static str,
    pub often: Often,
    pub arguments: &'static [Argument],
    pub properties: &'static [Property],
    /// The slot of any other property: `env KEY=TEXT`.
    pub free: Option<Slot>,
    /// `#null` may stand for the arguments, or for the value of a free property.
    pub removable: bool,
    pub body: &'static [&'static Line],
    pub holds: Holds,
}

/// What else stands in the block of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing: the lines of `body` only.
    Lines,
    /// What every node may say, too: `COMMON`.
    Node,
    /// Nodes, as at file level.
    Nodes,
    /// What may stand where the line stands.
    Around,
    /// A line for each parameter of what is named.
    Values,
    /// A line for each key.
    Rows,
}

#[derive(Debug)]
pub struct Argument {
    /// As the reference shows it: `REF`, `PATH`.
    pub name: &'static str,
    pub slot: Slot,
    pub count: Count,
}

#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    pub slot: Slot,
    pub required: bool,
    pub doc: &'static str,
}

/// How often a line may stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Often {
    Once,
    Maybe,
    Many,
}

/// How many values an argument takes; only the last of a line may take several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    One,
    Maybe,
    Some,
}

/// What may stand in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// What something of this file is called.
    Name,
    Reference(Wants),
    Text,
    /// A text that something is chosen by, so that a bare word stands for itself.
    Choice,
    /// Never substituted.
    Script,
    /// What a script slot becomes where its line says `expand=#true`.
    Expanded,
    Glob,
    /// An absolute path in a container. `/` at its end is kept where it means something.
    Path,
    /// A place in a tree, with or without `/` before it.
    Part,
    /// A file or a folder below the package.
    Folder,
    Int {
        min: i64,
        max: i64,
    },
    Bool,
    Word(&'static [&'static str]),
    Mode,
    Duration,
    /// Bytes with their unit: `40GiB`.
    Size,
    /// `epoch`, an RFC 3339 time, or seconds since 1970 as text.
    Time,
    /// A text, an integer or a boolean.
    Plain,
    /// A text that may hold `${from.env.NAME}`.
    Late,
    /// Octal, or as chmod(1) reads it: `"u=rwX,go=rX"`.
    ModeChange,
    /// `linux/arm64`.
    Platform,
    Regex,
}

/// The types of value that a reference may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A rootfs or an image, or `scratch`.
    Root,
    /// As `Root`, or `host`.
    RootOrHost,
    /// A tree; a rootfs or an image where the line says `path=`.
    Tree,
    Any,
}

impl Line {
    /// What a row leaves out.
    pub const EMPTY: Line = Line {
        word: "",
        doc: "",
        example: "",
        often: Often::Many,
        arguments: &[],
        properties: &[],
        free: None,
        removable: false,
        body: &[],
        holds: Holds::Lines,
    };

    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.all_properties().find(|property| property.name == name)
    }

    pub fn slot(&self, word: &str) -> Option<&'static Line> {
        self.slots().find(|line| line.word == word)
    }

    /// Those that may stand on it: its own, then what every node may have.
    pub fn all_properties(&self) -> impl Iterator<Item = &'static Property> {
        let common: &[Property] = if self.holds == Holds::Node { COMMON_PROPERTIES } else { &[] };
        self.properties.iter().chain(common)
    }

    /// The lines that may stand in its block.
    pub fn slots(&self) -> impl Iterator<Item = &'static Line> {
        let common: &[&Line] = if self.holds == Holds::Node { COMMON } else { &[] };
        self.body.iter().chain(common).copied()
    }
}

pub const fn one(name: &'static str, slot: Slot) -> Argument {
    Argument { name, slot, count: Count::One }
}

pub const fn maybe(name: &'static str, slot: Slot) -> Argument {
    Argument { name, slot, count: Count::Maybe }
}

pub const fn some(name: &'static str, slot: Slot) -> Argument {
    Argument { name, slot, count: Count::Some }
}

pub const fn must(name: &'static str, slot: Slot, doc: &'static str) -> Property {
    Property { name, slot, required: true, doc }
}

pub const fn may(name: &'static str, slot: Slot, doc: &'static str) -> Property {
    Property { name, slot, required: false, doc }
}

/// What may stand at file level, in the order of the reference.
pub const KINDS: &[&Line] = &[
    &MEMOBUILD,
    &structure::IMPORT,
    &decl::workspace::LINE,
    &decl::param::LINE,
    &structure::AXIS,
    &structure::MAP,
    &decl::files::LINE,
    &decl::pull::LINE,
    &decl::http::LINE,
    &decl::git::LINE,
    &decl::run::LINE,
    &decl::test::LINE,
    &decl::check::LINE,
    &decl::tree::LINE,
    &decl::image::LINE,
    &decl::group::GROUP,
    &decl::group::DEFAULT,
    &decl::export::LINE,
    &structure::TEMPLATE,
    &structure::FRAGMENT,
    &structure::USE,
    &structure::WHEN,
    &structure::UNLESS,
];

/// What the block of every node may hold.
pub const COMMON: &[&Line] = &[&structure::MATRIX, &MARK, &DOC];

/// What the block of every node may hold, and says nothing of its own.
pub const CONDITIONS: &[&Line] = &[&structure::WHEN, &structure::UNLESS, &structure::USE];

pub const COMMON_PROPERTIES: &[Property] =
    &[may("private", Slot::Bool, "Whether other packages may not name it; default #false.")];

const MARK: Line = Line {
    word: "mark",
    doc: "Words to select nodes by; no part of any key.",
    example: "mark slow",
    arguments: &[some("WORD", Slot::Name)],
    ..Line::EMPTY
};

/// The version of the language that this program reads.
pub const VERSION: i64 = 1;

pub const MEMOBUILD: Line = Line {
    word: "memobuild",
    doc: "The version of the language; the first line of every file.",
    example: "memobuild 1",
    often: Often::Once,
    arguments: &[one("VERSION", Slot::Int { min: 1, max: i64::MAX })],
    ..Line::EMPTY
};

pub const DOC: Line = Line {
    word: "doc",
    doc: "Words for people; no part of any key.",
    example: "doc \"What ships to customers\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

pub const INCLUDE: Line = Line {
    word: "include",
    doc: "Takes only what matches one of these globs (as gitignore reads them).",
    example: "include \"src/**\" \"Cargo.toml\"",
    arguments: &[some("GLOB", Slot::Glob)],
    ..Line::EMPTY
};

pub const EXCLUDE: Line = Line {
    word: "exclude",
    doc: "Leaves out what matches one of these globs.",
    example: "exclude \"**/*.tmp\"",
    arguments: &[some("GLOB", Slot::Glob)],
    ..Line::EMPTY
};

impl Slot {
    /// For messages: what the slot takes.
    pub fn takes(self) -> String {
        match self {
            Slot::Name => "a name".to_owned(),
            Slot::Reference(wants) => wants.takes().to_owned(),
            Slot::Text | Slot::Choice => "a text".to_owned(),
            Slot::Script => "a script".to_owned(),
            Slot::Expanded => "a text".to_owned(),
            Slot::Glob => "a glob".to_owned(),
            Slot::Path => "an absolute path".to_owned(),
            Slot::Part => "a path".to_owned(),
            Slot::Folder => "a path of the workspace".to_owned(),
            Slot::Int { min: i64::MIN, max: i64::MAX } => "an integer".to_owned(),
            Slot::Int { min, max: i64::MAX } => format!("an integer from {min}"),
            Slot::Int { min: i64::MIN, max } => format!("an integer up to {max}"),
            Slot::Int { min, max } => format!("an integer from {min} to {max}"),
            Slot::Bool => "#true or #false".to_owned(),
            Slot::Word(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
            }
            Slot::Mode => "a file mode in octal".to_owned(),
            Slot::Duration => "a duration".to_owned(),
            Slot::Size => "a size".to_owned(),
            Slot::Time => "`epoch` or a time".to_owned(),
            Slot::Plain => "a text, an integer, #true or #false".to_owned(),
            Slot::Late => "a text".to_owned(),
            Slot::ModeChange => "a file mode".to_owned(),
            Slot::Platform => "a platform".to_owned(),
            Slot::Regex => "a regular expression".to_owned(),
        }
    }

    /// A value as it would be written.
    pub fn example(self) -> &'static str {
        match self {
            Slot::Name => "app",
            Slot::Reference(Wants::Root | Wants::RootOrHost) => "base",
            Slot::Reference(Wants::Tree) => "build.dist",
            Slot::Reference(Wants::Any) => "app",
            Slot::Choice => "debug",
            Slot::Text | Slot::Script | Slot::Expanded => "\"text\"",
            Slot::Glob => "\"src/**\"",
            Slot::Path => "\"/app\"",
            Slot::Part => "\"dist\"",
            Slot::Folder => "\"src\"",
            Slot::Int { .. } => "8080",
            Slot::Bool => "#true",
            Slot::Word(words) => words[0],
            Slot::Mode => "0o755",
            Slot::Duration => "\"10m\"",
            Slot::Size => "\"512MiB\"",
            Slot::Time => "epoch",
            Slot::Plain | Slot::Late => "\"text\"",
            Slot::ModeChange => "0o755",
            Slot::Platform => "\"linux/arm64\"",
            Slot::Regex => "#\"^v\\d+$\"#",
        }
    }
}

impl Wants {
    pub const fn takes(self) -> &'static str {
        match self {
            Wants::Root => "a root filesystem",
            Wants::RootOrHost => "a root filesystem or `host`",
            Wants::Tree => "a tree",
            Wants::Any => "a node",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(lines: &[&'static Line], check: &mut dyn FnMut(&'static Line)) {
        for line in lines {
            check(line);
            each(line.body, check);
        }
    }

    #[test]
    fn every_row_is_complete() {
        let all: Vec<&Line> = KINDS.iter().chain(COMMON).copied().collect();
        each(&all, &mut |line| {
            assert!(
                !line.word.is_empty() && line.doc.ends_with('.') && !line.example.is_empty(),
                "{}",
                line.word
            );
            for (place, argument) in line.arguments.iter().enumerate() {
                let last = place + 1 == line.arguments.len();
                assert!(last || argument.count == Count::One, "{}: only the last may repeat", line.word);
            }
            for property in line.properties {
                assert!(property.doc.ends_with('.'), "{} {}", line.word, property.name);
            }
        });
    }
}
