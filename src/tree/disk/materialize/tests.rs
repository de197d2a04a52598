//! Trees on a real filesystem.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::*;
use crate::base::cancel::Cancel;
use crate::store::fixture::memo;
use crate::tree::disk::capture::{CaptureOptions, Ids, capture_folder};
use crate::tree::links::link_group;
use crate::tree::tree::Directory;

/// What a path in a random tree is: a file by the number of its content, or something else.
#[derive(Debug, Clone)]
enum Kind {
    File(u8),
    /// One of the files of a group with this content.
    Linked(u8),
    Symlink,
    Fifo,
    Folder,
}

type Paths = BTreeMap<Vec<Vec<u8>>, (Kind, Metadata)>;

fn any_metadata(ids: BoxedStrategy<(u32, u32)>) -> impl Strategy<Value = Metadata> {
    let name = proptest::sample::select(vec![&b"user.a"[..], b"user.\xff", b"user.long-name"]);
    let xattrs = proptest::collection::btree_map(
        name.prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 0..40),
        0..2,
    );
    (0..0o10000u32, ids, xattrs).prop_map(|(mode, (uid, gid), xattrs)| Metadata { mode, uid, gid, xattrs })
}

fn any_paths(ids: BoxedStrategy<(u32, u32)>) -> impl Strategy<Value = Paths> {
    let name = prop_oneof![
        "[a-c]".prop_map(String::into_bytes),
        Just(b"\xff\n ".to_vec()),
        Just(vec![b'n'; 255]),
        Just("...".into()),
    ];
    let kind = prop_oneof![
        4 => any::<u8>().prop_map(|content| Kind::File(content % 4)),
        2 => any::<u8>().prop_map(|content| Kind::Linked(content % 2)),
        1 => Just(Kind::Symlink),
        1 => Just(Kind::Fifo),
        2 => Just(Kind::Folder),
    ];
    let path = proptest::collection::vec(name, 1..5);
    proptest::collection::btree_map(path, (kind, any_metadata(ids)), 0..24)
}

/// Stores the tree of `paths`; those below what is no folder, or a second of the same name, don't count.
fn store(memo: &Memo, paths: &Paths) -> Entry {
    let folders = |above: &[Vec<u8>]| {
        (1..=above.len())
            .all(|end| paths.get(&above[..end]).is_none_or(|(kind, _)| matches!(kind, Kind::Folder)))
    };
    let paths: Paths = paths
        .iter()
        .filter(|(path, _)| folders(&path[..path.len() - 1]))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect();
    let mut groups: BTreeMap<u8, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, (kind, _)) in &paths {
        if let Kind::Linked(content) = kind {
            groups.entry(*content).or_default().push(path.join(&b'/'));
        }
    }
    let tree = store_below(memo, &paths, &groups, &[]);
    Entry::directory(tree)
}

fn store_below(
    memo: &Memo,
    paths: &Paths,
    groups: &BTreeMap<u8, Vec<Vec<u8>>>,
    at: &[Vec<u8>],
) -> TreeDigest {
    let mut directory = Directory::default();
    let names: std::collections::BTreeSet<&Vec<u8>> =
        paths.keys().filter(|path| path.starts_with(at)).filter_map(|path| path.get(at.len())).collect();
    for name in names {
        let path = [at, std::slice::from_ref(name)].concat();
        let (kind, mut metadata) =
            paths.get(&path).cloned().unwrap_or((Kind::Folder, Metadata::plain(0o750)));
        let content = match kind {
            Kind::Folder => {
                Content::Directory { tree: store_below(memo, paths, groups, &path), opaque: false }
            }
            Kind::Fifo => {
                metadata.xattrs.clear();
                Content::Fifo
            }
            Kind::Symlink => {
                metadata = Metadata { mode: 0o777, xattrs: BTreeMap::new(), ..metadata };
                Content::Symlink { target: b"../\xfe".to_vec() }
            }
            Kind::File(number) => file(memo, number),
            Kind::Linked(number) if groups[&number].len() > 1 => {
                // The members of a group are one inode, so they have one metadata.
                metadata =
                    Metadata { mode: 0o640 + u32::from(number), xattrs: BTreeMap::new(), uid: 0, gid: 0 };
                let mut names: Vec<&[u8]> = groups[&number].iter().map(Vec::as_slice).collect();
                match file(memo, number) {
                    Content::File { blob, size, .. } => {
                        let link = Some(link_group(&mut names, &blob));
                        Content::File { blob, size, link }
                    }
                    other => other,
                }
            }
            Kind::Linked(number) => file(memo, number),
        };
        directory.entries.insert(name.clone(), Entry { metadata, content });
    }
    encode::save(memo, &directory).unwrap()
}

/// Of different sizes, one of them larger than is read at once.
fn file(memo: &Memo, number: u8) -> Content {
    let bytes = vec![number; [0, 1, 5000, 3 << 19][usize::from(number)]];
    let blob = memo.write_blob(&bytes).unwrap();
    Content::File { blob, size: bytes.len() as u64, link: None }
}

fn check_round_trip(paths: &Paths, owners: Owners, ids: Ids) {
    let (temporary, memo) = memo();
    let entry = store(&memo, paths);
    let dest = temporary.path().join("dest");
    let options = Materialize { owners, time: 1_000_000_007 * SECOND, whiteouts: Whiteouts::Refuse };
    let cancel = Cancel::default();
    materialize(&memo, &entry, &dest, &options, &cancel).unwrap();
    assert_eq!(fs::metadata(&dest).unwrap().mtime(), 1_000_000_007);
    for single_threaded in [true, false] {
        let options = CaptureOptions { ids, unlock: true, single_threaded, ..CaptureOptions::default() };
        let opened = descent::open_path(&dest).unwrap();
        assert_eq!(capture_folder(&memo, opened.as_fd(), &options, &cancel).unwrap(), entry);
        // Only a user's own unlocking shows; it must not be there for the second time.
        remove_at(descent::open_path(temporary.path()).unwrap().as_fd(), "dest").unwrap();
        let options = Materialize { owners, time: 7 * SECOND, whiteouts: Whiteouts::Refuse };
        materialize(&memo, &entry, &dest, &options, &cancel).unwrap();
    }
    remove_at(descent::open_path(temporary.path()).unwrap().as_fd(), "dest").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn capture_is_the_inverse(paths in any_paths(Just((0, 0)).boxed())) {
        check_round_trip(&paths, Owners::Single, Ids::AllRoot);
    }

    #[test]
    fn capture_is_the_inverse_with_ids(paths in any_paths((0..3u32, 5..8u32).boxed())) {
        if rustix::process::geteuid().is_root() {
            check_round_trip(&paths, Owners::Exact, Ids::Exact);
        } else {
            crate::base::skipped::skipped("only root may give files away");
        }
    }
}

#[test]
fn a_change_is_no_plain_folder() {
    let (temporary, memo) = memo();
    let mut directory = Directory::default();
    directory.entries.insert(b"gone".to_vec(), Entry::whiteout());
    let entry = Entry::directory(encode::save(&memo, &directory).unwrap());
    let options = Materialize { owners: Owners::Single, time: 0, whiteouts: Whiteouts::Refuse };
    let dest = temporary.path().join("dest");
    let refused = materialize(&memo, &entry, &dest, &options, &Cancel::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "/dest/gone is a removed name, which a plain folder cannot hold"
    );
    assert!(!dest.exists());
}

#[test]
fn what_is_there_stays() {
    let (temporary, memo) = memo();
    let entry = Entry::directory(encode::save(&memo, &Directory::default()).unwrap());
    let options = Materialize { owners: Owners::Single, time: 0, whiteouts: Whiteouts::Refuse };
    let dest = temporary.path().join("dest");
    fs::create_dir(&dest).unwrap();
    fs::write(dest.join("file"), "x").unwrap();
    assert!(materialize(&memo, &entry, &dest, &options, &Cancel::default()).is_err());
    assert!(dest.join("file").exists());
}

#[test]
fn a_single_file_is_a_tree_too() {
    let (temporary, memo) = memo();
    let entry = Entry::file(memo.write_blob(b"x").unwrap(), 1, 0o640);
    let options = Materialize { owners: Owners::Single, time: 77 * SECOND, whiteouts: Whiteouts::Refuse };
    let dest = temporary.path().join("dest");
    materialize(&memo, &entry, &dest, &options, &Cancel::default()).unwrap();
    let metadata = fs::metadata(&dest).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime(), metadata.len()), (0o640, 77, 1));
}
