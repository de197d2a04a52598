//! The rules of one ignore file with git's meaning. The last pattern that matches a path decides; what a
//! folder holds is for the walk, which never enters one that is left out. Lines that git can't read match
//! nothing, so that every text is a file of rules.

use crate::tree::scan::wildmatch::Wild;

/// Paths are bytes relative to the folder where the rules hold.
#[derive(Debug, Default)]
pub(crate) struct GitIgnore {
    rules: Vec<GitRule>,
}

/// A line.
#[derive(Debug)]
pub(crate) struct GitRule {
    /// It takes back what a rule above it leaves out.
    pub(crate) exception: bool,
    /// From 1.
    pub(crate) line: usize,
    /// As written.
    pub(crate) text: String,
    only_folders: bool,
    /// It says nothing of the folders on the way: only the name counts.
    only_name: bool,
    /// What comes before the first special character.
    start: Vec<u8>,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Nothing,
    /// `*` and this, where names alone count.
    End(Vec<u8>),
    Wild(Wild),
}

impl GitIgnore {
    pub(crate) fn parse(text: &[u8]) -> GitIgnore {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = (1..).zip(text.split(|&byte| byte == b'\n'));
        GitIgnore { rules: lines.filter_map(|(number, line)| GitRule::new(number, line)).collect() }
    }

    /// The rule that decides on `path`, not on the folders above it.
    pub(crate) fn decides(&self, path: &[u8], is_directory: bool) -> Option<&GitRule> {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        self.rules.iter().rev().find(|rule| {
            (is_directory || !rule.only_folders) && rule.matches(if rule.only_name { name } else { path })
        })
    }
}

impl GitRule {
    fn new(number: usize, line: &[u8]) -> Option<GitRule> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            return None;
        }
        // Git holds lines as C does.
        let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
        let line = without_spaces(line);
        let (exception, pattern) = match line {
            [b'!', pattern @ ..] => (true, pattern),
            pattern => (false, pattern),
        };
        let (only_folders, pattern) = match pattern {
            [pattern @ .., b'/'] => (true, pattern),
            pattern => (false, pattern),
        };
        let only_name = !pattern.contains(&b'/');
        let pattern = pattern.strip_prefix(b"/").unwrap_or(pattern);
        if pattern.is_empty() {
            return None;
        }
        let special = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
        let (start, rest) = pattern.split_at(special.unwrap_or(pattern.len()));
        let rest = match rest {
            [] => Rest::Nothing,
            [b'*', end @ ..] if only_name && !end.iter().any(|byte| b"*?[\\".contains(byte)) => {
                Rest::End(end.to_vec())
            }
            rest => Rest::Wild(Wild::new(rest)),
        };
        let text = String::from_utf8_lossy(line).into_owned();
        let start = start.to_vec();
        Some(GitRule { exception, line: number, text, only_folders, only_name, start, rest })
    }

    fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(self.start.as_slice()) else { return false };
        match &self.rest {
            Rest::Nothing => path.is_empty(),
            Rest::End(end) => path.ends_with(end),
            Rest::Wild(wild) => wild.matches(path),
        }
    }
}

/// Spaces at the end drop out, but for one that `\` quotes. Tabs stay.
fn without_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut place = 0;
    while let Some(byte) = line.get(place) {
        place += if *byte == b'\\' { 2 } else { 1 };
        if *byte != b' ' {
            end = place.min(line.len());
        }
    }
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_rule_decides() {
        let check = |text: &str, path: &str, expected: Option<(usize, bool)>| {
            let (path, directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
            let ignore = GitIgnore::parse(text.as_bytes());
            let decides = ignore.decides(path.as_bytes(), directory);
            assert_eq!(decides.map(|rule| (rule.line, rule.exception)), expected, "{text:?} on {path}");
        };
        check("a", "b/a", Some((1, false)));
        check("/a", "b/a", None);
        check("b/a", "b/a", Some((1, false)));
        check("b/a", "c/b/a", None);
        check("a/", "a", None);
        check("a/", "b/a/", Some((1, false)));
        check("*.o\n\n#x\n!a.o", "a.o", Some((4, true)));
        check("!a.o\n*.o", "a.o", Some((2, false)));
        check("\\#x", "#x", Some((1, false)));
        check("\\!x", "!x", Some((1, false)));
        check("a  \r\n", "a", Some((1, false)));
        check("a\\ \\  ", "a  ", Some((1, false)));
        check("a\t", "a", None);
        check("a \\", "a ", None);
        check("\u{feff}a", "a", Some((1, false)));
        check("!", "a", None);
        check("/", "a/", None);
        check("a//", "a/", None);
        check("a**/b", "ax/b", Some((1, false)));
        check("x/a**/b", "x/ay/z/b", Some((1, false)));
        check("{a,b}", "a", None);
        check("x[!a]y", "x/y", None);
    }
}
