//! A layer tree as a packed blob: tar, hashed, compressed, stored, in one pass and in bounded memory.
//! A packed layer is remembered by tree and compression, so an unchanged one is never packed again.
//! One thread looks ahead and reads files, one builds and hashes the tar, one compresses and stores:
//! small files cost more to open than to pack.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, OciDigest, TreeDigest};
use crate::base::facts::{FactSink, HashSink, ListSink};
use crate::oci::compress::{BLOCK, compress};
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, LayerBlob};
use crate::oci::members::{FileContent, Member, Members};
use crate::oci::tar_header::{END, padding};
use crate::store::memo::{BlobWriter, Memo};
use crate::store::object::Object;
use crate::store::record::{Lost, Record};

/// The layer's blob, from the memo or packed now. Its media type is the specification's.
/// Waits for work on rayon's threads, so it must not be called from one of them.
pub fn pack(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    cancel: &Cancel,
) -> Result<LayerBlob, OciError> {
    let mut hash = HashSink::new("memobuild 2026-11-28 layer v1");
    write_facts(tree, compression, &mut hash);
    let key = ActionKey(hash.finish());
    if let Some(layer) = recall(memo, key)? {
        return Ok(layer);
    }
    let _lock = memo.lock_key(key, cancel)?;
    if let Some(layer) = recall(memo, key)? {
        return Ok(layer);
    }
    let start = Instant::now();
    let layer = pack_now(memo, tree, compression, cancel)?;
    let mut facts = ListSink::default();
    write_facts(tree, compression, &mut facts);
    let record = Record {
        lost: Lost::default(),
        outputs: BTreeMap::from([(OUTPUT.to_owned(), serde_json::json!(layer))]),
        objects: vec![Object::Blob(layer.blob)],
        facts: facts.0,
        log: None,
        seconds: start.elapsed().as_secs_f64(),
        rung: None,
        shareable: true,
        node: OUTPUT.to_owned(),
    };
    memo.remember(key, &record)?;
    Ok(layer)
}

const OUTPUT: &str = "layer";

fn write_facts(tree: TreeDigest, compression: Compression, sink: &mut dyn FactSink) {
    let (name, level) = match compression {
        Compression::None => ("none", 0),
        Compression::Gzip { level } => ("gzip", i64::from(level)),
        Compression::Zstd { level } => ("zstd", i64::from(level)),
    };
    sink.fact("tree", tree.as_bytes());
    sink.fact("compression", name.as_bytes());
    sink.fact("level", level.to_string().as_bytes());
}

fn recall(memo: &Memo, key: ActionKey) -> Result<Option<LayerBlob>, OciError> {
    let Some(record) = memo.recall(key)? else { return Ok(None) };
    let layer: Option<LayerBlob> =
        record.outputs.get(OUTPUT).and_then(|value| serde_json::from_value(value.clone()).ok());
    Ok(layer.filter(|layer| memo.has(Object::Blob(layer.blob))))
}

fn pack_now(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    cancel: &Cancel,
) -> Result<LayerBlob, OciError> {
    let (written, diff_id) = thread::scope(|scope| {
        let (send_pieces, pieces) = sync_channel(2);
        let (send_blocks, blocks) = sync_channel(4);
        let reader = scope.spawn(move || read_ahead(memo, tree, cancel, &send_pieces));
        let packer = scope.spawn(move || store(memo, &blocks, compression));
        let tar = write_tar(memo, &pieces, TarBlocks::new(send_blocks), cancel);
        drop(pieces);
        // The reader's error is the cause where it has one: the others then only saw an early end.
        // The packer's comes next: the tar writer then only saw a closed channel.
        reader.join().expect("bug: reading files ahead panicked")?;
        let writer = packer.join().expect("bug: compressing a layer panicked")?;
        let diff_id = tar?;
        // Only a whole layer becomes a blob.
        Ok::<_, OciError>((writer.finish()?, diff_id))
    })?;
    Ok(LayerBlob {
        media_type: compression.layer_kind().media_type(Format::Oci).to_owned(),
        digest: written.oci,
        size: written.size,
        diff_id,
        blob: written.blob,
    })
}

/// A member whose content, where it is small, is in memory already.
struct Piece {
    header: Vec<u8>,
    content: Bytes,
}

enum Bytes {
    None,
    Here(Arc<[u8]>),
    InStore(FileContent),
}

/// Bytes: a larger file is streamed when its turn comes.
const READ_AHEAD_FILE: u64 = 1 << 20;
/// Bytes and entries that are read together.
const READ_AHEAD: u64 = 4 << 20;
const READ_AHEAD_ENTRIES: usize = 512;

fn read_ahead(
    memo: &Memo,
    tree: TreeDigest,
    cancel: &Cancel,
    pieces: &SyncSender<Vec<Piece>>,
) -> Result<(), OciError> {
    let mut members = Members::of(memo, tree)?;
    loop {
        let batch = next_batch(&mut members)?;
        if cancel.is_raised() {
            return Err(OciError::Cancelled);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let read = batch.into_par_iter().with_min_len(16).map(|member| load(memo, member));
        let batch = read.collect::<Result<Vec<_>, _>>()?;
        if pieces.send(batch).is_err() {
            return Ok(());
        }
    }
}

fn next_batch(members: &mut Members<'_>) -> Result<Vec<Member>, OciError> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < READ_AHEAD_ENTRIES && bytes < READ_AHEAD {
        let Some(member) = members.next().transpose()? else { break };
        bytes += member.content.map_or(0, |content| content.size.min(READ_AHEAD_FILE));
        batch.push(member);
    }
    Ok(batch)
}

fn load(memo: &Memo, member: Member) -> Result<Piece, OciError> {
    let content = match member.content {
        None => Bytes::None,
        Some(content) if content.size > READ_AHEAD_FILE => Bytes::InStore(content),
        Some(content) => {
            let bytes = memo.read(Object::Blob(content.blob))?;
            same_size(content, bytes.len() as u64)?;
            Bytes::Here(bytes)
        }
    };
    Ok(Piece { header: member.header, content })
}

/// A tree whose entry lies about a size would give an archive that cannot be read.
fn same_size(content: FileContent, found: u64) -> Result<(), OciError> {
    if content.size == found {
        return Ok(());
    }
    Err(OciError::Unpackable {
        path: content.blob.to_string(),
        reason: "the tree says another size than its blob has",
    })
}

fn write_tar(
    memo: &Memo,
    pieces: &Receiver<Vec<Piece>>,
    mut tar: TarBlocks,
    cancel: &Cancel,
) -> Result<OciDigest, OciError> {
    let broken = || OciError::stream("packing a layer");
    for piece in pieces.iter().flatten() {
        tar.write_all(&piece.header).map_err(broken())?;
        let size = match piece.content {
            Bytes::None => 0,
            Bytes::Here(bytes) => {
                tar.write_all(&bytes).map_err(broken())?;
                bytes.len() as u64
            }
            Bytes::InStore(content) => copy_large(memo, content, &mut tar, cancel)?,
        };
        tar.write_all(&END[..padding(size)]).map_err(broken())?;
    }
    tar.write_all(&END).map_err(broken())?;
    tar.finish().map_err(broken())
}

fn copy_large(
    memo: &Memo,
    content: FileContent,
    tar: &mut TarBlocks,
    cancel: &Cancel,
) -> Result<u64, OciError> {
    let mut reader = memo.open_blob(content.blob)?;
    let mut copied = 0;
    loop {
        if cancel.is_raised() {
            return Err(OciError::Cancelled);
        }
        let piece = io::copy(&mut reader.by_ref().take(READ_AHEAD), tar)
            .map_err(OciError::stream("packing a file"))?;
        copied += piece;
        if piece == 0 {
            break;
        }
    }
    same_size(content, copied)?;
    Ok(copied)
}

/// The blob, written but not finished.
fn store(memo: &Memo, blocks: &Receiver<Vec<u8>>, compression: Compression) -> Result<BlobWriter, OciError> {
    let mut writer = memo.blob_writer()?;
    compress(blocks, compression, &mut writer).map_err(OciError::stream("storing a layer"))?;
    Ok(writer)
}

/// Cuts a stream into blocks of one size, and hashes it.
struct TarBlocks {
    block: Vec<u8>,
    hash: Sha256,
    blocks: SyncSender<Vec<u8>>,
}

impl TarBlocks {
    fn new(blocks: SyncSender<Vec<u8>>) -> TarBlocks {
        TarBlocks { block: Vec::with_capacity(BLOCK), hash: Sha256::new(), blocks }
    }

    fn send(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.hash.update(&block);
        self.blocks.send(block).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn finish(mut self) -> io::Result<OciDigest> {
        self.send()?;
        Ok(OciDigest::from_bytes(self.hash.finalize().into()))
    }
}

impl Write for TarBlocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.send()?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
