//! The segments of a layer made on all cores and handed on in their order, in bounded memory. What an earlier layer had
//! is taken from the store and neither read from its files nor compressed again.

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::base::cancel::Cancel;
use crate::base::digest::{ActionKey, BlobDigest};
use crate::oci::checkpoint::{State, Step};
use crate::oci::compress::{compress, decompress, frame_checksum};
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::oci::members::FileContent;
use crate::oci::rooms::{Room, Rooms};
use crate::oci::segment::{Part, Segment};
use crate::oci::segment_memo::{Known, recall};
use crate::store::memo::Memo;
use crate::store::object::{Object, StoreError};

/// What comes out, in order.
pub(crate) enum Piece {
    Segment { made: Arc<Made>, is_hashed: bool },
    Resume(Box<State>),
    Save(ActionKey),
}

pub(crate) struct Made {
    pub key: ActionKey,
    /// Empty where nobody asks for it.
    pub tar: Vec<u8>,
    pub form: Form,
    /// Not from the store: to be remembered once the layer is whole.
    pub is_new: bool,
    _room: Room,
}

pub(crate) enum Form {
    Packed { bytes: Arc<[u8]>, blob: BlobDigest },
    Framed { checksum: u32 },
}

/// Calls `each` on this thread. Segments that were made are in the store by then; nothing remembers them yet.
pub(crate) fn make_in_order(
    memo: &Memo,
    steps: &mut (dyn Iterator<Item = Result<Step, OciError>> + Send),
    compression: Compression,
    cancel: &Cancel,
    each: &mut dyn FnMut(Piece) -> Result<(), OciError>,
) -> Result<(), OciError> {
    let rooms = Arc::new(Rooms::default());
    let source = Mutex::new(Source { memo, steps, compression, large: None });
    let (order, pending) = channel();
    thread::scope(|scope| {
        for _ in 0..rayon::current_num_threads() {
            let (order, rooms, source) = (order.clone(), &rooms, &source);
            scope.spawn(move || work(memo, source, compression, rooms, &order, cancel));
        }
        drop(order);
        let result = pending.iter().try_for_each(|pending| each(pending.wait()?));
        rooms.close();
        result
    })
}

/// What a worker promised, in the order in which it was taken.
enum Pending {
    Segment { made: Receiver<Result<Made, OciError>>, is_hashed: bool },
    Other(Result<Piece, OciError>),
}

impl Pending {
    fn wait(self) -> Result<Piece, OciError> {
        match self {
            Pending::Segment { made, is_hashed } => {
                let made = made.recv().expect("bug: a worker gave no answer")?;
                Ok(Piece::Segment { made: Arc::new(made), is_hashed })
            }
            Pending::Other(piece) => piece,
        }
    }
}

fn work(
    memo: &Memo,
    source: &Mutex<Source<'_>>,
    compression: Compression,
    rooms: &Arc<Rooms>,
    order: &Sender<Pending>,
    cancel: &Cancel,
) {
    while let Some(Taken { task, room, answer }) = take(source, rooms, order, cancel) {
        // Nobody listens any more after another error.
        let _ = answer.send(make(memo, task, compression, room));
    }
}

/// A worker's own, from now on.
struct Taken {
    task: Task,
    room: Room,
    answer: SyncSender<Result<Made, OciError>>,
}

/// Segments get their room in their order, so that the first one always goes on.
fn take(
    source: &Mutex<Source<'_>>,
    rooms: &Arc<Rooms>,
    order: &Sender<Pending>,
    cancel: &Cancel,
) -> Option<Taken> {
    let mut source = source.lock().expect("bug: poisoned");
    loop {
        let next = if cancel.is_raised() { Err(OciError::Cancelled) } else { source.next() };
        let other = match next {
            Ok(None) => return None,
            Ok(Some(Next::Task(task))) => {
                let room = rooms.take(task.segment.size)?;
                let (answer, made) = sync_channel(1);
                order.send(Pending::Segment { made, is_hashed: task.is_hashed }).ok()?;
                return Some(Taken { task, room, answer });
            }
            Ok(Some(Next::Other(piece))) => Ok(piece),
            Err(error) => Err(error),
        };
        let is_end = other.is_err();
        order.send(Pending::Other(other)).ok()?;
        if is_end {
            rooms.close();
            return None;
        }
    }
}

struct Task {
    segment: Segment,
    known: Option<Known>,
    is_hashed: bool,
}

enum Next {
    Task(Task),
    Other(Piece),
}

/// Where segments come from, one worker at a time. Reads large files, which must be read in order: only all of a
/// file's bytes can be verified.
struct Source<'a> {
    memo: &'a Memo,
    steps: &'a mut (dyn Iterator<Item = Result<Step, OciError>> + Send),
    compression: Compression,
    large: Option<Large>,
}

struct Large {
    content: FileContent,
    reader: Box<dyn Read + Send>,
    read: u64,
}

impl Source<'_> {
    fn next(&mut self) -> Result<Option<Next>, OciError> {
        let (mut segment, is_hashed) = match self.steps.next().transpose()? {
            None => {
                self.finish_large()?;
                return Ok(None);
            }
            Some(Step::Resume(state)) => return Ok(Some(Next::Other(Piece::Resume(state)))),
            Some(Step::Save(key)) => return Ok(Some(Next::Other(Piece::Save(key)))),
            Some(Step::Segment { segment, is_hashed }) => (segment, is_hashed),
        };
        let known = recall(self.memo, segment.key, self.compression)?;
        if !matches!(known, Some(Known::Packed(_))) {
            self.read_pieces(&mut segment)?;
        }
        Ok(Some(Next::Task(Task { segment, known, is_hashed })))
    }

    fn read_pieces(&mut self, segment: &mut Segment) -> Result<(), OciError> {
        for part in &mut segment.parts {
            if let Part::Piece { content, offset, length } = *part {
                *part = Part::Bytes(self.read_piece(content, offset, length)?);
            }
        }
        Ok(())
    }

    fn read_piece(&mut self, content: FileContent, offset: u64, length: u64) -> Result<Vec<u8>, OciError> {
        let fits = |large: &Large| large.content.blob == content.blob && large.read <= offset;
        if !self.large.as_ref().is_some_and(fits) {
            self.finish_large()?;
            let reader = self.memo.open_blob(content.blob)?;
            self.large = Some(Large { content, reader, read: 0 });
        }
        let large = self.large.as_mut().expect("bug: it was opened");
        large.skip(offset - large.read)?;
        let bytes = large.take(length)?;
        if large.read == content.size {
            self.finish_large()?;
        }
        Ok(bytes)
    }

    /// Nothing is believed of a file before its last byte.
    fn finish_large(&mut self) -> Result<(), OciError> {
        let Some(mut large) = self.large.take() else { return Ok(()) };
        large.skip(u64::MAX)?;
        same_size(large.content, large.read)
    }
}

impl Large {
    /// As many bytes, or all that are left.
    fn skip(&mut self, count: u64) -> Result<(), OciError> {
        let skipped = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink());
        self.read += skipped.map_err(OciError::stream("packing a file"))?;
        Ok(())
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, OciError> {
        let mut bytes = Vec::with_capacity(length as usize);
        let read = self.reader.by_ref().take(length).read_to_end(&mut bytes);
        self.read += read.map_err(OciError::stream("packing a file"))? as u64;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            same_size(self.content, self.read).map(|()| bytes)
        }
    }
}

fn make(memo: &Memo, task: Task, compression: Compression, room: Room) -> Result<Made, OciError> {
    let Task { segment, known, is_hashed } = task;
    let (key, is_framed) = (segment.key, matches!(known, Some(Known::Framed)));
    if let Some(Known::Packed(blob)) = known
        && let Some(bytes) = stored(memo, blob)?
    {
        let read =
            || is_read_sooner(&segment, compression).then(|| tar_of(memo, segment.clone()).ok()).flatten();
        let unpacked = || decompress(&bytes, compression, segment.size).ok();
        let tar = if is_hashed { read().or_else(unpacked) } else { Some(Vec::new()) };
        if let Some(tar) = tar {
            return Ok(Made { key, tar, form: Form::Packed { bytes, blob }, is_new: false, _room: room });
        }
    }
    let tar = tar_of(memo, segment)?;
    let packed = if is_framed { None } else { compress(&tar, compression).map_err(COMPRESSING)? };
    let form = match packed {
        Some(packed) => Form::Packed { blob: memo.write_blob(&packed)?, bytes: packed.into() },
        None => Form::Framed { checksum: frame_checksum(&tar, compression) },
    };
    Ok(Made { key, tar, form, is_new: !is_framed && compression != Compression::None, _room: room })
}

/// Bytes of a file: opening and verifying a smaller one takes longer than to unpack it from gzip. Unpacking zstd is
/// as fast as reading.
const READ_SOONER: u64 = 6 << 10;

/// Whether the tar of a segment is had sooner from its files than from its packed bytes.
fn is_read_sooner(segment: &Segment, compression: Compression) -> bool {
    let files = segment.parts.iter().filter(|part| matches!(part, Part::File(_))).count() as u64;
    let is_of_large = segment.parts.iter().any(|part| matches!(part, Part::Piece { .. }));
    matches!(compression, Compression::Gzip { .. }) && !is_of_large && segment.size >= files * READ_SOONER
}

const COMPRESSING: fn(io::Error) -> OciError =
    |source| OciError::Stream { action: "compressing a layer", source };

/// `None` where it is lost or damaged.
fn stored(memo: &Memo, blob: BlobDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
    match memo.read(Object::Blob(blob)) {
        Err(StoreError::Missing(_) | StoreError::Damaged(_)) => Ok(None),
        bytes => bytes.map(Some),
    }
}

fn tar_of(memo: &Memo, segment: Segment) -> Result<Vec<u8>, OciError> {
    let mut parts = segment.parts;
    if let [Part::Bytes(only)] = parts.as_mut_slice() {
        return Ok(mem::take(only));
    }
    let mut tar = Vec::with_capacity(segment.size as usize);
    for part in parts {
        match part {
            Part::Bytes(bytes) => tar.extend_from_slice(&bytes),
            Part::File(content) => same_size(content, memo.append_blob(content.blob, &mut tar)?)?,
            Part::Piece { content, offset, length } => {
                // The segment was lost after it had been found: rare enough to read the file once more.
                let reader = memo.open_blob(content.blob)?;
                let mut large = Large { content, reader, read: 0 };
                large.skip(offset)?;
                tar.append(&mut large.take(length)?);
                large.skip(u64::MAX)?;
            }
        }
    }
    Ok(tar)
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
