//! The stat index: what earlier builds saw in a workspace, so that what looks the same is not read again.
//! A mapped file, read in place; a file whose checksum is wrong is not used at all. It holds no truth:
//! without it a scan gives the same tree, later.
//!
//! ```text
//! file   = magic checksum:[32] root:u64 record*           children before parents, offsets from the file's start
//! record = head entry* names views                        head: HEAD bytes, entry: ENTRY bytes
//! head   = entries:u32 names-size:u32 views-size:u32 settled:u32 ignore-file:u64 stat
//! entry  = name:u32 kind:u8 flags:u8 0:u16 stat digest:[32]       of a directory: offset of its record, or 0
//! view   = filter:[32] children:[32] has-tree:u8 tree:[32] files:u64 selection matched    each of these: size:u32 bytes
//! ```

use std::ffi::CStr;
use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::base::digest::TreeDigest;
use crate::tree::scan::bits::Bits;
use crate::tree::scan::folder::{Found, Kind, Sight, View};
use crate::tree::scan::place::Stat;

pub(crate) const MAGIC: &[u8; 8] = b"mbindex\x01";
/// Where records begin, and where what the checksum covers begins.
pub(crate) const START: usize = COVERED + 8;
pub(crate) const COVERED: usize = MAGIC.len() + 32;
pub(crate) const HEAD: usize = 24 + Stat::SIZE;
pub(crate) const ENTRY: usize = 8 + Stat::SIZE + 32;
pub(crate) const KNOWN: u8 = 1;
pub(crate) const SETTLED: u8 = 2;

/// An index as the last build left it.
pub(crate) struct Index(Mmap);

impl Index {
    /// `None` where there is none, or one that is damaged or of another version.
    pub(crate) fn open(path: &Path) -> Option<Index> {
        let file = File::open(path).ok()?;
        // SAFETY: the file is only ever replaced by rename, never written in place.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let covered = map.get(COVERED..)?;
        let checksum = map.get(MAGIC.len()..COVERED)?;
        let intact = map.starts_with(MAGIC) && *blake3::hash(covered).as_bytes() == *checksum;
        intact.then_some(Index(map))
    }

    pub(crate) fn root(&self) -> Option<u64> {
        u64_at(&self.0, COVERED)
    }

    pub(crate) fn record(&self, offset: u64) -> Option<Record<'_>> {
        let bytes = self.0.get(usize::try_from(offset).ok()?..)?;
        let (count, names, views) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        let size = HEAD + count as usize * ENTRY + names as usize + views as usize;
        Some(Record { bytes: bytes.get(..size)?, count, names: names as usize })
    }
}

/// One directory in an index.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    bytes: &'a [u8],
    count: u32,
    names: usize,
}

impl<'a> Record<'a> {
    /// How many entries, numbered from 0.
    pub(crate) const fn len(&self) -> u32 {
        self.count
    }

    /// Of the directory itself.
    pub(crate) fn stat(&self) -> Option<Stat> {
        stat_at(self.bytes, 24)
    }

    pub(crate) fn is_settled(&self) -> bool {
        u32_at(self.bytes, 12) == Some(1)
    }

    pub(crate) fn ignore_file(&self) -> Option<usize> {
        u64_at(self.bytes, 16)
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| *number < self.count as usize)
    }

    pub(crate) fn names(&self) -> Option<&'a [u8]> {
        let start = HEAD + self.count as usize * ENTRY;
        self.bytes.get(start..start + self.names)
    }

    pub(crate) fn name_at(&self, start: u32) -> Option<&'a CStr> {
        CStr::from_bytes_until_nul(self.names()?.get(start as usize..)?).ok()
    }

    pub(crate) fn name_and_kind(&self, number: u32) -> Option<(u32, Kind)> {
        let entry = self.entry(number)?;
        Some((u32_at(entry, 0)?, kind_of(entry[4])?))
    }

    /// What was seen of a file or symlink.
    pub(crate) fn sight(&self, number: u32) -> Option<Sight> {
        let entry = self.entry(number)?;
        if entry[5] & KNOWN == 0 {
            return None;
        }
        let digest = entry[8 + Stat::SIZE..].try_into().ok()?;
        Some(Sight { stat: stat_at(entry, 8)?, digest, settled: entry[5] & SETTLED != 0 })
    }

    /// Offset of a directory's own record.
    pub(crate) fn child(&self, number: u32) -> Option<u64> {
        let entry = self.entry(number)?;
        let directory = kind_of(entry[4]) == Some(Kind::Directory);
        u64_at(entry, 8 + Stat::SIZE).filter(|offset| directory && *offset != 0)
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = View> + use<'a> {
        self.stored_views().map(StoredView::read)
    }

    pub(crate) fn view(&self, filter: &[u8; 32]) -> Option<View> {
        self.stored_views().find(|view| view.fixed[..32] == *filter).map(StoredView::read)
    }

    fn stored_views(&self) -> impl Iterator<Item = StoredView<'a>> + use<'a> {
        let mut rest = self.bytes.get(HEAD + self.count as usize * ENTRY + self.names..).unwrap_or_default();
        std::iter::from_fn(move || StoredView::take(&mut rest))
    }

    /// As it is stored.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn entry(&self, number: u32) -> Option<&'a [u8]> {
        let start = HEAD + number as usize * ENTRY;
        (number < self.count).then(|| self.bytes.get(start..start + ENTRY)).flatten()
    }
}

/// Filter, children, whether there is a tree, tree, files.
const VIEW: usize = 32 + 32 + 1 + 32 + 8;

struct StoredView<'a> {
    fixed: &'a [u8; VIEW],
    selection: &'a [u8],
    matched: &'a [u8],
}

impl<'a> StoredView<'a> {
    fn take(rest: &mut &'a [u8]) -> Option<StoredView<'a>> {
        let fixed = take(rest, VIEW)?.try_into().ok()?;
        let mut bits = || {
            let size = u32_at(take(rest, 4)?, 0)?;
            take(rest, size as usize)
        };
        Some(StoredView { fixed, selection: bits()?, matched: bits()? })
    }

    fn read(self) -> View {
        let digest = |start: usize| self.fixed[start..start + 32].try_into().expect("bug: 32 bytes");
        let found = Found {
            tree: (self.fixed[64] == 1).then(|| TreeDigest::from_bytes(digest(65))),
            files: u64_at(self.fixed, 97).expect("bug: eight bytes"),
            matched: Bits::from_bytes(self.matched),
        };
        View { filter: digest(0), selection: Bits::from_bytes(self.selection), children: digest(32), found }
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

pub(crate) const fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::File => 0,
        Kind::Directory => 1,
        Kind::Symlink => 2,
        Kind::Special => 3,
    }
}

const fn kind_of(number: u8) -> Option<Kind> {
    match number {
        0 => Some(Kind::File),
        1 => Some(Kind::Directory),
        2 => Some(Kind::Symlink),
        3 => Some(Kind::Special),
        _ => None,
    }
}

fn stat_at(bytes: &[u8], place: usize) -> Option<Stat> {
    bytes.get(place..place + Stat::SIZE)?.try_into().ok().map(Stat::from_bytes)
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..place + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], place: usize) -> Option<u64> {
    bytes.get(place..place + 8)?.try_into().ok().map(u64::from_le_bytes)
}
