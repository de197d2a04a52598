//! A tree in which every symbolic link is replaced by what it leads to inside the same tree, as `cp -L` copies.
//! Absolute links begin at the tree's root. A link that leads out of it, to nothing, or to a folder that it lies
//! in is an error, so that no result depends on where a tree happens to lie.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::tree::encode;
use crate::tree::error::{BadLink, TreeError};
use crate::tree::overlay::{Layers, MOST_LINKS, Merged, Stack};
use crate::tree::tree::{Content, Directory, Entry};

/// Folders inside each other, as links make them: more would only serve to overflow a stack.
const DEPTH_MOST: u64 = 256;
/// Entries of the result. A few links can ask for any number.
const ENTRIES_MOST: u64 = 4_000_000;

/// `entry` itself where it is no directory and no link. Hard links become files of their own.
pub fn follow(memo: &Memo, entry: &Entry) -> Result<Entry, TreeError> {
    match &entry.content {
        Content::Directory { tree, .. } => {
            let layers = Layers::plain(memo, *tree);
            let root = layers.root().clone();
            let mut following = Following { memo, layers, done: HashMap::new(), open: HashSet::new() };
            let tree = following.directory(&TreePath::root(), &root)?.tree;
            let content = Content::Directory { tree, opaque: false };
            Ok(Entry { metadata: entry.metadata.clone(), content })
        }
        Content::Symlink { target } => Err(bad(&TreePath::root(), target, BadLink::Outside)),
        _ => Ok(entry.clone()),
    }
}

struct Following<'m> {
    memo: &'m Memo,
    layers: Layers<'m>,
    /// By path without links.
    done: HashMap<TreePath, Followed>,
    /// Those on the way down to where we are.
    open: HashSet<TreePath>,
}

/// A directory without links.
#[derive(Clone, Copy)]
struct Followed {
    tree: TreeDigest,
    /// Below it, all counted wherever they stand.
    entries: u64,
}

impl Following<'_> {
    fn directory(&mut self, path: &TreePath, stack: &Stack) -> Result<Followed, TreeError> {
        if let Some(done) = self.done.get(path) {
            return Ok(*done);
        }
        self.open.insert(path.clone());
        within(path, self.open.len() as u64, DEPTH_MOST, "folders inside each other")?;
        let mut directory = Directory::default();
        let mut entries = 0;
        for (name, merged) in stack.list(self.memo)? {
            let (entry, below) = self.entry(path.join(&name), merged)?;
            entries += 1 + below;
            within(path, entries, ENTRIES_MOST, "entries")?;
            directory.entries.insert(name, entry);
        }
        self.open.remove(path);
        let done = Followed { tree: encode::save(self.memo, &directory)?, entries };
        self.done.insert(path.clone(), done);
        Ok(done)
    }

    /// What stands at `path` with all links followed, and how many entries are below it.
    fn entry(&mut self, path: TreePath, merged: Merged) -> Result<(Entry, u64), TreeError> {
        match merged {
            Merged::Directory { metadata, stack, .. } => {
                let Followed { tree, entries } = self.directory(&path, &stack)?;
                Ok((Entry { metadata, content: Content::Directory { tree, opaque: false } }, entries))
            }
            Merged::Other(Entry { content: Content::Symlink { target }, .. }) => {
                let (end, found) = self.end_of(&path, &target)?;
                if self.open.contains(&end) {
                    return Err(bad(&path, &target, BadLink::Above));
                }
                self.entry(end, found)
            }
            Merged::Other(mut entry) => {
                if let Content::File { link, .. } = &mut entry.content {
                    *link = None;
                }
                Ok((entry, 0))
            }
            Merged::Removed => unreachable!("bug: a plain tree removes no name"),
        }
    }

    /// Where the link at `path` leads to in the end, and what is there: no link.
    fn end_of(&self, path: &TreePath, target: &[u8]) -> Result<(TreePath, Merged), TreeError> {
        let mut at = path.parent().unwrap_or_default();
        let mut rest = VecDeque::new();
        let mut links = 1;
        push(&mut at, &mut rest, target);
        while let Some(name) = rest.pop_front() {
            if name == b".." {
                at = at.parent().ok_or_else(|| bad(path, target, BadLink::Outside))?;
                continue;
            }
            // A name that no tree can hold is not there either.
            let name = TreePath::parse(&name).map_err(|_| bad(path, target, BadLink::Dangling))?;
            let here = name.names().fold(at.clone(), |above, name| above.join(name));
            match self.layers.find(&here)? {
                Some(Merged::Directory { .. }) => at = here,
                Some(Merged::Other(Entry { content: Content::Symlink { target: next }, .. })) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(TreeError::Loop(path.clone()));
                    }
                    push(&mut at, &mut rest, &next);
                }
                Some(found @ Merged::Other(_)) if rest.is_empty() => return Ok((here, found)),
                _ => return Err(bad(path, target, BadLink::Dangling)),
            }
        }
        let found = self.layers.find(&at)?.ok_or_else(|| bad(path, target, BadLink::Dangling))?;
        Ok((at, found))
    }
}

/// The names of a link's target, to be gone next from `at`, or from the root.
fn push(at: &mut TreePath, rest: &mut VecDeque<Vec<u8>>, target: &[u8]) {
    if target.first() == Some(&b'/') {
        *at = TreePath::root();
    }
    let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(name, [] | [b'.']));
    for name in names.rev() {
        rest.push_front(name.to_vec());
    }
}

fn bad(path: &TreePath, target: &[u8], why: BadLink) -> TreeError {
    let target = String::from_utf8_lossy(target).into_owned();
    TreeError::BadLink { path: path.clone(), target, why }
}

fn within(path: &TreePath, count: u64, most: u64, what: &'static str) -> Result<(), TreeError> {
    if count > most { Err(TreeError::FollowedTooFar { path: path.clone(), most, what }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::dsl::{memo, show, tree};

    fn followed(text: &str) -> String {
        let (_folder, memo) = memo();
        match follow(&memo, &Entry::directory(tree(&memo, text))) {
            Ok(entry) => show(&memo, entry.tree().unwrap()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn links_become_what_they_lead_to() {
        for (before, after) in [
            ("a=1 d/b=2", "a=1 d/b=2"),
            ("a=1:600 l->a", "a=1:600 l=1:600"),
            ("d/:700 d/a=1 l->d", "d/:700 d/a=1 l/:700 l/a=1"),
            ("d/a=1 d/l->/d/a d/m->../x x=2", "d/a=1 d/l=1 d/m=2 x=2"),
            ("a->b b->c c=1", "a=1 b=1 c=1"),
            ("a->b/x b->c c/x=1", "a=1 b/x=1 c/x=1"),
            ("a->c/../x c->d/e d/e/ d/x=1", "a=1 c/ d/e/ d/x=1"),
            ("a->./d//. d/x=1", "a/x=1 d/x=1"),
            ("a=1#7 b=1#7 l->a", "a=1 b=1 l=1"),
            ("d/l->../e e/l->../f f/x=1", "d/l/l/x=1 e/l/x=1 f/x=1"),
        ] {
            assert_eq!(followed(before), after, "{before}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        for (text, expected) in [
            ("l->a", "the symbolic link `/l` leads to `a`, which is not there"),
            ("d/l->m d/m->a", "the symbolic link `/d/l` leads to `m`, which is not there"),
            ("a=1 l->a/b", "the symbolic link `/l` leads to `a/b`, which is not there"),
            ("a=1 l->../a", "the symbolic link `/l` leads to `../a`, outside of what is copied"),
            ("d/l->../../etc", "the symbolic link `/d/l` leads to `../../etc`, outside of what is copied"),
            ("l->l", "`/l` leads through more than 40 symbolic links"),
            ("d/l->..", "the symbolic link `/d/l` leads to `..`, a folder that it lies in"),
            ("d/l->.", "the symbolic link `/d/l` leads to `.`, a folder that it lies in"),
            ("d/l->../e e/l->/d", "the symbolic link `/e/l` leads to `/d`, a folder that it lies in"),
        ] {
            assert_eq!(followed(text), expected, "{text}");
        }
        let (_folder, memo) = memo();
        let root = tree(&memo, "l->a");
        let link = encode::load(&memo, root).unwrap().entries.remove(&b"l"[..]).unwrap();
        assert!(matches!(follow(&memo, &link), Err(TreeError::BadLink { why: BadLink::Outside, .. })));
    }

    /// Each folder holds the next one twice.
    #[test]
    fn bombs_are_refused() {
        let bomb: String = (0..40).map(|n| format!("d{n}/a->../d{m} d{n}/b->../d{m} ", m = n + 1)).collect();
        let told = followed(&format!("{bomb} d40/x=1"));
        assert!(told.ends_with("holds more than 4000000 entries"), "{told}");
        let chain: String = (0..300).map(|n| format!("d{n}/a->../d{m} ", m = n + 1)).collect();
        let told = followed(&format!("{chain} d300/x=1"));
        assert!(told.ends_with("holds more than 256 folders inside each other"), "{told}");
    }
}
