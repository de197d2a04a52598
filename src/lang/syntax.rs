//! The tree of a KDL 2 file: words, values and blocks, with the places they stand at. It knows nothing
//! of what they mean.
//!
//! The kdl crate reads the same tree fifty times slower, since it keeps every space; that a tree made
//! here equals the crate's is a property test in `parse.rs`.

use crate::lang::mistake::Span;

#[derive(Debug, Default, PartialEq)]
pub struct Document {
    pub nodes: Vec<Node>,
}

/// A line: a word, values, and perhaps a block.
#[derive(Debug, PartialEq)]
pub struct Node {
    pub word: String,
    pub word_span: Span,
    /// In the order of the file.
    pub entries: Vec<Entry>,
    pub block: Option<Block>,
}

#[derive(Debug, PartialEq)]
pub struct Block {
    pub nodes: Vec<Node>,
    /// With its braces.
    pub span: Span,
}

/// A value, or a `key=value`.
#[derive(Debug, PartialEq)]
pub struct Entry {
    pub key: Option<Key>,
    pub value: Value,
    /// Of the value.
    pub span: Span,
}

#[derive(Debug, PartialEq)]
pub struct Key {
    pub text: String,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i128),
    Float(f64),
    Bool(bool),
    Null,
}

impl Node {
    pub fn children(&self) -> &[Node] {
        self.block.as_ref().map_or(&[], |block| &block.nodes)
    }

    /// Values that have no key.
    pub fn arguments(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.key.is_none())
    }

    pub fn properties(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter().filter_map(|entry| Some((entry.key.as_ref()?, entry)))
    }

    pub fn property(&self, name: &str) -> Option<&Entry> {
        self.properties().find(|(key, _)| key.text == name).map(|(_, entry)| entry)
    }

    /// The first value, where it is a text: the name of most lines.
    pub fn name(&self) -> Option<&str> {
        self.arguments().next()?.value.text()
    }

    pub fn name_span(&self) -> Span {
        self.arguments().next().map_or(self.word_span.clone(), |entry| entry.span.clone())
    }

    /// All of it, the block too.
    pub fn span(&self) -> Span {
        let end = self.block.as_ref().map_or(self.line_span().end, |block| block.span.end);
        self.word_span.start..end.max(self.line_span().end)
    }

    /// From its word to its last value, without the block.
    pub fn line_span(&self) -> Span {
        let end = self.entries.last().map_or(self.word_span.end, |entry| entry.span.end);
        self.word_span.start..end.max(self.word_span.end)
    }
}

impl Entry {
    /// With the key.
    pub fn whole_span(&self) -> Span {
        self.key.as_ref().map_or(self.span.start, |key| key.span.start)..self.span.end
    }
}

impl Value {
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_true(&self) -> bool {
        *self == Value::Bool(true)
    }

    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }
}
