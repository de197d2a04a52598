//! Archives of every kind, whole and hostile. Some are written by the crates that read them, the bytes of
//! the xz one by xz(1).

use std::io::{Cursor, Write as _};

use proptest::prelude::*;

use super::*;
use crate::oci::fixture::memo;
use crate::oci::tar_header::{Kind, encode, padding};
use crate::store::object::StoreError;
use crate::tree::dsl::show;
use crate::tree::tree::Metadata;

const BUDGET: Budget = Budget { bytes: 1 << 20, entries: 100, names: 1 << 16 };

#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, path: &str, mode: u32, kind: Kind<'_>, content: &str) -> Tar {
        let metadata = Metadata { uid: 7, gid: 8, ..Metadata::plain(mode) };
        encode(path.as_bytes(), &metadata, kind, &mut self.0).unwrap();
        self.0.extend_from_slice(content.as_bytes());
        self.0.resize(self.0.len() + padding(content.len() as u64), 0);
        self
    }

    fn file(self, path: &str, content: &str) -> Tar {
        self.add(path, 0o644, Kind::File { size: content.len() as u64 }, content)
    }

    fn folder(self, path: &str) -> Tar {
        self.add(path, 0o750, Kind::Directory, "")
    }

    fn symlink(self, path: &str, target: &str) -> Tar {
        self.add(path, 0o777, Kind::Symlink { target: target.as_bytes() }, "")
    }

    fn link(self, path: &str, target: &str) -> Tar {
        self.add(path, 0o644, Kind::HardLink { target: target.as_bytes() }, "")
    }
}

fn out_of(memo: &Memo, archive: &[u8], strip: u32) -> String {
    let blob = memo.write_blob(archive).unwrap();
    match extract(memo, blob, strip, BUDGET) {
        Ok(tree) => show(memo, tree),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_tar_keeps_its_modes_and_owners_and_loses_names_by_strip() {
    let (_folder, memo) = memo();
    let tar = Tar::default()
        .file("top", "0")
        .folder("a-1.0/")
        .add("a-1.0/su", 0o4755, Kind::File { size: 1 }, "1")
        .file("a-1.0/d/.wh.x", "2")
        .file("a-1.0/d/.wh..wh..opq", "3")
        .link("a-1.0/other", "a-1.0/su")
        .symlink("a-1.0/l", "d/x");
    let mut names = [&b"a-1.0/other"[..], b"a-1.0/su"];
    let one = BlobDigest::of(b"1");
    let whole = crate::tree::links::link_group(&mut names, &one).0;
    let stripped = crate::tree::links::link_group(&mut [b"other", b"su"], &one).0;
    for (strip, expected) in [
        (
            0,
            format!(
                "a-1.0/:750:7:8 a-1.0/d/.wh..wh..opq=3:644:7:8 a-1.0/d/.wh.x=2:644:7:8 a-1.0/l->d/x:777:7:8 \
                 a-1.0/other=1#{whole}:4755:7:8 a-1.0/su=1#{whole}:4755:7:8 top=0:644:7:8"
            ),
        ),
        (
            1,
            format!(
                "d/.wh..wh..opq=3:644:7:8 d/.wh.x=2:644:7:8 l->d/x:777:7:8 other=1#{stripped}:4755:7:8 \
                 su=1#{stripped}:4755:7:8"
            ),
        ),
        (2, ".wh..wh..opq=3:644:7:8 .wh.x=2:644:7:8".to_owned()),
        (3, "{}".to_owned()),
    ] {
        assert_eq!(out_of(&memo, &tar.0, strip), expected, "strip {strip}");
    }
}

/// One tar in every packing.
fn packings() -> [Vec<u8>; 4] {
    let tar = Tar::default().file("a", "1").0;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    bzip2.write_all(&tar).unwrap();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    [tar, gzip.finish().unwrap(), bzip2.finish().unwrap(), zstd]
}

#[test]
fn every_packing_is_seen_in_its_first_bytes() {
    let (_folder, memo) = memo();
    for packed in packings() {
        assert_eq!(out_of(&memo, &packed, 0), "a=1:644:7:8");
        let told = out_of(&memo, &packed[..packed.len() / 2], 0);
        let is_told = told.starts_with("the archive cannot be read") || told.contains("the archive ends in");
        assert!(is_told, "{told}");
    }
    assert_eq!(out_of(&memo, XZ, 0), "hello=hello\n:640");
    assert!(out_of(&memo, &XZ[..XZ.len() / 2], 0).starts_with("the archive cannot be read"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever became of an archive's bytes, there is a tree or an error.
    #[test]
    fn damage_panics_nowhere(
        kind in 0_usize..6,
        places in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        cut in any::<usize>(),
    ) {
        let (_folder, memo) = memo();
        let [tar, gzip, bzip2, zstd] = packings();
        let mut bytes = [tar, gzip, bzip2, zstd, XZ.to_vec(), small_zip()][kind].clone();
        let length = bytes.len();
        for (place, byte) in places {
            bytes[place % length] = byte;
        }
        bytes.truncate(length - (cut % length) / 4);
        let blob = memo.write_blob(&bytes).unwrap();
        let found = extract(&memo, blob, 0, BUDGET);
        prop_assert!(!matches!(found, Err(OciError::Store(_) | OciError::Io { .. })), "{found:?}");
    }
}

/// `tar --owner=0 --group=0 -c hello | xz`, of a file of mode 0640 that holds `hello` and a newline.
const XZ: &[u8] = include_bytes!("hello.tar.xz");

#[test]
fn a_zip_has_modes_and_no_owners() {
    let (_folder, memo) = memo();
    let zip = small_zip();
    assert_eq!(out_of(&memo, &zip, 0), "a-1.0/d/:700 a-1.0/d/tool=1:755 a-1.0/l->d/tool top=");
    assert_eq!(out_of(&memo, &zip, 1), "d/:700 d/tool=1:755 l->d/tool");
    let broken = [&b"PK\x03\x04"[..], &[0; 60]].concat();
    assert!(out_of(&memo, &broken, 0).starts_with("the archive cannot be read"));
    let empty = zipped(|_| {});
    assert_eq!(out_of(&memo, &empty, 0), "{}");
}

fn small_zip() -> Vec<u8> {
    zipped(|zip| {
        let options = zip::write::SimpleFileOptions::default();
        zip.add_directory("a-1.0/d", options.unix_permissions(0o700)).unwrap();
        zip.start_file("a-1.0/d/tool", options.unix_permissions(0o755)).unwrap();
        zip.write_all(b"1").unwrap();
        zip.add_symlink("a-1.0/l", "d/tool", options).unwrap();
        zip.start_file("top", options.compression_method(zip::CompressionMethod::Stored)).unwrap();
    })
}

fn zipped(fill: impl FnOnce(&mut zip::ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut zip);
    zip.finish().unwrap().into_inner()
}

#[test]
fn what_is_hostile_is_refused() {
    let (_folder, memo) = memo();
    let parent = |path: &str| format!("archive entry `{path}`: its path leaves the archive by `..`");
    for (tar, strip, expected) in [
        (Tar::default().file("../x", ""), 0, parent("../x")),
        (Tar::default().file("a/../../x", ""), 1, parent("a/../../x")),
        (Tar::default().file("/a", "1"), 0, "a=1:644:7:8".to_owned()),
        (
            Tar::default().symlink("a", "/etc").file("a/x", ""),
            0,
            "archive entry `/a` would be written through `/a`, which is no directory".to_owned(),
        ),
        (Tar::default().link("a", "../x"), 0, parent("../x")),
        (
            Tar::default().file("top", "").link("a/b", "top"),
            1,
            "archive entry `/b` is a hard link to `/top`, which is not a file of this archive or of a layer below it"
                .to_owned(),
        ),
    ] {
        assert_eq!(out_of(&memo, &tar.0, strip), expected);
    }
    let many = (0..101).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), ""));
    assert_eq!(out_of(&memo, &many.0, 0), "the archive has more than 100 entries");
    assert_eq!(out_of(&memo, b"#!/bin/sh\n", 0), "archive entry ``: the archive ends in a header");
}

#[test]
fn what_grows_beyond_the_budget_is_refused() {
    let (_folder, memo) = memo();
    let zeros = "\0".repeat(1 << 20);
    let tar = Tar::default().file("a", &zeros).0;
    let expected = "the archive has more than 1048576 bytes";
    assert_eq!(out_of(&memo, &zstd::encode_all(&tar[..], 1).unwrap(), 0), expected);
    let zip = zipped(|zip| {
        zip.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(zeros.as_bytes()).unwrap();
        zip.write_all(b"!").unwrap();
    });
    assert_eq!(out_of(&memo, &zip, 0), expected);
}

/// Without the archive: what is remembered needs it no more, as long as all of it is there.
#[test]
fn the_content_is_remembered_while_it_is_whole() {
    let (folder, memo) = memo();
    let archive = memo.write_blob(&Tar::default().file("d/a", "1").0).unwrap();
    let tree = extract(&memo, archive, 0, BUDGET).unwrap();
    let without = |blob: BlobDigest| {
        let (store, name) = (folder.path().join("store"), blob.to_string());
        std::fs::remove_file(store.join("blobs").join(&name[..2]).join(&name)).unwrap();
        Memo::open(&store).unwrap()
    };
    assert_eq!(extract(&without(archive), archive, 0, BUDGET).unwrap(), tree);
    let told = extract(&without(BlobDigest::of(b"1")), archive, 0, BUDGET);
    assert!(matches!(told, Err(OciError::Store(StoreError::Missing(_)))), "{told:?}");
}
