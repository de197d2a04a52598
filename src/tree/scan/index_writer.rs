//! Writes the stat index: what this build saw, and what the last index has of directories that this
//! build did not enter.

use crate::tree::scan::folder::{Folder, Kind, Listing, Slot, View};
use crate::tree::scan::index::{
    COVERED, ENTRY, HEAD, Index, KNOWN, MAGIC, Record, SETTLED, START, number_of,
};
use crate::tree::scan::place::Stat;

/// Views a directory keeps of scans that this build did not make.
const VIEWS: usize = 16;

/// The whole file.
pub(crate) fn write(root: &Folder, last: Option<&Index>) -> Vec<u8> {
    let mut writer = Writer { bytes: vec![0; START], last };
    let offset = writer.folder(root).unwrap_or(0);
    let mut bytes = writer.bytes;
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[COVERED..START].copy_from_slice(&offset.to_le_bytes());
    let checksum = blake3::hash(&bytes[COVERED..]);
    bytes[MAGIC.len()..COVERED].copy_from_slice(checksum.as_bytes());
    bytes
}

struct Writer<'a> {
    bytes: Vec<u8>,
    last: Option<&'a Index>,
}

impl Writer<'_> {
    /// The offset of its record, where there is anything to record.
    fn folder(&mut self, folder: &Folder) -> Option<u64> {
        let record = self.last.zip(folder.indexed).and_then(|(last, offset)| last.record(offset));
        match &folder.listing {
            Some(listing) => Some(self.listing(folder, listing, record)),
            None => record.and_then(|record| self.copy(record)),
        }
    }

    fn listing(&mut self, folder: &Folder, listing: &Listing, record: Option<Record<'_>>) -> u64 {
        let children: Vec<u64> =
            listing.slots.iter().map(|slot| self.child(slot, record).unwrap_or(0)).collect();
        let views = views_to_keep(folder, listing, record);
        let offset = self.bytes.len();
        self.bytes.resize(offset + HEAD, 0);
        for (slot, child) in listing.slots.iter().zip(children) {
            self.entry(slot, child, record);
        }
        self.bytes.extend_from_slice(&listing.names);
        let start = self.bytes.len();
        for view in &views {
            self.view(view);
        }
        let size = self.bytes.len() - start;
        let numbers = [listing.slots.len(), listing.names.len(), size, listing.settled.into()]
            .map(|number| number as u32);
        let head = &mut self.bytes[offset..offset + HEAD];
        for (place, number) in head.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let ignore_file = listing.ignore_file.map_or(u64::MAX, |number| number as u64);
        head[16..24].copy_from_slice(&ignore_file.to_le_bytes());
        head[24..].copy_from_slice(&listing.stat.to_bytes());
        offset as u64
    }

    fn child(&mut self, slot: &Slot, record: Option<Record<'_>>) -> Option<u64> {
        match &slot.child {
            Some(child) => self.folder(child),
            None => {
                let offset = record?.child(slot.indexed?)?;
                let record = self.last?.record(offset)?;
                self.copy(record)
            }
        }
    }

    fn entry(&mut self, slot: &Slot, child: u64, record: Option<Record<'_>>) {
        let start = self.bytes.len();
        self.bytes.resize(start + ENTRY, 0);
        let entry = &mut self.bytes[start..];
        entry[..4].copy_from_slice(&slot.start.to_le_bytes());
        entry[4] = number_of(slot.kind);
        if slot.kind == Kind::Directory {
            entry[8 + Stat::SIZE..][..8].copy_from_slice(&child.to_le_bytes());
        } else if let Some(sight) = slot.sight(record) {
            entry[5] = KNOWN | if sight.settled { SETTLED } else { 0 };
            entry[8..][..Stat::SIZE].copy_from_slice(&sight.stat.to_bytes());
            entry[8 + Stat::SIZE..].copy_from_slice(&sight.digest);
        }
    }

    fn view(&mut self, view: &View) {
        self.bytes.extend_from_slice(&view.filter);
        self.bytes.extend_from_slice(&view.children);
        self.bytes.push(view.found.tree.is_some().into());
        self.bytes.extend_from_slice(view.found.tree.as_ref().map_or(&[0; 32], |tree| tree.as_bytes()));
        self.bytes.extend_from_slice(&view.found.files.to_le_bytes());
        for bits in [&view.selection, &view.found.matched] {
            self.bytes.extend_from_slice(&(bits.as_bytes().len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(bits.as_bytes());
        }
    }

    /// A record of the last index and all below it.
    fn copy(&mut self, record: Record<'_>) -> Option<u64> {
        let last = self.last?;
        let children: Vec<(usize, u64)> = (0..record.len())
            .filter_map(|number| {
                let child = last.record(record.child(number)?)?;
                Some((number as usize, self.copy(child)?))
            })
            .collect();
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(record.bytes());
        for (number, child) in children {
            let place = offset + HEAD + number * ENTRY + 8 + Stat::SIZE;
            self.bytes[place..place + 8].copy_from_slice(&child.to_le_bytes());
        }
        Some(offset as u64)
    }
}

/// This build's views, then those of the last index that still follow from what is recorded.
fn views_to_keep(folder: &Folder, listing: &Listing, record: Option<Record<'_>>) -> Vec<View> {
    let mut views = folder.views.clone();
    let Some(record) = record.filter(|_| listing.as_indexed) else { return views };
    if listing.slots.iter().all(|slot| slot.is_as_indexed(record)) {
        let old = record.views().filter(|view| folder.view(&view.filter).is_none());
        views.extend(old.take(VIEWS.saturating_sub(folder.views.len())));
    }
    views
}
