//! What several tests of this floor need.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::base::cancel::Cancel;
use crate::base::digest::{BlobDigest, TreeDigest};
use crate::base::tree_path::TreePath;
use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::export::export;
use crate::oci::image::{
    Compression, Config, Format, Healthcheck, HistoryEntry, Image, Layer, Packing, Platform, Rootfs,
};
use crate::oci::layer::pack_into;
use crate::oci::manifest::{Annotations, REFERENCE};
use crate::oci::outgoing::{Leaving, Listing, Order, Outgoing};
use crate::oci::pull;
use crate::oci::sink::{Blob, Sink};
use crate::oci::source::Source;
use crate::oci::supply::Supply;
pub(super) use crate::store::fixture::memo;
use crate::store::memo::Memo;
use crate::tree::encode::save;
use crate::tree::links::link_group;
use crate::tree::tree::{Content, Directory, Entry, LinkGroup, Metadata};

pub(super) fn file(memo: &Memo, content: &[u8], mode: u32) -> Entry {
    Entry::file(memo.write_blob(content).unwrap(), content.len() as u64, mode)
}

pub(super) fn directory(memo: &Memo, entries: Vec<(&[u8], Entry)>) -> TreeDigest {
    let entries = entries.into_iter().map(|(name, entry)| (name.to_vec(), entry)).collect();
    save(memo, &Directory { entries }).unwrap()
}

pub(super) fn of(content: Content) -> Entry {
    Entry { metadata: Metadata::plain(0o644), content }
}

pub(super) fn group(paths: &[TreePath], blob: &BlobDigest) -> LinkGroup {
    link_group(&mut paths.iter().map(TreePath::as_bytes).collect::<Vec<_>>(), blob)
}

/// The layer as a plain tar.
pub(super) fn tar_of(memo: &Memo, tree: TreeDigest) -> Vec<u8> {
    packed(memo, tree, Compression::None)
}

pub(super) fn packed(memo: &Memo, tree: TreeDigest, compression: Compression) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack_into(memo, tree, compression, &mut bytes, &Cancel::default()).unwrap();
    bytes
}

/// Does something with a blob.
pub(super) fn with_blob<T>(descriptor: &Descriptor, bytes: &[u8], then: impl FnOnce(&Blob<'_>) -> T) -> T {
    let bytes = bytes.to_vec();
    then(&Blob { descriptor, open: &|| Ok(Box::new(std::io::Cursor::new(bytes.clone()))) })
}

pub(super) fn order<'o>(images: &'o [Leaving<'o>], listing: Listing) -> Order<'o> {
    Order { images, created: 0, listing }
}

/// One image without its history, into a sink.
pub(super) fn export_to(
    memo: &Memo,
    image: &Image,
    sink: &dyn Sink,
    listing: Listing,
) -> Result<Outgoing, OciError> {
    let images = [Leaving { image, made_by: Vec::new() }];
    let supply = Supply::of(memo);
    let outgoing = Outgoing::into(&supply, &order(&images, listing), sink)?;
    export(&supply, &outgoing, sink)?;
    Ok(outgoing)
}

/// An image without layers.
pub(super) fn empty_outgoing() -> Outgoing {
    let (_folder, memo) = memo();
    let image = image(Vec::new(), Compression::None);
    let images = [Leaving { image: &image, made_by: Vec::new() }];
    Outgoing::new(&Supply::of(&memo), &order(&images, Listing::OfLayout)).unwrap()
}

/// The names under which a layout lists it.
pub(super) fn tags(tags: &[&str]) -> Vec<Annotations> {
    tags.iter().map(|tag| [(REFERENCE.to_owned(), (*tag).to_owned())].into()).collect()
}

/// A valid one, of version 2 (linux/capability.h), with a newline among its bytes.
const CAPABILITY: [u8; 20] = *b"\x01\0\0\x02\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A tree with one of everything.
pub(super) fn full_tree(memo: &Memo) -> TreeDigest {
    let mut linked = file(memo, b"linked", 0o644);
    if let Content::File { blob, link, .. } = &mut linked.content {
        let paths = ["etc/first", "second"].map(|path| TreePath::parse(path).unwrap());
        *link = Some(group(&paths, blob));
    }
    let mut capable = file(memo, &[7; 3000], 0o4755);
    capable.metadata.uid = 3_000_000_000;
    capable.metadata.xattrs.insert(b"security.capability".to_vec(), CAPABILITY.to_vec());
    let long = [b'n'; 200];
    let etc = directory(
        memo,
        vec![(b"first", linked.clone()), (b"gone", Entry::whiteout()), (b"!early", file(memo, b"", 0o600))],
    );
    let mut etc = Entry::directory(etc);
    if let Content::Directory { opaque, .. } = &mut etc.content {
        *opaque = true;
    }
    let mut sticky = Entry::directory(directory(memo, vec![]));
    sticky.metadata.mode = 0o1777;
    directory(
        memo,
        vec![
            (b"etc", etc),
            (b"etc-beside", file(memo, b"x", 0o644)),
            (b"second", linked),
            (b"capable", capable),
            (b"fifo", of(Content::Fifo)),
            (b"link", of(Content::Symlink { target: b"../\xff".to_vec() })),
            (b"longlink", of(Content::Symlink { target: long.to_vec() })),
            (b"null", of(Content::Device { block: false, major: 1, minor: 3 })),
            (b"disk", of(Content::Device { block: true, major: 259, minor: 1_048_575 })),
            (b"removed", Entry::whiteout()),
            (b"tmp", sticky),
            (b"\xff\xfe", file(memo, b"bytes", 0o644)),
            (&long, file(memo, &[1; 512], 0o644)),
        ],
    )
}

pub(super) fn image(layers: Vec<TreeDigest>, compression: Compression) -> Image {
    Image {
        rootfs: Rootfs { layers: layers.into_iter().map(Layer::Made).collect(), config: full_config() },
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
        packing: Packing { format: Format::Oci, compression },
        names: vec!["team/app:1.0".into()],
        annotations: [("org.opencontainers.image.title".to_owned(), "app".to_owned())].into(),
        index_annotations: BTreeMap::new(),
        descriptor_annotations: BTreeMap::new(),
        created: Some(1_000_000_000),
    }
}

/// Pulled, and unpacked.
pub(super) fn pull(
    memo: &Memo,
    layout: &Path,
    reference: Option<&str>,
    digest: Option<&str>,
    platform: &Platform,
) -> Result<Image, OciError> {
    let source = Arc::new(Source::layout(layout)?);
    let image = pull::pull(&source, reference, digest, platform)?;
    let supply = Supply::of(memo);
    supply.offer(&image, &source);
    supply.trees(&image.rootfs.layers)?;
    Ok(image)
}

/// Of an image that was made, or was pulled into this store.
pub(super) fn trees(memo: &Memo, image: &Image) -> Vec<TreeDigest> {
    Supply::of(memo).trees(&image.rootfs.layers).unwrap()
}

pub(super) fn full_config() -> Config {
    let text = |text: &str| text.to_owned();
    Config {
        env: vec![(text("PATH"), text("/bin")), (text("EMPTY"), text("")), (text("A"), text("b=c"))],
        entrypoint: Some(vec![text("/bin/app")]),
        cmd: Some(vec![text("--serve")]),
        workdir: Some(text("/srv")),
        user: Some(text("1000:1000")),
        shell: Some(vec![text("/bin/bash"), text("-c")]),
        labels: [(text("b"), text("2")), (text("a"), text("1"))].into(),
        ports: [text("8080/tcp"), text("53/udp")].into(),
        volumes: [text("/data")].into(),
        stop_signal: Some(text("SIGTERM")),
        healthcheck: Some(Healthcheck {
            test: vec![text("CMD"), text("true")],
            interval: Some(1_000_000_000),
            timeout: Some(2_000_000_000),
            start_period: Some(3_000_000_000),
            start_interval: Some(4_000_000_000),
            retries: Some(5),
        }),
        onbuild: vec![text("RUN true")],
        author: Some(text("someone")),
        history: vec![
            HistoryEntry {
                created: Some(text("2020-02-02T02:02:02.123456789Z")),
                created_by: Some(text("/bin/sh -c #(nop) ADD file:0 in /")),
                comment: Some(text("base")),
                author: Some(text("somebody else")),
                empty_layer: false,
            },
            HistoryEntry { created_by: Some(text("ENV A=b")), empty_layer: true, ..HistoryEntry::default() },
        ],
    }
}
