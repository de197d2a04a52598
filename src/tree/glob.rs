//! One glob over the paths below a root, for scans and for trees alike.
//!
//! Globs have gitignore's syntax (`*` and `?` are not `/`, `**` is, `[a-z]`, `\` quotes, a `/` at the end
//! means directories only), with one difference: each is relative to the root, with or without a slash
//! in it. `hello.c` is the file beside, `**/hello.c` is any. What is excluded cannot be included again,
//! so `!` is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Why a text is no glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    #[error("`{0}` is not a glob: `!` is not understood here, write an `exclude`")]
    Negated(String),
    #[error("`{0}` is not a glob: `..` leaves the root")]
    Parent(String),
    #[error("`{glob}` is not a glob: {reason}")]
    Syntax { glob: String, reason: String },
}

/// Paths are bytes relative to the root, as in `TreePath`.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    matcher: Gitignore,
    /// The names before the first one that holds a special character. What does not begin with them cannot match.
    literal: Vec<u8>,
    /// How many names a match has, where there is no `**`.
    depth: Option<usize>,
}

impl Glob {
    pub fn parse(text: &str) -> Result<Glob, BadGlob> {
        if text.starts_with('!') {
            return Err(BadGlob::Negated(text.to_owned()));
        }
        let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.contains(&"..") {
            return Err(BadGlob::Parent(text.to_owned()));
        }
        let line = match names.as_slice() {
            [] => "/**".to_owned(),
            names => format!("/{}{}", names.join("/"), if text.ends_with('/') { "/" } else { "" }),
        };
        let syntax =
            |error: ignore::Error| BadGlob::Syntax { glob: text.to_owned(), reason: error.to_string() };
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, &line).map_err(syntax)?;
        let matcher = builder.build().map_err(syntax)?;
        let literal: Vec<&str> = names.iter().copied().take_while(|name| is_literal(name)).collect();
        let deep = names.is_empty() || names.iter().any(|name| name.contains("**"));
        Ok(Glob {
            text: text.to_owned(),
            matcher,
            literal: literal.join("/").into_bytes(),
            depth: (!deep).then_some(names.len()),
        })
    }

    pub fn parse_all(texts: &[String]) -> Result<Vec<Glob>, BadGlob> {
        texts.iter().map(|text| Glob::parse(text)).collect()
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the glob names this very path. What lies below a match is for the caller to take along.
    pub fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        is_above(&self.literal, path)
            && self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_directory).is_ignore()
    }

    /// `false` where it is sure that nothing below `directory` can match.
    pub fn may_match_below(&self, directory: &[u8]) -> bool {
        let deep_enough = self.depth.is_none_or(|depth| names_in(directory) < depth);
        deep_enough && (is_above(&self.literal, directory) || is_above(directory, &self.literal))
    }

    /// Whether the text itself, without any special character, leads to `path` or through it.
    pub fn spells(&self, path: &[u8]) -> bool {
        is_above(path, &self.literal)
    }
}

fn is_literal(name: &str) -> bool {
    !name.contains(['*', '?', '[', '{', '\\'])
}

/// Whether `below` is `above` or a path in it.
fn is_above(above: &[u8], below: &[u8]) -> bool {
    match below.strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest[0] == b'/',
        None => false,
    }
}

fn names_in(path: &[u8]) -> usize {
    match path {
        [] => 0,
        path => 1 + path.iter().filter(|&&byte| byte == b'/').count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_globs_match() {
        for (glob, path, directory, expected) in [
            ("a", "a", false, true),
            ("a", "b/a", false, false),
            ("/a", "a", false, true),
            ("./a", "a", false, true),
            ("*.c", "x.c", false, true),
            ("*.c", "d/x.c", false, false),
            ("**/*.c", "d/e/x.c", false, true),
            ("**/*.c", "x.c", false, true),
            ("d/*", "d/e", true, true),
            ("d/*", "d/e/f", false, false),
            ("d/**", "d/e/f", false, true),
            ("d/**", "d", true, false),
            ("d/", "d", true, true),
            ("d/", "d", false, false),
            ("**", "x/y", false, true),
            (".", "x", false, true),
            ("a/./b//c", "a/b/c", false, true),
            ("#a", "#a", false, true),
            ("a?c", "abc", false, true),
            ("a?c", "a/c", false, false),
        ] {
            let matches = Glob::parse(glob).unwrap().matches(path.as_bytes(), directory);
            assert_eq!(matches, expected, "`{glob}` on {path}");
        }
    }

    #[test]
    fn where_looking_is_of_no_use() {
        for (glob, directory, expected) in [
            ("a/b", "a", true),
            ("a/b", "b", false),
            ("a/b", "a/b", false),
            ("a/*.c", "a", true),
            ("a/*.c", "b", false),
            ("**/x", "q", true),
            ("*", "", true),
            ("*", "a", false),
            ("*/b", "a", true),
        ] {
            let may_match = Glob::parse(glob).unwrap().may_match_below(directory.as_bytes());
            assert_eq!(may_match, expected, "`{glob}` below {directory}");
        }
    }

    #[test]
    fn what_is_no_glob() {
        let check = |text: &str, expected: fn(&BadGlob) -> bool| {
            let error = Glob::parse(text).unwrap_err();
            assert!(expected(&error), "{error}");
        };
        check("!a", |error| matches!(error, BadGlob::Negated(glob) if glob == "!a"));
        check("a/../b", |error| matches!(error, BadGlob::Parent(glob) if glob == "a/../b"));
        check("a[z-a]", |error| matches!(error, BadGlob::Syntax { .. }));
        check("a{b", |error| matches!(error, BadGlob::Syntax { .. }));
    }
}
