//! Cuts KDL 2 text into tokens, in one pass, without recursion. It makes no tree: that is the kdl
//! crate's part, which must not see text that is nested too deep and whose words we replace.

use crate::lang::mistake::Span;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bare word, a number or a `#keyword`.
    Word,
    /// `"…"`, `"""…"""` and the raw forms with `#`.
    Text {
        raw: bool,
        closed: bool,
    },
    /// White space within a line.
    Space,
    /// `\` before the end of a line: the line goes on in the next one.
    Continuation,
    Newline,
    Comment {
        closed: bool,
        /// How deep `/*` stand in one another; 0 for `//`.
        depth: usize,
    },
    Slashdash,
    Open,
    Close,
    Equals,
    Semicolon,
    /// One of `( ) [ ] / \`, which may stand in quoted text only (annotations are not used).
    Stray,
    /// A code point that no KDL file may hold.
    Forbidden,
}

pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0 }
    }

    /// Goes on from a later place: what lies between was dealt with.
    pub fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn kind(&mut self, first: char) -> Kind {
        let rest = self.rest();
        if rest.starts_with("//") {
            self.at += line_length(rest);
            return Kind::Comment { closed: true, depth: 0 };
        }
        if rest.starts_with("/*") {
            return self.block_comment();
        }
        if rest.starts_with("/-") {
            self.at += 2;
            return Kind::Slashdash;
        }
        let hashes = rest.bytes().take_while(|&byte| byte == b'#').count();
        if rest[hashes..].starts_with('"') {
            return self.quoted(hashes);
        }
        match first {
            '#' => self.word(hashes),
            _ if is_word(first) => self.word(0),
            _ => self.single(first),
        }
    }

    fn single(&mut self, first: char) -> Kind {
        self.at += first.len_utf8();
        // The two are one line end: a continuation goes over both.
        if first == '\r' && self.rest().starts_with('\n') {
            self.at += 1;
        }
        match first {
            '{' => Kind::Open,
            '}' => Kind::Close,
            '=' => Kind::Equals,
            ';' => Kind::Semicolon,
            '\\' if is_continuation(self.rest()) => Kind::Continuation,
            _ if is_newline(first) => Kind::Newline,
            _ if is_space(first) => Kind::Space,
            _ if is_forbidden(first) => Kind::Forbidden,
            _ => Kind::Stray,
        }
    }

    fn word(&mut self, hashes: usize) -> Kind {
        let rest = &self.rest()[hashes..];
        self.at += hashes + rest.find(|symbol| !is_word(symbol)).unwrap_or(rest.len());
        Kind::Word
    }

    fn block_comment(&mut self) -> Kind {
        let (mut open, mut depth) = (0, 0);
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            match &bytes[self.at..] {
                [b'/', b'*', ..] => {
                    open += 1;
                    depth = depth.max(open);
                    self.at += 2;
                }
                [b'*', b'/', ..] => {
                    open -= 1;
                    self.at += 2;
                    if open == 0 {
                        return Kind::Comment { closed: true, depth };
                    }
                }
                _ => self.at += 1,
            }
        }
        Kind::Comment { closed: false, depth }
    }

    fn quoted(&mut self, hashes: usize) -> Kind {
        let raw = hashes > 0;
        self.at += hashes;
        let quotes = if self.rest().starts_with("\"\"\"") { 3 } else { 1 };
        self.at += quotes;
        while let Some(symbol) = self.rest().chars().next() {
            match symbol {
                '\\' if !raw => self.escape(),
                '"' if self.closes(quotes, hashes) => {
                    self.at += quotes + hashes;
                    return Kind::Text { raw, closed: true };
                }
                _ if quotes == 1 && is_newline(symbol) => return Kind::Text { raw, closed: false },
                _ => self.at += symbol.len_utf8(),
            }
        }
        Kind::Text { raw, closed: false }
    }

    /// One escaped character, or all white space and line ends after the backslash.
    fn escape(&mut self) {
        self.at += 1;
        let rest = self.rest();
        let is_white = |symbol: char| is_space(symbol) || is_newline(symbol);
        let white = rest.len() - rest.trim_start_matches(is_white).len();
        self.at += if white > 0 { white } else { rest.chars().next().map_or(0, char::len_utf8) };
    }

    fn closes(&self, quotes: usize, hashes: usize) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        rest.len() >= quotes + hashes
            && rest[..quotes].iter().all(|&byte| byte == b'"')
            && rest[quotes..quotes + hashes].iter().all(|&byte| byte == b'#')
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        let first = self.rest().chars().next()?;
        let kind = self.kind(first);
        Some(Token { kind, span: start..self.at })
    }
}

/// Up to the end of the line or of the text.
fn line_length(text: &str) -> usize {
    text.find(is_newline).unwrap_or(text.len())
}

/// `\`, then white space and perhaps a comment, up to the end of the line or of the file.
fn is_continuation(after: &str) -> bool {
    let after = after.trim_start_matches(is_space);
    after.is_empty() || after.starts_with(is_newline) || after.starts_with("//")
}

pub fn is_newline(symbol: char) -> bool {
    matches!(symbol, '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}')
}

pub fn is_space(symbol: char) -> bool {
    matches!(
        symbol,
        '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// KDL 2, "Disallowed Literal Code Points".
pub fn is_forbidden(symbol: char) -> bool {
    matches!(symbol, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_word(symbol: char) -> bool {
    !matches!(symbol, '\\' | '/' | '(' | ')' | '{' | '}' | ';' | '[' | ']' | '"' | '#' | '=')
        && !is_newline(symbol)
        && !is_space(symbol)
        && !is_forbidden(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens as text, without white space.
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = Tokens::new(text)
            .filter(|token| token.kind != Kind::Space)
            .map(|token| &text[token.span])
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn tokens_of_a_line() {
        check("run build {\n", &["run", "build", "{", "\n"]);
        check("a b=\"c d\" #true;// x", &["a", "b", "=", "\"c d\"", "#true", ";", "// x"]);
        check("a #\"x\"y\"# b", &["a", "#\"x\"y\"#", "b"]);
        check("a \"\"\"\nx \"y\"\n\"\"\" b", &["a", "\"\"\"\nx \"y\"\n\"\"\"", "b"]);
        check("a \"\\\"\" /* /* */ x */ b", &["a", "\"\\\"\"", "/* /* */ x */", "b"]);
        check("/- a \\\n  b", &["/-", "a", "\\", "\n", "b"]);
        check("src/x", &["src", "/", "x"]);
        check("a \"x\nb", &["a", "\"x", "\n", "b"]);
        check("a #\"x\u{85}y\"#", &["a", "#\"x", "\u{85}", "y", "\"#"]);
        check("a \"x \\ \r\n\u{85} y\" b", &["a", "\"x \\ \r\n\u{85} y\"", "b"]);
    }

    #[test]
    fn covers_every_byte_once() {
        use proptest::prelude::*;
        proptest!(|(text in "\\PC*|[\"#/*\\\\\\n {}é]*")| {
            let mut at = 0;
            for token in Tokens::new(&text) {
                prop_assert_eq!(token.span.start, at);
                prop_assert!(token.span.end > at);
                at = token.span.end;
            }
            prop_assert_eq!(at, text.len());
        });
    }
}
