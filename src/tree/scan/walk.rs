//! One walk over the workspace for one filter: directories in parallel, each listed once a build, each
//! file looked at once a build, read only when its stat is not the one in the index.
//! Never follows a link and never writes into the workspace. Only directories are stored, never content.

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, StatxFlags, statx};

use crate::base::cancel::Cancel;
use crate::base::digest::BlobDigest;
use crate::store::memo::Memo;
use crate::tree::scan::bits::Bits;
use crate::tree::scan::clock::Clock;
use crate::tree::scan::filter::Filter;
use crate::tree::scan::folder::{Folder, Found, Kind, Listing, Seen, Sight, Slot, View, name_at};
use crate::tree::scan::ignore_file::IgnoreFiles;
use crate::tree::scan::ignores::{FILE, Ignores};
use crate::tree::scan::index::{Index, Record};
use crate::tree::scan::place::{Place, Stat, shown};
use crate::tree::scan::{Modes, ScanError};
use crate::tree::tree::Entry;

/// Files of one directory that one thread looks at in a row.
const CHUNK: usize = 512;

pub(crate) struct Walk<'a> {
    pub(crate) filter: &'a Filter,
    pub(crate) gitignore: bool,
    pub(crate) ignore_files: &'a IgnoreFiles,
    pub(crate) modes: Modes,
    /// How many bytes of a path lead to the root of the scan.
    pub(crate) root: usize,
    pub(crate) index: Option<&'a Index>,
    /// Whether what was made of a directory before counts. Not where the store has lost it.
    pub(crate) reuse: bool,
    /// Where directories are stored; `None` only names them.
    pub(crate) memo: Option<&'a Memo>,
    pub(crate) clock: &'a Clock,
    pub(crate) cancel: &'a Cancel,
    pub(crate) bytes_hashed: AtomicU64,
    /// Whether anything was seen that the index does not hold.
    pub(crate) news: AtomicBool,
}

/// What comes from above.
pub(crate) struct Scope<'a> {
    /// Of the filter and the ignore rules in force.
    pub(crate) key: [u8; 32],
    pub(crate) ignores: Option<&'a Ignores<'a>>,
    /// Paths that are not looked at, from the directory at hand.
    pub(crate) left_out: Vec<&'a [u8]>,
}

impl<'a> Scope<'a> {
    fn with<'b>(&self, ignores: Option<&'b Ignores<'b>>, key: [u8; 32]) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { key, ignores: ignores.or(self.ignores), left_out: self.left_out.clone() }
    }

    pub(crate) fn below(&self, name: &[u8]) -> Scope<'a> {
        let rest = |path: &&'a [u8]| path.strip_prefix(name)?.strip_prefix(b"/");
        let left_out = self.left_out.iter().filter_map(rest).collect();
        Scope { key: self.key, ignores: self.ignores, left_out }
    }

    pub(crate) fn leaves_out(&self, name: &[u8]) -> bool {
        self.left_out.contains(&name)
    }

    /// Names the view: what is left out counts only where it is.
    fn view_key(&self, listing: &Listing) -> [u8; 32] {
        let there = self.left_out.iter().filter(|name| listing.find(name).is_some());
        there.fold(self.key, |key, name| *blake3::keyed_hash(&key, name).as_bytes())
    }
}

impl Walk<'_> {
    /// What the filter makes of a directory.
    pub(crate) fn visit(
        &self,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
    ) -> Result<Found, ScanError> {
        self.enter(folder, place, scope, |folder, scope| {
            let record = self.record(folder);
            let Folder { listing: Some(listing), views, .. } = folder else {
                unreachable!("bug: just listed")
            };
            let key = scope.view_key(listing);
            if let Some(view) = views.iter().find(|view| view.filter == key && self.reuse) {
                return Ok(view.found.clone());
            }
            let view = self.view(listing, place, scope, record, key)?;
            views.retain(|old| old.filter != key);
            views.push(view.clone());
            Ok(view.found)
        })
    }

    /// Lists the directory and finds the rules in force in it.
    pub(crate) fn enter<T>(
        &self,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
        then: impl FnOnce(&mut Folder, &Scope<'_>) -> Result<T, ScanError>,
    ) -> Result<T, ScanError> {
        if self.cancel.is_raised() {
            return Err(ScanError::Cancelled);
        }
        self.list(folder, place)?;
        match self.ignore_file(folder, place, scope)? {
            Some(content) => {
                let ignores = Ignores::new(scope.ignores, place, content);
                let key = *blake3::keyed_hash(&scope.key, content.as_bytes()).as_bytes();
                then(folder, &scope.with(Some(&ignores), key))
            }
            None => then(folder, scope),
        }
    }

    fn list(&self, folder: &mut Folder, place: &Place<'_>) -> Result<(), ScanError> {
        if folder.listing.is_some() {
            return Ok(());
        }
        let stat = place.stat()?;
        let record = self.record(folder);
        if let Some(listing) = record.and_then(|record| Listing::recall(record, &stat)) {
            folder.listing = Some(listing);
            return Ok(());
        }
        self.news.store(true, Ordering::Relaxed);
        let mut listing = Listing::read(place, stat, self.clock.settles(&stat))?;
        if let Some(record) = record {
            listing.join(record);
        }
        folder.listing = Some(listing);
        Ok(())
    }

    pub(crate) fn record(&self, folder: &Folder) -> Option<Record<'_>> {
        self.index?.record(folder.indexed?)
    }

    /// Content of the directory's own `.gitignore`.
    fn ignore_file(
        &self,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
    ) -> Result<Option<BlobDigest>, ScanError> {
        let record = self.record(folder);
        let Some(Listing { names, slots, ignore_file: Some(number), .. }) = &mut folder.listing else {
            return Ok(None);
        };
        if !self.gitignore || scope.leaves_out(FILE.to_bytes()) {
            return Ok(None);
        }
        let slot = &mut slots[*number];
        self.look(slot, names, place, record)?;
        Ok(slot.sight(record).map(|sight| BlobDigest::from_bytes(sight.digest)))
    }

    fn view(
        &self,
        listing: &mut Listing,
        place: &Place<'_>,
        scope: &Scope<'_>,
        record: Option<Record<'_>>,
        key: [u8; 32],
    ) -> Result<View, ScanError> {
        let indexed = record.filter(|_| self.reuse && listing.as_indexed);
        let old = indexed.and_then(|record| record.view(&key));
        let (selection, matched) = match &old {
            Some(view) => (view.selection.clone(), None),
            None => {
                let (selection, matched) = self.select(listing, place, scope)?;
                (selection, Some(matched))
            }
        };
        self.look_at_files(listing, place, record, &selection)?;
        let found = self.visit_children(listing, place, scope, record, &selection)?;
        let children = self.name_children(listing, &found);
        if let (Some(view), Some(record)) = (old, indexed)
            && view.children == children
            && selected(&listing.slots, &selection).all(|(_, slot)| slot.is_as_indexed(record))
        {
            return Ok(view);
        }
        self.news.store(true, Ordering::Relaxed);
        let matched = match matched {
            Some(matched) => matched,
            None => self.select(listing, place, scope)?.1,
        };
        let found = self.compose(listing, place, record, &selection, found, matched)?;
        Ok(View { filter: key, selection, children, found })
    }

    /// Which slots are taken or entered, and which includes took files.
    fn select(
        &self,
        listing: &Listing,
        place: &Place<'_>,
        scope: &Scope<'_>,
    ) -> Result<(Bits, Bits), ScanError> {
        let position = self.filter.at(self.relative(place.path()));
        let ignore_files = self.ignore_files.at(self.relative(place.path()));
        let mut selection = Bits::none(listing.slots.len());
        let (mut matched, mut hits) = (position.no_matches(), position.no_matches());
        let mut path = place.path_of(b"");
        let start = path.len();
        for (number, slot) in listing.slots.iter().enumerate() {
            let name = listing.name(slot).to_bytes();
            path.truncate(start);
            path.extend_from_slice(name);
            hits.clear();
            let directory = slot.kind == Kind::Directory;
            let wanted = match directory {
                true => position.enters(self.relative(&path)),
                false => position.takes(self.relative(&path), &mut hits),
            };
            if !wanted
                || scope.leaves_out(name)
                || !ignore_files.takes(self.relative(&path), directory)
                || self.ignored(scope, &path, directory)?
            {
                continue;
            }
            if slot.kind == Kind::Special {
                return Err(ScanError::Special { path: place.shown(listing.name(slot)) });
            }
            selection.set(number);
            matched.add(&hits);
        }
        Ok((selection, matched))
    }

    fn ignored(&self, scope: &Scope<'_>, path: &[u8], directory: bool) -> Result<bool, ScanError> {
        scope.ignores.map_or(Ok(false), |ignores| ignores.ignores(path, directory))
    }

    /// From the root of the scan.
    pub(crate) fn relative<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        path.get(self.root..).unwrap_or_default()
    }

    fn look_at_files(
        &self,
        listing: &mut Listing,
        place: &Place<'_>,
        record: Option<Record<'_>>,
        selection: &Bits,
    ) -> Result<(), ScanError> {
        let names = &listing.names;
        let look = |(number, slots): (usize, &mut [Slot])| {
            let mut unknown = Vec::new();
            for (place_in_chunk, slot) in slots.iter_mut().enumerate() {
                if selection.has(number * CHUNK + place_in_chunk)
                    && slot.kind != Kind::Directory
                    && let Some(stat) = self.stat_if_news(slot, names, place, record)?
                {
                    unknown.push((slot, stat));
                }
            }
            unknown.into_par_iter().try_for_each(|(slot, stat)| self.read(slot, names, place, stat))
        };
        if listing.slots.len() <= CHUNK {
            return look((0, &mut listing.slots));
        }
        listing.slots.par_chunks_mut(CHUNK).enumerate().try_for_each(look)
    }

    fn look(
        &self,
        slot: &mut Slot,
        names: &[u8],
        place: &Place<'_>,
        record: Option<Record<'_>>,
    ) -> Result<(), ScanError> {
        match self.stat_if_news(slot, names, place, record)? {
            Some(stat) => self.read(slot, names, place, stat),
            None => Ok(()),
        }
    }

    /// A single file or link.
    pub(crate) fn single(
        &self,
        listing: &mut Listing,
        number: usize,
        place: &Place<'_>,
        record: Option<Record<'_>>,
    ) -> Result<Entry, ScanError> {
        let Listing { names, slots, .. } = listing;
        self.look(&mut slots[number], names, place, record)?;
        self.file_entry(listing, &listing.slots[number], place, record)
    }

    /// `None` where the content is known.
    fn stat_if_news(
        &self,
        slot: &mut Slot,
        names: &[u8],
        place: &Place<'_>,
        record: Option<Record<'_>>,
    ) -> Result<Option<Stat>, ScanError> {
        if !matches!(slot.seen, Seen::NotYet) {
            return Ok(None);
        }
        let stat = place.stat_of(name_at(names, slot.start))?;
        let known = record.zip(slot.indexed).and_then(|(record, number)| record.sight(number));
        if known.is_some_and(|sight| sight.settled && sight.stat == stat) {
            slot.seen = Seen::AsIndexed;
            return Ok(None);
        }
        Ok(Some(stat))
    }

    /// Names a file's content or a link's target.
    fn read(&self, slot: &mut Slot, names: &[u8], place: &Place<'_>, stat: Stat) -> Result<(), ScanError> {
        if self.cancel.is_raised() {
            return Err(ScanError::Cancelled);
        }
        self.news.store(true, Ordering::Relaxed);
        let name = name_at(names, slot.start);
        let changed = || ScanError::Changed { path: place.shown(name) };
        if Kind::of_mode(stat.mode) != slot.kind {
            return Err(changed());
        }
        let digest = match slot.kind {
            Kind::Symlink => *blake3::hash(&place.link_target(name)?).as_bytes(),
            _ => {
                let file = place.open(name)?;
                let digest = crate::tree::scan::hash::hash_file(file.as_fd(), stat.size)
                    .map_err(|source| ScanError::Unreadable { path: place.shown(name), source })?;
                let after = statx(&file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
                    .map_err(|errno| place.failed_at(name, errno))?;
                if Stat::from(&after) != stat {
                    return Err(changed());
                }
                self.bytes_hashed.fetch_add(stat.size, Ordering::Relaxed);
                *digest.ok_or_else(changed)?.as_bytes()
            }
        };
        slot.seen = Seen::Anew(Box::new(Sight { stat, digest, settled: self.clock.settles(&stat) }));
        Ok(())
    }

    /// Docker's builder passes over a folder that is left out where it may not read it.
    fn nothing_there(&self, place: &Place<'_>, error: ScanError) -> Result<Found, ScanError> {
        let is_left_out = || self.ignore_files.at(self.relative(place.path())).is_left_out();
        match &error {
            ScanError::Unreadable { path, source }
                if source.kind() == std::io::ErrorKind::PermissionDenied
                    && *path == shown(place.path())
                    && is_left_out() =>
            {
                Ok(Found { tree: None, files: 0, matched: Bits::default() })
            }
            _ => Err(error),
        }
    }

    /// In the order of their slots.
    fn visit_children(
        &self,
        listing: &mut Listing,
        place: &Place<'_>,
        scope: &Scope<'_>,
        record: Option<Record<'_>>,
        selection: &Bits,
    ) -> Result<Vec<(usize, Found)>, ScanError> {
        let Listing { names, slots, .. } = listing;
        let visit = |(number, slot): (usize, &mut Slot)| {
            let name = name_at(names, slot.start);
            let child = slot.child_folder(record);
            let below = place.below(name)?;
            let found = self.visit(child, &below, &scope.below(name.to_bytes()));
            found.or_else(|error| self.nothing_there(&below, error)).map(|found| (number, found))
        };
        let mut directories: Vec<(usize, &mut Slot)> = slots
            .iter_mut()
            .enumerate()
            .filter(|(number, slot)| slot.kind == Kind::Directory && selection.has(*number))
            .collect();
        match directories.len() {
            0 => Ok(Vec::new()),
            1 => directories.pop().map(visit).into_iter().collect(),
            _ => directories.into_par_iter().map(visit).collect(),
        }
    }
}

impl Slot {
    pub(crate) fn child_folder(&mut self, record: Option<Record<'_>>) -> &mut Folder {
        let indexed = record.zip(self.indexed).and_then(|(record, number)| record.child(number));
        self.child.get_or_insert_with(|| Box::new(Folder { indexed, ..Folder::default() }))
    }
}

pub(crate) fn selected<'a>(
    slots: &'a [Slot],
    selection: &'a Bits,
) -> impl Iterator<Item = (usize, &'a Slot)> {
    slots.iter().enumerate().filter(|(number, _)| selection.has(*number))
}
