//! Lines and blocks → text in the house style. Never breaks or joins a line that was written well.

use crate::lang::format::layout::{Block, Entry, Line, Part};
use crate::lang::format::multiline;

const INDENT: &str = "    ";

/// A whole file, with one line end at its end.
pub fn print(file: &Block<'_>, capacity: usize) -> String {
    let mut printer = Printer { out: String::with_capacity(capacity) };
    printer.entries(&file.entries, 0);
    if !printer.out.is_empty() {
        printer.out.push('\n');
    }
    printer.out
}

struct Printer {
    out: String,
}

impl Printer {
    /// Each on a line of its own, as far as the file has begun.
    fn entries(&mut self, entries: &[Entry<'_>], level: usize) {
        for entry in entries {
            match entry {
                Entry::Blank => self.out.push('\n'),
                Entry::Line(line) => {
                    if line.beside {
                        self.out.push(' ');
                    } else if !self.out.is_empty() {
                        self.new_line(level);
                    }
                    self.line(line, level);
                }
            }
        }
    }

    fn line(&mut self, line: &Line<'_>, level: usize) {
        // Where the line goes on after it was broken, and the lines of its texts stand one deeper.
        let mut depth = level;
        let mut before = None;
        for part in &line.parts {
            match gap(before, part) {
                Gap::None => {}
                Gap::Space => self.out.push(' '),
                Gap::Line => {
                    depth = level + 1;
                    self.new_line(depth);
                }
            }
            match part {
                Part::Value(text) if multiline::is_text(text) => {
                    multiline::text(text, &INDENT.repeat(depth + 1), &mut self.out);
                }
                Part::Value(text) => self.out.push_str(text),
                Part::LineComment(text) => self.out.push_str(multiline::trim_end(text)),
                Part::BlockComment(text) => multiline::comment(text, &INDENT.repeat(depth), &mut self.out),
                Part::Continuation => self.out.push('\\'),
                Part::Slashdash => self.out.push_str("/-"),
                Part::Equals => self.out.push('='),
                Part::Block(block) if block.one_line => self.one_line(block),
                Part::Block(block) => self.block(block, level),
            }
            before = Some(part);
        }
    }

    fn block(&mut self, block: &Block<'_>, level: usize) {
        self.out.push('{');
        self.entries(&block.entries, level + 1);
        self.new_line(level);
        self.out.push('}');
    }

    fn one_line(&mut self, block: &Block<'_>) {
        self.out.push('{');
        for (index, entry) in block.entries.iter().enumerate() {
            let Entry::Line(line) = entry else { continue };
            self.out.push(' ');
            self.line(line, 0);
            let is_last = index + 1 == block.entries.len();
            if !ends_itself(line, is_last) {
                self.out.push(';');
            }
        }
        if !block.entries.is_empty() {
            self.out.push(' ');
        }
        self.out.push('}');
    }

    fn new_line(&mut self, level: usize) {
        self.out.push('\n');
        (0..level).for_each(|_| self.out.push_str(INDENT));
    }
}

/// Whether no `;` stands after a line of a block in one line.
fn ends_itself(line: &Line<'_>, is_last: bool) -> bool {
    let is_comment = !line.parts.iter().any(Part::is_written);
    let ends_in_block = matches!(line.parts.last(), Some(Part::Block(_)));
    // The kdl crate does not read a `;` after a line that is left out.
    is_comment || line.is_left_out() || (is_last && ends_in_block)
}

/// What stands between two parts of a line.
enum Gap {
    None,
    Space,
    Line,
}

fn gap(before: Option<&Part<'_>>, part: &Part<'_>) -> Gap {
    let Some(before) = before else { return Gap::None };
    match (before, part) {
        (Part::Continuation, Part::LineComment(_)) => Gap::Space,
        (Part::Continuation | Part::LineComment(_), _) => Gap::Line,
        (Part::BlockComment(_), _) => Gap::Space,
        (_, Part::LineComment(_) | Part::BlockComment(_) | Part::Continuation) => Gap::Space,
        (Part::Slashdash | Part::Equals, _) | (_, Part::Equals) => Gap::None,
        (_, Part::Block(block)) if block.after_dollar => Gap::None,
        _ => Gap::Space,
    }
}
