//! A mistake in a build file, placed under the exact text, with one action to take.
//! It is drawn by miette, or told as JSON and SARIF; printing it is the command line's part.

mod draw;
mod findings;
mod record;

use std::ops::Range;

use miette::Severity;

use crate::graph::graph::Node;
use crate::lang::code::Code;
use crate::lang::mistake::draw::Snippet;
use crate::lang::source::Sources;

pub use crate::lang::mistake::draw::draw;
pub use crate::lang::mistake::findings::{Findings, Mistakes};
pub use crate::lang::mistake::record::{Marked, Record};

/// Bytes, counted through all `Sources`.
pub type Span = Range<usize>;

/// How a label begins that says in which of several instances a mistake is: `in [python=3.13]`.
const IN_INSTANCE: &str = "in [";

/// How many labels tell the way through templates and matrices; the innermost are kept.
const LONGEST_TRAIL: u8 = 3;

#[derive(Debug, Clone)]
pub struct Mistake {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    /// The first is the mistake's place.
    pub labels: Vec<Label>,
    pub help: String,
    /// How many of the labels came from trails.
    trail: u8,
    /// The labels with their texts, file by file; none before the sources are known.
    snippets: Box<[Snippet]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

impl Label {
    pub fn new(span: Span, text: impl Into<String>) -> Label {
        Label { span, text: text.into() }
    }
}

impl Mistake {
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: help.into(),
            trail: 0,
            snippets: Box::default(),
        }
    }

    pub fn warning(code: Code, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake { severity: Severity::Warning, ..Mistake::new(code, message, help) }
    }

    /// What only the build could see: told at the node, under the words of the message that stand in it.
    /// `until` is where the node ends at the latest.
    pub fn in_node(sources: &Sources, node: &Node, until: usize, message: &str, help: &str) -> Mistake {
        let text = sources.slice(&(node.span.start..until));
        let ticked: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        // A path may be written without its first `/`; a slot (`copy /app`) is named by its path.
        let shorter = ticked.iter().map(|words| words.trim_start_matches('/'));
        let last = ticked.iter().filter_map(|words| words.split(' ').next_back());
        let mut words = ticked.iter().copied().chain(shorter).chain(last).filter(|words| !words.is_empty());
        let found = words.find_map(|words| Some((text.find(words)?, words.len())));
        let label = match found {
            Some((start, length)) => node.span.start + start..node.span.start + start + length,
            None => node.span.clone(),
        };
        let mut mistake = Mistake::new(Code::BuildInput, message, help).at(label, "asked for here");
        mistake.place_in(sources);
        mistake
    }

    /// What only the build could see, and has a code of its own: told under the word that declares the node.
    pub fn of_node(self, sources: &Sources, node: &Node, label: &str) -> Mistake {
        let mut mistake = self.at(node.span.clone(), label);
        mistake.place_in(sources);
        mistake
    }

    /// The same, under words of the node, where they stand in it. `until` is where it ends at the latest.
    pub fn of_words(self, sources: &Sources, node: &Node, until: usize, words: &str, label: &str) -> Mistake {
        let start = node.span.start;
        let Some(found) = sources.slice(&(start..until)).find(words) else {
            return self.of_node(sources, node, label);
        };
        let mut mistake = self.at(start + found..start + found + words.len(), label);
        mistake.place_in(sources);
        mistake
    }

    /// The first label added is the mistake's place.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Mistake {
        self.labels.push(Label::new(span, text));
        self
    }

    /// As `at`, before the labels that are there: this is the mistake's place.
    pub fn first_at(mut self, span: Span, text: impl Into<String>) -> Mistake {
        self.labels.insert(0, Label::new(span, text));
        self
    }

    /// How the place came about, innermost first: what is beyond the nearest few is left out.
    fn follow(&mut self, trail: &[Label]) {
        for label in trail {
            if self.trail < LONGEST_TRAIL {
                self.labels.push(label.clone());
                self.trail += 1;
            }
        }
    }

    /// Of several instances that it was found in, none is named.
    fn found_again(&mut self, trail: &[Label]) {
        self.labels.retain(|label| !label.text.starts_with(IN_INSTANCE) || trail.contains(label));
    }

    /// Finds the texts that the labels stand in. Only then can the mistake be drawn.
    fn place_in(&mut self, sources: &Sources) {
        self.snippets = draw::snippets(&self.labels, sources);
    }
}

/// For messages: long noise is cut.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
