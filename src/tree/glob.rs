//! Globs over the paths of one tree. `*` is not `/`, `**` is; a glob is anchored at the root of what is
//! matched, also without a slash; one that names a directory takes all below it, and one that ends in `/`
//! names directories only. One matcher for each glob, so that a glob that matches nothing can be told.

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::base::tree_path::TreePath;
use crate::tree::error::TreeError;

#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: Gitignore,
    /// The names before the first one with a wildcard.
    literal: Vec<Vec<u8>>,
    /// How many names a match has, where there is no `**`.
    depth: Option<usize>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, TreeError> {
        let bad = |reason: String| TreeError::BadGlob { glob: text.to_owned(), reason };
        if text.starts_with('!') {
            return Err(bad("`!` is not understood here, write an `exclude`".to_owned()));
        }
        let names: Vec<_> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if names.contains(&"..") {
            return Err(bad("it leaves the tree by `..`".to_owned()));
        }
        let line = match names.as_slice() {
            [] => "/**".to_owned(),
            names => format!("/{}{}", names.join("/"), if text.ends_with('/') { "/" } else { "" }),
        };
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, &line).map_err(|error| bad(error.to_string()))?;
        let matcher = builder.build().map_err(|error| bad(error.to_string()))?;
        let literal = names.iter().take_while(|name| is_literal(name));
        let deep = names.is_empty() || names.iter().any(|name| name.contains("**"));
        Ok(Pattern {
            text: text.to_owned(),
            matcher,
            literal: literal.map(|name| name.as_bytes().to_vec()).collect(),
            depth: (!deep).then_some(names.len()),
        })
    }

    pub fn parse_all(texts: &[String]) -> Result<Vec<Pattern>, TreeError> {
        texts.iter().map(|text| Pattern::parse(text)).collect()
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the glob names this very path. What lies below a match is for the caller to take along.
    pub fn matches(&self, path: &TreePath, is_directory: bool) -> bool {
        self.matcher.matched(path.as_path(), is_directory).is_ignore()
    }

    /// `false` where it is sure that nothing below `directory` can match.
    pub fn may_match_below(&self, directory: &TreePath) -> bool {
        let names: Vec<_> = directory.names().collect();
        let fits = names.iter().zip(&self.literal).all(|(name, literal)| name == literal);
        fits && self.depth.is_none_or(|depth| names.len() < depth)
    }
}

fn is_literal(name: &str) -> bool {
    !name.contains(['*', '?', '[', '{', '\\'])
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
            let pattern = Pattern::parse(glob).unwrap();
            let path = TreePath::parse(path).unwrap();
            assert_eq!(pattern.matches(&path, directory), expected, "`{glob}` on {path}");
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
            let pattern = Pattern::parse(glob).unwrap();
            let directory = TreePath::parse(directory).unwrap();
            assert_eq!(pattern.may_match_below(&directory), expected, "`{glob}` below {directory}");
        }
    }

    #[test]
    fn what_is_no_glob() {
        for glob in ["!a", "a/../b", "a[z-a]", "a{b"] {
            assert!(matches!(Pattern::parse(glob), Err(TreeError::BadGlob { .. })), "`{glob}`");
        }
    }
}
