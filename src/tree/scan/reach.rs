//! One request carried out: from the workspace down to the root of the scan, the walk below it, and
//! what the request demands of the result. What leads to the root is opened name by name, never by a link.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::base::cancel::Cancel;
use crate::base::facts::{FactSink as _, HashSink};
use crate::store::memo::Memo;
use crate::tree::encode::Encoder;
use crate::tree::scan::bits::Bits;
use crate::tree::scan::clock::Clock;
use crate::tree::scan::filter::Filter;
use crate::tree::scan::folder::{Folder, Found, Kind, Listing, name_at};
use crate::tree::scan::ignore_file::IgnoreFiles;
use crate::tree::scan::place::{Place, shown};
use crate::tree::scan::walk::{Scope, Walk};
use crate::tree::scan::{Modes, Scan, ScanError, Scanned, State};
use crate::tree::tree::Entry;

/// A request and what it needs beside the workspace.
pub(crate) struct Job<'a> {
    pub(crate) request: &'a Scan,
    pub(crate) left_out: &'a [Vec<u8>],
    pub(crate) cancel: &'a Cancel,
    pub(crate) clock: &'a Clock,
}

impl Job<'_> {
    /// Without `reuse`, all directories are encoded and stored anew. Without a memo, they are only named.
    pub(crate) fn run(
        &self,
        state: &mut State,
        place: &Place<'_>,
        memo: Option<&Memo>,
        reuse: bool,
    ) -> Result<Scanned, ScanError> {
        let filter = Filter::new(&self.request.include, &self.request.exclude)?;
        let ignore_files = IgnoreFiles::read(&self.request.ignore_files, place)?;
        let State { root, index, news, .. } = state;
        let walk = Walk {
            filter: &filter,
            gitignore: self.request.gitignore,
            ignore_files: &ignore_files,
            modes: self.request.modes,
            root: self.root(),
            index: index.as_ref(),
            reuse,
            memo,
            clock: self.clock,
            cancel: self.cancel,
            bytes_hashed: AtomicU64::new(0),
            news: AtomicBool::new(false),
        };
        let end = |folder: &mut Folder, place: &Place<'_>, scope: &Scope<'_>| {
            self.at_root(&walk, folder, place, scope)
        };
        let scanned = self.reach(&walk, root, place, &self.scope(&ignore_files), &end);
        let scanned = scanned.and_then(|(entry, found)| {
            self.demand_matches(&walk, root, place, &found)?;
            Ok(Scanned { entry, files: found.files, bytes_hashed: walk.bytes_hashed.load(Ordering::Relaxed) })
        });
        *news |= walk.news.into_inner();
        scanned
    }

    /// How many bytes of a path lead to the root.
    fn root(&self) -> usize {
        match self.request.root.as_bytes().len() {
            0 => 0,
            length => length + 1,
        }
    }

    fn scope(&self, ignore_files: &IgnoreFiles) -> Scope<'_> {
        let left_out = self.left_out.iter().map(Vec::as_slice).collect();
        Scope { key: self.key(ignore_files), ignores: None, left_out }
    }

    /// Names the filter: views made by equal filters are equal.
    fn key(&self, ignore_files: &IgnoreFiles) -> [u8; 32] {
        let mut sink = HashSink::new("memobuild 2026-11-28 scan filter v1");
        sink.fact("root", self.request.root.as_bytes());
        for glob in &self.request.include {
            sink.fact("include", glob.as_bytes());
        }
        for glob in &self.request.exclude {
            sink.fact("exclude", glob.as_bytes());
        }
        for (syntax, content) in ignore_files.contents() {
            sink.fact(syntax, content.as_bytes());
        }
        sink.fact("gitignore", &[self.request.gitignore.into()]);
        sink.fact("modes", &[(self.request.modes == Modes::Exact).into()]);
        *sink.finish().as_bytes()
    }

    /// Goes down to the root, or to the folder that holds the single file, and does `end` there.
    fn reach<T>(
        &self,
        walk: &Walk<'_>,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
        end: &dyn Fn(&mut Folder, &Place<'_>, &Scope<'_>) -> Result<T, ScanError>,
    ) -> Result<T, ScanError> {
        let rest = self.request.root.as_bytes().get(place.path().len()..).unwrap_or_default();
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let Some(name) = rest.split(|&byte| byte == b'/').next().filter(|name| !name.is_empty()) else {
            return end(folder, place, scope);
        };
        let last = name.len() == rest.len();
        walk.enter(folder, place, scope, |folder, scope| {
            let path = || shown(&place.path_of(name));
            if scope.leaves_out(name) {
                return Err(ScanError::LeftOut { path: path() });
            }
            let record = walk.record(folder);
            let listing = folder.listing.as_mut().expect("bug: just listed");
            let number = listing.find(name).ok_or_else(|| ScanError::Missing { path: path() })?;
            let Listing { names, slots, .. } = listing;
            let slot = &mut slots[number];
            match slot.kind {
                Kind::Directory => {
                    let below = place.below(name_at(names, slot.start))?;
                    self.reach(walk, slot.child_folder(record), &below, &scope.below(name), end)
                }
                Kind::Special => Err(ScanError::Special { path: path() }),
                Kind::File | Kind::Symlink if last && self.request.single => end(folder, place, scope),
                Kind::Symlink => Err(ScanError::Link { path: path() }),
                Kind::File => Err(ScanError::NotDirectory { path: path() }),
            }
        })
    }

    /// The value: the folder, or the single file in it.
    fn at_root(
        &self,
        walk: &Walk<'_>,
        folder: &mut Folder,
        place: &Place<'_>,
        scope: &Scope<'_>,
    ) -> Result<(Entry, Found), ScanError> {
        if place.path() == self.request.root.as_bytes() {
            let mut found = walk.visit(folder, place, scope)?;
            let tree = match found.tree {
                Some(tree) => tree,
                None => walk.store(Encoder::new())?,
            };
            found.tree = Some(tree);
            let stat = folder.listing.as_ref().map_or(0o40755, |listing| listing.stat.mode);
            return Ok((walk.directory_entry(tree, walk.mode(stat)), found));
        }
        let record = walk.record(folder);
        let listing = folder.listing.as_mut().expect("bug: listed on the way");
        let name = self.request.root.name().unwrap_or_default();
        let number = listing.find(name).expect("bug: found on the way");
        let entry = walk.single(listing, number, place, record)?;
        Ok((entry, Found { tree: None, files: 1, matched: Bits::default() }))
    }

    /// Every include takes something.
    fn demand_matches(
        &self,
        walk: &Walk<'_>,
        root: &mut Folder,
        place: &Place<'_>,
        found: &Found,
    ) -> Result<(), ScanError> {
        let mut includes = self.request.include.iter().enumerate();
        let Some((_, glob)) = includes.find(|(number, _)| !found.matched.has(*number)) else {
            return Ok(());
        };
        let filter = Filter::new(std::slice::from_ref(glob), &self.request.exclude)?;
        let alone =
            Walk { filter: &filter, bytes_hashed: AtomicU64::new(0), news: AtomicBool::new(false), ..*walk };
        let end = |folder: &mut Folder, place: &Place<'_>, scope: &Scope<'_>| {
            alone.count_ignored(folder, place, scope)
        };
        let ignored = match self.request.gitignore || !walk.ignore_files.is_empty() {
            true => self.reach(&alone, root, place, &self.scope(walk.ignore_files), &end)?,
            false => None,
        };
        Err(ScanError::Empty { glob: glob.clone(), ignored })
    }
}
