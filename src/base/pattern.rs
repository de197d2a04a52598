//! Regular expressions as build files write them: found anywhere in a text, unless they say `^` and `$`.
//! Takes time and memory in proportion to the text, whatever the expression is.

use regex::bytes::Regex;

#[derive(Debug, Clone)]
pub struct Pattern(Regex);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a regular expression: {reason}")]
pub struct BadPattern {
    pub pattern: String,
    pub reason: String,
}

impl Pattern {
    pub fn parse(pattern: &str) -> Result<Pattern, BadPattern> {
        Regex::new(pattern).map(Pattern).map_err(|error| {
            let reason = match &error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                error => reason(&error.to_string()),
            };
            BadPattern { pattern: pattern.to_owned(), reason }
        })
    }

    pub fn is_found_in(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// What went wrong stands in the last line of several that draw the place.
fn reason(error: &str) -> String {
    let last = error.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_anywhere_unless_it_says_where() {
        for (pattern, text, expected) in [
            ("b+", "abbc", true),
            ("^b", "abbc", false),
            ("^b", "a\nb", false),
            ("(?m)^b$", "a\nb\n", true),
            ("é", "café", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().is_found_in(text.as_bytes()), expected, "{pattern}");
        }
        assert!(Pattern::parse("b").unwrap().is_found_in(b"a\xffb"));
    }

    #[test]
    fn what_is_none_is_told_in_one_line() {
        for (pattern, reason) in [("(a", "unclosed group"), ("a{1000}{1000}{1000}", "it is too large")] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert_eq!(error.to_string(), format!("`{pattern}` is not a regular expression: {reason}"));
        }
    }
}
