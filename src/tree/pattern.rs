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
    /// Nothing deeper than `literal` can match but what a match takes with it.
    exact: bool,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, TreeError> {
        let bad = |reason: String| TreeError::BadGlob { glob: text.to_owned(), reason };
        let relative = text.trim_start_matches("./").trim_start_matches('/');
        let relative = if matches!(relative, "" | ".") { "**" } else { relative };
        if relative.split('/').any(|name| name == "..") {
            return Err(bad("it leaves the tree by `..`".to_owned()));
        }
        let mut builder = GitignoreBuilder::new("");
        builder.allow_unclosed_class(false);
        builder.add_line(None, &format!("/{relative}")).map_err(|error| bad(error.to_string()))?;
        let matcher = builder.build().map_err(|error| bad(error.to_string()))?;
        let names: Vec<_> = relative.split('/').filter(|name| !name.is_empty()).collect();
        let literal: Vec<_> = names.iter().take_while(|name| is_literal(name)).collect();
        Ok(Pattern {
            text: text.to_owned(),
            matcher,
            exact: literal.len() == names.len(),
            literal: literal.into_iter().map(|name| name.as_bytes().to_vec()).collect(),
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
        fits && (!self.exact || names.len() < self.literal.len())
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
            ("!a", "!a", false, true),
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
        ] {
            let pattern = Pattern::parse(glob).unwrap();
            let directory = TreePath::parse(directory).unwrap();
            assert_eq!(pattern.may_match_below(&directory), expected, "`{glob}` below {directory}");
        }
    }

    #[test]
    fn what_is_no_glob() {
        for glob in ["a/../b", "[a", "{a"] {
            assert!(matches!(Pattern::parse(glob), Err(TreeError::BadGlob { .. })), "`{glob}`");
        }
    }
}
