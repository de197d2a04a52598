//! A mistake as miette draws it: the main text first, then each other file that has a part in it.
//! A line that would flood the terminal is never drawn: its place is told in words.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

use crate::lang::mistake::{Label, Mistake, Span};
use crate::lang::source::{Source, Sources, line_and_column};

/// A longer line is not drawn.
const LONGEST_DRAWN_LINE: usize = 2000;

/// The labels that stand in one file, with spans of its text.
#[derive(Debug, Clone)]
pub(super) struct Snippet {
    pub(super) source: NamedSource<Arc<str>>,
    pub(super) labels: Vec<Label>,
}

/// File by file, in the order in which the labels name them.
pub(super) fn snippets(labels: &[Label], sources: &Sources) -> Box<[Snippet]> {
    let mut snippets: Vec<(usize, Snippet)> = Vec::new();
    for label in labels {
        let source = sources.at(label.span.start);
        let label = Label { span: within(source, &label.span), text: label.text.clone() };
        match snippets.iter_mut().find(|(base, _)| *base == source.base) {
            Some((_, snippet)) => snippet.labels.push(label),
            None => {
                let named = NamedSource::new(&source.name, Arc::clone(&source.text));
                snippets.push((source.base, Snippet { source: named, labels: vec![label] }));
            }
        }
    }
    snippets.into_iter().map(|(_, snippet)| snippet).collect()
}

/// Drawing fails beyond the end of a text.
fn within(source: &Source, span: &Span) -> Span {
    let Span { start, end } = source.local(span);
    let end = end.min(source.text.len());
    start.min(end)..end
}

impl Snippet {
    /// Whether drawing it would not flood the terminal with one endless line.
    fn is_drawable(&self) -> bool {
        self.labels
            .iter()
            .all(|label| line_length(self.source.inner(), label.span.start) <= LONGEST_DRAWN_LINE)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        if self.is_drawable() { Some(&self.source) } else { None }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source_code()?;
        Some(Box::new(
            self.labels
                .iter()
                .map(|label| LabeledSpan::new_with_span(Some(label.text.clone()), label.span.clone())),
        ))
    }

    /// For a text that is not drawn: ` (memobuild.kdl, line 1, column 5001)`.
    fn place_in_words(&self, label: &Label) -> String {
        let (line, column) = line_and_column(self.source.inner(), label.span.start);
        format!(" ({}, line {line}, column {column})", self.source.name())
    }
}

fn line_length(text: &str, offset: usize) -> usize {
    let bytes = text.as_bytes();
    let offset = offset.min(bytes.len());
    let before = bytes[..offset].iter().rev().take_while(|&&byte| byte != b'\n').count();
    let after = bytes[offset..].iter().take_while(|&&byte| byte != b'\n').count();
    before + after
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.snippets.first() {
            Some(main) if !main.is_drawable() => f.write_str(&main.place_in_words(&main.labels[0])),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.as_str()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.snippets.first()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.snippets.first()?.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let others = self.snippets.get(1..).filter(|others| !others.is_empty())?;
        Some(Box::new(others.iter().map(|snippet| snippet as &dyn Diagnostic)))
    }
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_drawable() {
            return write!(f, "in {}", self.source.name());
        }
        let told = self.labels.iter().map(|label| format!("{}{}", label.text, self.place_in_words(label)));
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}

impl std::error::Error for Snippet {}

impl Diagnostic for Snippet {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Snippet::source_code(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Snippet::labels(self)
    }
}
