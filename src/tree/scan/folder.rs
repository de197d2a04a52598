//! A directory of the workspace as one build has seen it: listed once, each file looked at once,
//! however many scans overlap. What equals the index is not copied out of it.

use std::collections::HashMap;
use std::ffi::CStr;
use std::mem::MaybeUninit;

use rustix::fs::{FileType, RawDir};

use crate::base::digest::TreeDigest;
use crate::tree::scan::ScanError;
use crate::tree::scan::bits::Bits;
use crate::tree::scan::index::Record;
use crate::tree::scan::place::{Place, Stat, shown};

#[derive(Default)]
pub(crate) struct Folder {
    /// Where the index has this directory.
    pub(crate) indexed: Option<u64>,
    pub(crate) listing: Option<Listing>,
    /// What scans of this build made of it.
    pub(crate) views: Vec<View>,
}

pub(crate) struct Listing {
    /// Taken before the names were read.
    pub(crate) stat: Stat,
    /// Whether the same stat will mean the same names.
    pub(crate) settled: bool,
    /// Each with a NUL at its end.
    pub(crate) names: Vec<u8>,
    pub(crate) slots: Vec<Slot>,
    /// Which slot is `.gitignore`.
    pub(crate) ignore_file: Option<usize>,
    /// Whether the index has the same names and kinds in the same order, so that its views fit.
    pub(crate) as_indexed: bool,
}

/// A name in a directory.
pub(crate) struct Slot {
    pub(crate) start: u32,
    pub(crate) kind: Kind,
    /// Which entry of the indexed directory has this name.
    pub(crate) indexed: Option<u32>,
    pub(crate) seen: Seen,
    /// Of a directory that a scan entered.
    pub(crate) child: Option<Box<Folder>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    /// Socket, fifo or device.
    Special,
}

/// What this build knows of a file or symlink.
pub(crate) enum Seen {
    NotYet,
    /// Its stat is the one in the index.
    AsIndexed,
    Anew(Box<Sight>),
}

/// A file or symlink at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) stat: Stat,
    /// BLAKE3 of the content or of the target.
    pub(crate) digest: [u8; 32],
    /// Whether the same stat will mean the same content.
    pub(crate) settled: bool,
}

/// What a filter makes of a directory, and all that it follows from beside the files themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Of the filter, the ignore rules in force and the names left out.
    pub(crate) filter: [u8; 32],
    /// The slots that are taken, or entered.
    pub(crate) selection: Bits,
    /// Of what the same filter makes of the directories in it.
    pub(crate) children: [u8; 32],
    pub(crate) found: Found,
}

/// What a walk finds in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// `None` where nothing is taken.
    pub(crate) tree: Option<TreeDigest>,
    /// How many, in all of the tree.
    pub(crate) files: u64,
    /// The includes that took something.
    pub(crate) matched: Bits,
}

impl Folder {
    pub(crate) fn view(&self, filter: &[u8; 32]) -> Option<&View> {
        self.views.iter().find(|view| view.filter == *filter)
    }
}

impl Listing {
    /// What the index has, when the directory's stat says that no name has come or gone since.
    pub(crate) fn recall(record: Record<'_>, stat: &Stat) -> Option<Listing> {
        if !record.is_settled() || record.stat()? != *stat {
            return None;
        }
        let slots = (0..record.len()).map(|number| {
            let (start, kind) = record.name_and_kind(number)?;
            Some(Slot::new(start, kind, Some(number)))
        });
        Some(Listing {
            stat: *stat,
            settled: true,
            names: record.names()?.to_vec(),
            slots: slots.collect::<Option<_>>()?,
            ignore_file: record.ignore_file(),
            as_indexed: true,
        })
    }

    pub(crate) fn read(place: &Place<'_>, stat: Stat, settled: bool) -> Result<Listing, ScanError> {
        let mut listing = Listing {
            stat,
            settled,
            names: Vec::new(),
            slots: Vec::new(),
            ignore_file: None,
            as_indexed: false,
        };
        let mut buffer = Vec::with_capacity(32 * 1024);
        let mut entries =
            RawDir::new(place.directory()?, buffer.spare_capacity_mut() as &mut [MaybeUninit<u8>]);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|errno| place.failed(errno))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => Kind::of_mode(place.stat_of(name)?.mode),
                known => Kind::of_type(known),
            };
            listing.push(name, kind).ok_or_else(|| ScanError::TooMany { path: shown(place.path()) })?;
        }
        Ok(listing)
    }

    /// `None` where the names are too long for the index.
    fn push(&mut self, name: &CStr, kind: Kind) -> Option<()> {
        let start = u32::try_from(self.names.len()).ok()?;
        if name == c".gitignore" && kind == Kind::File {
            self.ignore_file = Some(self.slots.len());
        }
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.slots.push(Slot::new(start, kind, None));
        Some(())
    }

    /// Joins names to those in the index.
    pub(crate) fn join(&mut self, record: Record<'_>) {
        let same = |number: u32, slot: &Slot, names: &[u8]| {
            record.name_and_kind(number).is_some_and(|(start, kind)| {
                kind == slot.kind && record.name_at(start) == Some(name_at(names, slot.start))
            })
        };
        let count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.as_indexed = record.len() == count
            && (0..).zip(&self.slots).all(|(number, slot)| same(number, slot, &self.names));
        if self.as_indexed {
            for (number, slot) in (0..).zip(&mut self.slots) {
                slot.indexed = Some(number);
            }
            return;
        }
        let names = (0..record.len()).filter_map(|number| {
            let (start, kind) = record.name_and_kind(number)?;
            Some((record.name_at(start)?, (number, kind)))
        });
        let names: HashMap<&CStr, (u32, Kind)> = names.collect();
        for slot in &mut self.slots {
            if let Some((number, kind)) = names.get(name_at(&self.names, slot.start))
                && *kind == slot.kind
            {
                slot.indexed = Some(*number);
            }
        }
    }

    pub(crate) fn name(&self, slot: &Slot) -> &CStr {
        name_at(&self.names, slot.start)
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.slots.iter().position(|slot| self.name(slot).to_bytes() == name)
    }
}

pub(crate) fn name_at(names: &[u8], start: u32) -> &CStr {
    let rest = names.get(start as usize..).unwrap_or_default();
    CStr::from_bytes_until_nul(rest).expect("bug: a name without its end")
}

impl Slot {
    fn new(start: u32, kind: Kind, indexed: Option<u32>) -> Slot {
        Slot { start, kind, indexed, seen: Seen::NotYet, child: None }
    }

    /// What is known of the file, from this build or the index.
    pub(crate) fn sight(&self, record: Option<Record<'_>>) -> Option<Sight> {
        match &self.seen {
            Seen::Anew(sight) => Some(**sight),
            Seen::AsIndexed | Seen::NotYet => record?.sight(self.indexed?),
        }
    }

    /// Whether an entry made from this file would be the one made when the index was written.
    pub(crate) fn is_as_indexed(&self, record: Record<'_>) -> bool {
        match &self.seen {
            Seen::NotYet | Seen::AsIndexed => true,
            Seen::Anew(now) => self.indexed.and_then(|number| record.sight(number)).is_some_and(|then| {
                then.digest == now.digest
                    && then.stat.mode == now.stat.mode
                    && then.stat.size == now.stat.size
            }),
        }
    }
}

impl Kind {
    fn of_type(file_type: FileType) -> Kind {
        match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Special,
        }
    }

    pub(crate) fn of_mode(mode: u32) -> Kind {
        Kind::of_type(FileType::from_raw_mode(mode))
    }
}
