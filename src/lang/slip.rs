//! Mistakes in KDL itself, in our own words: the ones that newcomers to KDL 2 make. Where this finds
//! none, the kdl crate reads the text. It also keeps from that crate what would overflow its stack.

use crate::lang::code::Code;
use crate::lang::escape;
use crate::lang::grammar::{self, Grammar};
use crate::lang::mistake::{Findings, Mistake, Span, shorten};
use crate::lang::number::{self, Number};
use crate::lang::token::{Kind, Token, Tokens, is_newline, is_space};

/// Levels of `{`.
const DEEPEST_BLOCK: usize = 64;

/// Levels of `/*`.
const DEEPEST_COMMENT: usize = 16;

/// Bare words and texts: what is read takes some 500 bytes of memory for each.
const MOST_WORDS: usize = 500_000;

/// Adds what it finds; the greatest depth of blocks otherwise.
pub fn look(text: &str, findings: &mut Findings) -> usize {
    let mut look = Look {
        text,
        findings,
        grammar: Grammar::default(),
        open: Vec::new(),
        deepest: 0,
        words: 0,
        key: None,
        last: None,
        operand: None,
    };
    let mut tokens = Tokens::new(text);
    while let Some(token) = tokens.next() {
        let end = token.span.end;
        match look.token(token) {
            Next::Go => {}
            Next::Skip(blob) => tokens.skip_to(blob.max(end)),
            Next::Stop => return look.deepest,
        }
    }
    look.end();
    look.deepest
}

enum Next {
    Go,
    /// The text up to here is dealt with.
    Skip(usize),
    /// What follows can only confuse.
    Stop,
}

struct Look<'a> {
    text: &'a str,
    findings: &'a mut Findings,
    grammar: Grammar,
    /// Blocks that are open.
    open: Vec<Span>,
    deepest: usize,
    words: usize,
    /// A key and its `=` that wait for a value.
    key: Option<Span>,
    last: Option<Token>,
    /// The last bare word or text.
    operand: Option<Token>,
}

impl Look<'_> {
    fn token(&mut self, token: Token) -> Next {
        let span = token.span.clone();
        self.property(&token);
        if let Err(misplaced) = self.grammar.take(token.kind) {
            self.add(Code::KdlSyntax, misplaced.message, span.clone(), misplaced.label, misplaced.help);
            if token.kind == Kind::Open {
                return Next::Stop;
            }
        }
        if matches!(token.kind, Kind::Word | Kind::Text { .. }) {
            self.words += 1;
        }
        if self.words > MOST_WORDS || self.findings.is_full() {
            return self.too_much();
        }
        let next = match token.kind {
            Kind::Word => self.word(&span),
            Kind::Text { raw, closed } => self.quoted(&span, raw, closed),
            Kind::Comment { closed, depth } => self.comment(&span, closed, depth),
            Kind::Open => self.block(&span),
            Kind::Close => self.close(&span),
            Kind::Stray => self.needs_quotes(span.start),
            Kind::Forbidden => self.forbidden(&span),
            Kind::Slashdash if self.touches_text() => self.needs_space(&span),
            Kind::Slashdash | Kind::Space | Kind::Continuation | Kind::Newline => Next::Go,
            Kind::Equals | Kind::Semicolon => Next::Go,
        };
        if matches!(token.kind, Kind::Word | Kind::Text { .. }) {
            self.operand = Some(token.clone());
        }
        self.last = Some(token);
        next
    }

    fn add(
        &mut self,
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: &str,
        help: impl Into<String>,
    ) {
        self.findings.add(Mistake::new(code, message, help).at(span, label));
    }

    fn too_much(&mut self) -> Next {
        if self.words > MOST_WORDS {
            let message = format!("the build file has more than {MOST_WORDS} words");
            let help = "a build file names data, it does not hold it: move it to files of their own";
            self.findings.add(Mistake::new(Code::FileSize, message, help));
        }
        Next::Stop
    }

    fn end(&mut self) {
        let end = self.text.len()..self.text.len();
        if let Err(misplaced) = self.grammar.end() {
            self.add(Code::KdlSyntax, misplaced.message, end.clone(), misplaced.label, misplaced.help);
        }
        self.property(&Token { kind: Kind::Semicolon, span: end });
        if let Some(span) = self.open.pop() {
            self.add(
                Code::KdlBraces,
                "this block is never closed",
                span,
                "opened here",
                "add the missing `}`",
            );
        }
    }

    /// A key with `=` must be followed by a value.
    fn property(&mut self, token: &Token) {
        match token.kind {
            Kind::Equals => {
                self.key_is_text();
                let start = self.operand.as_ref().map_or(token.span.start, |key| key.span.start);
                self.key = Some(start..token.span.end);
            }
            Kind::Space | Kind::Continuation | Kind::Comment { .. } => {}
            Kind::Newline if self.grammar.is_continued() => {}
            Kind::Newline | Kind::Semicolon | Kind::Open | Kind::Close => {
                if let Some(span) = self.key.take() {
                    let written = &self.text[span.clone()];
                    let message = format!("`{written}` has no value");
                    self.add(
                        Code::KdlValue,
                        message,
                        span,
                        "nothing follows",
                        "write the value directly after the `=`",
                    );
                }
            }
            _ => self.key = None,
        }
    }

    /// A number or a keyword can be neither the first word of a line nor a key.
    fn key_is_text(&mut self) {
        if let Some(Token { kind: Kind::Word, span }) = self.operand.clone() {
            self.must_be_text(&span, "a key is a word or a text");
        }
    }

    fn must_be_text(&mut self, span: &Span, message: &str) {
        let word = &self.text[span.clone()];
        let is_number = number::begins_like_one(word) && number::form(word) == Number::Valid;
        if is_number || is_keyword(word) {
            self.add(Code::KdlSyntax, message, span.clone(), "not a word", grammar::ORDER);
        }
    }

    fn word(&mut self, span: &Span) -> Next {
        if self.touches_text() {
            return self.needs_space(span);
        }
        if self.grammar.is_first_word() {
            self.must_be_text(span, "a line begins with a word");
        }
        let after = &self.text[span.end..];
        if &self.text[span.clone()] == "r" && after.starts_with(['"', '#']) {
            return self.old_raw_text(span, after);
        }
        if self.runs_on(span, after) {
            return self.needs_quotes(span.start);
        }
        let word = &self.text[span.clone()];
        match word {
            "true" | "false" | "null" | "inf" | "-inf" | "nan" => self.bare_keyword(span),
            _ if is_keyword(word) => {}
            _ if word.starts_with('#') => self.unknown_keyword(span),
            _ if number::begins_like_one(word) => self.number(span),
            _ => {}
        }
        Next::Go
    }

    /// `r"…"`, as KDL 1 writes raw texts.
    fn old_raw_text(&mut self, span: &Span, after: &str) -> Next {
        let end = span.end + Tokens::new(after).next().map_or(0, |text| text.span.end);
        let message = "KDL 2 writes raw texts without the `r`";
        let help = "#\"…\"#, with as many # as the text needs";
        self.add(Code::KdlString, message, span.clone(), "from KDL 1", help);
        Next::Skip(end)
    }

    /// Whether a bare word goes on with a character that it may not hold.
    /// `word//` and `word/* ` are comments, unless they look like an address or a glob.
    fn runs_on(&self, span: &Span, after: &str) -> bool {
        if after.starts_with("//") {
            return self.text[span.clone()].ends_with(':');
        }
        if let Some(comment) = after.strip_prefix("/*") {
            return !comment.starts_with([' ', '\t', '\n', '\r']);
        }
        after.starts_with(['/', '(', ')', '[', ']', '#'])
    }

    fn needs_quotes(&mut self, start: usize) -> Next {
        let blob = &self.text[start..];
        let ends =
            |symbol: char| is_space(symbol) || is_newline(symbol) || matches!(symbol, ';' | '{' | '}' | '"');
        let blob = &blob[..blob.find(ends).unwrap_or(blob.len())];
        let Some(symbol) = blob.chars().find(|symbol| "/()[]#\\".contains(*symbol)) else { return Next::Go };
        let end = start + blob.len();
        let label = format!("`{symbol}` cannot stand in a bare word");
        let help = format!("{}\"{}\"", self.only_word_before(start), shorten(blob));
        self.add(Code::KdlQuote, "this value needs quotes", start..end, &label, help);
        Next::Skip(end)
    }

    /// `include ` before the first value of such a line; nothing before a later one.
    fn only_word_before(&self, start: usize) -> &str {
        let before = &self.text[..start];
        let line =
            before.rsplit(|symbol: char| is_newline(symbol) || matches!(symbol, ';' | '{' | '}')).next();
        let line = line.unwrap_or_default().trim_start();
        let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if line.strip_suffix(' ').is_some_and(is_word) { line } else { "" }
    }

    fn touches_text(&self) -> bool {
        matches!(&self.last, Some(Token { kind: Kind::Text { closed: true, .. }, .. }))
    }

    fn needs_space(&mut self, span: &Span) -> Next {
        self.add(
            Code::KdlSpace,
            "two values need a space between them",
            span.start..span.start + 1,
            "begins right after the other",
            "put a space before it; a quote inside a text is written \\\"",
        );
        Next::Go
    }

    fn bare_keyword(&mut self, span: &Span) {
        let word = &self.text[span.clone()];
        let help = format!(
            "KDL 2 marks keywords with #: #true, #false, #null. For the word itself, quote it: \"{word}\"."
        );
        let (message, label) = (format!("`{word}` is not a KDL 2 value"), format!("write #{word}"));
        self.add(Code::KdlKeyword, message, span.clone(), &label, help);
    }

    fn unknown_keyword(&mut self, span: &Span) {
        let word = shorten(&self.text[span.clone()]);
        self.add(
            Code::KdlKeyword,
            format!("`{word}` is not a keyword"),
            span.clone(),
            "not known",
            "keywords are #true, #false and #null; a comment begins with //; other text needs quotes",
        );
    }

    fn number(&mut self, span: &Span) {
        let word = &self.text[span.clone()];
        let shown = shorten(word);
        match number::form(word) {
            Number::Valid => {}
            Number::Malformed => self.add(
                Code::KdlQuote,
                format!("`{shown}` is neither a number nor a bare word"),
                span.clone(),
                "begins like a number",
                format!("\"{shown}\""),
            ),
            Number::TooLarge => self.add(
                Code::KdlNumber,
                "this number is too large",
                span.clone(),
                "does not fit into 128 bits",
                format!("write a smaller number, or a text: \"{shown}\""),
            ),
        }
    }

    fn quoted(&mut self, span: &Span, raw: bool, closed: bool) -> Next {
        if matches!(&self.last, Some(Token { kind: Kind::Word | Kind::Text { .. }, .. })) {
            return self.needs_space(span);
        }
        let text = &self.text[span.clone()];
        let inner = text.trim_start_matches('#');
        if !closed {
            let end = span.start + text.find(is_newline).unwrap_or(text.len());
            let help = "add the closing quote; a text of several lines stands between \"\"\" and \"\"\"";
            self.add(Code::KdlString, "this text has no closing quote", span.start..end, "opened here", help);
        } else if inner.starts_with("\"\"\"") && !inner[3..].starts_with(is_newline) {
            let start = span.start + text.len() - inner.len();
            let help =
                "begin the text on the next line; for an empty text, or one on a single line, write \"…\"";
            self.add(Code::KdlString, "a line must end after \"\"\"", start..start + 3, "goes on", help);
        }
        if !raw {
            self.escapes(span);
        }
        Next::Go
    }

    fn escapes(&mut self, span: &Span) {
        let text = &self.text[span.clone()];
        for bad in escape::unknown(text) {
            let message = format!("`{}` is no escape that KDL knows", &text[bad.clone()]);
            let help = "a backslash is itself in a raw text: #\"…\"#; or double it: \\\\";
            let place = span.start + bad.start..span.start + bad.end;
            self.add(Code::KdlEscape, message, place, "not known", help);
        }
    }

    fn comment(&mut self, span: &Span, closed: bool, depth: usize) -> Next {
        let start = span.start..span.start + 2;
        if depth > DEEPEST_COMMENT {
            let message = format!("comments are nested {depth} levels deep, {DEEPEST_COMMENT} are allowed");
            self.add(Code::KdlDepth, message, start, "begins here", "a comment inside a comment needs no /*");
            return Next::Stop;
        }
        if !closed {
            let help = "close it with */; a glob that holds /* needs quotes";
            self.add(Code::KdlComment, "this comment is never closed", start, "begins here", help);
            return Next::Stop;
        }
        Next::Go
    }

    fn block(&mut self, span: &Span) -> Next {
        self.open.push(span.clone());
        self.deepest = self.deepest.max(self.open.len());
        if self.open.len() <= DEEPEST_BLOCK {
            return Next::Go;
        }
        let message = format!("blocks are nested more than {DEEPEST_BLOCK} levels deep");
        self.add(
            Code::KdlDepth,
            message,
            span.clone(),
            "one too deep",
            "no build file needs more than four levels",
        );
        Next::Stop
    }

    fn close(&mut self, span: &Span) -> Next {
        if self.open.pop().is_none() {
            let help = "remove it, or add the `{` that it should close";
            self.add(
                Code::KdlBraces,
                "this brace closes nothing",
                span.clone(),
                "no block is open here",
                help,
            );
        }
        Next::Go
    }

    fn forbidden(&mut self, span: &Span) -> Next {
        let symbol = self.text[span.clone()].chars().next().map_or(0, u32::from);
        let message = format!("the character U+{symbol:04X} may not stand in a build file");
        self.add(
            Code::KdlCharacter,
            message,
            span.clone(),
            "here",
            format!("remove it, or write \\u{{{symbol:x}}} in a text"),
        );
        Next::Go
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "#true" | "#false" | "#null" | "#inf" | "#-inf" | "#nan")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::source::Sources;

    fn check(text: &str, expected: &[(Code, &str)]) {
        let mut findings = Findings::default();
        look(text, &mut findings);
        let mut sources = Sources::default();
        sources.add("memobuild.kdl", text);
        let mistakes = findings.finish(&sources);
        let found: Vec<(Code, &str)> = mistakes
            .shown
            .iter()
            .map(|mistake| (mistake.code, &text[mistake.labels[0].span.clone()]))
            .collect();
        assert_eq!(found, expected, "{}", shorten(text));
    }

    #[test]
    fn valid_text_has_none() {
        check(
            "a b c=1 d = \"x\" {\n  e 0o755 -1.5e3 1_000 #true // x\n  f #\"\\b\"# \"\\t\\u{e9}\"; }\n",
            &[],
        );
        check("a /* x */ b // \"\n/- c \\\n  d\n", &[]);
    }

    #[test]
    fn each_slip_is_placed() {
        check("a b=true", &[(Code::KdlKeyword, "true")]);
        check("a # x", &[(Code::KdlKeyword, "#")]);
        check("a src/** ./x", &[(Code::KdlQuote, "src/**"), (Code::KdlQuote, "./x")]);
        check("a b=/src {\n}", &[(Code::KdlQuote, "/src")]);
        check("a https://x y", &[(Code::KdlQuote, "https://x")]);
        check("a (u8)1", &[(Code::KdlQuote, "(u8)1")]);
        check("a b /-=\"x\"", &[(Code::KdlSyntax, "=")]);
        check("a{}\\\r\n\"x\"", &[(Code::KdlSyntax, "\"x\"")]);
        check(
            "a 3.10.1 10m 0x",
            &[(Code::KdlQuote, "3.10.1"), (Code::KdlQuote, "10m"), (Code::KdlQuote, "0x")],
        );
        check(&format!("a {}", "9".repeat(40)), &[(Code::KdlNumber, &"9".repeat(40))]);
        check("a \"x\nb \"\\q\"", &[(Code::KdlString, "\"x"), (Code::KdlEscape, "\\q")]);
        check("a \"b\"c", &[(Code::KdlSpace, "c")]);
        check("a b=\nc d={}", &[(Code::KdlValue, "b="), (Code::KdlValue, "d=")]);
        check("a { b {\n}", &[(Code::KdlBraces, "{")]);
        check("a }", &[(Code::KdlBraces, "}")]);
        check("a /* b", &[(Code::KdlComment, "/*")]);
        check("a \"\"\"x\"\"\"", &[(Code::KdlString, "\"\"\"")]);
        check("a\u{0}", &[(Code::KdlCharacter, "\u{0}")]);
        check("a { b; } c\n{}", &[(Code::KdlSyntax, "c"), (Code::KdlSyntax, "{")]);
        check("run = 1", &[(Code::KdlSyntax, "=")]);
        check("a r\"x\\y\" r#\"z\"# b", &[(Code::KdlString, "r"), (Code::KdlString, "r")]);
    }

    #[test]
    fn depth_is_bounded() {
        check(&"a{".repeat(100_000), &[(Code::KdlDepth, "{")]);
        check(&"/*".repeat(100_000), &[(Code::KdlDepth, "/*")]);
    }
}
