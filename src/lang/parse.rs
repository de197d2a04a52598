//! Text → tree. `slip.rs` looks first, says in our words what newcomers get wrong, and lets nothing
//! through that is not KDL 2. Texts with escapes or several lines are decoded by the kdl crate.

use kdl::KdlEntry;

use crate::lang::code::Code;
use crate::lang::mistake::{Findings, Mistake, Span};
use crate::lang::slip;
use crate::lang::syntax::{Block, Document, Entry, Key, Node, Value};
use crate::lang::token::{Kind, Token, Tokens, is_forbidden};

/// `None` when something was added to `findings`. `base` is added to all places.
pub fn parse(text: &str, base: usize, findings: &mut Findings) -> Option<Document> {
    let mut found = Findings::default();
    slip::look(text, &mut found);
    let document = if found.is_empty() {
        let mut parser = Parser { text, base, tokens: Tokens::new(text), ahead: None, findings: &mut found };
        Some(Document { nodes: parser.nodes() })
    } else {
        None
    };
    let whole = found.is_empty();
    findings.absorb(found, base);
    document.filter(|_| whole)
}

/// Only for text in which `slip` has found nothing: every token stands where it may.
struct Parser<'a> {
    text: &'a str,
    base: usize,
    tokens: Tokens<'a>,
    ahead: Option<Token>,
    findings: &'a mut Findings,
}

impl Parser<'_> {
    /// Up to the end of the block or the file.
    fn nodes(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Close => break,
                Kind::Slashdash => {
                    self.take();
                    self.skip_lines();
                    self.node();
                }
                Kind::Word | Kind::Text { .. } => nodes.extend(self.node()),
                _ => drop(self.take()),
            }
        }
        nodes
    }

    fn node(&mut self) -> Option<Node> {
        let word = self.take()?;
        let word_span = self.place(&word.span);
        let mut node = Node { word: self.word(&word), word_span, entries: Vec::new(), block: None };
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Slashdash => {
                    self.take();
                    self.skip_lines();
                    match self.peek().map(|token| token.kind) {
                        Some(Kind::Open) => drop(self.block()),
                        _ => drop(self.entry()),
                    }
                }
                Kind::Open => node.block = self.block(),
                Kind::Word | Kind::Text { .. } => node.entries.extend(self.entry()),
                Kind::Newline | Kind::Semicolon => {
                    self.take();
                    break;
                }
                _ => break,
            }
        }
        Some(node)
    }

    fn block(&mut self) -> Option<Block> {
        let open = self.take()?;
        let nodes = self.nodes();
        let end = self.take().map_or(self.text.len(), |close| close.span.end);
        Some(Block { nodes, span: self.place(&(open.span.start..end)) })
    }

    fn entry(&mut self) -> Option<Entry> {
        let first = self.take()?;
        if self.peek().is_none_or(|token| token.kind != Kind::Equals) {
            return Some(Entry { key: None, value: self.value(&first), span: self.place(&first.span) });
        }
        self.take();
        let key = Key { text: self.word(&first), span: self.place(&first.span) };
        let second = self.take()?;
        Some(Entry { key: Some(key), value: self.value(&second), span: self.place(&second.span) })
    }

    /// A word or a text as text.
    fn word(&mut self, token: &Token) -> String {
        match self.value(token) {
            Value::Text(text) => text,
            _ => self.text[token.span.clone()].to_owned(),
        }
    }

    fn value(&mut self, token: &Token) -> Value {
        let written = &self.text[token.span.clone()];
        match token.kind {
            Kind::Text { raw, .. } => Value::Text(match plain_text(written, raw).filter(is_readable) {
                Some(text) => text.to_owned(),
                None => self.decoded(written, &token.span),
            }),
            _ => keyword(written)
                .or_else(|| number(written))
                .unwrap_or_else(|| Value::Text(written.to_owned())),
        }
    }

    fn decoded(&mut self, written: &str, span: &Span) -> String {
        if let Ok(entry) = KdlEntry::parse(written)
            && let Some(text) = entry.value().as_string()
        {
            return text.to_owned();
        }
        if let Some(symbol) = written.chars().find(|symbol| is_forbidden(*symbol)) {
            let start = span.start + written.find(symbol).unwrap_or(0);
            let message = format!("the character U+{:04X} may not stand in a build file", u32::from(symbol));
            let help = format!("remove it, or write \\u{{{:x}}} in an ordinary text", u32::from(symbol));
            let mistake = Mistake::new(Code::KdlCharacter, message, help);
            self.findings.add(mistake.at(start..start + symbol.len_utf8(), "here"));
            return String::new();
        }
        let help = "each line of the text begins with the same white space as the closing \"\"\"";
        let mistake = Mistake::new(Code::KdlString, "the lines of this text are not indented alike", help);
        let end = written.find('\n').unwrap_or(written.len());
        self.findings.add(mistake.at(span.start..span.start + end, "this text"));
        String::new()
    }

    fn place(&self, span: &Span) -> Span {
        self.base + span.start..self.base + span.end
    }

    fn peek(&mut self) -> Option<&Token> {
        if self.ahead.is_none() {
            self.ahead = self.next();
        }
        self.ahead.as_ref()
    }

    fn take(&mut self) -> Option<Token> {
        self.peek();
        self.ahead.take()
    }

    /// The next token that means something; a continued line has no end.
    fn next(&mut self) -> Option<Token> {
        while let Some(token) = self.tokens.next() {
            match token.kind {
                Kind::Space | Kind::Comment { .. } => {}
                Kind::Continuation => {
                    self.tokens.by_ref().find(|token| token.kind == Kind::Newline);
                }
                _ => return Some(token),
            }
        }
        None
    }

    fn skip_lines(&mut self) {
        while self.peek().is_some_and(|token| token.kind == Kind::Newline) {
            self.take();
        }
    }
}

/// A quoted text on one line without escapes.
fn plain_text(written: &str, raw: bool) -> Option<&str> {
    let inner = written.trim_matches('#');
    let inner = inner.strip_prefix('"')?.strip_suffix('"')?;
    if raw {
        let hashes = written.len() - written.trim_start_matches('#').len();
        let inner = &written[hashes + 1..written.len() - hashes - 1];
        return (!inner.starts_with("\"\"")).then_some(inner);
    }
    (!inner.starts_with("\"\"") && !inner.contains('\\')).then_some(inner)
}

/// Characters that no file may hold are told by the decoding.
fn is_readable(text: &&str) -> bool {
    !text.contains(is_forbidden)
}

fn keyword(written: &str) -> Option<Value> {
    Some(match written {
        "#true" => Value::Bool(true),
        "#false" => Value::Bool(false),
        "#null" => Value::Null,
        "#inf" => Value::Float(f64::INFINITY),
        "#-inf" => Value::Float(f64::NEG_INFINITY),
        "#nan" => Value::Float(f64::NAN),
        _ => return None,
    })
}

fn number(written: &str) -> Option<Value> {
    if !crate::lang::number::begins_like_one(written) {
        return None;
    }
    let digits = written.replace('_', "");
    let (sign, unsigned) = match digits.strip_prefix(['+', '-']) {
        Some(rest) => (if digits.starts_with('-') { "-" } else { "" }, rest),
        None => ("", digits.as_str()),
    };
    let radix = match unsigned.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let bare = if radix == 10 { unsigned } else { &unsigned[2..] };
    match i128::from_str_radix(&format!("{sign}{bare}"), radix) {
        Ok(number) => Some(Value::Int(number)),
        Err(_) => digits.parse().ok().map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use kdl::{KdlDocument, KdlValue};

    use super::*;
    use crate::lang::source::Sources;

    fn check(text: &str) -> Option<Code> {
        let mut findings = Findings::default();
        let document = parse(text, 0, &mut findings);
        assert_eq!(document.is_some(), findings.is_empty());
        let mut sources = Sources::default();
        sources.add("memobuild.kdl", text);
        findings.finish(&sources).shown.first().map(|mistake| mistake.code)
    }

    #[test]
    fn what_only_the_parser_sees() {
        assert_eq!(check("a \"\"\"\n  x\n y\n  \"\"\"\n"), Some(Code::KdlString));
        assert_eq!(check("a b\r\nc d\r\n"), None);
    }

    #[test]
    fn the_deepest_allowed_blocks_fit_the_stack() {
        let deep = format!("{}{}", "a {\n".repeat(64), "}\n".repeat(64));
        let small = std::thread::Builder::new().stack_size(1 << 20);
        small.spawn(move || assert_eq!(check(&deep), None)).unwrap().join().unwrap();
    }

    fn value(value: &KdlValue) -> Value {
        match value {
            KdlValue::String(text) => Value::Text(text.clone()),
            KdlValue::Integer(number) => Value::Int(*number),
            KdlValue::Float(number) => Value::Float(*number),
            KdlValue::Bool(truth) => Value::Bool(*truth),
            KdlValue::Null => Value::Null,
        }
    }

    /// Shows NaN as equal to itself.
    fn shown(document: &KdlDocument) -> String {
        let mut text = String::new();
        for node in document.nodes() {
            text.push_str(&format!("{:?}", node.name().value()));
            for entry in node.entries() {
                text.push_str(&format!(
                    " {:?}={:?}",
                    entry.name().map(|key| key.value()),
                    value(entry.value())
                ));
            }
            match node.children() {
                Some(children) => text.push_str(&format!(" {{{}}}", shown(children))),
                None => text.push(';'),
            }
        }
        text
    }

    fn our_own(nodes: &[Node]) -> String {
        let mut text = String::new();
        for node in nodes {
            text.push_str(&format!("{:?}", node.word));
            for entry in &node.entries {
                text.push_str(&format!(
                    " {:?}={:?}",
                    entry.key.as_ref().map(|key| key.text.as_str()),
                    entry.value
                ));
            }
            match &node.block {
                Some(block) => text.push_str(&format!(" {{{}}}", our_own(&block.nodes))),
                None => text.push(';'),
            }
        }
        text
    }

    /// Whatever `slip` lets through is KDL 2, and says to us what it says to the kdl crate.
    #[test]
    fn reads_what_the_kdl_crate_reads() {
        use proptest::prelude::*;
        const PIECES: &[&str] = &[
            "a",
            "b",
            " ",
            " ",
            " ",
            "\n",
            ";",
            "{",
            "}",
            "{",
            "}",
            "=",
            "/-",
            "\"x\"",
            "#\"y\"#",
            "1",
            "#true",
            "//c\n",
            "/*c*/",
            "\\\n",
            "\\",
            "\t",
            "-",
            ".",
            "+1",
            "é",
            "\"\"\"\n\"\"\"",
            "\"\"\"\n x\n \"\"\"",
            "\r\n",
            ",",
            "~",
            "'",
            "\"\"",
            "0x1",
            "1_",
            "-0",
            "+",
            "\\//x\n",
            "\u{85}",
            "\u{a0}",
            "\"\\n\\u{e9}\"",
            "1.5e3",
            "#\"\"\"\n x\"\n \"\"\"#",
            "#nan",
            "##\"#\"##",
            "-0b11",
        ];
        let text = proptest::collection::vec(proptest::sample::select(PIECES), 1..24);
        proptest!(ProptestConfig::with_cases(20_000), |(pieces in text)| {
            let text = pieces.concat();
            let mut findings = Findings::default();
            if let Some(document) = parse(&text, 0, &mut findings) {
                let theirs = KdlDocument::parse_v2(&text);
                prop_assert!(theirs.is_ok(), "{text:?}");
                prop_assert_eq!(our_own(&document.nodes), shown(&theirs.unwrap()), "{:?}", text);
            }
        });
    }
}
