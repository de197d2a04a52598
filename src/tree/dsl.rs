//! Trees written as one line of text, for tests.

use std::collections::BTreeMap;

use crate::base::digest::TreeDigest;
use crate::base::tree_path::TreePath;
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::tree::encode;
use crate::tree::tree::{Content, Directory, Entry, LinkGroup, Metadata};

/// A store in a folder of its own.
pub(crate) fn memo() -> (tempfile::TempDir, Memo) {
    let folder = tempfile::tempdir().unwrap();
    let memo = Memo::open(folder.path()).unwrap();
    (folder, memo)
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
