//! A run's hold on its caches. Locks are taken in one order by all runs of all processes, so that no two wait for
//! each other, and they die with whoever holds them. A run that waits says so, and can be cancelled.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::cancel::Cancel;
use crate::base::durable::{self, FileLock};
use crate::exec::caches::kept::About;
use crate::exec::caches::name::{CacheName, ids};
use crate::exec::caches::sight::{Memory, Sight, Times, times};
use crate::exec::caches::{about, all_of, content, lock, memory, now, read, turn};
use crate::exec::executor::ExecError;
use crate::exec::identity::Identity;
use crate::graph::op::{CacheMount, Sharing};
use crate::store::memo::Memo;
use crate::store::object::StoreError;
use crate::tree::disk::snapshot::Age;

/// Private copies of one cache.
const MOST_COPIES: u32 = 4096;
/// Between two looks at a lock that another run holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Given up when dropped.
pub(crate) struct Claims {
    claims: Vec<Claim>,
    /// For each of the run's caches, its number among the claims.
    numbers: Vec<usize>,
}

impl Claims {
    /// Of a run without caches.
    pub(crate) const fn none() -> Claims {
        Claims { claims: Vec::new(), numbers: Vec::new() }
    }
}

struct Claim {
    /// Of the cache.
    folder: PathBuf,
    /// Which of its copies.
    copy: u32,
    lock: FileLock,
    /// As it was left when this run began.
    noted: Option<Memory>,
}

/// From when on what a run is given looks new, by place.
#[derive(Debug, Default)]
pub(crate) struct Shown(BTreeMap<String, i64>);

/// Waits for those that others hold. `say` hears, in a few words, what is waited for.
pub(crate) fn claim(
    memo: &Memo,
    caches: &[CacheMount],
    of: &Of<'_>,
    cancel: &Cancel,
    say: &mut dyn FnMut(&str),
) -> Result<Claims, ExecError> {
    // The same one may stand at several places.
    let mut wanted: BTreeMap<String, (CacheName, Sharing)> = BTreeMap::new();
    for cache in caches {
        let name = of.name(cache);
        let known = wanted.entry(name.folder()).or_insert_with(|| (name, cache.sharing));
        known.1 = known.1.max(cache.sharing);
    }
    let mut claims = Vec::new();
    for (folder, (name, sharing)) in &wanted {
        let folder = all_of(memo).join(folder);
        let about = About { name: name.clone(), identity: of.identity.clone() };
        claims.push(wait(&folder, &about, *sharing, cancel, say)?);
    }
    let folders: Vec<&String> = wanted.keys().collect();
    let number = |cache| folders.binary_search(&&of.name(cache).folder()).expect("bug: it was claimed");
    Ok(Claims { claims, numbers: caches.iter().map(number).collect() })
}

/// For whom caches are claimed.
pub(crate) struct Of<'a> {
    pub workspace: &'a Path,
    pub platform: &'a str,
    pub identity: &'a Identity,
}

impl Of<'_> {
    fn name(&self, cache: &CacheMount) -> CacheName {
        CacheName {
            name: cache.name.clone(),
            workspace: self.workspace.to_owned(),
            package: cache.package.clone(),
            per: cache.per.clone(),
            platform: self.platform.to_owned(),
            ids: ids(self.identity),
        }
    }
}

fn wait(
    folder: &Path,
    about: &About,
    sharing: Sharing,
    cancel: &Cancel,
    say: &mut dyn FnMut(&str),
) -> Result<Claim, ExecError> {
    let mut pause = Duration::from_millis(1);
    let mut is_told = false;
    loop {
        if cancel.is_raised() {
            return Err(ExecError::Cancelled);
        }
        if let Some(claim) = attempt(folder, about, sharing)? {
            return Ok(claim);
        }
        if !std::mem::replace(&mut is_told, true) {
            say(&format!("waiting for the cache `{}`, which another run holds", about.name.name));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// `None` while others hold it.
fn attempt(folder: &Path, about: &About, sharing: Sharing) -> Result<Option<Claim>, StoreError> {
    let _turn = turn(folder)?;
    let take = |copy: u32| {
        let path = lock(folder, copy);
        let lock = match sharing {
            Sharing::Shared => FileLock::try_shared(&path),
            Sharing::Locked | Sharing::Private => FileLock::try_exclusive(&path),
        };
        let lock = lock.map_err(StoreError::io("cannot lock", &path))?;
        Ok(lock.map(|lock| Claim { folder: folder.to_owned(), copy, lock, noted: None }))
    };
    let copies = if sharing == Sharing::Private { MOST_COPIES } else { 1 };
    let claim = (0..copies).find_map(|copy| take(copy).transpose()).transpose()?;
    if claim.is_some() {
        about.write(&self::about(folder))?;
    }
    Ok(claim)
}

impl Claims {
    /// Of the run's cache with this number: the folder that it sees.
    pub(crate) fn folder(&self, cache: usize) -> PathBuf {
        let Claim { folder, copy, .. } = &self.claims[self.numbers[cache]];
        content(folder, *copy)
    }

    /// Whoever holds one of these holds the caches, too.
    pub(crate) fn locks(&self) -> Vec<BorrowedFd<'_>> {
        self.claims.iter().map(|claim| claim.lock.as_fd()).collect()
    }

    /// How what the run is given must look to what the caches hold; from now on they have seen it.
    /// `root_has` tells whether the root has something at a place.
    pub(crate) fn show(
        &mut self,
        sights: &[Sight],
        root_has: &dyn Fn(&str) -> bool,
        cancel: &Cancel,
    ) -> Result<Shown, ExecError> {
        if self.claims.is_empty() {
            return Ok(Shown::default());
        }
        let since = loop {
            match self.note(sights, root_has)? {
                Times::Since(since) => break since,
                Times::NotBefore(time) => {
                    let left = Duration::from_nanos(u64::try_from(time - now()).unwrap_or(0));
                    std::thread::sleep(left.min(LONGEST_PAUSE));
                }
            }
            if cancel.is_raised() {
                return Err(ExecError::Cancelled);
            }
        };
        let places =
            sights.iter().zip(since).filter_map(|(sight, since)| Some((sight.place.clone(), since?)));
        Ok(Shown(places.collect()))
    }

    fn note(&mut self, sights: &[Sight], root_has: &dyn Fn(&str) -> bool) -> Result<Times, StoreError> {
        let _turns = self.claims.iter().map(|claim| turn(&claim.folder)).collect::<Result<Vec<_>, _>>()?;
        let mut memories =
            self.claims.iter().map(Claim::recall).collect::<Result<Vec<Memory>, StoreError>>()?;
        let now = now();
        let times = times(sights, &memories, root_has, now);
        if let Times::Since(since) = &times {
            for (claim, memory) in self.claims.iter_mut().zip(&mut memories) {
                memory.begin(sights, since, now);
                claim.remember(memory)?;
                claim.noted = Some(memory.clone());
            }
        }
        Ok(times)
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        for claim in &self.claims {
            // What is not noted looks as after a crash, which costs no more than time.
            let _ = claim.end();
        }
    }
}

impl Claim {
    /// Nothing where it is new, or cannot be read: then everything in it is older than what the run is given.
    fn recall(&self) -> Result<Memory, StoreError> {
        let Some(bytes) = read(&memory(&self.folder, self.copy))? else { return Ok(Memory::default()) };
        Ok(serde_json::from_slice(&bytes).unwrap_or(Memory { used: 1, ..Memory::default() }))
    }

    fn remember(&self, memory: &Memory) -> Result<(), StoreError> {
        let path = self::memory(&self.folder, self.copy);
        let json = serde_json::to_vec(memory).expect("bug: what is seen is always JSON");
        durable::write_atomically(&path, &json, 0o600).map_err(StoreError::io("cannot write", &path))
    }

    fn end(&self) -> Result<(), StoreError> {
        let Some(noted) = &self.noted else { return Ok(()) };
        let _turn = turn(&self.folder)?;
        let mut memory = self.recall()?;
        memory.end(noted, now());
        self.remember(&memory)
    }
}

impl Shown {
    /// Of what lies at a place. Slots are a thousand nanoseconds apart there.
    pub(crate) fn age(&self, place: &str, slot: u32) -> Age {
        match self.0.get(place) {
            None => Age::Slot(slot),
            Some(since) => Age::Since(since + 1000 * i64::from(slot)),
        }
    }
}

#[cfg(test)]
mod tests;
