//! Collects mistakes while files are read: each once, in the order of the files, and never too many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use miette::Severity;

use crate::lang::code::Code;
use crate::lang::mistake::{Label, Mistake, Record};
use crate::lang::source::Sources;

/// How many mistakes are shown; the rest is counted.
const SHOWN: usize = 20;

/// How many are kept until they are put in order.
const KEPT: usize = 10 * SHOWN;

/// What was found and is not yet in order.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<Mistake>,
    /// With their places among the kept.
    seen: BTreeMap<Identity, usize>,
    /// Places of those that were added once more.
    again: Vec<usize>,
    more: usize,
    count: usize,
}

/// What makes two mistakes one: a template that is expanded ten times tells its mistake once.
type Identity = (Code, Option<(usize, usize)>, String);

/// All that was found in one pass, in the order of the files, `SHOWN` at most.
#[derive(Debug)]
pub struct Mistakes {
    pub shown: Vec<Mistake>,
    pub more: usize,
    /// In how many files they are.
    files: usize,
}

impl Findings {
    pub fn add(&mut self, mistake: Mistake) {
        self.count += 1;
        let place = mistake.labels.first().map(|label| (label.span.start, label.span.end));
        let identity = (mistake.code, place, mistake.message.clone());
        if let Some(place) = self.seen.get(&identity) {
            self.again.push(*place);
            return;
        }
        if self.is_full() {
            self.more += 1;
        } else {
            self.seen.insert(identity, self.kept.len());
            self.kept.push(mistake);
        }
    }

    /// Takes over what was found in a text by itself, which begins at `base`.
    pub fn absorb(&mut self, found: Findings, base: usize) {
        for mut mistake in found.kept {
            for label in &mut mistake.labels {
                label.span = base + label.span.start..base + label.span.end;
            }
            self.add(mistake);
        }
        self.more += found.more;
        self.count += found.more;
    }

    /// Every mistake that `find` adds gets the trail's labels, innermost first, behind its own.
    pub fn within<R>(
        &mut self,
        trail: impl FnOnce() -> Vec<Label>,
        find: impl FnOnce(&mut Findings) -> R,
    ) -> R {
        let (before, again) = (self.kept.len(), self.again.len());
        let result = find(self);
        if self.kept.len() > before || self.again.len() > again {
            let trail = trail();
            self.kept[before..].iter_mut().for_each(|mistake| mistake.follow(&trail));
            for &place in &self.again[again..] {
                self.kept[place].found_again(&trail);
            }
        }
        result
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether more would only be counted: a reader may then stop.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= KEPT
    }

    /// How many were added, equal ones too, so that a reader can see whether a part of the file added some.
    pub fn count(&self) -> usize {
        self.count
    }

    /// In the order of the files; what has no place comes first.
    pub fn finish(mut self, sources: &Sources) -> Mistakes {
        self.kept.sort_by_key(|mistake| mistake.labels.first().map(|label| label.span.start));
        let places = self.kept.iter().filter_map(|mistake| mistake.labels.first());
        let files: BTreeSet<usize> = places.map(|label| sources.at(label.span.start).base).collect();
        let more = self.more + self.kept.len().saturating_sub(SHOWN);
        self.kept.truncate(SHOWN);
        self.kept.iter_mut().for_each(|mistake| mistake.place_in(sources));
        Mistakes { shown: self.kept, more, files: files.len() }
    }
}

impl Mistakes {
    pub fn records(&self) -> Vec<Record> {
        self.shown.iter().map(Mistake::record).collect()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Mistakes {
        Mistakes { shown: vec![mistake], more: 0, files: 1 }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let only_warnings = self.shown.iter().all(|mistake| mistake.severity == Severity::Warning);
        let noun = if only_warnings { "warning" } else { "mistake" };
        let mistakes = match self.shown.len() + self.more {
            1 => format!("one {noun}"),
            count => format!("{count} {noun}s"),
        };
        match self.files {
            0 | 1 => write!(f, "{mistakes} in the build file"),
            files => write!(f, "{mistakes} in {files} build files"),
        }
    }
}

impl std::error::Error for Mistakes {}
