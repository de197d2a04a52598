//! Random change trees, and random damage to archives.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::base::tree_path::TreePath;
use crate::oci::fixture::{self, directory, file, full_tree, memo, of, tar_of};
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::Memo;
use crate::tree::tree::{Content, Entry, Metadata};

/// A tree as data; groups are given once all paths are known.
#[derive(Debug, Clone)]
enum Sketch {
    Folder {
        names: Vec<(Vec<u8>, Sketch)>,
        opaque: bool,
        mode: u32,
    },
    File {
        content: Vec<u8>,
        xattr: Vec<u8>,
        uid: u32,
    },
    /// A further name of one of three files.
    Linked(usize),
    Symlink(Vec<u8>),
    Fifo,
    Device(bool, u32, u32),
    Whiteout,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'-'), Just(b'!'), Just(0xff)], 1..4),
        1 => proptest::collection::vec(Just(b'n'), 90..110),
        1 => proptest::collection::vec(Just(b'l'), 240..252),
    ]
}

fn leaf() -> impl Strategy<Value = Sketch> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..700);
    let target = proptest::collection::vec(1_u8.., 1..120);
    prop_oneof![
        3 => (bytes(), proptest::collection::vec(any::<u8>(), 0..40), any::<u32>())
            .prop_map(|(content, xattr, uid)| Sketch::File { content, xattr, uid }),
        3 => (0_usize..3).prop_map(Sketch::Linked),
        1 => target.prop_map(Sketch::Symlink),
        1 => Just(Sketch::Fifo),
        1 => (any::<bool>(), 0_u32..4096, 0_u32..1 << 20).prop_map(|(block, major, minor)| Sketch::Device(block, major, minor)),
        1 => Just(Sketch::Whiteout),
    ]
}

fn folder(below: impl Strategy<Value = Sketch>) -> impl Strategy<Value = Sketch> {
    (proptest::collection::vec((name(), below), 0..6), any::<bool>(), 0_u32..0o10000)
        .prop_map(|(names, opaque, mode)| Sketch::Folder { names, opaque, mode })
}

fn sketch() -> impl Strategy<Value = Sketch> {
    folder(leaf().prop_recursive(4, 40, 6, folder))
}

fn link_paths(sketch: &Sketch, path: &TreePath, found: &mut [Vec<TreePath>; 3]) {
    match sketch {
        Sketch::Folder { names, .. } => {
            let names: BTreeMap<_, _> = names.iter().cloned().collect();
            names.iter().for_each(|(name, below)| link_paths(below, &path.join(name), found));
        }
        Sketch::Linked(group) => found[*group].push(path.clone()),
        _ => {}
    }
}

fn built(memo: &Memo, sketch: &Sketch, links: &[Vec<TreePath>; 3]) -> Entry {
    match sketch {
        Sketch::Folder { names, opaque, mode } => {
            let entries: Vec<_> =
                names.iter().map(|(name, below)| (name.as_slice(), built(memo, below, links))).collect();
            let content = Content::Directory { tree: directory(memo, entries), opaque: *opaque };
            Entry { metadata: Metadata::plain(*mode), content }
        }
        Sketch::File { content, xattr, uid } => {
            let mut entry = file(memo, content, 0o6755);
            entry.metadata.uid = *uid;
            entry.metadata.xattrs.insert(b"user.x".to_vec(), xattr.clone());
            entry
        }
        Sketch::Linked(group) => {
            let mut entry = file(memo, &[*group as u8], 0o600);
            if let Content::File { blob, link, .. } = &mut entry.content {
                let paths = &links[*group];
                *link = (paths.len() > 1).then(|| fixture::group(paths, blob));
            }
            entry
        }
        Sketch::Symlink(target) => of(Content::Symlink { target: target.clone() }),
        Sketch::Fifo => of(Content::Fifo),
        Sketch::Device(block, major, minor) => {
            of(Content::Device { block: *block, major: *major, minor: *minor })
        }
        Sketch::Whiteout => Entry::whiteout(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn unpacking_takes_packing_back(sketch in sketch()) {
        let (_folder, memo) = memo();
        let mut links = Default::default();
        link_paths(&sketch, &TreePath::root(), &mut links);
        let Content::Directory { tree, .. } = built(&memo, &sketch, &links).content else { unreachable!() };
        let tar = tar_of(&memo, tree);
        prop_assert_eq!(unpack(&memo, &mut &tar[..], &[], Budget::DEFAULT).unwrap(), tree);
    }

    /// Whatever the bytes, reading them ends, in a tree or an error.
    #[test]
    fn damaged_archives_end(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let (_folder, memo) = memo();
        let mut tar = tar_of(&memo, full_tree(&memo));
        let at = at.index(tar.len());
        tar[at] = byte;
        tar.truncate(cut.index(2 * tar.len()).max(at + 1).min(tar.len()));
        let _ = unpack(&memo, &mut &tar[..], &[], Budget::DEFAULT);
    }
}
