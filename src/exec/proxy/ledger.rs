//! What a run reached, collected while it runs by all its connections, and summed up when it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::base::address::shown;
use crate::base::digest::OciDigest;
use crate::store::traffic::{Answer, HostTraffic, Refused, Traffic};

/// Of each kind, in a record.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Collected>);

#[derive(Debug, Default)]
struct Collected {
    hosts: BTreeMap<(String, u16), HostTraffic>,
    answers: BTreeSet<Answer>,
    refused: BTreeSet<Refused>,
    left_out: u64,
    differs: Vec<Differs>,
}

/// An answer that is not what is pinned.
#[derive(Debug, Clone)]
pub(crate) struct Differs {
    pub url: String,
    pub expected: OciDigest,
    pub found: OciDigest,
    pub status: u16,
}

impl Ledger {
    pub(super) fn carried(&self, host: &str, port: u16, sent: u64, received: u64, inside: bool) {
        self.with(|collected| {
            let key = (host.to_owned(), port);
            if collected.hosts.len() >= MOST && !collected.hosts.contains_key(&key) {
                collected.left_out += 1;
                return;
            }
            let empty = HostTraffic { host: host.to_owned(), port, sent: 0, received: 0, inside: false };
            let known = collected.hosts.entry(key).or_insert(empty);
            known.sent += sent;
            known.received += received;
            known.inside |= inside;
        });
    }

    pub(super) fn answered(&self, answer: Answer) {
        let url = shown(&answer.url);
        let answer = Answer { is_hidden: url != answer.url, url, ..answer };
        self.with(|collected| add(&mut collected.answers, answer, &mut collected.left_out));
    }

    pub(super) fn refused(&self, refused: Refused) {
        self.with(|collected| add(&mut collected.refused, refused, &mut collected.left_out));
    }

    pub(super) fn differs(&self, differs: Differs) {
        self.with(|collected| collected.differs.push(differs));
    }

    /// The first that is not what the lock file holds.
    pub(super) fn first_difference(&self) -> Option<Differs> {
        self.with(|collected| collected.differs.first().cloned())
    }

    pub(super) fn sum(&self) -> Traffic {
        self.with(|collected| {
            let Collected { hosts, answers, refused, left_out, .. } = std::mem::take(collected);
            Traffic {
                hosts: hosts.into_values().collect(),
                answers: answers.into_iter().collect(),
                refused: refused.into_iter().collect(),
                left_out,
            }
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Collected) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn add<T: Ord>(to: &mut BTreeSet<T>, item: T, left_out: &mut u64) {
    if to.len() < MOST || to.contains(&item) {
        to.insert(item);
    } else {
        *left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_summed_and_answers_told_once() {
        let ledger = Ledger::default();
        ledger.carried("b", 443, 1, 2, false);
        ledger.carried("a", 80, 3, 4, false);
        ledger.carried("b", 443, 5, 6, true);
        let answer = |url: &str| Answer { size: 1, ..Answer::of(url) };
        (0..2).for_each(|_| ledger.answered(answer("http://a/x?token=secret")));
        let refused = |number: usize| Refused { host: format!("h{number}"), port: None, inside: false };
        (0..=MOST).for_each(|number| ledger.refused(refused(number)));
        let traffic = ledger.sum();
        let hosts: Vec<_> =
            traffic.hosts.iter().map(|h| (h.host.as_str(), h.sent, h.received, h.inside)).collect();
        assert_eq!(hosts, [("a", 3, 4, false), ("b", 6, 8, true)]);
        let hidden = Answer { is_hidden: true, ..answer("http://a/x?token=***") };
        assert_eq!(traffic.answers, [hidden]);
        assert_eq!((traffic.refused.len(), traffic.left_out), (MOST, 1));
        assert!(traffic.is_of_this_machine());
    }
}
