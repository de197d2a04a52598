//! A mistake as data, for programs: what `--format json` prints and SARIF is made of.

use miette::Severity;
use serde::Serialize;

use crate::lang::mistake::Mistake;
use crate::lang::mistake::draw::Snippet;
use crate::lang::source::line_and_column;

/// The JSON form of a mistake. Lines and columns count from 1, columns in characters; ends are behind
/// the last character. The place is that of the first label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    pub code: &'static str,
    pub severity: &'static str,
    pub message: String,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub end_line: Option<usize>,
    pub end_column: Option<usize>,
    pub help: String,
    pub labels: Vec<Marked>,
}

/// A label: a part of a file's text, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Marked {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
    pub text: String,
    /// The first and the last column in UTF-16 code units, as SARIF counts.
    #[serde(skip)]
    pub utf16: (usize, usize),
}

impl Mistake {
    pub fn record(&self) -> Record {
        let labels: Vec<Marked> = self.snippets.iter().flat_map(marked).collect();
        let place = labels.first();
        Record {
            code: self.code.as_str(),
            severity: if self.severity == Severity::Error { "error" } else { "warning" },
            message: self.message.clone(),
            file: place.map(|label| label.file.clone()),
            line: place.map(|label| label.line),
            column: place.map(|label| label.column),
            end_line: place.map(|label| label.end_line),
            end_column: place.map(|label| label.end_column),
            help: self.help.clone(),
            labels,
        }
    }
}

fn marked(snippet: &Snippet) -> impl Iterator<Item = Marked> + '_ {
    let text = snippet.source.inner();
    snippet.labels.iter().map(move |label| {
        let (line, column) = line_and_column(text, label.span.start);
        let (end_line, end_column) = line_and_column(text, label.span.end);
        Marked {
            file: snippet.source.name().to_owned(),
            line,
            column,
            end_line,
            end_column,
            text: label.text.clone(),
            utf16: (utf16_column(text, label.span.start), utf16_column(text, label.span.end)),
        }
    })
}

fn utf16_column(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    before[line_start..].encode_utf16().count() + 1
}
