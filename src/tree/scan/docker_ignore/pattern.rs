//! One pattern of a `.dockerignore`, compiled once. What is plain text, or plain but for `**` at one end,
//! is compared; the rest is a regular expression.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::tree::scan::docker_ignore::expression::{Expression, translate};
use crate::tree::scan::docker_ignore::lines::{clean, trim};

/// Bytes that one compiled expression may take.
const LARGEST: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// It takes back what others leave out.
    pub(super) exception: bool,
    /// Cleaned, without `!`.
    pub(super) text: Vec<u8>,
    /// What it takes to compile it.
    pub(super) weight: usize,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Exact,
    /// Up to the `**` at the end.
    Prefix,
    /// After the `**` at the start.
    Suffix,
    Expression(Regex),
}

impl Pattern {
    /// `None` where it is empty. `Err`: what is wrong with it.
    pub(super) fn new(line: &[u8]) -> Result<Option<Pattern>, String> {
        let line = trim(line);
        if line.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(line);
        let (exception, text) = match cleaned.as_slice() {
            [b'!'] => return Err("`!` stands alone".to_owned()),
            [b'!', rest @ ..] => (true, rest.to_vec()),
            _ => (false, cleaned),
        };
        check(&text)?;
        let (matcher, weight) = compile(&text)?;
        Ok(Some(Pattern { exception, text, weight, matcher }))
    }

    /// Whether it names this very path. What lies below is not asked about.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Matcher::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path)
            }
            Matcher::Expression(regex) => regex.is_match(&decode(path)),
        }
    }
}

/// UTF-8 as Go reads it: each byte that is wrong is one U+FFFD.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

/// The first of two checks: the syntax of Go's own globs, which is stricter than the expressions'.
fn check(pattern: &[u8]) -> Result<(), String> {
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'\\' => after.get(1..).ok_or("it ends in `\\`")?,
            b'[' => check_class(after).ok_or("its `[…]` is not complete")?,
            _ => after,
        };
    }
    Ok(())
}

/// What follows `[…]`.
fn check_class(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest.strip_prefix(b"^").unwrap_or(rest);
    let mut empty = true;
    loop {
        match rest.strip_prefix(b"]") {
            Some(after) if !empty => return Some(after),
            _ => {}
        }
        rest = check_character(rest)?;
        if let Some(high) = rest.strip_prefix(b"-") {
            rest = check_character(high)?;
        }
        empty = false;
    }
}

/// What follows a character in brackets; there must be something.
fn check_character(rest: &[u8]) -> Option<&[u8]> {
    let character = match rest {
        [b'-' | b']', ..] => return None,
        [b'\\', after @ ..] => after,
        _ => rest,
    };
    let length = character.utf8_chunks().next()?.valid().chars().next()?.len_utf8();
    Some(&character[length..]).filter(|after| !after.is_empty())
}

/// The matcher, and its weight.
fn compile(pattern: &[u8]) -> Result<(Matcher, usize), String> {
    let text = decode(pattern);
    // Docker's reader of characters passes over a byte order mark, at the start of any line.
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text).chars().peekable();
    let mut expression = String::from("^");
    let mut matcher = Some(Matcher::Exact);
    let mut first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                let last = rest.peek().is_none();
                expression.push_str(if last { ".*" } else { "(.*/)?" });
                matcher = match matcher {
                    _ if first => Some(Matcher::Suffix),
                    Some(Matcher::Exact) if last => Some(Matcher::Prefix),
                    _ => None,
                };
            }
            '*' | '?' => {
                expression.push_str(if character == '*' { "[^/]*" } else { "[^/]" });
                matcher = None;
            }
            // `{`, `|` and `}` belong here too, but Docker's builder forgets them.
            '.' | '+' | '(' | ')' | '$' => expression.extend(['\\', character]),
            '\\' => {
                expression.push('\\');
                expression.extend(rest.next());
                matcher = None;
            }
            '[' | ']' => {
                expression.push(character);
                matcher = None;
            }
            _ => expression.push(character),
        }
        first = false;
    }
    match matcher {
        Some(matcher) => Ok((matcher, 0)),
        None => expressed(&(expression + "$")),
    }
}

fn expressed(expression: &str) -> Result<(Matcher, usize), String> {
    let Expression { text, weight } = translate(expression)?;
    let regex = RegexBuilder::new(&text).size_limit(LARGEST).build();
    let regex = regex.map_err(|_| "it is too large to be compiled")?;
    // Even the smallest has its own tables.
    Ok((Matcher::Expression(regex), weight + 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_patterns_match() {
        let check = |pattern: &str, yes: &[&[u8]], no: &[&[u8]]| {
            let pattern = Pattern::new(pattern.as_bytes()).unwrap().unwrap();
            for path in yes {
                assert!(pattern.matches(path), "{pattern:?} on {}", String::from_utf8_lossy(path));
            }
            for path in no {
                assert!(!pattern.matches(path), "{pattern:?} on {}", String::from_utf8_lossy(path));
            }
        };
        check("a/b", &[b"a/b"], &[b"a", b"a/b/c", b"A/b"]);
        check("a/**", &[b"a/b", b"a/b/c"], &[b"a", b"ab"]);
        check("a**", &[b"a", b"ab/c"], &[b"b"]);
        check("**", &[b"a", b"a/b"], &[]);
        check("**/a", &[b"a", b"b/a"], &[b"ba"]);
        check("**a", &[b"a", b"ba", b"c/ba"], &[b"ab"]);
        check("a**b", &[b"ab", b"a/b", b"ax/b"], &[b"axb"]);
        check("**/*.c", &[b"x.c", b"a/x.c", b".c"], &[b"x.cc"]);
        check("a.b+c(d)$", &[b"a.b+c(d)$"], &[b"axb+c(d)$"]);
        check("*.b+c(d)$", &[b"a.b+c(d)$"], &[b"axb+c(d)$"]);
        check("a|b", &[b"a|b"], &[b"a", b"b"]);
        check("a|b*", &[b"ax", b"xb"], &[b"c"]);
        check("a{2}?", &[b"aab"], &[b"a{2}b", b"aa/"]);
        check("a^*", &[], &[b"a^", b"a"]);
        check("\\d", &[b"1"], &[b"d"]);
        check("[a*]", &[b"]", b"a]", b"[^/a]"], &[b"a", b"x]"]);
        check("a?b", &[b"a\xffb", "a☺b".as_bytes()], &[b"a\xff\xffb", b"a/b"]);
        check("a\u{fffd}*", &[b"a\xff", "a\u{fffd}".as_bytes()], &[b"ab"]);
        check("\u{feff}a*", &[b"ab"], &["\u{feff}ab".as_bytes()]);
        check("\u{feff}a", &["\u{feff}a".as_bytes()], &[b"a"]);
    }

    #[test]
    fn what_is_no_pattern() {
        let check = |pattern: &[u8], expected: &str| {
            assert_eq!(Pattern::new(pattern).unwrap_err(), expected, "{}", String::from_utf8_lossy(pattern));
        };
        check(b"!", "`!` stands alone");
        check(b"!/", "`!` stands alone");
        check(b"a\\", "it ends in `\\`");
        for pattern in ["[", "[a", "[]a]", "[^]", "[-]", "[a-]", "[-a]", "[a-b-c]", "[\\", "[a-\\"] {
            check(pattern.as_bytes(), "its `[…]` is not complete");
        }
        check(b"[\xff]", "its `[…]` is not complete");
        check(b"[b-a]", "a range in brackets runs backwards");
        check(b"*{2}", "a repetition stands after another");
        check(b"\\a\\8", "`\\` stands before a letter or digit that has no meaning there");
        check("*[\u{e9}]{1000}".repeat(20).as_bytes(), "it is too large to be compiled");
    }
}
