//! A layer's tar cut into segments, each of which is compressed by itself and remembered. Where it is cut depends on
//! the members near the cut alone, so that a changed file changes the segment that it is in and no other.
//!
//! After at least `LEAST` bytes a segment ends with the first member whose own facts say so, the larger the likelier.
//! Files larger than `PIECE` are cut inside, at fixed distances from their own start. Reads no file.

use crate::base::digest::ActionKey;
use crate::base::facts::{FactSink, HashSink};
use crate::oci::error::OciError;
use crate::oci::image::Compression;
use crate::oci::members::{FileContent, Member, Members};
use crate::oci::tar_header::{END, padding};

/// Bytes of tar. Other numbers are another format, and a part of each segment's name.
const LEAST: u64 = 1 << 20;
/// What follows the least, on average.
const MEAN: u64 = 1 << 20;
/// No member that would make a segment larger is added to it.
const MOST: u64 = 4 << 20;
/// Of a large file.
pub(crate) const PIECE: u64 = 2 << 20;

#[derive(Clone)]
pub(crate) struct Segment {
    /// Names the segment's bytes, packed.
    pub key: ActionKey,
    pub parts: Vec<Part>,
    /// Bytes of tar.
    pub size: u64,
}

#[derive(Clone)]
pub(crate) enum Part {
    /// Headers, and zeros between members.
    Bytes(Vec<u8>),
    /// Of a large file; its pieces come in order, with segments of their own between them.
    Piece { content: FileContent, offset: u64, length: u64 },
    /// A whole file that is not large.
    File(FileContent),
}

/// The segments of a layer, in order; one at least. Ends after the first error.
pub(crate) struct Segments<'a> {
    members: Members<'a>,
    compression: Compression,
    /// Read, and begins the next segment.
    ahead: Option<Member>,
    /// A large file and how much of it is in segments already.
    large: Option<(FileContent, u64)>,
    is_at_end: bool,
}

impl<'a> Segments<'a> {
    pub(crate) fn of(members: Members<'a>, compression: Compression) -> Segments<'a> {
        Segments { members, compression, ahead: None, large: None, is_at_end: false }
    }

    fn advance(&mut self) -> Result<Option<Segment>, OciError> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut open = Open::new(self.compression);
        if self.continue_large(&mut open) {
            return Ok(Some(open.close()));
        }
        loop {
            let ahead = self.ahead.take().map(Ok);
            let Some(member) = ahead.or_else(|| self.members.next()).transpose()? else {
                self.is_at_end = true;
                open.bytes(&END);
                return Ok(Some(open.close()));
            };
            if open.is_full(&member) {
                self.ahead = Some(member);
                return Ok(Some(open.close()));
            }
            let is_large = member.content.filter(|content| content.size > PIECE);
            let is_cut = open.add(member);
            if let Some(content) = is_large {
                self.large = Some((content, PIECE));
            }
            if is_cut {
                return Ok(Some(open.close()));
            }
        }
    }

    /// Whether the segment ends inside of a large file.
    fn continue_large(&mut self, open: &mut Open) -> bool {
        let Some((content, offset)) = &mut self.large else { return false };
        let length = (content.size - *offset).min(PIECE);
        open.piece(*content, *offset, length);
        *offset += length;
        let is_inside = *offset < content.size;
        if !is_inside {
            open.bytes(&END[..padding(content.size)]);
            self.large = None;
        }
        is_inside
    }
}

impl Iterator for Segments<'_> {
    type Item = Result<Segment, OciError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        self.is_at_end |= next.is_err();
        next.transpose()
    }
}

/// A segment that may still grow.
struct Open {
    facts: HashSink,
    parts: Vec<Part>,
    size: u64,
}

impl Open {
    fn new(compression: Compression) -> Open {
        let mut facts = HashSink::new("memobuild 2026-11-28 layer segment v2");
        compression.write_facts(&mut facts);
        Open { facts, parts: Vec::new(), size: 0 }
    }

    fn is_full(&self, member: &Member) -> bool {
        match member.content {
            Some(content) if content.size > PIECE => self.size >= LEAST,
            _ => self.size > 0 && self.size + length(member) > MOST,
        }
    }

    /// Of a large file the first piece. Whether the segment ends with it.
    fn add(&mut self, member: Member) -> bool {
        let length = length(&member);
        let mut own = HashSink::new("memobuild 2026-11-28 layer cut v1");
        own.fact("header", &member.header);
        self.bytes(&member.header);
        let Some(content) = member.content else { return self.is_end(own, length) };
        own.fact("file", content.blob.as_bytes());
        if content.size > PIECE {
            self.piece(content, 0, PIECE);
            return true;
        }
        self.facts.fact("file", content.blob.as_bytes());
        self.size += content.size;
        self.parts.push(Part::File(content));
        self.bytes(&END[..padding(content.size)]);
        self.is_end(own, length)
    }

    fn is_end(&self, own: HashSink, length: u64) -> bool {
        let own = own.finish();
        let (number, _) = own.as_bytes().split_first_chunk().expect("bug: a digest has 32 bytes");
        self.size >= LEAST && u64::from_le_bytes(*number) % MEAN < length
    }

    fn piece(&mut self, content: FileContent, offset: u64, length: u64) {
        self.facts.fact("file", content.blob.as_bytes());
        self.facts.fact("offset", &offset.to_le_bytes());
        self.parts.push(Part::Piece { content, offset, length });
        self.size += length;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.facts.fact("bytes", bytes);
        self.size += bytes.len() as u64;
        match self.parts.last_mut() {
            Some(Part::Bytes(before)) => before.extend_from_slice(bytes),
            _ => self.parts.push(Part::Bytes(bytes.to_vec())),
        }
    }

    fn close(self) -> Segment {
        Segment { key: ActionKey(self.facts.finish()), parts: self.parts, size: self.size }
    }
}

/// Bytes of tar.
fn length(member: &Member) -> u64 {
    let content = member.content.map_or(0, |content| content.size + padding(content.size) as u64);
    member.header.len() as u64 + content
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::digest::BlobDigest;
    use crate::oci::fixture::{directory, memo};
    use crate::tree::tree::Entry;

    /// Files of these sizes, whose content is their name and their edition.
    fn segments(files: &[(u32, u64, u32)]) -> Vec<Segment> {
        let (_folder, memo) = memo();
        let names: Vec<_> = files.iter().map(|(name, ..)| format!("{name:06}")).collect();
        let entry = |(name, size, edition): &(u32, u64, u32)| {
            Entry::file(BlobDigest::of(format!("{name} {edition}").as_bytes()), *size, 0o644)
        };
        let entries = names.iter().zip(files).map(|(name, file)| (name.as_bytes(), entry(file))).collect();
        let members = Members::of(&memo, directory(&memo, entries)).unwrap();
        Segments::of(members, Compression::None).map(Result::unwrap).collect()
    }

    fn small(count: u32) -> Vec<(u32, u64, u32)> {
        (0..count).map(|name| (name, 5_000 + u64::from(name % 50) * 1_000, 0)).collect()
    }

    fn keys(segments: &[Segment]) -> BTreeSet<ActionKey> {
        segments.iter().map(|segment| segment.key).collect()
    }

    #[test]
    fn sizes_are_within_bounds_and_add_up() {
        let mut files = small(2_000);
        files.push((500_000, 9 << 20, 0));
        files.push((500_001, PIECE, 0));
        files.push((500_002, PIECE + 1, 0));
        files.push((500_003, 1, 0));
        let segments = segments(&files);
        let total: u64 = files.iter().map(|(_, size, _)| 512 + size + padding(*size) as u64).sum();
        assert_eq!(segments.iter().map(|segment| segment.size).sum::<u64>(), total + 1024);
        assert!(segments.iter().all(|segment| segment.size <= MOST));
        let mean = total / segments.len() as u64;
        assert!((LEAST..3 << 20).contains(&mean), "{mean}");
    }

    /// Beside the changed file's own segment only one that was cut by its largest size may differ.
    #[test]
    fn a_change_stays_where_it_is() {
        let files = small(2_000);
        let before = segments(&files);
        for place in [0, 700, 1_300, 1_999] {
            let changed = |change: fn(&mut (u32, u64, u32))| {
                let mut files = files.clone();
                change(&mut files[place]);
                keys(&segments(&files)).difference(&keys(&before)).count()
            };
            assert!(changed(|file| file.2 = 1) <= 2, "content of {place}");
            assert!(changed(|file| file.1 += 700) <= 2, "size of {place}");
            let mut fewer = files.clone();
            fewer.remove(place);
            assert!(keys(&segments(&fewer)).difference(&keys(&before)).count() <= 2, "without {place}");
        }
    }

    /// Before a large file stands its own start only, whatever is beside it.
    #[test]
    fn pieces_of_a_large_file_depend_on_it_alone() {
        let large = (900_000, 9 << 20, 0);
        let with = |count| {
            let files: Vec<_> = small(count).into_iter().chain([large, (900_001, 100, 0)]).collect();
            keys(&segments(&files))
        };
        let same = with(1).intersection(&with(20)).count();
        assert_eq!(same, 4, "all pieces but the first");
    }

    #[test]
    fn an_empty_layer_is_one_segment() {
        let segments = segments(&[]);
        assert_eq!(segments.iter().map(|segment| segment.size).collect::<Vec<_>>(), [1024]);
    }
}
