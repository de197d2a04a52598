//! Tokens → the lines and blocks of a file as they were written, with every comment. Only for text in which
//! `slip` finds nothing: blocks are then nested 64 deep at most, so that the printer may recurse.

use std::borrow::Cow;

use crate::lang::token::{Kind, Token, Tokens, is_newline};

#[derive(Debug, Default)]
pub struct Block<'a> {
    pub entries: Vec<Entry<'a>>,
    /// Written without a line end between its braces.
    pub one_line: bool,
    /// `${…}` without quotes: a word `$` and a block. Kept together, since that is told as a mistake.
    pub after_dollar: bool,
}

#[derive(Debug)]
pub enum Entry<'a> {
    /// Any number of blank lines.
    Blank,
    Line(Line<'a>),
}

#[derive(Debug)]
pub struct Line<'a> {
    /// Never empty.
    pub parts: Vec<Part<'a>>,
    /// Comments only, on the line of what stands before them.
    pub beside: bool,
}

#[derive(Debug)]
pub enum Part<'a> {
    /// A word, number, keyword or text, as it is spelled.
    Value(Cow<'a, str>),
    /// `// …`
    LineComment(&'a str),
    /// `/* … */`
    BlockComment(&'a str),
    Continuation,
    Slashdash,
    Equals,
    Block(Block<'a>),
}

pub fn read(text: &str) -> Block<'_> {
    let mut reader = Reader { text, open: vec![Frame::new()], end: 0 };
    for token in Tokens::new(text) {
        let (kind, end) = (token.kind, token.span.end);
        reader.token(token);
        if kind != Kind::Space {
            reader.end = end;
        }
    }
    while reader.open.len() > 1 {
        reader.close();
    }
    let mut frame = reader.open.pop().unwrap_or_else(Frame::new);
    frame.end_line();
    frame.block
}

struct Reader<'a> {
    text: &'a str,
    /// The file, and the blocks that are open.
    open: Vec<Frame<'a>>,
    /// Of the last token but white space.
    end: usize,
}

/// A block that is being read.
struct Frame<'a> {
    block: Block<'a>,
    parts: Vec<Part<'a>>,
    beside: bool,
    /// Line ends since the last part.
    newlines: usize,
    /// Whether the line holds more than comments.
    begun: bool,
    /// After `\`: the next line end is none.
    continued: bool,
    /// After `/-`, which waits for what it leaves out.
    open_ended: bool,
}

impl<'a> Reader<'a> {
    fn frame(&mut self) -> &mut Frame<'a> {
        self.open.last_mut().expect("bug: the file's own frame stays")
    }

    fn token(&mut self, token: Token) {
        let text = &self.text[token.span.clone()];
        if text.contains(is_newline) {
            self.open.iter_mut().for_each(|frame| frame.block.one_line = false);
        }
        match token.kind {
            Kind::Space => {}
            Kind::Newline => self.frame().newline(),
            Kind::Semicolon => self.frame().end_line(),
            Kind::Continuation => self.frame().continuation(),
            Kind::Comment { .. } if text.starts_with("//") => self.add(Part::LineComment(text)),
            Kind::Comment { .. } => self.add(Part::BlockComment(text)),
            Kind::Slashdash => self.add(Part::Slashdash),
            Kind::Equals => self.add(Part::Equals),
            Kind::Word | Kind::Text { .. } | Kind::Stray | Kind::Forbidden => {
                self.add(Part::Value(Cow::Borrowed(text)));
            }
            Kind::Open => {
                let mut inner = Frame::new();
                inner.block.after_dollar = self.end == token.span.start && self.frame().ends_in_dollar();
                self.open.push(inner);
            }
            Kind::Close => self.close(),
        }
    }

    fn add(&mut self, part: Part<'a>) {
        let in_block = self.open.len() > 1;
        let frame = self.frame();
        if frame.parts.is_empty() {
            let has_lines = !frame.block.entries.is_empty();
            frame.beside = frame.newlines == 0 && (has_lines || in_block);
            if frame.newlines > 1 && has_lines {
                frame.block.entries.push(Entry::Blank);
            }
        }
        frame.newlines = 0;
        if part.is_written() {
            frame.begun = true;
            frame.open_ended = matches!(part, Part::Slashdash);
        }
        frame.parts.push(part);
    }

    fn close(&mut self) {
        if self.open.len() > 1
            && let Some(mut inner) = self.open.pop()
        {
            inner.end_line();
            self.add(Part::Block(inner.block));
        }
    }
}

impl<'a> Frame<'a> {
    fn new() -> Frame<'a> {
        Frame {
            block: Block { one_line: true, ..Block::default() },
            parts: Vec::new(),
            beside: false,
            newlines: 0,
            begun: false,
            continued: false,
            open_ended: false,
        }
    }

    fn newline(&mut self) {
        self.newlines += 1;
        if !std::mem::take(&mut self.continued) && !self.open_ended {
            self.end_line();
        }
    }

    /// Before the first word of a line it means nothing.
    fn continuation(&mut self) {
        if self.begun {
            self.parts.push(Part::Continuation);
            self.continued = true;
        }
    }

    fn ends_in_dollar(&self) -> bool {
        matches!(self.parts.last(), Some(Part::Value(word)) if word == "$")
    }

    /// After its last word a line goes on to the first `//`; comments that follow are lines of their own.
    fn end_line(&mut self) {
        let mut beside = self.beside && !self.begun;
        (self.begun, self.continued, self.open_ended) = (false, false, false);
        let parts = needed(std::mem::take(&mut self.parts));
        let last_word = parts.iter().rposition(Part::is_written).unwrap_or(0);
        let mut line = Vec::new();
        for (at, part) in parts.into_iter().enumerate() {
            let is_end = at >= last_word && matches!(part, Part::LineComment(_));
            line.push(part);
            if is_end {
                self.add_line(&mut line, std::mem::take(&mut beside));
            }
        }
        if !line.is_empty() {
            self.add_line(&mut line, beside);
        }
    }

    fn add_line(&mut self, parts: &mut Vec<Part<'a>>, beside: bool) {
        self.block.entries.push(Entry::Line(Line { parts: std::mem::take(parts), beside }));
    }
}

impl Part<'_> {
    /// Neither a comment nor `\`.
    pub fn is_written(&self) -> bool {
        !matches!(self, Part::LineComment(_) | Part::BlockComment(_) | Part::Continuation)
    }
}

impl Line<'_> {
    /// Whether `/-` stands before the whole line.
    pub fn is_left_out(&self) -> bool {
        matches!(self.parts.iter().find(|part| part.is_written()), Some(Part::Slashdash))
    }
}

/// The parts without those `\` that break a line where it need not, or cannot, be broken.
fn needed(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    let last_word = parts.iter().rposition(Part::is_written).unwrap_or(0);
    let mut kept: Vec<Part<'_>> = Vec::with_capacity(parts.len());
    let mut rest = parts.into_iter().enumerate().peekable();
    while let Some((at, part)) = rest.next() {
        let next = rest.peek().map(|(_, next)| next);
        let is_needed = match (kept.last(), next) {
            _ if !matches!(part, Part::Continuation) => true,
            _ if at > last_word => false,
            (_, Some(Part::LineComment(_))) => true,
            (Some(Part::Slashdash | Part::Equals | Part::LineComment(_)), _) => false,
            (_, Some(Part::Equals | Part::Block(_) | Part::Continuation)) => false,
            _ => true,
        };
        if is_needed {
            kept.push(part);
        }
    }
    kept
}
