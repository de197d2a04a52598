//! Laws of images in and out: what goes in comes back, equal values give equal bytes.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use proptest::prelude::*;

use crate::base::cancel::Cancel;
use crate::base::digest::{OciDigest, TreeDigest};
use crate::base::tree_path::TreePath;
use crate::oci::archive::ArchiveSink;
use crate::oci::error::OciError;
use crate::oci::export::{Exported, export};
use crate::oci::fixture::{self, directory, file, full_tree, image, memo, of, whiteout};
use crate::oci::image::{Compression, Format, Image, Platform};
use crate::oci::layer::pack;
use crate::oci::layout::LayoutSink;
use crate::oci::pull::pull;
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::Memo;
use crate::store::object::Object;
use crate::tree::tree::{Content, Entry, Metadata};

const COMPRESSIONS: [Compression; 3] =
    [Compression::None, Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }];

fn tar_of(memo: &Memo, tree: TreeDigest) -> Vec<u8> {
    let layer = pack(memo, tree, Compression::None, &Cancel::default()).unwrap();
    memo.read(Object::Blob(layer.blob)).unwrap().to_vec()
}

fn export_to(memo: &Memo, image: &Image, folder: &Path) -> Exported {
    let mut sink = LayoutSink::open(folder, None).unwrap();
    export(memo, image, 0, &mut sink, &Cancel::default()).unwrap()
}

fn amd64() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }
}

#[test]
fn a_layer_has_these_bytes_for_ever() {
    let (_folder, memo) = memo();
    let tar = tar_of(&memo, full_tree(&memo));
    assert_eq!(
        OciDigest::of(&tar).to_string(),
        "sha256:c7d9510d63dfb63234991511c4469cb7801a86dea9b12fb2bd0da7f53876bd13"
    );
}

#[test]
fn entries_stand_in_this_order() {
    let (_folder, memo) = memo();
    let tar = tar_of(&memo, full_tree(&memo));
    let mut archive = tar::Archive::new(&tar[..]);
    let mut lines = String::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = entry.path_bytes().escape_ascii().to_string();
        let link =
            entry.link_name_bytes().map(|link| format!(" -> {}", link.escape_ascii())).unwrap_or_default();
        assert_eq!(header.mtime().unwrap(), 315_532_800);
        let kind = header.entry_type().as_byte() as char;
        lines += &format!("{kind} {:o} {path}{link}\n", header.mode().unwrap());
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn diff_id_is_of_the_unpacked_layer_and_packing_is_remembered() {
    let (_folder, memo) = memo();
    let tree = full_tree(&memo);
    let tar = tar_of(&memo, tree);
    for compression in COMPRESSIONS {
        let layer = pack(&memo, tree, compression, &Cancel::default()).unwrap();
        assert_eq!(layer.diff_id, OciDigest::of(&tar));
        let packed = memo.read(Object::Blob(layer.blob)).unwrap();
        assert_eq!((layer.digest, layer.size), (OciDigest::of(&packed), packed.len() as u64));
        let mut unpacked = Vec::new();
        match compression {
            Compression::None => unpacked = packed.to_vec(),
            Compression::Gzip { .. } => {
                flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).map(drop).unwrap();
            }
            Compression::Zstd { .. } => unpacked = zstd::decode_all(&packed[..]).unwrap(),
        }
        assert!(unpacked == tar);
    }
    let again = pack(&memo, tree, Compression::None, &raised()).unwrap();
    assert_eq!(again.diff_id, OciDigest::of(&tar));
}

fn raised() -> Cancel {
    let cancel = Cancel::default();
    cancel.raise();
    cancel
}

#[test]
fn packing_stops_when_told() {
    let (_folder, memo) = memo();
    let result = pack(&memo, full_tree(&memo), Compression::None, &raised());
    assert!(matches!(result, Err(OciError::Cancelled)));
}

#[test]
fn large_files_are_streamed() {
    let (_folder, memo) = memo();
    let content: Vec<u8> = (0..5_000_001_u32).map(|n| (n / 7) as u8).collect();
    let tree = directory(
        &memo,
        vec![(b"large", file(&memo, &content, 0o644)), (b"small", file(&memo, b"s", 0o644))],
    );
    let tar = tar_of(&memo, tree);
    assert_eq!(unpack(&memo, &mut &tar[..], &[], Budget::DEFAULT).unwrap(), tree);
}

#[test]
fn a_tree_that_no_layer_can_hold() {
    let (_folder, memo) = memo();
    let mut wrong_size = file(&memo, b"four", 0o644);
    if let Content::File { size, .. } = &mut wrong_size.content {
        *size = 5;
    }
    for (name, entry) in [(&b".wh.x"[..], file(&memo, b"", 0o644)), (b"wrong", wrong_size)] {
        let tree = directory(&memo, vec![(name, entry)]);
        let result = pack(&memo, tree, Compression::None, &Cancel::default());
        assert!(matches!(result, Err(OciError::Unpackable { .. })), "{result:?}");
    }
}

#[test]
fn what_is_exported_can_be_pulled_and_goes_out_again() {
    for compression in COMPRESSIONS {
        let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
        let top = directory(&memo, vec![(b"etc", whiteout()), (b"new", file(&memo, b"new", 0o644))]);
        let image = image(vec![full_tree(&memo), top], compression);
        let exported = export_to(&memo, &image, &folder.path().join("a"));
        // A store of its own, so that nothing can come from the export's.
        let (_two, other) = fixture::memo();
        let pulled = pull(&other, &folder.path().join("a"), Some("1.0"), None, &amd64()).unwrap();
        let trees = |image: &Image| image.rootfs.layers.iter().map(|layer| layer.tree).collect::<Vec<_>>();
        assert_eq!(trees(&pulled), trees(&image));
        assert_eq!(pulled.rootfs.config, image.rootfs.config);
        assert_eq!((&pulled.platform, &pulled.annotations), (&image.platform, &image.annotations));
        // Another compression does not touch layers that were pulled.
        let again = Image { created: image.created, ..pulled };
        let again = export_to(&other, &again, &folder.path().join("b"));
        assert_eq!(again, exported);
    }
}

#[test]
fn docker_images_come_back() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let mut image = image(vec![full_tree(&memo)], Compression::Gzip { level: 1 });
    image.packing.format = Format::Docker;
    let exported = export_to(&memo, &image, folder.path());
    assert_eq!(exported.layers[0].media_type, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let pulled = pull(&memo, folder.path(), None, Some(&exported.manifest.to_string()), &amd64()).unwrap();
    assert_eq!(pulled.packing.format, Format::Docker);
    assert_eq!(pulled.rootfs.layers[0].tree, image.rootfs.layers[0].tree);
    image.packing.compression = Compression::Zstd { level: 1 };
    let mut sink = LayoutSink::open(folder.path(), None).unwrap();
    let refused = export(&memo, &image, 0, &mut sink, &Cancel::default());
    assert!(matches!(refused, Err(OciError::DockerZstd)));
}

#[test]
fn a_layout_takes_more_images_and_an_archive_is_the_same_each_time() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let layout = folder.path().join("layout");
    let one = image(vec![full_tree(&memo)], Compression::None);
    let mut two = image(vec![directory(&memo, vec![])], Compression::None);
    two.names = vec!["app:2.0".into()];
    export_to(&memo, &one, &layout);
    export_to(&memo, &two, &layout);
    let several = pull(&memo, &layout, None, None, &amd64());
    assert!(matches!(several, Err(OciError::SeveralImages(names)) if names == ["1.0", "2.0"]));
    for image in [&one, &two] {
        let tag = image.names[0].split_once(':').unwrap().1;
        let pulled = pull(&memo, &layout, Some(tag), None, &amd64()).unwrap();
        assert_eq!(pulled.rootfs.layers[0].tree, image.rootfs.layers[0].tree);
    }
    let archive = folder.path().join("archive.tar");
    let write = || {
        let mut sink = ArchiveSink::open(&archive, Some("x")).unwrap();
        export(&memo, &one, 0, &mut sink, &Cancel::default()).unwrap();
        fs::read(&archive).unwrap()
    };
    assert!(write() == write());
    let unpacked = folder.path().join("unpacked");
    tar::Archive::new(fs::File::open(&archive).unwrap()).unpack(&unpacked).unwrap();
    let pulled = pull(&memo, &unpacked, Some("x"), None, &amd64()).unwrap();
    assert_eq!(pulled.rootfs.layers[0].tree, one.rootfs.layers[0].tree);
}

#[test]
fn any_changed_byte_of_a_layout_is_noticed() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    for compression in COMPRESSIONS {
        let layout = folder.path().join(format!("{compression:?}"));
        let exported = export_to(&memo, &image(vec![full_tree(&memo)], compression), &layout);
        let layer = exported.layers[0].digest;
        for digest in [exported.manifest, exported.config, layer] {
            let path = layout.join("blobs/sha256").join(digest.to_hex());
            let right = fs::read(&path).unwrap();
            let mut flipped = right.clone();
            flipped[right.len() / 2] ^= 1;
            let longer = [&right[..], b"x"].concat();
            for wrong in [&flipped[..], &right[..right.len() - 1], &longer] {
                fs::write(&path, wrong).unwrap();
                let result = pull(&memo, &layout, None, None, &amd64());
                assert!(
                    matches!(result, Err(OciError::BadBlob { digest: found, .. }) if found == digest),
                    "{result:?}"
                );
            }
            fs::remove_file(&path).unwrap();
            let result = pull(&memo, &layout, None, None, &amd64());
            assert!(
                matches!(result, Err(OciError::NoBlob { digest: found }) if found == digest),
                "{result:?}"
            );
            fs::write(&path, right).unwrap();
        }
        pull(&memo, &layout, None, None, &amd64()).unwrap();
    }
}

#[test]
fn another_platform_is_refused() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    export_to(&memo, &image(vec![], Compression::None), folder.path());
    let arm = Platform { architecture: "arm64".into(), ..amd64() };
    let message = pull(&memo, folder.path(), None, None, &arm).unwrap_err().to_string();
    assert_eq!(message, "there is no image for linux/arm64; there is one for linux/amd64");
}

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
            let names: std::collections::BTreeMap<_, _> = names.iter().cloned().collect();
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
        Sketch::Whiteout => whiteout(),
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
