//! A layer tree as packed bytes: its digests, and the bytes themselves as a stream. Packed layers are kept as segments
//! (`segment.rs`), so that a changed file costs its own segment; what no compression makes smaller is not kept at all,
//! but made of its files each time. BLAKE3, SHA-256 and compression see the bytes in one pass.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Instant;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, OciDigest, TreeDigest};
use crate::oci::checkpoint::{self, State, Step, Steps};
use crate::oci::compress::write_frame;
use crate::oci::derived::Question;
use crate::oci::error::OciError;
use crate::oci::image::{Compression, Format, PackedLayer};
use crate::oci::members::Members;
use crate::oci::packing::{Form, Made, Piece, make_in_order};
use crate::oci::segment::Segments;
use crate::oci::segment_memo::{self, Known};
use crate::store::memo::Memo;

/// The layer's digests, where it was packed before.
pub fn recall(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
) -> Result<Option<PackedLayer>, OciError> {
    Ok(question(tree, compression).recall(memo)?)
}

/// The layer's digests, from the memo or by packing it now.
/// Waits for work on rayon's threads, so it must not be called from one of them.
pub fn pack(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    cancel: &Cancel,
) -> Result<PackedLayer, OciError> {
    if let Some(packed) = recall(memo, tree, compression)? {
        return Ok(packed);
    }
    let _lock = memo.lock_key(question(tree, compression).key(), cancel)?;
    match recall(memo, tree, compression)? {
        Some(packed) => Ok(packed),
        None => pack_now(memo, tree, compression, None, cancel),
    }
}

/// Packs the layer as `pack` does and writes it on the way. What was written is a layer only where this succeeds.
pub fn pack_into(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    out: &mut dyn Write,
    cancel: &Cancel,
) -> Result<PackedLayer, OciError> {
    pack_now(memo, tree, compression, Some(out), cancel)
}

/// The packed bytes of a layer, as `pack` gives their digest.
pub fn open(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    cancel: &Cancel,
) -> Box<dyn Read + Send> {
    let (memo, cancel) = (memo.clone(), cancel.clone());
    let (send, pieces) = sync_channel(2);
    thread::spawn(move || {
        let mut out = Handed { send: &send, buffer: Vec::new() };
        let written = write_unhashed(&memo, tree, compression, &mut out, &cancel)
            .and_then(|()| out.flush().map_err(OciError::stream("packing a layer")));
        if let Err(error) = written {
            // Whoever reads no more needs no error.
            let _ = send.send(Err(io::Error::other(error)));
        }
    });
    Box::new(Pieces { pieces, current: Vec::new(), read: 0 })
}

/// Segments and checkpoints are remembered too, so that a layer that is nearly the same costs little.
fn question(tree: TreeDigest, compression: Compression) -> Question {
    let (compression, level) = compression.words();
    let facts = vec![("tree", tree.to_string()), ("compression", compression), ("level", level)];
    Question { context: "memobuild 2026-11-28 layer v3", output: "layer", facts }
}

fn pack_now(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    out: Option<&mut dyn Write>,
    cancel: &Cancel,
) -> Result<PackedLayer, OciError> {
    let start = Instant::now();
    let segments = Segments::of(Members::of(memo, tree)?, compression);
    let mut steps = Steps::hashed(memo, segments, compression, out.is_some());
    let made = thread::scope(|scope| {
        let mut layer = Hashing::begin(scope, compression, out);
        make_in_order(memo, &mut steps, compression, cancel, &mut |piece| layer.take(piece))?;
        Ok::<_, OciError>(layer.finish())
    })?;
    let segments = made.segments.par_iter();
    segments.try_for_each(|(key, known)| segment_memo::remember(memo, *key, *known))?;
    let checkpoints = made.checkpoints.par_iter();
    checkpoints.try_for_each(|(key, state)| checkpoint::remember(memo, *key, state))?;
    question(tree, compression).remember(memo, &made.packed, Vec::new(), start.elapsed())?;
    Ok(made.packed)
}

fn write_unhashed(
    memo: &Memo,
    tree: TreeDigest,
    compression: Compression,
    out: &mut dyn Write,
    cancel: &Cancel,
) -> Result<(), OciError> {
    let segments = Segments::of(Members::of(memo, tree)?, compression);
    let mut steps = segments.map(|segment| Ok(Step::Segment { segment: segment?, is_hashed: false }));
    make_in_order(memo, &mut steps, compression, cancel, &mut |piece| match piece {
        Piece::Segment { made, .. } => write_made(&made, compression, out),
        Piece::Resume(_) | Piece::Save(_) => Ok(()),
    })
}

fn write_made(made: &Made, compression: Compression, out: &mut dyn Write) -> Result<(), OciError> {
    let written = match &made.form {
        Form::Packed { bytes, .. } => out.write_all(bytes),
        Form::Framed { checksum } => write_frame(&made.tar, compression, *checksum, out),
    };
    written.map_err(OciError::stream("writing a layer"))
}

/// A layer while its segments come: written here, hashed on two threads.
struct Hashing<'s, 'o> {
    compression: Compression,
    out: Option<&'o mut dyn Write>,
    tar: Hasher<'s>,
    /// Of the packed bytes, where they are others than the tar.
    packed: Option<Hasher<'s>>,
    size: u64,
    segments: Vec<(ActionKey, Known)>,
    saved: Vec<(ActionKey, u64)>,
}

/// A layer that is whole, and what is to be remembered of it.
struct Whole {
    packed: PackedLayer,
    segments: Vec<(ActionKey, Known)>,
    checkpoints: Vec<(ActionKey, State)>,
}

impl<'s, 'o> Hashing<'s, 'o> {
    fn begin<'e>(
        scope: &'s Scope<'s, 'e>,
        compression: Compression,
        out: Option<&'o mut dyn Write>,
    ) -> Hashing<'s, 'o> {
        let tar = Hasher::begin(scope, |hash, made| hash.update(&made.tar));
        let packed = move |hash: &mut Sha256, made: &Made| {
            write_made(made, compression, &mut Hashed(hash)).expect("bug: a hash takes all bytes");
        };
        let packed = (compression != Compression::None).then(|| Hasher::begin(scope, packed));
        Hashing { compression, out, tar, packed, size: 0, segments: Vec::new(), saved: Vec::new() }
    }

    fn take(&mut self, piece: Piece) -> Result<(), OciError> {
        match piece {
            Piece::Segment { made, is_hashed } => {
                if is_hashed {
                    self.each(|| Fed::Made(made.clone()));
                }
                self.note(&made);
                let mut out = Counted { out: self.out.as_deref_mut(), count: &mut self.size };
                write_made(&made, self.compression, &mut out)
            }
            Piece::Resume(state) => {
                self.size = state.size;
                self.tar.feed(Fed::Resume(state.tar));
                self.packed.iter().for_each(|packed| packed.feed(Fed::Resume(state.packed.clone())));
                Ok(())
            }
            Piece::Save(key) => {
                self.saved.push((key, self.size));
                self.each(|| Fed::Save);
                Ok(())
            }
        }
    }

    fn each(&self, fed: impl Fn() -> Fed) {
        self.tar.feed(fed());
        self.packed.iter().for_each(|packed| packed.feed(fed()));
    }

    fn note(&mut self, made: &Made) {
        if made.is_new {
            let known = match &made.form {
                Form::Packed { blob, .. } => Known::Packed(*blob),
                Form::Framed { .. } => Known::Framed,
            };
            self.segments.push((made.key, known));
        }
    }

    fn finish(self) -> Whole {
        let (tar, tars) = self.tar.finish();
        let (packed, packeds) = match self.packed.map(Hasher::finish) {
            Some(packed) => packed,
            None => (tar.clone(), vec![Sha256::default(); tars.len()]),
        };
        let media_type = self.compression.layer_kind().media_type(Format::Oci).to_owned();
        let digest = |hash: Sha256| OciDigest::from_bytes(hash.finalize().into());
        let states = tars.into_iter().zip(packeds).zip(self.saved);
        let states = states.map(|((tar, packed), (key, size))| (key, State { tar, packed, size }));
        Whole {
            packed: PackedLayer { media_type, digest: digest(packed), size: self.size, diff_id: digest(tar) },
            segments: self.segments,
            checkpoints: states.collect(),
        }
    }
}

/// SHA-256 on a thread of its own: nothing else about a layer takes as long that cannot be divided.
struct Hasher<'s> {
    feed: SyncSender<Fed>,
    thread: ScopedJoinHandle<'s, (Sha256, Vec<Sha256>)>,
}

enum Fed {
    Made(Arc<Made>),
    Resume(Sha256),
    Save,
}

impl<'s> Hasher<'s> {
    fn begin<'e>(scope: &'s Scope<'s, 'e>, update: impl Fn(&mut Sha256, &Made) + Send + 's) -> Hasher<'s> {
        let (feed, fed) = sync_channel(4);
        let thread = scope.spawn(move || {
            let (mut hash, mut saved) = (Sha256::new(), Vec::new());
            for fed in fed {
                match fed {
                    Fed::Made(made) => update(&mut hash, &made),
                    Fed::Resume(state) => hash = state,
                    Fed::Save => saved.push(hash.clone()),
                }
            }
            (hash, saved)
        });
        Hasher { feed, thread }
    }

    fn feed(&self, fed: Fed) {
        self.feed.send(fed).expect("bug: a hash takes all that comes");
    }

    fn finish(self) -> (Sha256, Vec<Sha256>) {
        drop(self.feed);
        self.thread.join().expect("bug: hashing panicked")
    }
}

struct Hashed<'a>(&'a mut Sha256);

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what passes, wherever it goes.
struct Counted<'a, 'o> {
    out: Option<&'a mut (dyn Write + 'o)>,
    count: &'a mut u64,
}

impl Write for Counted<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.as_mut().map_or(Ok(bytes.len()), |out| out.write(bytes))?;
        *self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that another thread reads together.
const HANDED: usize = 1 << 20;

struct Handed<'a> {
    send: &'a SyncSender<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl Write for Handed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= HANDED {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.buffer);
        self.send.send(Ok(bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What `open` gives: the other end of `Handed`.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    read: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.current.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.current, self.read) = (piece?, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.current[self.read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}
