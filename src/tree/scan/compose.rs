//! The entries and encodings that a walk makes of what it has looked at.

use crate::base::digest::{BlobDigest, TreeDigest};
use crate::tree::encode::Encoder;
use crate::tree::scan::bits::Bits;
use crate::tree::scan::folder::{Found, Kind, Listing, Slot};
use crate::tree::scan::index::Record;
use crate::tree::scan::place::Place;
use crate::tree::scan::walk::{Walk, selected};
use crate::tree::scan::{Modes, ScanError};
use crate::tree::tree::{Content, Entry, Metadata};

impl Walk<'_> {
    /// All that this directory's encoding takes from the directories in it.
    pub(crate) fn name_children(&self, listing: &Listing, found: &[(usize, Found)]) -> [u8; 32] {
        if found.is_empty() {
            return [0; 32];
        }
        let mut bytes = Vec::with_capacity(found.len() * 40);
        for (number, found) in found {
            bytes.extend_from_slice(&(*number as u32).to_le_bytes());
            bytes.extend_from_slice(&self.mode_of_child(&listing.slots[*number]).to_le_bytes());
            bytes.extend_from_slice(found.tree.as_ref().map_or(&[], |tree| tree.as_bytes()));
        }
        *blake3::hash(&bytes).as_bytes()
    }

    fn mode_of_child(&self, slot: &Slot) -> u32 {
        let listing = slot.child.as_ref().and_then(|child| child.listing.as_ref());
        self.mode(listing.map_or(0o40755, |listing| listing.stat.mode))
    }

    /// Encodes and stores the directory.
    pub(crate) fn compose(
        &self,
        listing: &Listing,
        place: &Place<'_>,
        record: Option<Record<'_>>,
        selection: &Bits,
        children: Vec<(usize, Found)>,
        matched: Bits,
    ) -> Result<Found, ScanError> {
        let mut all = Found { tree: None, files: 0, matched };
        let mut trees = vec![None; if children.is_empty() { 0 } else { listing.slots.len() }];
        for (number, found) in children {
            trees[number] = found.tree;
            all.files += found.files;
            all.matched.add(&found.matched);
        }
        let mut slots: Vec<(usize, &Slot)> = selected(&listing.slots, selection)
            .filter(|(number, slot)| slot.kind != Kind::Directory || trees[*number].is_some())
            .collect();
        if slots.is_empty() {
            return self.keep_empty(listing, place, all);
        }
        slots.sort_unstable_by_key(|(_, slot)| listing.name(slot));
        let mut encoder = Encoder::new();
        for (number, slot) in slots {
            let entry = match slot.kind {
                Kind::Directory => {
                    let tree = trees[number].expect("bug: filtered above");
                    self.directory_entry(tree, self.mode_of_child(slot))
                }
                _ => {
                    all.files += 1;
                    self.file_entry(listing, slot, place, record)?
                }
            };
            encoder.push(listing.name(slot).to_bytes(), &entry);
        }
        all.tree = Some(self.store(encoder)?);
        Ok(all)
    }

    /// A directory is kept for itself when it is empty on disk and a glob takes it, not when
    /// all that it holds is left out: then it is most likely a tool's and not in every checkout.
    /// What Docker's rules leave out counts as if it were not on disk.
    fn keep_empty(&self, listing: &Listing, place: &Place<'_>, mut found: Found) -> Result<Found, ScanError> {
        let ignore_files = self.ignore_files.at(self.relative(place.path()));
        let path_of = |name: &[u8]| self.relative(&place.path_of(name)).to_vec();
        if ignore_files.keeps(listing, path_of)
            && let Some(globs) = self.filter.at(self.relative(place.path())).taking_all()
        {
            found.matched.add(&globs);
            found.tree = Some(self.store(Encoder::new())?);
        }
        Ok(found)
    }

    pub(crate) fn store(&self, encoder: Encoder) -> Result<TreeDigest, ScanError> {
        let encoding = encoder.finish();
        match self.memo {
            Some(memo) => Ok(memo.write_tree(&encoding)?),
            None => Ok(TreeDigest::of(&encoding)),
        }
    }

    pub(crate) fn directory_entry(&self, tree: TreeDigest, mode: u32) -> Entry {
        Entry { metadata: Metadata::plain(mode), ..Entry::directory(tree) }
    }

    /// Of a file or link that was looked at.
    pub(crate) fn file_entry(
        &self,
        listing: &Listing,
        slot: &Slot,
        place: &Place<'_>,
        record: Option<Record<'_>>,
    ) -> Result<Entry, ScanError> {
        let sight = slot.sight(record).expect("bug: taken and not looked at");
        if slot.kind == Kind::File {
            let blob = BlobDigest::from_bytes(sight.digest);
            return Ok(Entry::file(blob, sight.stat.size, self.mode(sight.stat.mode)));
        }
        let name = listing.name(slot);
        let target = place.link_target(name)?;
        if *blake3::hash(&target).as_bytes() != sight.digest {
            return Err(ScanError::Changed { path: place.shown(name) });
        }
        Ok(Entry { metadata: Metadata::plain(0o777), content: Content::Symlink { target } })
    }

    /// As an entry has it.
    pub(crate) const fn mode(&self, mode: u32) -> u32 {
        match self.modes {
            Modes::Exact => mode & 0o7777,
            Modes::Canonical if mode & 0o170000 == 0o040000 || mode & 0o100 != 0 => 0o755,
            Modes::Canonical => 0o644,
        }
    }
}
