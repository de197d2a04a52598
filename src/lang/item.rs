//! A line of the file after reading: its values are of the types that the table says, so that what
//! lowers it never meets a wrong one. Where reading failed, `whole` is false and nothing is lowered.

use std::rc::Rc;

use crate::base::tree_path::TreePath;
use crate::graph::late::LateText;
use crate::lang::interpolate::Plain;
use crate::lang::label::Label;
use crate::lang::matrix::Coordinate;
use crate::lang::mistake::Span;
use crate::lang::scope::ScopeId;
use crate::lang::table::{Line, Wants};
use crate::oci::image::Platform;

#[derive(Debug)]
pub struct Item {
    pub line: &'static Line,
    /// Where its word stands.
    pub word: Span,
    pub arguments: Vec<Given>,
    /// In the order of the file.
    pub properties: Vec<Pair>,
    pub body: Vec<Item>,
    /// Nothing in it is mistaken.
    pub whole: bool,
}

#[derive(Debug)]
pub struct Pair {
    pub key: String,
    pub given: Given,
}

#[derive(Debug)]
pub struct Given {
    pub datum: Datum,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// Also a name, a word of a list, a glob, a script.
    Text(String),
    Int(i64),
    Bool(bool),
    Path {
        path: TreePath,
        /// It was written with `/` at its end.
        slash: bool,
    },
    Mode(u32),
    /// As chmod(1) reads it.
    ModeChange(String),
    /// Bytes.
    Size(u64),
    Platform(Platform),
    /// Only the build can complete it.
    Late(LateText),
    /// Nanoseconds.
    Duration(u64),
    /// Seconds since 1970.
    Time(u64),
    Reference(Reference),
    /// `#null`: what was inherited is removed.
    Null,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub label: Label,
    pub wants: Wants,
    pub span: Span,
    /// Where it is written: of a fragment's line, the fragment's.
    pub scope: ScopeId,
    /// The coordinate of the line that it stands in, with what `pick` and `each` say.
    pub coordinate: Rc<Coordinate>,
    /// Of the build platform, whatever the target is (`platform=build`).
    pub is_for_build: bool,
    /// Its place among the references of the node.
    pub place: usize,
}

impl Item {
    pub fn property(&self, key: &str) -> Option<&Given> {
        self.properties.iter().find(|pair| pair.key == key).map(|pair| &pair.given)
    }

    pub fn argument(&self, place: usize) -> Option<&Given> {
        self.arguments.get(place)
    }

    /// The lines of its body with this word.
    pub fn each(&self, word: &str) -> impl Iterator<Item = &Item> {
        self.body.iter().filter(move |item| item.line.word == word)
    }

    pub fn only(&self, word: &str) -> Option<&Item> {
        self.each(word).next()
    }

    /// The first argument, where it is a text: the name of a node, the value of a plain line.
    pub fn text(&self) -> Option<&str> {
        self.argument(0)?.text()
    }

    pub fn texts(&self) -> Vec<String> {
        self.arguments.iter().filter_map(Given::text).map(str::to_owned).collect()
    }

    /// `KEY=VALUE…`; `None` for `#null`.
    pub fn assignments(&self) -> impl Iterator<Item = (String, Option<LateText>)> {
        self.properties.iter().map(|pair| (pair.key.clone(), pair.given.late()))
    }

    /// Its line in the body with this word, where that is a text.
    pub fn text_of(&self, word: &str) -> Option<String> {
        self.only(word)?.text().map(str::to_owned)
    }

    /// The globs of all `include` or `exclude` lines.
    pub fn globs(&self, word: &str) -> Vec<String> {
        self.each(word).flat_map(Item::texts).collect()
    }

    pub fn reference(&self) -> Option<&Reference> {
        self.argument(0)?.reference()
    }

    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.arguments.iter().filter_map(Given::reference)
    }

    /// Those of its properties, too.
    pub fn all_references(&self) -> impl Iterator<Item = &Reference> {
        self.references().chain(self.properties.iter().filter_map(|pair| pair.given.reference()))
    }

    /// The item and all in it.
    pub fn walk(&self, visit: &mut dyn FnMut(&Item)) {
        visit(self);
        for item in &self.body {
            item.walk(visit);
        }
    }
}

impl Given {
    pub fn text(&self) -> Option<&str> {
        match &self.datum {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn path(&self) -> Option<&TreePath> {
        match &self.datum {
            Datum::Path { path, .. } => Some(path),
            _ => None,
        }
    }

    pub fn ends_in_slash(&self) -> bool {
        matches!(self.datum, Datum::Path { slash: true, .. })
    }

    pub fn int(&self) -> Option<i64> {
        match self.datum {
            Datum::Int(number) => Some(number),
            _ => None,
        }
    }

    pub fn truth(&self) -> Option<bool> {
        match self.datum {
            Datum::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    pub fn mode(&self) -> Option<u32> {
        match self.datum {
            Datum::Mode(mode) => Some(mode),
            _ => None,
        }
    }

    /// Nanoseconds.
    pub fn duration(&self) -> Option<u64> {
        match self.datum {
            Datum::Duration(nanoseconds) => Some(nanoseconds),
            _ => None,
        }
    }

    /// Bytes.
    pub fn size(&self) -> Option<u64> {
        match self.datum {
            Datum::Size(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn platform(&self) -> Option<&Platform> {
        match &self.datum {
            Datum::Platform(platform) => Some(platform),
            _ => None,
        }
    }

    /// A text, which only the build may be able to complete.
    pub fn late(&self) -> Option<LateText> {
        match &self.datum {
            Datum::Text(text) => Some(text.as_str().into()),
            Datum::Late(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Seconds since 1970.
    pub fn time(&self) -> Option<u64> {
        match self.datum {
            Datum::Time(seconds) => Some(seconds),
            _ => None,
        }
    }

    pub fn reference(&self) -> Option<&Reference> {
        match &self.datum {
            Datum::Reference(reference) => Some(reference),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        self.datum == Datum::Null
    }

    pub fn plain(&self) -> Option<Plain> {
        match &self.datum {
            Datum::Text(text) => Some(Plain::Text(text.clone())),
            Datum::Int(number) => Some(Plain::Int(*number)),
            Datum::Bool(truth) => Some(Plain::Bool(*truth)),
            _ => None,
        }
    }
}
