//! A mistake as miette draws it: the main text first, then each other file that has a part in it.
//! A line that would flood the terminal is never drawn: its place is told in words.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    Severity, SourceCode, SourceSpan, SpanContents,
};

use crate::base::address::blanked;
use crate::lang::mistake::{Label, Mistake, Span};
use crate::lang::source::{Source, Sources, line_and_column};

/// A longer line is not drawn.
const LONGEST_DRAWN_LINE: usize = 2000;

/// A label on more lines is drawn at its first.
const MOST_MARKED_LINES: usize = 8;

/// The labels that stand in one file, with spans of its text.
#[derive(Debug, Clone)]
pub(super) struct Snippet {
    pub(super) file: Named,
    pub(super) labels: Vec<Label>,
}

/// A text and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) text: Arc<str>,
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
                // What is drawn is read by others than who wrote it.
                let text = blanked(&source.text).map_or_else(|| Arc::clone(&source.text), Arc::from);
                let file = Named { name: source.name.clone(), text };
                snippets.push((source.base, Snippet { file, labels: vec![label] }));
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
        self.labels.iter().all(|label| line_length(&self.file.text, label.span.start) <= LONGEST_DRAWN_LINE)
    }

    /// For a text that is not drawn: ` (memobuild.kdl, line 1, column 5001)`.
    fn place_in_words(&self, label: &Label) -> String {
        let (line, column) = line_and_column(&self.file.text, label.span.start);
        format!(" ({}, line {line}, column {column})", self.file.name)
    }
}

/// What is drawn of a span: of a long script its first line says enough.
fn beginning(text: &str, span: &Span) -> Span {
    let marked = text.get(span.clone()).unwrap_or_default();
    match marked.split_once('\n') {
        Some((first, rest)) if rest.matches('\n').count() >= MOST_MARKED_LINES => {
            span.start..span.start + first.trim_end_matches('\r').len()
        }
        _ => span.clone(),
    }
}

/// A text's own reading counts lines from its beginning, and miette then draws all that lies between two
/// labels as soon as the second stands less than twice as far down as the first.
impl SourceCode for Named {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.text.read_span(span, before, after)?;
        let lines = read.data().iter().filter(|&&byte| byte == b'\n').count();
        let name = self.name.clone();
        let (data, span, line, column) = (read.data(), *read.span(), read.line(), read.column());
        Ok(Box::new(MietteSpanContents::new_named(name, data, span, line, column, lines)))
    }
}

fn line_length(text: &str, offset: usize) -> usize {
    let bytes = text.as_bytes();
    let offset = offset.min(bytes.len());
    let before = bytes[..offset].iter().rev().take_while(|&&byte| byte != b'\n').count();
    let after = bytes[offset..].iter().take_while(|&&byte| byte != b'\n').count();
    before + after
}

/// What a person sees: the message and its text, the other texts that have a part in it, last the help.
pub fn draw(mistake: &Mistake, theme: GraphicalTheme, columns: usize) -> String {
    let handler = GraphicalReportHandler::new_themed(theme).with_width(columns);
    let mut page = String::new();
    for at in 0..mistake.snippets.len().max(1) {
        let piece = Piece { mistake, at };
        handler.render_report(&mut page, &piece).expect("bug: a text takes any report");
    }
    page
}

/// One text of a mistake, as a report of its own: miette would put the other texts behind the help.
#[derive(Debug)]
struct Piece<'a> {
    mistake: &'a Mistake,
    at: usize,
}

impl<'a> Piece<'a> {
    fn snippet(&self) -> Option<&'a Snippet> {
        self.mistake.snippets.get(self.at)
    }

    fn is_first(&self) -> bool {
        self.at == 0
    }

    fn is_last(&self) -> bool {
        self.at + 1 >= self.mistake.snippets.len()
    }
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.snippet() {
            _ if self.is_first() => write!(f, "{}", self.mistake),
            Some(snippet) => write!(f, "{snippet}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Piece<'_> {}

impl Diagnostic for Piece<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        if self.is_first() { Some(Box::new(self.mistake.code.as_str())) } else { None }
    }

    fn severity(&self) -> Option<Severity> {
        Some(if self.is_first() { self.mistake.severity } else { Severity::Advice })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        if self.is_last() { Some(Box::new(&self.mistake.help)) } else { None }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let snippet = self.snippet().filter(|snippet| snippet.is_drawable())?;
        Some(&snippet.file)
    }

    /// The first is the one that the text's header points to.
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let snippet = self.snippet().filter(|snippet| snippet.is_drawable())?;
        Some(Box::new(snippet.labels.iter().enumerate().map(|(index, label)| {
            let (text, span) = (Some(label.text.clone()), beginning(&snippet.file.text, &label.span));
            match index {
                0 => LabeledSpan::new_primary_with_span(text, span),
                _ => LabeledSpan::new_with_span(text, span),
            }
        })))
    }
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

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_drawable() {
            return write!(f, "in {}", self.file.name);
        }
        let told = self.labels.iter().map(|label| format!("{}{}", label.text, self.place_in_words(label)));
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}
