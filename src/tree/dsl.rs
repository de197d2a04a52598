//! Trees for tests: written as one line of text, or drawn at random.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
pub(crate) use crate::store::fixture::memo;
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::tree::encode;
use crate::tree::flatten::flatten_stack;
use crate::tree::overlay::{Layers, Merged};
use crate::tree::tree::{Content, Directory, Entry, LinkGroup, Metadata};

/// A store in a folder of its own.
pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

/// Words are entries: `a/b=text` a file, `a/` a directory, `a->target` a symbolic link, `a!` a whiteout,
/// `a/!` an opaque directory. `:MODE:UID:GID` (octal, decimal) may follow; `#N` before it is a link group.
/// Parents are made (0755, 0:0). `{}` is the empty tree.
pub(crate) fn tree(memo: &Memo, text: &str) -> TreeDigest {
    let mut root = Node::default();
    for word in text.split_whitespace().filter(|&word| word != "{}") {
        root.add(memo, word);
    }
    root.save(memo)
}

/// The same text for a tree, in order; what is default is left out, and so are parents of something else.
pub(crate) fn show(memo: &Memo, tree: TreeDigest) -> String {
    let mut words = Vec::new();
    show_below(memo, tree, "", &mut words);
    if words.is_empty() { "{}".to_owned() } else { words.join(" ") }
}

/// What stands at `path`, a directory written out.
pub(crate) fn lookup(memo: &Memo, layers: &Layers<'_>, path: &TreePath) -> Option<Entry> {
    layers.find(path).unwrap().map(|merged| match merged {
        Merged::Directory { metadata, stack, .. } => {
            let tree = flatten_stack(memo, &stack).unwrap();
            Entry { metadata, content: Content::Directory { tree, opaque: false } }
        }
        Merged::Other(entry) => entry,
        Merged::Removed => panic!("`find` gives nothing for a removed name"),
    })
}

#[derive(Default)]
struct Node {
    entry: Option<Entry>,
    opaque: bool,
    children: BTreeMap<Vec<u8>, Node>,
}

impl Node {
    fn add(&mut self, memo: &Memo, word: &str) {
        let (word, metadata) = match word.split_once(':') {
            Some((word, metadata)) => (word, Some(metadata)),
            None => (word, None),
        };
        let (word, link) = match word.split_once('#') {
            Some((word, group)) => (word, Some(LinkGroup(group.parse().unwrap()))),
            None => (word, None),
        };
        let directory = |opaque| Content::Directory { tree: TreeDigest::of(b""), opaque };
        let (path, mode, content) = if let Some((path, target)) = word.split_once("->") {
            (path, 0o777, Content::Symlink { target: target.as_bytes().to_vec() })
        } else if let Some((path, text)) = word.split_once('=') {
            let blob = memo.write_blob(text.as_bytes()).unwrap();
            (path, 0o644, Content::File { blob, size: text.len() as u64, link })
        } else if let Some(path) = word.strip_suffix("/!") {
            (path, 0o755, directory(true))
        } else if let Some(path) = word.strip_suffix('!') {
            (path, 0, Content::Whiteout)
        } else {
            (word.strip_suffix('/').unwrap(), 0o755, directory(false))
        };
        let mut metadata_of = Metadata::plain(mode);
        if let Some(text) = metadata {
            let parts: Vec<_> = text.split(':').collect();
            metadata_of.mode = u32::from_str_radix(parts[0], 8).unwrap();
            if let [_, uid, gid] = parts[..] {
                (metadata_of.uid, metadata_of.gid) = (uid.parse().unwrap(), gid.parse().unwrap());
            }
        }
        let mut node = self;
        for name in TreePath::parse(path).unwrap().names() {
            node = node.children.entry(name.to_vec()).or_default();
        }
        node.opaque = matches!(content, Content::Directory { opaque: true, .. });
        node.entry = Some(Entry { metadata: metadata_of, content });
    }

    fn save(&self, memo: &Memo) -> TreeDigest {
        let mut directory = Directory::default();
        for (name, node) in &self.children {
            let entry = match &node.entry {
                Some(entry) if !entry.is_directory() => entry.clone(),
                other => Entry {
                    metadata: other.as_ref().map_or(Metadata::plain(0o755), |entry| entry.metadata.clone()),
                    content: Content::Directory { tree: node.save(memo), opaque: node.opaque },
                },
            };
            directory.entries.insert(name.clone(), entry);
        }
        encode::save(memo, &directory).unwrap()
    }
}

fn show_below(memo: &Memo, tree: TreeDigest, above: &str, words: &mut Vec<String>) {
    for (name, entry) in encode::load(memo, tree).unwrap().entries {
        let path = format!("{above}{}", String::from_utf8(name).unwrap());
        let (word, mode) = match &entry.content {
            Content::Directory { opaque: true, .. } => (format!("{path}/!"), 0o755),
            Content::Directory { .. } => (format!("{path}/"), 0o755),
            Content::Symlink { target } => (format!("{path}->{}", String::from_utf8_lossy(target)), 0o777),
            Content::File { blob, link, .. } => {
                let bytes = memo.read(Object::Blob(*blob)).unwrap();
                let link = link.map_or(String::new(), |group| format!("#{}", group.0));
                (format!("{path}={}{link}", String::from_utf8_lossy(&bytes)), 0o644)
            }
            Content::Whiteout => (format!("{path}!"), 0),
            other => panic!("the text form knows no {other:?}"),
        };
        let metadata = &entry.metadata;
        let told = match (metadata.mode, metadata.uid, metadata.gid) {
            (same, 0, 0) if same == mode => String::new(),
            (mode, 0, 0) => format!(":{mode:o}"),
            (mode, uid, gid) => format!(":{mode:o}:{uid}:{gid}"),
        };
        let place = words.len();
        if let Some(tree) = entry.tree() {
            show_below(memo, tree, &format!("{path}/"), words);
        }
        let implied = words.len() > place && word.ends_with('/') && told.is_empty();
        if !implied {
            words.insert(place, format!("{word}{told}"));
        }
    }
}

/// A root whose `/etc/passwd` (behind a link) and `/etc/group` know `node` and `staff`.
pub(crate) fn passwd_tree(memo: &Memo) -> TreeDigest {
    let file = |text: &str| Entry::file(memo.write_blob(text.as_bytes()).unwrap(), text.len() as u64, 0o644);
    let passwd = "root:x:0:0::/root:/bin/sh\nbroken:x\nnode:x:1000:1001::/home/node:/bin/sh\n";
    let link =
        Entry { metadata: Metadata::plain(0o777), content: Content::Symlink { target: b"../real".to_vec() } };
    let etc = [(b"passwd".to_vec(), link), (b"group".to_vec(), file("root:x:0:\nstaff:x:50:node\n"))];
    let etc = encode::save(memo, &Directory { entries: etc.into() }).unwrap();
    let root = [(b"etc".to_vec(), Entry::directory(etc)), (b"real".to_vec(), file(passwd))];
    encode::save(memo, &Directory { entries: root.into() }).unwrap()
}

/// A directory in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sketch(BTreeMap<u8, Drawn>);

#[derive(Debug, Clone)]
enum Drawn {
    File(u8),
    Whiteout,
    Directory { mode: u32, opaque: bool, below: Sketch },
}

/// Trees without whiteouts.
pub(crate) fn trees() -> impl Strategy<Value = Sketch> {
    sketches((0..3u8).prop_map(Drawn::File).boxed(), Just(false).boxed())
}

pub(crate) fn changes() -> impl Strategy<Value = Sketch> {
    let leaf = prop_oneof![(0..3u8).prop_map(Drawn::File), Just(Drawn::Whiteout)];
    sketches(leaf.boxed(), any::<bool>().boxed())
}

fn sketches(leaf: BoxedStrategy<Drawn>, opaque: BoxedStrategy<bool>) -> impl Strategy<Value = Sketch> {
    let names = || b'a'..=b'c';
    let below = move |entry: BoxedStrategy<Drawn>| prop::collection::btree_map(names(), entry, 0..3);
    let entry = leaf.prop_recursive(3, 24, 3, move |entry| {
        let mode = prop_oneof![Just(0o755), Just(0o700)];
        (mode, opaque.clone(), below(entry.clone())).prop_map(|(mode, opaque, below)| Drawn::Directory {
            mode,
            opaque,
            below: Sketch(below),
        })
    });
    prop::collection::btree_map(names(), entry, 0..4).prop_map(Sketch)
}

impl Sketch {
    pub(crate) fn save(&self, memo: &Memo) -> TreeDigest {
        let mut directory = Directory::default();
        for (&name, drawn) in &self.0 {
            let entry = match drawn {
                Drawn::File(byte) => Entry::file(memo.write_blob(&[b'0' + byte]).unwrap(), 1, 0o644),
                Drawn::Whiteout => Entry::whiteout(),
                Drawn::Directory { mode, opaque, below } => Entry {
                    metadata: Metadata::plain(*mode),
                    content: Content::Directory { tree: below.save(memo), opaque: *opaque },
                },
            };
            directory.entries.insert(vec![name], entry);
        }
        encode::save(memo, &directory).unwrap()
    }

    /// The root `self` after the change.
    pub(crate) fn changed_by(mut self, change: &Sketch) -> Sketch {
        for (&name, drawn) in &change.0 {
            let old = self.0.remove(&name);
            let new = match drawn {
                Drawn::Whiteout => continue,
                Drawn::File(_) => drawn.clone(),
                Drawn::Directory { mode, opaque, below } => {
                    let old = match old {
                        Some(Drawn::Directory { below, .. }) if !opaque => below,
                        _ => Sketch::default(),
                    };
                    Drawn::Directory { mode: *mode, opaque: false, below: old.changed_by(below) }
                }
            };
            self.0.insert(name, new);
        }
        self
    }
}
