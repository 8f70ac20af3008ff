//! Tallies: how often each of some values occurs, and when first and last.

use std::hash::Hash;

use hashbrown::HashMap;

use super::rows::{Cells, Merge};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::store::Row;

/// How often and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) requests: u64,
    /// Those that were served.
    pub(super) served: u64,
    /// 403
    pub(super) denied: u64,
    /// 401
    pub(super) refused: u64,
    /// Other errors.
    pub(super) failed: u64,
    /// Times of the first and of the last; 0 is unknown.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Row of the first.
    pub(super) first_row: Row,
}

impl Count {
    /// Counts a request; `outcome` is the code of its outcome.
    pub(super) fn add(&mut self, cells: &Cells<'_>, outcome: u32) {
        let one = |is: u32| u64::from(outcome == is);
        self.merge(Self {
            requests: 1,
            served: one(known::OK),
            denied: one(known::DENIED),
            refused: one(known::UNAUTHENTICATED),
            failed: one(known::ERROR),
            first: cells.time,
            last: cells.time,
            first_row: cells.row,
        });
    }

    /// Returns how many have no outcome, as far as the log goes.
    pub(super) fn open(&self) -> u64 {
        self.requests - self.served - self.denied - self.refused - self.failed
    }
}

impl Merge for Count {
    fn merge(&mut self, later: Self) {
        if self.requests == 0 || later.requests == 0 {
            if self.requests == 0 {
                *self = later;
            }
            return;
        }
        self.requests += later.requests;
        self.served += later.served;
        self.denied += later.denied;
        self.refused += later.refused;
        self.failed += later.failed;
        if later.first != 0 && (self.first == 0 || later.first < self.first) {
            (self.first, self.first_row) = (later.first, later.first_row);
        }
        self.last = self.last.max(later.last);
    }
}

/// Counts by value.
#[derive(Debug, Clone)]
pub(super) struct Tally<K>(HashMap<K, Count>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Send> Merge for Tally<K> {
    fn merge(&mut self, later: Self) {
        for (key, count) in later.0 {
            self.0.entry(key).or_default().merge(count);
        }
    }
}

impl<K: Hash + Eq> Tally<K> {
    pub(super) fn add(&mut self, key: K, cells: &Cells<'_>, outcome: u32) {
        self.0.entry(key).or_default().add(cells, outcome);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Count)> {
        self.0.iter()
    }
}

impl Tally<u32> {
    /// Counts a code, unless it is null.
    pub(super) fn add_code(&mut self, code: u32, cells: &Cells<'_>, outcome: u32) {
        if code != NULL {
            self.add(code, cells, outcome);
        }
    }

    /// Returns texts and counts, the most frequent first, then by text.
    pub(super) fn ranked<'v>(&self, vocabulary: &'v Vocabulary) -> Vec<(&'v str, Count)> {
        let counts = self.0.iter();
        let mut ranked: Vec<(&str, Count)> = counts
            .map(|(&code, &count)| (vocabulary.text(code), count))
            .collect();
        ranked.sort_unstable_by(|a, b| {
            let by_count = b.1.requests.cmp(&a.1.requests);
            by_count.then_with(|| a.0.cmp(b.0))
        });
        ranked
    }
}
