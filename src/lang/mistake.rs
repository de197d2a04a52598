//! A mistake in a build file, placed under the exact text, with one action to take.
//! It draws itself through miette and as JSON; printing it is the command line's part.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};
use serde::Serialize;

use crate::graph::graph::Node;
use crate::lang::code::Code;

/// Bytes of the source.
pub type Span = Range<usize>;

/// A source with its name, shared by all mistakes in it.
pub type SharedSource = Arc<NamedSource<Arc<str>>>;

/// How many mistakes are shown; the rest is counted.
const SHOWN: usize = 20;

/// How many are kept until they are put in order.
const KEPT: usize = 10 * SHOWN;

/// A longer line is not drawn: its place is told in words.
const LONGEST_DRAWN_LINE: usize = 2000;

#[derive(Debug, Clone)]
pub struct Mistake {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<Label>,
    pub help: String,
    source: Option<SharedSource>,
}

#[derive(Debug, Clone)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// All that was found in one pass, in the order of the file, `SHOWN` at most.
#[derive(Debug)]
pub struct Mistakes {
    pub shown: Vec<Mistake>,
    pub more: usize,
}

/// Collects mistakes while a file is read.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Mistake>,
    more: usize,
}

/// The JSON form of a mistake. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    pub code: &'static str,
    pub severity: &'static str,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub help: String,
}

impl Mistake {
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake {
            code,
            severity: Severity::Error,
            message: message.into(),
            labels: Vec::new(),
            help: help.into(),
            source: None,
        }
    }

    pub fn warning(code: Code, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake { severity: Severity::Warning, ..Mistake::new(code, message, help) }
    }

    /// What only the build could see: told at the node, under the words of the message that stand in it.
    /// `until` is where the node ends at the latest.
    pub fn in_node(source: &SharedSource, node: &Node, until: usize, message: &str, help: &str) -> Mistake {
        let mistake = Mistake::new(Code::BuildInput, message, help);
        let text = source.inner().get(node.span.start..until).unwrap_or_default();
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
        Mistake { source: Some(source.clone()), ..mistake.at(label, "asked for here") }
    }

    /// What only the build could see, and has a code of its own: told under the word that declares the node.
    pub fn of_node(self, source: &SharedSource, node: &Node, label: &str) -> Mistake {
        Mistake { source: Some(source.clone()), ..self.at(node.span.clone(), label) }
    }

    /// Labels are shown in the order of the file; the first one added is the mistake's place.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Mistake {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub fn record(&self) -> Record {
        let place = self.place();
        Record {
            code: self.code.as_str(),
            severity: if self.severity == Severity::Error { "error" } else { "warning" },
            message: self.message.clone(),
            file: self.source.as_ref().map(|source| source.name().to_owned()),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            help: self.help.clone(),
        }
    }

    fn place(&self) -> Option<(usize, usize)> {
        let start = self.labels.first()?.span.start;
        Some(line_and_column(self.source.as_ref()?.inner(), start))
    }

    /// Whether drawing the source would flood the terminal with one endless line.
    fn is_drawable(&self) -> bool {
        let Some(source) = &self.source else { return false };
        self.labels.iter().all(|label| line_length(source.inner(), label.span.start) <= LONGEST_DRAWN_LINE)
    }
}

/// Both count from 1; columns are characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// For messages: long noise is cut.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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
        match self.place() {
            Some((line, column)) if !self.is_drawable() => write!(f, " (line {line}, column {column})"),
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
        match &self.source {
            Some(source) if !self.labels.is_empty() && self.is_drawable() => Some(&**source),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source_code()?;
        Some(Box::new(
            self.labels
                .iter()
                .map(|label| LabeledSpan::new_with_span(Some(label.text.clone()), label.span.clone())),
        ))
    }
}

impl Findings {
    pub fn add(&mut self, mistake: Mistake) {
        if self.kept.len() < KEPT {
            self.kept.push(mistake);
        } else {
            self.more += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether more would only be counted: a reader may then stop.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    /// How many were found, so that a reader can see whether a part of the file added some.
    pub fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// In the order of the file; what has no place comes first.
    pub fn finish(mut self, source: &SharedSource) -> Mistakes {
        self.kept.sort_by_key(|mistake| mistake.labels.first().map(|label| label.span.start));
        for mistake in &mut self.kept {
            mistake.source = Some(Arc::clone(source));
        }
        let more = self.more + self.kept.len().saturating_sub(SHOWN);
        self.kept.truncate(SHOWN);
        Mistakes { shown: self.kept, more }
    }
}

impl Mistakes {
    pub fn records(&self) -> Vec<Record> {
        self.shown.iter().map(Mistake::record).collect()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Mistakes {
        Mistakes { shown: vec![mistake], more: 0 }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shown.len() + self.more {
            1 => f.write_str("one mistake in the build file"),
            count => write!(f, "{count} mistakes in the build file"),
        }
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SharedSource {
        Arc::new(NamedSource::new("memobuild.kdl", Arc::from(text)))
    }

    #[test]
    fn keeps_the_first_of_the_file_and_counts_the_rest() {
        let mut findings = Findings::default();
        for start in (0..300).rev() {
            findings.add(Mistake::new(Code::KdlSyntax, "m", "h").at(start..start + 1, "here"));
        }
        let mistakes = findings.finish(&source(&"x".repeat(400)));
        assert_eq!((mistakes.shown.len(), mistakes.more), (20, 280));
        assert_eq!(mistakes.to_string(), "300 mistakes in the build file");
    }

    #[test]
    fn json_has_the_place_in_characters() {
        let mut findings = Findings::default();
        findings.add(Mistake::new(Code::KdlSyntax, "m", "h").at(7..8, "here"));
        let records = findings.finish(&source("a\néé x")).records();
        assert_eq!((records[0].line, records[0].column), (Some(2), Some(4)));
        assert_eq!(records[0].file.as_deref(), Some("memobuild.kdl"));
    }

    #[test]
    fn an_endless_line_is_told_not_drawn() {
        let mut findings = Findings::default();
        findings.add(Mistake::new(Code::KdlSyntax, "m", "h").at(5000..5001, "here"));
        let mistakes = findings.finish(&source(&"x".repeat(9000)));
        assert!(mistakes.shown[0].source_code().is_none());
        assert_eq!(mistakes.shown[0].to_string(), "m (line 1, column 5001)");
    }
}
