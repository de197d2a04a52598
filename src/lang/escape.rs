//! Backslashes in the quoted texts of KDL 2.

use std::ops::Range;

use crate::lang::token::{is_newline, is_space};

/// The first two characters of each sequence that is none.
pub fn unknown(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find('\\') {
        let start = at + offset;
        let end = start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8);
        if !is_escape(&text[start..]) {
            found.push(start..end);
        }
        at = end;
    }
    found
}

/// KDL 2, "Escaped Whitespace" and the table of escapes.
fn is_escape(sequence: &str) -> bool {
    let after = &sequence[1..];
    match after.chars().next() {
        Some('n' | 'r' | 't' | '\\' | '"' | 'b' | 'f' | 's') => true,
        Some('u') => is_unicode_escape(&after[1..]),
        Some(symbol) => is_space(symbol) || is_newline(symbol),
        None => false,
    }
}

fn is_unicode_escape(after: &str) -> bool {
    let digits = after.strip_prefix('{').and_then(|after| after.split_once('}')).map(|(digits, _)| digits);
    digits.is_some_and(|digits| {
        digits.len() <= 6
            && u32::from_str_radix(digits, 16).is_ok_and(|point| char::from_u32(point).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = unknown(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn sequences() {
        check(r#"a\n\t\r\b\f\s\\\"\u{e9}\ x"#, &[]);
        check("\\\n  x", &[]);
        check(r"\q \é \u{110000} \u{d800} \u{0000041} \ux", &[r"\q", r"\é", r"\u", r"\u", r"\u", r"\u"]);
        check("x\\", &["\\"]);
    }
}
