//! Narrowing a directory by globs. Works on layers as on one tree, writes out only what is kept,
//! and loads no directory that no glob can reach.

use std::ops::ControlFlow;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode;
use crate::tree::flatten::flatten_stack;
use crate::tree::glob::Glob;
use crate::tree::overlay::{Merged, Stack};
use crate::tree::tree::{Content, Directory, Entry};

/// What `include` (empty: all) takes and `exclude` leaves. A directory on the way to something
/// that is taken keeps its metadata; one that is only on the way to nothing is dropped.
pub fn filter(
    memo: &Memo,
    stack: &Stack,
    include: &[Glob],
    exclude: &[Glob],
) -> Result<TreeDigest, StoreError> {
    let filter = Filter { memo, include, exclude };
    match filter.directory(stack, &TreePath::root(), include.is_empty())? {
        Some(tree) => Ok(tree),
        None => encode::save(memo, &Directory::default()),
    }
}

/// Calls `visit` with each path that a glob names, in order, but not with those below such a path.
pub fn visit_matches(
    memo: &Memo,
    stack: &Stack,
    globs: &[Glob],
    visit: &mut dyn FnMut(TreePath) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    visit_below(memo, stack, globs, &TreePath::root(), visit)
}

/// The first glob that names nothing.
pub fn unmatched<'p>(memo: &Memo, stack: &Stack, globs: &'p [Glob]) -> Result<Option<&'p Glob>, StoreError> {
    for glob in globs {
        let one = std::slice::from_ref(glob);
        if visit_matches(memo, stack, one, &mut |_| ControlFlow::Break(()))?.is_continue() {
            return Ok(Some(glob));
        }
    }
    Ok(None)
}

fn visit_below(
    memo: &Memo,
    stack: &Stack,
    globs: &[Glob],
    above: &TreePath,
    visit: &mut dyn FnMut(TreePath) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    if !any_below(globs, above) {
        return Ok(ControlFlow::Continue(()));
    }
    for (name, merged) in stack.list(memo)? {
        let path = above.join(&name);
        let below = match merged {
            Merged::Removed => continue,
            Merged::Directory { stack, .. } => Some(stack),
            Merged::Other(_) => None,
        };
        let flow = match below {
            below if any(globs, &path, below.is_some()) => visit(path),
            Some(stack) => visit_below(memo, &stack, globs, &path, visit)?,
            None => continue,
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

struct Filter<'a> {
    memo: &'a Memo,
    include: &'a [Glob],
    exclude: &'a [Glob],
}

impl Filter<'_> {
    /// `taken`: an include names the directory or one above it. `None` where nothing is left.
    fn directory(
        &self,
        stack: &Stack,
        path: &TreePath,
        taken: bool,
    ) -> Result<Option<TreeDigest>, StoreError> {
        if taken && !any_below(self.exclude, path) {
            return flatten_stack(self.memo, stack).map(Some);
        }
        if !taken && !any_below(self.include, path) {
            return Ok(None);
        }
        let mut directory = Directory::default();
        for (name, merged) in stack.list(self.memo)? {
            if let Some(entry) = self.entry(merged, &path.join(&name), taken)? {
                directory.entries.insert(name, entry);
            }
        }
        if !taken && directory.entries.is_empty() {
            return Ok(None);
        }
        encode::save(self.memo, &directory).map(Some)
    }

    fn entry(&self, merged: Merged, path: &TreePath, taken: bool) -> Result<Option<Entry>, StoreError> {
        let is_directory = matches!(merged, Merged::Directory { .. });
        if any(self.exclude, path, is_directory) {
            return Ok(None);
        }
        let taken = taken || any(self.include, path, is_directory);
        match merged {
            Merged::Removed => Ok(None),
            Merged::Other(entry) => Ok(taken.then_some(entry)),
            Merged::Directory { metadata, stack, .. } => {
                let tree = self.directory(&stack, path, taken)?;
                let content = |tree| Content::Directory { tree, opaque: false };
                Ok(tree.map(|tree| Entry { metadata, content: content(tree) }))
            }
        }
    }
}

fn any(globs: &[Glob], path: &TreePath, is_directory: bool) -> bool {
    globs.iter().any(|glob| glob.matches(path.as_bytes(), is_directory))
}

fn any_below(globs: &[Glob], directory: &TreePath) -> bool {
    globs.iter().any(|glob| glob.may_match_below(directory.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::dsl::{memo, show, tree};

    fn globs(text: &str) -> Vec<Glob> {
        text.split_whitespace().map(|glob| Glob::parse(glob).unwrap()).collect()
    }

    #[test]
    fn what_is_left() {
        let (_folder, memo) = memo();
        let whole = "a.c=1 b.h=2 d/ s/:700 s/e/x.c=3 s/f.c=4 s/g.h=5";
        for (include, exclude, expected) in [
            ("", "", whole),
            ("*.c", "", "a.c=1"),
            ("**/*.c", "", "a.c=1 s/:700 s/e/x.c=3 s/f.c=4"),
            ("s", "", "s/:700 s/e/x.c=3 s/f.c=4 s/g.h=5"),
            ("s/e", "", "s/:700 s/e/x.c=3"),
            ("s", "**/*.h", "s/:700 s/e/x.c=3 s/f.c=4"),
            ("s a.c", "s/e", "a.c=1 s/:700 s/f.c=4 s/g.h=5"),
            ("", "s", "a.c=1 b.h=2 d/"),
            ("s/e", "s/e/*", "s/:700 s/e/"),
            ("d", "", "d/"),
            ("none", "", "{}"),
            ("", "**", "{}"),
        ] {
            let stack = Stack::plain([tree(&memo, whole)]);
            let left = filter(&memo, &stack, &globs(include), &globs(exclude)).unwrap();
            assert_eq!(show(&memo, left), expected, "include `{include}` exclude `{exclude}`");
        }
    }

    #[test]
    fn layers_are_filtered_as_they_show() {
        let (_folder, memo) = memo();
        let stack = Stack::changes(["a/b=1 a/c=2 d=3", "a/b! a/e=4 d/!"].map(|text| tree(&memo, text)));
        let left = filter(&memo, &stack, &globs("a d"), &globs("a/c")).unwrap();
        assert_eq!(show(&memo, left), "a/e=4 d/");
        let named = globs("a/e a/b");
        assert_eq!(unmatched(&memo, &stack, &named).unwrap().unwrap().text(), "a/b");
    }

    #[test]
    fn a_match_is_visited_without_what_is_below_it() {
        let (_folder, memo) = memo();
        let stack = Stack::plain([tree(&memo, "a/x/x=1 b/x=2 x/y=3")]);
        let mut paths = Vec::new();
        let flow = visit_matches(&memo, &stack, &globs("**/x"), &mut |path| {
            paths.push(path.to_string());
            ControlFlow::Continue(())
        });
        assert!(flow.unwrap().is_continue());
        assert_eq!(paths, ["/a/x", "/b/x", "/x"]);
    }

    #[test]
    fn what_no_glob_reaches_is_not_loaded() {
        let (_folder, memo) = memo();
        let unknown = Entry::directory(TreeDigest::of(b"not in the store"));
        let mut root = encode::load(&memo, tree(&memo, "a/b/c=1")).unwrap();
        root.entries.insert(b"whole".to_vec(), unknown.clone());
        root.entries.insert(b"other".to_vec(), unknown.clone());
        let stack = Stack::plain([encode::save(&memo, &root).unwrap()]);
        let left = filter(&memo, &stack, &globs("a/b whole"), &globs("a/b/d")).unwrap();
        let left = encode::load(&memo, left).unwrap();
        assert_eq!(left.entries.keys().collect::<Vec<_>>(), [&b"a"[..], b"whole"]);
        assert_eq!(left.entries[&b"whole"[..]], unknown);
    }
}
