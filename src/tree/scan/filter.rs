//! Which paths a scan takes: include and exclude globs, and the rule about `.git`.
//! A glob that names a directory takes, or leaves out, all below it.

use crate::tree::glob::{BadGlob, Glob};
use crate::tree::scan::bits::Bits;

/// Compiled globs. Without includes, all is taken.
pub(crate) struct Filter {
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
    everything: bool,
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
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Filter, BadGlob> {
        let everything = include.is_empty();
        let includes = match everything {
            true => vec![Glob::parse("**")?],
            false => Glob::parse_all(include)?,
        };
        Ok(Filter { includes, excludes: Glob::parse_all(exclude)?, everything })
    }

    /// `directory` is relative to the scan's root.
    pub(crate) fn at(&self, directory: &[u8]) -> Position<'_> {
        let start = if self.everything { Reach::All } else { Reach::Matches };
        let mut reaches = vec![start; self.includes.len()];
        for end in ends_of_names(directory) {
            for (reach, glob) in reaches.iter_mut().zip(&self.includes) {
                *reach = enter(glob, *reach, &directory[..end]);
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
        includes.any(|(reach, glob)| enter(glob, *reach, path) != Reach::Nothing)
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
                _ if misses_git(glob, path) => false,
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

/// What is left of `reach` once the walk is in `directory`.
fn enter(glob: &Glob, reach: Reach, directory: &[u8]) -> Reach {
    if misses_git(glob, directory) {
        return Reach::Nothing;
    }
    match reach {
        Reach::Matches if glob.matches(directory, true) => Reach::All,
        Reach::Matches if !glob.may_match_below(directory) => Reach::Nothing,
        reach => reach,
    }
}

/// `.git`, at any depth, is in only where the glob's text says so.
fn misses_git(glob: &Glob, path: &[u8]) -> bool {
    let is_git = path == b".git" || path.ends_with(b"/.git");
    is_git && !glob.spells(path)
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
}
