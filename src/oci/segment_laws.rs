//! Laws of packing in segments: whatever is in the store, and however many threads there are, the bytes are the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use proptest::prelude::*;

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, OciDigest, TreeDigest};
use crate::oci::error::OciError;
use crate::oci::fixture::{directory, file, memo, packed};
use crate::oci::image::{Compression, PackedLayer};
use crate::oci::layer::{open, pack, pack_into, recall};
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::encode::save;
use crate::tree::tree::{Directory, Entry};

const ALL: [Compression; 3] =
    [Compression::None, Compression::Gzip { level: 1 }, Compression::Zstd { level: 1 }];

/// Names to the seed and the size of what is there. Seeds of one hundred and more do not compress.
type Files = BTreeMap<u8, (u8, usize)>;

fn content((seed, size): (u8, usize)) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mask = if seed < 100 { 0x1f1f_1f1f_1f1f_1f1f } else { u64::MAX };
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) & mask).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(size);
    bytes
}

fn tree_of(memo: &Memo, files: &Files) -> TreeDigest {
    let entries =
        files.iter().map(|(name, of)| (format!("f{name:03}").into_bytes(), file(memo, &content(*of), 0o644)));
    save(memo, &Directory { entries: entries.collect() }).unwrap()
}

/// What `pack_into` says of the layer, and what it wrote.
fn written(memo: &Memo, tree: TreeDigest, compression: Compression) -> (PackedLayer, Vec<u8>) {
    let mut bytes = Vec::new();
    let layer = pack_into(memo, tree, compression, &mut bytes, &Cancel::default()).unwrap();
    assert_eq!((layer.digest, layer.size), (OciDigest::of(&bytes), bytes.len() as u64));
    (layer, bytes)
}

fn read(memo: &Memo, tree: TreeDigest, compression: Compression) -> Vec<u8> {
    let mut bytes = Vec::new();
    open(memo, tree, compression, &Cancel::default()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn files() -> impl Strategy<Value = Files> {
    let size = prop_oneof![
        6 => 0_usize..200_000,
        3 => 200_000_usize..1_500_000,
        1 => 2_000_000_usize..5_000_000,
    ];
    proptest::collection::btree_map(any::<u8>(), (0_u8..200, size), 0..10)
}

/// A name, and what is to be there from now on.
type Edit = (u8, Option<(u8, usize)>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec((any::<u8>(), proptest::option::of((0_u8..200, 0_usize..3_000_000))), 1..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn a_warm_store_changes_no_byte(files in files(), edits in edits()) {
        let mut files = files;
        let (_one, warm) = memo();
        for compression in ALL {
            pack(&warm, tree_of(&warm, &files), compression, &Cancel::default()).unwrap();
        }
        for (name, edit) in edits {
            let name = files.range(name..).next().map_or(name, |(name, _)| *name);
            match edit {
                Some(of) => drop(files.insert(name, of)),
                None => drop(files.remove(&name)),
            }
            for compression in ALL {
                let (_two, cold) = memo();
                let tree = tree_of(&warm, &files);
                let expected = written(&cold, tree_of(&cold, &files), compression);
                prop_assert_eq!(&pack(&warm, tree, compression, &Cancel::default()).unwrap(), &expected.0);
                prop_assert!(written(&warm, tree, compression) == expected, "{:?}", compression);
                prop_assert!(read(&warm, tree, compression) == expected.1, "{:?}", compression);
            }
        }
    }
}

fn sample() -> Files {
    let sizes = [300_000, 5_000_000, 1_000_000, 700_000, 3_000_000, 2_100_000, 10, 900_000, 4_000_000];
    sizes.iter().zip(0..).map(|(size, name)| (name, (if name == 4 { 100 } else { name }, *size))).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    for compression in ALL {
        let with = |threads| {
            let (_folder, memo) = memo();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let tree = tree_of(&memo, &sample());
            pool.install(|| written(&memo, tree, compression))
        };
        let one = with(1);
        assert!(one == with(2) && one == with(7), "{compression:?}");
    }
}

#[test]
fn a_layer_of_segments_unpacks_to_its_tree() {
    let (_folder, memo) = memo();
    let tree = tree_of(&memo, &sample());
    let tar = packed(&memo, tree, Compression::None);
    assert_eq!(unpack(&memo, &mut &tar[..], &[], Budget::DEFAULT).unwrap(), tree);
}

fn blobs(memo: &Memo) -> Vec<PathBuf> {
    let shards = fs::read_dir(memo.folder().join("blobs")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// The contents are compressed once, and of the second layer only what changed.
#[test]
fn a_changed_file_costs_its_own_segments() {
    let (_folder, memo) = memo();
    let compression = Compression::Zstd { level: 1 };
    let mut files: Files = (0..200).map(|name| (name, (name % 100, 150_000))).collect();
    pack(&memo, tree_of(&memo, &files), compression, &Cancel::default()).unwrap();
    files.insert(120, (7, 150_001));
    let tree = tree_of(&memo, &files);
    let before = blobs(&memo).len();
    pack(&memo, tree, compression, &Cancel::default()).unwrap();
    let made = blobs(&memo).len() - before;
    assert!((1..=2).contains(&made), "{made} of about twenty");
}

#[test]
fn a_layer_of_what_does_not_compress_is_kept_nowhere() {
    let (_folder, memo) = memo();
    let tree = tree_of(&memo, &[(0, (100, 5_000_000)), (1, (101, 4_000_000))].into());
    let before = blobs(&memo).len();
    for compression in ALL {
        pack(&memo, tree, compression, &Cancel::default()).unwrap();
    }
    assert!(blobs(&memo).len() <= before + 2, "the end of the archive and its zeros may compress");
}

/// Whether a segment is gone, damaged or cut short: it is compressed again.
#[test]
fn lost_segments_are_made_again() {
    for compression in &ALL[1..] {
        let (_folder, memo) = memo();
        let files = sample();
        let tree = tree_of(&memo, &files);
        let contents: Vec<_> = files.values().map(|of| BlobDigest::of(&content(*of)).to_hex()).collect();
        let expected = written(&memo, tree, *compression);
        let spoil: [fn(&PathBuf); 3] = [
            |path| fs::remove_file(path).unwrap(),
            |path| {
                let mut bytes = fs::read(path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::remove_file(path).unwrap();
                fs::write(path, bytes).unwrap();
            },
            |path| {
                let bytes = fs::read(path).unwrap();
                fs::remove_file(path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
            },
        ];
        for spoil in spoil {
            let is_segment = |path: &PathBuf| {
                !contents.iter().any(|hex| path.file_name().is_some_and(|name| name == hex.as_str()))
            };
            let mut segments: Vec<_> = blobs(&memo).into_iter().filter(is_segment).collect();
            segments.sort();
            assert!(segments.len() > 3);
            segments.iter().step_by(2).for_each(spoil);
            assert!(read(&memo, tree, *compression) == expected.1, "{compression:?}");
            segments.iter().filter(|path| path.exists()).step_by(2).for_each(spoil);
            assert!(written(&memo, tree, *compression) == expected, "{compression:?}");
        }
    }
}

/// Nothing is remembered of a file whose last bytes show that it is another.
#[test]
fn a_damaged_large_file_is_no_layer() {
    let (_folder, memo) = memo();
    let compression = Compression::Zstd { level: 1 };
    let tree = tree_of(&memo, &[(0, (1, 9_000_000)), (1, (2, 100))].into());
    let path = blobs(&memo).into_iter().find(|path| path.metadata().unwrap().len() == 9_000_000).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let right = bytes.clone();
    bytes[8_500_000] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    let failed = pack(&memo, tree, compression, &Cancel::default());
    assert!(matches!(failed, Err(OciError::Store(StoreError::Damaged(_)))), "{failed:?}");
    assert_eq!(recall(&memo, tree, compression).unwrap(), None);
    memo.write_blob(&right).unwrap();
    let (_other, cold) = self::memo();
    let expected = written(&cold, tree_of(&cold, &[(0, (1, 9_000_000)), (1, (2, 100))].into()), compression);
    assert!(written(&memo, tree, compression) == expected);
}

#[test]
fn who_reads_no_more_ends_the_packing() {
    let (_folder, memo) = memo();
    let tree = tree_of(&memo, &sample());
    let mut start = [0; 1000];
    let cancel = Cancel::default();
    open(&memo, tree, Compression::None, &cancel).read_exact(&mut start).unwrap();
    let mut reader = open(&memo, tree, Compression::None, &cancel);
    cancel.raise();
    let mut rest = Vec::new();
    let ended = reader.read_to_end(&mut rest).map_err(OciError::stream(""));
    assert!(matches!(ended, Err(OciError::Cancelled)) || rest.len() > 16_000_000, "{ended:?}");
}

/// A tree that lies about a size of a large file, in either direction.
#[test]
fn sizes_that_lie_are_noticed() {
    let (_folder, memo) = memo();
    let blob = memo.write_blob(&content((1, 5_000_000))).unwrap();
    for size in [4_999_999, 5_000_001, 2_500_000, 9_000_000, 100] {
        let tree = directory(&memo, vec![(b"lie", Entry::file(blob, size, 0o644))]);
        let result = pack(&memo, tree, Compression::None, &Cancel::default());
        assert!(matches!(result, Err(OciError::Unpackable { .. })), "{size}: {result:?}");
    }
}
