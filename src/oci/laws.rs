//! Laws of images in and out: what goes in comes back, equal values give equal bytes.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::base::cancel::Cancel;
use crate::base::digest::OciDigest;
use crate::net::network::Network;
use crate::oci::archive::ArchiveSink;
use crate::oci::descriptor::Descriptor;
use crate::oci::docker_archive::DockerArchiveSink;
use crate::oci::error::OciError;
use crate::oci::export::export;
use crate::oci::fixture::{
    self, directory, file, full_tree, image, memo, order, packed, pull, tags, tar_of, trees,
};
use crate::oci::image::{Compression, Format, Image, Layer, PackedLayer, Platform};
use crate::oci::kept::keep;
use crate::oci::layer::pack;
use crate::oci::layout::LayoutSink;
use crate::oci::outgoing::{Leaving, Listing, Outgoing, Packed};
use crate::oci::source::Source;
use crate::oci::supply::Supply;
use crate::oci::unpack::{Budget, unpack};
use crate::store::memo::{Memo, Written};
use crate::tree::tree::{Content, Entry};

const COMPRESSIONS: [Compression; 3] =
    [Compression::None, Compression::Gzip { level: 6 }, Compression::Zstd { level: 3 }];

/// Into a layout, under the tag 1.0.
fn export_to(memo: &Memo, image: &Image, folder: &Path) -> Packed {
    let sink = LayoutSink::open(folder, &tags(&["1.0"])).unwrap();
    only(fixture::export_to(memo, image, &sink, Listing::OfLayout).unwrap())
}

fn only(mut outgoing: Outgoing) -> Packed {
    outgoing.images.remove(0)
}

fn layers(packed: &Packed) -> Vec<Descriptor> {
    packed.layers.iter().map(|layer| layer.descriptor.clone()).collect()
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
        let packed = packed(&memo, tree, compression);
        assert_eq!((layer.digest, layer.size), (OciDigest::of(&packed), packed.len() as u64));
        let mut unpacked = Vec::new();
        match compression {
            Compression::None => unpacked = packed.to_vec(),
            Compression::Gzip { .. } => {
                flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked).map(drop).unwrap();
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
        let top = directory(&memo, vec![(b"etc", Entry::whiteout()), (b"new", file(&memo, b"new", 0o644))]);
        let image = image(vec![full_tree(&memo), top], compression);
        let exported = export_to(&memo, &image, &folder.path().join("a"));
        // A store of its own, so that nothing can come from the export's.
        let (_two, other) = fixture::memo();
        let pulled = pull(&other, &folder.path().join("a"), Some("1.0"), None, &amd64()).unwrap();
        assert_eq!(trees(&other, &pulled), trees(&memo, &image));
        let mut config = pulled.rootfs.config.clone();
        // Of the second layer, which the base's history does not tell of.
        assert!(config.history.pop().is_some_and(|entry| !entry.empty_layer));
        assert_eq!(config, image.rootfs.config);
        assert_eq!((&pulled.platform, &pulled.annotations), (&image.platform, &image.annotations));
        // Another compression does not touch layers that were pulled.
        let again = Image { created: image.created, ..pulled };
        let again = export_to(&other, &again, &folder.path().join("b"));
        assert_eq!(again.manifest.descriptor, exported.manifest.descriptor);
        assert_eq!(layers(&again), layers(&exported));
    }
}

#[test]
fn docker_images_come_back() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let mut image = image(vec![full_tree(&memo)], Compression::Gzip { level: 1 });
    image.packing.format = Format::Docker;
    let exported = export_to(&memo, &image, folder.path());
    assert_eq!(exported.layers[0].descriptor.media_type, "application/vnd.docker.image.rootfs.diff.tar.gzip");
    let pulled =
        pull(&memo, folder.path(), None, Some(&exported.manifest.descriptor.digest.to_string()), &amd64())
            .unwrap();
    assert_eq!(pulled.packing.format, Format::Docker);
    assert_eq!(trees(&memo, &pulled), trees(&memo, &image));
    image.packing.compression = Compression::Zstd { level: 1 };
    let sink = LayoutSink::open(folder.path(), &[]).unwrap();
    let refused = fixture::export_to(&memo, &image, &sink, Listing::OfLayout).map(only);
    assert!(matches!(refused, Err(OciError::DockerZstd)));
}

#[test]
fn a_layout_takes_more_images_and_an_archive_is_the_same_each_time() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let layout = folder.path().join("layout");
    let one = image(vec![full_tree(&memo)], Compression::None);
    let two = image(vec![directory(&memo, vec![])], Compression::None);
    for (tag, image) in [("1.0", &one), ("2.0", &two)] {
        let sink = LayoutSink::open(&layout, &tags(&[tag])).unwrap();
        fixture::export_to(&memo, image, &sink, Listing::OfLayout).unwrap();
    }
    let several = pull(&memo, &layout, None, None, &amd64());
    assert!(matches!(several, Err(OciError::SeveralImages(names)) if names == ["1.0", "2.0"]));
    for (tag, image) in [("1.0", &one), ("2.0", &two)] {
        let pulled = pull(&memo, &layout, Some(tag), None, &amd64()).unwrap();
        assert_eq!(trees(&memo, &pulled), trees(&memo, image));
    }
    let archive = folder.path().join("archive.tar");
    let write = || {
        let sink = ArchiveSink::open(&archive, &tags(&["x"])).unwrap();
        fixture::export_to(&memo, &one, &sink, Listing::OfLayout).unwrap();
        fs::read(&archive).unwrap()
    };
    assert!(write() == write());
    let unpacked = folder.path().join("unpacked");
    tar::Archive::new(fs::File::open(&archive).unwrap()).unpack(&unpacked).unwrap();
    let pulled = pull(&memo, &unpacked, Some("x"), None, &amd64()).unwrap();
    assert_eq!(trees(&memo, &pulled), trees(&memo, &one));
}

#[test]
fn any_changed_byte_of_a_layout_is_noticed() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    for compression in COMPRESSIONS {
        let layout = folder.path().join(format!("{compression:?}"));
        let exported = export_to(&memo, &image(vec![full_tree(&memo)], compression), &layout);
        let layer = exported.layers[0].descriptor.digest;
        for digest in [exported.manifest.descriptor.digest, exported.config.descriptor.digest, layer] {
            let path = layout.join("blobs/sha256").join(digest.to_hex());
            let right = fs::read(&path).unwrap();
            let mut flipped = right.clone();
            flipped[right.len() / 2] ^= 1;
            let longer = [&right[..], b"x"].concat();
            for wrong in [&flipped[..], &right[..right.len() - 1], &longer] {
                fs::write(&path, wrong).unwrap();
                let (_two, other) = fixture::memo();
                let result = pull(&other, &layout, None, None, &amd64());
                assert!(
                    matches!(result, Err(OciError::BadBlob { digest: found, .. }) if found == digest),
                    "{result:?}"
                );
            }
            fs::remove_file(&path).unwrap();
            let (_two, other) = fixture::memo();
            let result = pull(&other, &layout, None, None, &amd64());
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
fn a_layouts_links_lead_nowhere_else() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let layout = folder.path().join("layout");
    let exported = export_to(&memo, &image(vec![full_tree(&memo)], Compression::None), &layout);
    let blob = layout.join("blobs/sha256").join(exported.manifest.descriptor.digest.to_hex());
    let outside = folder.path().join("outside");
    fs::rename(&blob, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &blob).unwrap();
    let result = pull(&memo, &layout, None, None, &amd64());
    assert!(matches!(result, Err(OciError::Io { .. })), "{result:?}");
    fs::remove_file(&blob).unwrap();
    // A fifo that nobody writes to would keep a reader waiting for ever.
    rustix::fs::mknodat(rustix::fs::CWD, &blob, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let result = pull(&memo, &layout, None, None, &amd64());
    assert!(matches!(result, Err(OciError::NotALayout { .. })), "{result:?}");
}

#[test]
fn indexes_may_nest_and_digests_pin() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let exported = export_to(&memo, &image(vec![full_tree(&memo)], Compression::None), folder.path());
    let index = fs::read(folder.path().join("index.json")).unwrap();
    let inner = OciDigest::of(&index);
    fs::write(folder.path().join("blobs/sha256").join(inner.to_hex()), &index).unwrap();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let outer = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{media_type}","digest":"{inner}","size":{}}}]}}"#,
        index.len()
    );
    fs::write(folder.path().join("index.json"), outer).unwrap();
    for digest in [inner, exported.manifest.descriptor.digest] {
        pull(&memo, folder.path(), None, Some(&digest.to_string()), &amd64()).unwrap();
    }
    let other = OciDigest::of(b"other").to_string();
    let result = pull(&memo, folder.path(), None, Some(&other), &amd64());
    assert!(matches!(result, Err(OciError::OtherDigest { .. })), "{result:?}");
    let arm = Platform { architecture: "arm".into(), ..amd64() };
    assert!(matches!(pull(&memo, folder.path(), None, None, &arm), Err(OciError::NoPlatform { .. })));
    let escape = pull(&memo, folder.path(), None, Some("sha256:../../x"), &amd64());
    assert!(matches!(escape, Err(OciError::BadDigest(_))));
}

/// The manifest and the configuration agree, the layer is another than both say.
#[test]
fn a_diff_id_that_lies_is_noticed() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let mut image = image(vec![full_tree(&memo)], Compression::None);
    let tree = trees(&memo, &image)[0];
    let layer = pack(&memo, tree, Compression::None, &Cancel::default()).unwrap();
    keep(
        &memo,
        &Written {
            blob: memo.write_blob(&tar_of(&memo, tree)).unwrap(),
            oci: layer.digest,
            size: layer.size,
        },
    )
    .unwrap();
    let layer = PackedLayer { diff_id: OciDigest::of(b"another"), ..layer };
    image.rootfs.layers = vec![Layer::Pulled(layer)];
    export_to(&memo, &image, folder.path());
    let result = pull(&memo, folder.path(), None, None, &amd64());
    assert!(matches!(result, Err(OciError::DiffId { .. })), "{result:?}");
}

#[test]
fn an_export_stops_when_told_and_leaves_no_image() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    let image = image(vec![full_tree(&memo)], Compression::None);
    pack(&memo, trees(&memo, &image)[0], Compression::None, &Cancel::default()).unwrap();
    let path = folder.path().join("image.tar");
    let sink = ArchiveSink::open(&path, &[]).unwrap();
    let images = [Leaving { image: &image, made_by: Vec::new() }];
    let outgoing = Outgoing::new(&Supply::of(&memo), &order(&images, Listing::OfLayout)).unwrap();
    let result = export(&Supply::new(&memo, &Network::default(), &raised()), &outgoing, &sink);
    assert!(matches!(result, Err(OciError::Cancelled)), "{result:?}");
    drop(sink);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn another_platform_is_refused() {
    let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
    export_to(&memo, &image(vec![], Compression::None), folder.path());
    let arm = Platform { architecture: "arm64".into(), ..amd64() };
    let message = pull(&memo, folder.path(), None, None, &arm).unwrap_err().to_string();
    assert_eq!(message, "there is no image for linux/arm64; there is one for linux/amd64");
}

/// As a layout in one tar, and as Docker saves it.
#[test]
fn archives_come_back() {
    for compression in [Compression::None, Compression::Gzip { level: 1 }] {
        let ((_one, memo), folder) = (memo(), tempfile::tempdir().unwrap());
        let image = image(vec![full_tree(&memo), directory(&memo, vec![])], compression);
        let (oci, docker) = (folder.path().join("oci.tar"), folder.path().join("docker.tar"));
        let sink = ArchiveSink::open(&oci, &tags(&["1", "2"])).unwrap();
        fixture::export_to(&memo, &image, &sink, Listing::OfLayout).unwrap();
        let sink = DockerArchiveSink::open(&docker, &["app:1".to_owned(), "app:2".to_owned()]).unwrap();
        fixture::export_to(&memo, &image, &sink, Listing::OfFormat).unwrap();
        for (source, reference) in [
            (Source::archive(&oci).unwrap(), Some("2")),
            (Source::archive(&oci).unwrap(), None),
            (Source::docker_archive(&docker).unwrap(), Some("app:1")),
            (Source::docker_archive(&docker).unwrap(), None),
        ] {
            let source = Arc::new(source);
            let (_two, other) = fixture::memo();
            let pulled = crate::oci::pull::pull(&source, reference, None, &amd64()).unwrap();
            let supply = Supply::of(&other);
            supply.offer(&pulled, &source);
            assert_eq!(supply.trees(&pulled.rootfs.layers).unwrap(), trees(&memo, &image));
            assert_eq!(pulled.rootfs.config.env, image.rootfs.config.env);
            assert_eq!(pulled.rootfs.config.onbuild, image.rootfs.config.onbuild);
            let pinned = crate::oci::pull::resolve(&source, reference, None, &amd64()).unwrap().to_string();
            crate::oci::pull::pull(&source, reference, Some(&pinned), &amd64()).unwrap();
        }
        let unknown = Source::docker_archive(&docker).unwrap();
        let unknown = crate::oci::pull::pull(&unknown, Some("app:3"), None, &amd64());
        assert!(matches!(unknown, Err(OciError::NoImage { .. })), "{unknown:?}");
    }
}
