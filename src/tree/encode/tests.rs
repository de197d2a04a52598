//! Golden encodings, and the laws of encoding and decoding.

//! The form does not change unnoticed, and nothing but the form is read.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn directory(entries: &[(&str, Entry)]) -> Directory {
    Directory {
        entries: entries.iter().map(|(name, entry)| (name.as_bytes().to_vec(), entry.clone())).collect(),
    }
}

fn entry(content: Content) -> Entry {
    Entry { metadata: Metadata::plain(0o644), content }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails when a form changes without a new version: every stored tree would be lost.
#[test]
fn golden_vectors() {
    let check = |directory: Directory, encoding: &str, digest: &str| {
        let bytes = encode(&directory);
        assert_eq!(hex(&bytes), encoding);
        assert_eq!(TreeDigest::of(&bytes).to_hex(), digest);
        assert_eq!(decode(&bytes), Some(directory));
    };
    check(directory(&[]), "6d626401", "d86a6baf254bf6ee408b2208bbca238a9ee73840b3a05af51aa0ac3b905a69bb");
    check(
        directory(&[("a", Entry::file(BlobDigest::of(b""), 0, 0o644))]),
        "6d6264010161a4010000000000000000000000000000\
         00af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262000000000000000000",
        "35bb5b0d0f9ff0f38bb9266831866d9d1e7380c2695afdb8c93e663309e81b44",
    );
    let mut owned = Entry::directory(TreeDigest::from_bytes([7; 32]));
    owned.metadata.uid = 1000;
    owned.metadata.gid = 100;
    owned.metadata.xattrs.insert(b"user.k".to_vec(), b"v".to_vec());
    let linked = Content::File { blob: BlobDigest::from_bytes([9; 32]), size: 258, link: Some(LinkGroup(5)) };
    check(
        directory(&[
            ("d", owned),
            ("dev", entry(Content::Device { block: true, major: 8, minor: 1 })),
            ("f", entry(Content::Fifo)),
            ("h", entry(linked)),
            ("l", entry(Content::Symlink { target: b"../x".to_vec() })),
            ("w", entry(Content::Whiteout)),
        ]),
        "6d6264010164ed010000e8030000640000000100000006000000757365722e6b01000000760107070707070707\
         070707070707070707070707070707070707070707070707070003646576a40100000000000000000000000000\
         00040108000000010000000166a4010000000000000000000000000000030168a4010000000000000000000000\
         000000000909090909090909090909090909090909090909090909090909090909090909020100000000000001\
         0500000000000000016ca401000000000000000000000000000002040000002e2e2f780177a401000000000000\
         000000000000000005",
        "d85db0432dc44af04759f50f0ffbc504f733192491ae073d823466045679882f",
    );
}

#[test]
fn only_the_canonical_form_is_read() {
    let file = |name: &[u8]| {
        let mut bytes = vec![name.len() as u8];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[0o44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
        bytes
    };
    let check = |entries: &[&[u8]], readable: bool| {
        let bytes = [&HEADER[..], &entries.concat()].concat();
        assert_eq!(decode(&bytes).is_some(), readable, "{}", bytes.escape_ascii());
    };
    check(&[&file(b"a"), &file(b"b")], true);
    check(&[&file(b"b"), &file(b"a")], false);
    check(&[&file(b"a"), &file(b"a")], false);
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
        check(&[&file(name)], false);
    }
    check(&[&file(&[b'x'; 255])], true);
    check(&[&file(b"a"), b"\0"], false);
    check(&[&file(b"a")[..18]], false);
    check(&[&[&file(b"a")[..18], &[6]].concat()], false);
    // A mode with a file type; a billion xattrs; a symlink of 4 GiB; one without a target.
    check(&[b"\x01a\0\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03"], false);
    check(&[b"\x01a\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\x3f\x03"], false);
    check(&[b"\x01a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\xff\xff"], false);
    check(&[b"\x01a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0"], false);
    assert_eq!(decode(b""), None);
    assert_eq!(decode(b"mbd\x02"), None);
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..12).prop_filter("a name", |name| is_name(name))
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        (any::<[u8; 32]>(), any::<u64>(), option::of(any::<u64>())).prop_map(|(blob, size, link)| {
            Content::File { blob: BlobDigest::from_bytes(blob), size, link: link.map(LinkGroup) }
        }),
        (any::<[u8; 32]>(), any::<bool>())
            .prop_map(|(tree, opaque)| Content::Directory { tree: TreeDigest::from_bytes(tree), opaque }),
        vec(1u8.., 1..20).prop_map(|target| Content::Symlink { target }),
        Just(Content::Fifo),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(block, major, minor)| Content::Device {
            block,
            major,
            minor
        }),
        Just(Content::Whiteout),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let xattrs = btree_map(vec(any::<u8>(), 0..8), vec(any::<u8>(), 0..8), 0..3);
    (0u32..0o10000, any::<u32>(), any::<u32>(), xattrs).prop_map(|(mode, uid, gid, xattrs)| Metadata {
        mode,
        uid,
        gid,
        xattrs,
    })
}

fn directories() -> impl Strategy<Value = Directory> {
    let entry = (metadata(), content()).prop_map(|(metadata, content)| Entry { metadata, content });
    btree_map(name(), entry, 0..6).prop_map(|entries| Directory { entries })
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(directory in directories()) {
        prop_assert_eq!(decode(&encode(&directory)), Some(directory));
    }

    /// Random bytes are rarely a directory; one with a few bytes changed is one now and then.
    #[test]
    fn whatever_decodes_is_canonical(
        directory in directories(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        tail in vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = encode(&directory);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.extend_from_slice(&tail);
        if let Some(read) = decode(&bytes) {
            prop_assert_eq!(encode(&read), bytes);
        }
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        let framed = [&HEADER[..], &bytes].concat();
        for bytes in [bytes, framed] {
            if let Some(read) = decode(&bytes) {
                prop_assert_eq!(encode(&read), bytes);
            }
        }
    }
}
