//! What a cache has seen, and which time inputs show for it. Tools compare the files that they kept with those
//! that they are given: what differs from what the cache saw when it was last used must look newer than all in
//! it, and goes on to look so until it differs again. Pure: holds no files and no clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::tree::disk::materialize::SECOND;

/// One thing that a run sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Where: `/src`. What the root is made of has other names.
    pub place: String,
    /// Its place in the order of times: one that lies on top has a higher one.
    pub slot: u32,
    /// Tells it apart from any other content.
    pub content: String,
}

/// All that one cache knows of its runs. Times are in nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// When its last run began.
    pub used: i64,
    /// When its last run ended; `None` while it runs, and when nobody saw it end.
    pub ended: Option<i64>,
    /// By place.
    pub seen: BTreeMap<String, Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// `None`: nothing was there, or several runs at once saw different things.
    pub content: Option<String>,
    /// What it showed from then on; `None`: it has been there since the cache is.
    pub since: Option<i64>,
}

/// From when on each input is to look new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// In the order of the sights.
    Since(Vec<Option<i64>>),
    /// Ask again then: the last change is of the same second, and tools like Python count in seconds.
    NotBefore(i64),
}

/// `memories` are of all caches of the run; `root_has` tells whether the root has something at a place.
pub(crate) fn times(
    sights: &[Sight],
    memories: &[Memory],
    root_has: &dyn Fn(&str) -> bool,
    now: i64,
) -> Times {
    let renewed: BTreeSet<usize> =
        memories.iter().flat_map(|memory| renewed(sights, memory, root_has)).collect();
    let shown = |place: &str| memories.iter().filter_map(|memory| memory.seen.get(place)?.since).max();
    let last_end = memories.iter().filter_map(|memory| memory.ended).max();
    let mut time = last_end.map_or(now, |ended| now.max(ended + 1));
    let last_change = renewed.iter().filter_map(|&number| shown(&sights[number].place)).max();
    if let Some(last) = last_change.filter(|last| time / SECOND <= last / SECOND) {
        let next = (last / SECOND + 1) * SECOND;
        if next - now <= SECOND {
            return Times::NotBefore(next);
        }
        // The clock was set back.
        time = next;
    }
    let since = |(number, sight): (usize, &Sight)| {
        if renewed.contains(&number) { Some(time) } else { shown(&sight.place) }
    };
    Times::Since(sights.iter().enumerate().map(since).collect())
}

/// Those that must look newer than all that the cache holds: what differs, and all that lies on top of it.
fn renewed(sights: &[Sight], memory: &Memory, root_has: &dyn Fn(&str) -> bool) -> BTreeSet<usize> {
    if memory.used == 0 {
        return BTreeSet::new();
    }
    let seen = |place: &str| memory.seen.get(place).and_then(|seen| seen.content.as_ref());
    let differs = |sight: &Sight| seen(&sight.place) != Some(&sight.content);
    let mut changed: BTreeSet<usize> = (0..sights.len()).filter(|&number| differs(&sights[number])).collect();
    let is_gone =
        |place: &&String| place.starts_with('/') && !sights.iter().any(|sight| sight.place == ***place);
    let gone = memory.seen.keys().filter(is_gone).filter(|place| seen(place).is_some());
    // What lies there now is part of what is around it.
    changed.extend(gone.filter_map(|place| around(sights, place, root_has)));
    let Some(lowest) = changed.iter().map(|&number| sights[number].slot).min() else { return changed };
    changed.extend((0..sights.len()).filter(|&number| sights[number].slot > lowest));
    changed
}

/// The mount that a place lies in; the lowest part of the root, where that has something there.
fn around(sights: &[Sight], place: &str, root_has: &dyn Fn(&str) -> bool) -> Option<usize> {
    let is_around = |number: &usize| {
        place.strip_prefix(&*sights[*number].place).is_some_and(|rest| rest.starts_with('/'))
    };
    let mounts = (0..sights.len()).filter(is_around);
    mounts.max_by_key(|&number| sights[number].place.len()).or_else(|| {
        let root = (0..sights.len()).filter(|&number| !sights[number].place.starts_with('/'));
        root.min_by_key(|&number| sights[number].slot).filter(|_| root_has(place))
    })
}

impl Memory {
    /// Of a run that begins, on what it saw before.
    pub(crate) fn begin(&mut self, sights: &[Sight], since: &[Option<i64>], now: i64) {
        for seen in self.seen.values_mut() {
            *seen = Seen::default();
        }
        for (sight, &since) in sights.iter().zip(since) {
            let seen = Seen { content: Some(sight.content.clone()), since };
            self.seen.insert(sight.place.clone(), seen);
        }
        (self.used, self.ended) = (now, None);
    }

    /// Of a run that is over. `mine` is what it noted when it began: where another one has seen something else
    /// meanwhile, what lies in the cache may be of either.
    pub(crate) fn end(&mut self, mine: &Memory, now: i64) {
        for (place, seen) in &mut self.seen {
            let content = mine.seen.get(place).and_then(|seen| seen.content.as_ref());
            if seen.content.as_ref() != content {
                seen.content = None;
            }
        }
        self.ended = Some(self.ended.map_or(now, |ended| ended.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100 * SECOND;

    /// Place, slot and content of each.
    fn sights(words: &[(&str, u32, &str)]) -> Vec<Sight> {
        let sight = |&(place, slot, content): &(&str, u32, &str)| Sight {
            place: place.to_owned(),
            slot,
            content: content.to_owned(),
        };
        words.iter().map(sight).collect()
    }

    /// On a root that has `/src` and nothing else where anything is mounted.
    fn times_of(sights: &[Sight], memories: &[Memory]) -> Times {
        times(sights, memories, &|place| place == "/src", NOW)
    }

    /// What a run on `sights` shows: seconds, 0 for what shows no real time.
    fn use_it(memory: &mut Memory, words: &[(&str, u32, &str)], second: i64) -> Vec<i64> {
        let sights = sights(words);
        let now = second * SECOND;
        let Times::Since(since) = times(&sights, std::slice::from_ref(memory), &|place| place == "/src", now)
        else {
            panic!("waits")
        };
        memory.begin(&sights, &since, now);
        let mine = memory.clone();
        memory.end(&mine, now + 1);
        since.iter().map(|since| since.unwrap_or_default() / SECOND).collect()
    }

    #[test]
    fn what_differs_looks_new_and_goes_on_to() {
        let mut memory = Memory::default();
        let of = |content| [("layer 1", 2, "r"), ("/src", 4, content)];
        assert_eq!(use_it(&mut memory, &of("a"), 1), [0, 0]);
        assert_eq!(use_it(&mut memory, &of("a"), 2), [0, 0]);
        assert_eq!(use_it(&mut memory, &of("b"), 3), [0, 3]);
        assert_eq!(use_it(&mut memory, &of("b"), 4), [0, 3]);
        assert_eq!(use_it(&mut memory, &of("a"), 5), [0, 5]);
    }

    #[test]
    fn what_lies_on_top_is_newer_still() {
        let mut memory = Memory::default();
        let of = |root, made, layer, source, below| {
            [
                ("layer 1", 2, root),
                ("/made", 3, made),
                ("layer 2", 4, layer),
                ("/src", 6, source),
                ("/src/gen", 8, below),
            ]
        };
        assert_eq!(use_it(&mut memory, &of("r", "m", "l", "s", "g"), 1), [0; 5]);
        assert_eq!(use_it(&mut memory, &of("r", "m", "l", "t", "g"), 2), [0, 0, 0, 2, 2]);
        assert_eq!(use_it(&mut memory, &of("r", "m", "l", "t", "h"), 3), [0, 0, 0, 2, 3]);
        assert_eq!(use_it(&mut memory, &of("r", "n", "l", "t", "h"), 4), [0, 4, 4, 4, 4]);
        assert_eq!(use_it(&mut memory, &of("q", "n", "l", "t", "h"), 5), [5; 5]);
        assert_eq!(use_it(&mut memory, &of("q", "n", "k", "t", "h"), 6), [5, 5, 6, 6, 6]);
    }

    #[test]
    fn what_is_gone_shows_what_was_below_it() {
        let mut memory = Memory::default();
        let all = [("layer 1", 2, "r"), ("/src", 4, "s"), ("/src/gen", 6, "g"), ("/tool", 4, "t")];
        assert_eq!(use_it(&mut memory, &all, 1), [0; 4]);
        // The root has nothing there.
        assert_eq!(use_it(&mut memory, &all[..3], 2), [0; 3]);
        assert_eq!(use_it(&mut memory, &all[..2], 3), [0, 3]);
        assert_eq!(use_it(&mut memory, &all[..2], 4), [0, 3]);
        assert_eq!(use_it(&mut memory, &all[..1], 5), [5]);
        assert_eq!(use_it(&mut memory, &all, 6), [5, 6, 6, 6]);
    }

    #[test]
    fn runs_at_once_leave_nothing_that_is_known() {
        let [one, other] = ["a", "b"].map(|content| sights(&[("/src", 4, content)]));
        let mut memory = Memory::default();
        memory.begin(&one, &[None], 1);
        let first = memory.clone();
        memory.begin(&other, &[None], 2);
        let second = memory.clone();
        memory.end(&first, 3);
        memory.end(&second, 4);
        assert_eq!(memory.ended, Some(4));
        for sights in [one, other] {
            assert_eq!(times_of(&sights, std::slice::from_ref(&memory)), Times::Since(vec![Some(NOW)]));
        }
    }

    #[test]
    fn times_never_go_back() {
        let of = |content| sights(&[("/src", 4, content)]);
        let memory = |since, ended| Memory {
            used: 1,
            ended,
            seen: [("/src".to_owned(), Seen { content: Some("a".to_owned()), since })].into(),
        };
        let found = |since, ended| times_of(&of("b"), &[memory(since, ended)]);
        assert_eq!(found(Some(NOW - SECOND), None), Times::Since(vec![Some(NOW)]));
        assert_eq!(found(Some(NOW), None), Times::NotBefore(NOW + SECOND));
        assert_eq!(found(None, Some(NOW + 5)), Times::Since(vec![Some(NOW + 6)]));
        assert_eq!(found(Some(NOW + 50 * SECOND), None), Times::Since(vec![Some(NOW + 51 * SECOND)]));
    }

    #[test]
    fn of_several_caches_the_newest_counts() {
        let sights = sights(&[("/src", 4, "a")]);
        let memory = |since| Memory {
            used: 1,
            ended: None,
            seen: [("/src".to_owned(), Seen { content: Some("a".to_owned()), since })].into(),
        };
        let memories = [memory(Some(5)), memory(None), memory(Some(7)), Memory::default()];
        assert_eq!(times_of(&sights, &memories), Times::Since(vec![Some(7)]));
    }
}
