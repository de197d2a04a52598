//! Which paths a scan takes: include and exclude globs, and the rule about `.git`.
//!
//! Globs have gitignore's syntax (`*` and `?` are not `/`, `**` is, `[a-z]`, `\` quotes, a `/` at the end
//! means directories only), with one difference: each is relative to the scan's root, with or without
//! a slash in it. `hello.c` is the file beside, `**/hello.c` is any. A glob that names a directory takes,
//! or leaves out, all below it. What is excluded cannot be included again, so `!` is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::tree::scan::bits::Bits;

/// Why a text is no glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadGlob {
    #[error("`!` is not understood here, write an `exclude`")]
    Negated,
    #[error("`..` leaves the root")]
    Parent,
    #[error("{0}")]
    Syntax(String),
}

/// Compiled globs. Without includes, all is taken.
pub(crate) struct Filter {
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
    everything: bool,
}

struct Glob {
    matcher: Gitignore,
    /// The names before the first one that holds a special character. What does not begin with them cannot match.
    literal: Vec<u8>,
    /// How many names a match has, where there is no `**`.
    depth: Option<usize>,
}

/// What a glob can still take in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    Matches,
    All,
}

/// A filter in one directory.
pub(crate) struct Position<'a> {
    filter: &'a Filter,
    reaches: Vec<Reach>,
}

impl Filter {
    /// A glob that is none comes back with the reason.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Filter, (String, BadGlob)> {
        let compile = |globs: &[String]| {
            let compiled = globs.iter().map(|text| Glob::new(text).map_err(|error| (text.clone(), error)));
            compiled.collect::<Result<Vec<Glob>, _>>()
        };
        let mut includes = compile(include)?;
        let everything = includes.is_empty();
        if everything {
            includes.push(Glob { matcher: Gitignore::empty(), literal: Vec::new(), depth: None });
        }
        Ok(Filter { includes, excludes: compile(exclude)?, everything })
    }

    /// `directory` is relative to the scan's root.
    pub(crate) fn at(&self, directory: &[u8]) -> Position<'_> {
        let start = if self.everything { Reach::All } else { Reach::Matches };
        let mut reaches = vec![start; self.includes.len()];
        for end in ends_of_names(directory) {
            for (reach, glob) in reaches.iter_mut().zip(&self.includes) {
                *reach = glob.enter(*reach, &directory[..end]);
            }
        }
        Position { filter: self, reaches }
    }

    fn excludes(&self, path: &[u8], is_directory: bool) -> bool {
        self.excludes.iter().any(|glob| glob.matches(path, is_directory))
    }
}

impl Position<'_> {
    /// Whether anything in the directory `path` may be taken.
    pub(crate) fn enters(&self, path: &[u8]) -> bool {
        let mut includes = self.reaches.iter().zip(&self.filter.includes);
        includes.any(|(reach, glob)| glob.enter(*reach, path) != Reach::Nothing)
            && !self.filter.excludes(path, true)
    }

    /// Whether the file (or link, or anything but a directory) `path` is taken.
    /// Each include that takes it is noted in `matched`.
    pub(crate) fn takes(&self, path: &[u8], matched: &mut Bits) -> bool {
        if self.filter.excludes(path, false) {
            return false;
        }
        let mut taken = false;
        for (number, (reach, glob)) in self.reaches.iter().zip(&self.filter.includes).enumerate() {
            let takes = match reach {
                _ if glob.misses_git(path) => false,
                Reach::Nothing => false,
                Reach::Matches => glob.matches(path, false),
                Reach::All => true,
            };
            if takes {
                taken = true;
                matched.set(number);
            }
        }
        taken
    }

    /// The includes that take the directory itself, even an empty one.
    pub(crate) fn taking_all(&self) -> Option<Bits> {
        let mut bits = Bits::none(self.reaches.len());
        for (number, _) in self.reaches.iter().enumerate().filter(|(_, reach)| **reach == Reach::All) {
            bits.set(number);
        }
        self.reaches.contains(&Reach::All).then_some(bits)
    }

    pub(crate) fn no_matches(&self) -> Bits {
        Bits::none(self.reaches.len())
    }
}

impl Glob {
    fn new(text: &str) -> Result<Glob, BadGlob> {
        if text.starts_with('!') {
            return Err(BadGlob::Negated);
        }
        if text.split('/').any(|name| name == "..") {
            return Err(BadGlob::Parent);
        }
        let directory_only = text.ends_with('/');
        let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let mut line = if names.is_empty() { "/**".to_owned() } else { format!("/{}", names.join("/")) };
        if directory_only && !names.is_empty() {
            line.push('/');
        }
        let mut builder = GitignoreBuilder::new("");
        let syntax = |error: ignore::Error| BadGlob::Syntax(error.to_string());
        builder.add_line(None, &line).map_err(syntax)?;
        let matcher = builder.build().map_err(syntax)?;
        let special = |name: &&str| name.contains(['*', '?', '[', '{', '\\']);
        let literal: Vec<&str> = names.iter().copied().take_while(|name| !special(name)).collect();
        let deep = names.is_empty() || names.iter().any(|name| name.contains("**"));
        let depth = (!deep).then_some(names.len());
        Ok(Glob { matcher, literal: literal.join("/").into_bytes(), depth })
    }

    fn enter(&self, reach: Reach, directory: &[u8]) -> Reach {
        if self.misses_git(directory) {
            return Reach::Nothing;
        }
        match reach {
            Reach::Matches if self.matches(directory, true) => Reach::All,
            Reach::Matches if !self.may_match_below(directory) => Reach::Nothing,
            reach => reach,
        }
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        is_above(&self.literal, path)
            && self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_directory).is_ignore()
    }

    fn may_match_below(&self, directory: &[u8]) -> bool {
        let deep_enough = self.depth.is_none_or(|depth| ends_of_names(directory).count() < depth);
        deep_enough && (is_above(&self.literal, directory) || is_above(directory, &self.literal))
    }

    /// `.git`, at any depth, is in only where the glob's text says so.
    fn misses_git(&self, path: &[u8]) -> bool {
        let is_git = path == b".git" || path.ends_with(b"/.git");
        is_git && !is_above(path, &self.literal)
    }
}

/// Whether `below` is `above` or a path in it.
fn is_above(above: &[u8], below: &[u8]) -> bool {
    match below.strip_prefix(above) {
        Some(rest) => above.is_empty() || rest.is_empty() || rest[0] == b'/',
        None => false,
    }
}

/// Where each name of a path ends.
fn ends_of_names(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(place, _)| place);
    slashes.chain((!path.is_empty()).then_some(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `path` is taken, directories on the way entered as a walk does.
    fn takes(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let owned = |globs: &[&str]| globs.iter().map(|glob| glob.to_string()).collect::<Vec<_>>();
        let filter = Filter::new(&owned(include), &owned(exclude)).unwrap();
        let path = path.as_bytes();
        let mut directory = &b""[..];
        for end in ends_of_names(path).filter(|end| *end < path.len()) {
            if !filter.at(directory).enters(&path[..end]) {
                return false;
            }
            directory = &path[..end];
        }
        let position = filter.at(directory);
        position.takes(path, &mut position.no_matches())
    }

    #[test]
    fn includes() {
        let check = |glob: &str, yes: &[&str], no: &[&str]| {
            for path in yes {
                assert!(takes(&[glob], &[], path), "{glob} takes {path}");
            }
            for path in no {
                assert!(!takes(&[glob], &[], path), "{glob} leaves {path}");
            }
        };
        check("hello.c", &["hello.c", "hello.c/below"], &["src/hello.c", "xhello.c"]);
        check("./hello.c", &["hello.c"], &["src/hello.c"]);
        check("/hello.c", &["hello.c"], &["src/hello.c"]);
        check("src/**", &["src/a", "src/a/b.c", "src/.x"], &["src", "srcs/a", "a/src/b"]);
        check("src", &["src", "src/a", "src/a/b.c"], &["srcs/a", "a/src/b"]);
        check("src/", &["src/a", "src/a/b.c"], &["src"]);
        check("src/*", &["src/a", "src/a/b.c"], &["src", "a"]);
        check("src/*.c", &["src/a.c"], &["src/b/a.c", "a.c"]);
        check("*.c", &["a.c"], &["src/a.c"]);
        check("**/*.proto", &["a.proto", "x/a.proto", "x/y/a.proto"], &["a.proton", "x/a"]);
        check("src/**/*.test.ts", &["src/a.test.ts", "src/x/y/a.test.ts"], &["a.test.ts", "src/a.ts"]);
        check("package*.json", &["package.json", "package-lock.json"], &["x/package.json"]);
        check("[ab].c", &["a.c"], &["c.c"]);
        check("a?", &["ab"], &["a", "abc"]);
        check("\\*", &["*"], &["a"]);
        check("#x", &["#x"], &["x"]);
        check("**", &["a", "a/b"], &[".git/config", "a/.git", "a/.git/x"]);
        check(".", &["a", "a/b"], &[".git/config"]);
        check(".git", &[".git/config"], &["a/.git/x"]);
        check(".git/HEAD", &[".git/HEAD"], &[".git/config"]);
        check(".github/**", &[".github/x"], &[".git/x"]);
        check("sub/.git/**", &["sub/.git/HEAD"], &[".git/HEAD"]);
    }

    #[test]
    fn includes_together() {
        assert!(takes(&[], &[], "any/thing"));
        assert!(!takes(&[], &[], ".git/config"));
        assert!(!takes(&["**", ".git/HEAD"], &[], ".git/config"));
        assert!(takes(&["**", ".git/HEAD"], &[], ".git/HEAD"));
        assert!(!takes(&["src/**"], &["**/*.o"], "src/a/b.o"));
        assert!(!takes(&["src/**"], &["src/gen"], "src/gen/b.c"));
        assert!(takes(&["src/**"], &["gen"], "src/gen/b.c"));
    }

    #[test]
    fn prunes_what_cannot_match() {
        let enters = |glob: &str, directory: &str| {
            let filter = Filter::new(&[glob.to_owned()], &[]).unwrap();
            filter.at(b"").enters(directory.as_bytes())
        };
        assert!(enters("src/a/*.c", "src"));
        assert!(!enters("src/a/*.c", "lib"));
        assert!(!enters("*.c", "lib"));
        assert!(enters("**/*.c", "lib"));
    }

    #[test]
    fn refuses() {
        let check = |text: &str, expected: fn(&BadGlob) -> bool| {
            let error = Glob::new(text).err().unwrap();
            assert!(expected(&error), "{text}: {error}");
        };
        check("!a", |error| *error == BadGlob::Negated);
        check("a/../b", |error| *error == BadGlob::Parent);
        check("a[z-a]", |error| matches!(error, BadGlob::Syntax(_)));
        check("a{b", |error| matches!(error, BadGlob::Syntax(_)));
    }
}
