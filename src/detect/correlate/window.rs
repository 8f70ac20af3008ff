//! The requests in a window of time, and what they come to.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::super::analytics::Context;
use super::super::tally::{Tally, Trace};
use super::super::tree::Tree;
use super::condition::{Condition, Measure};
use super::figures::Figures;
use super::index::{Chains, Spans};
use super::trail::Trail;

/// The requests of one group that a window may still hold.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) recent: VecDeque<Entry>,
    /// The requests behind them; of what looks at single ones, these are in the entries.
    pub(super) trail: Trail,
    /// Time and bases of judged entries, for what must not have been before.
    pub(super) judged: VecDeque<(i64, u64)>,
    /// By distinct value, or by base: how often it is in the window.
    pub(super) counts: HashMap<u64, u32>,
    /// All figures in the window, in order; of percentiles only.
    figures: Figures,
    /// Of all figures; where values are counted, how many of them count.
    pub(super) sum: i128,
    /// So many entries make it worth while to look for those that others stand for.
    #[serde(skip)]
    crowd: usize,
    pub(super) episodes: Vec<Episode>,
    /// Of a sequence with many entries; follows from `recent`.
    #[serde(skip)]
    chains: Option<Box<Chains>>,
    /// Of an expression with many entries; follows from `recent` and `judged`.
    #[serde(skip)]
    spans: Option<Box<Spans>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) tally: Tally,
    /// The most that its condition saw; 0 if that compares nothing.
    pub(super) most: i128,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) ts: i64,
    /// Positions of the bases that hit, as bits.
    pub(super) bases: u64,
    /// Hash of what is counted.
    pub(super) value: u64,
    /// In millionths.
    pub(super) figure: i64,
    /// Of a sequence or an expression; gone once it is in an episode.
    pub(super) trace: Option<Box<Trace>>,
}

impl Window {
    /// Starts with room for one request: most groups have no more, and grown from nothing there would be room for four.
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(1),
            trail: Trail::new(),
            ..Self::default()
        }
    }

    /// Takes in an entry of a window that slides; of a sequence, at most `longest_run` alike are kept in a row. What more
    /// than `few` entries say that later ones say too is forgotten.
    pub(super) fn push(
        &mut self,
        condition: &Condition,
        entry: Entry,
        longest_run: usize,
        few: usize,
    ) {
        let counts_kinds = matches!(condition, Condition::Values(_) | Condition::Rules(_));
        if counts_kinds && self.recent.len() >= self.crowd.max(few) {
            self.thin(condition);
            self.crowd = 2 * self.recent.len();
        }
        match condition {
            Condition::Values(_) => {
                let count = self.counts.entry(entry.value).or_default();
                *count += 1;
                if *count == 1 {
                    self.sum += self.worth(entry.value);
                }
            }
            Condition::Rules(_) => {
                for base in bits(entry.bases) {
                    *self.counts.entry(base).or_default() += 1;
                }
            }
            Condition::Measure(measure, _) => {
                if let Measure::Percentile(_) = measure {
                    self.figures.insert(entry.figure);
                }
                self.sum += i128::from(entry.figure);
            }
            Condition::Sequence => match &mut self.chains {
                Some(chains) => chains.push(entry.bases),
                None => self.shorten(&entry, longest_run),
            },
            Condition::Requests(_) | Condition::Expression(_) => {}
        }
        self.recent.push_back(entry);
    }

    /// Makes room in a run of entries alike that `next` joins, if all of them are later than its first.
    fn shorten(&mut self, next: &Entry, longest_run: usize) {
        let Some(first) = self.recent.len().checked_sub(longest_run) else {
            return;
        };
        let ts = self.recent[first].ts;
        let joins = |entry: &Entry| entry.bases == next.bases && entry.ts >= ts;
        if joins(next) && self.recent.range(first..).all(joins) {
            self.recent.remove(first);
        }
    }

    /// Drops the entries whose value, or rules, later ones have too, where only that counts.
    ///
    /// These leave last. But one that is later in time than what stands behind it has that wait, so it stays.
    fn thin(&mut self, condition: &Condition) {
        let (mut values, mut bases) = (HashSet::new(), 0);
        let mut next = i64::MIN;
        let mut kept = VecDeque::new();
        for entry in std::mem::take(&mut self.recent).into_iter().rev() {
            let is_last = match condition {
                Condition::Rules(_) => entry.bases & !bases != 0,
                _ => values.insert(entry.value),
            };
            if is_last || entry.ts > next {
                bases |= entry.bases;
                next = entry.ts;
                kept.push_front(entry);
            } else {
                self.leave(condition, &entry);
            }
        }
        self.recent = kept;
    }

    /// Forgets the entries before a time, of those that stand in front.
    pub(super) fn forget(&mut self, condition: &Condition, before: i64) {
        self.trail.forget(before);
        while self.recent.front().is_some_and(|entry| entry.ts < before) {
            let entry = self.recent.pop_front().expect("not empty");
            self.leave(condition, &entry);
        }
    }

    fn leave(&mut self, condition: &Condition, entry: &Entry) {
        let mut less = |value: u64| {
            if let Some(count) = self.counts.get_mut(&value) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&value);
                }
            }
        };
        match condition {
            Condition::Values(_) => {
                less(entry.value);
                if !self.counts.contains_key(&entry.value) {
                    self.sum -= self.worth(entry.value);
                }
            }
            Condition::Rules(_) => bits(entry.bases).for_each(less),
            Condition::Measure(measure, _) => {
                if let Measure::Percentile(_) = measure {
                    self.figures.remove(entry.figure);
                }
                self.sum -= i128::from(entry.figure);
            }
            Condition::Sequence => {
                if let Some(chains) = &mut self.chains {
                    chains.pop();
                }
                if self.recent.is_empty() {
                    self.chains = None;
                }
            }
            Condition::Requests(_) | Condition::Expression(_) => {}
        }
    }

    /// Returns what a value that was not there adds to those that count.
    fn worth(&self, value: u64) -> i128 {
        let is_discounted = value == discounted(value);
        match (is_discounted, self.counts.contains_key(&(value ^ 1))) {
            (false, false) => 1,
            (true, true) => -1,
            _ => 0,
        }
    }

    /// Takes in an entry of a window that is judged when it is over.
    pub(super) fn await_end(&mut self, entry: Entry) {
        if let Some(spans) = &mut self.spans {
            spans.push(&entry);
        }
        self.recent.push_back(entry);
    }

    /// Returns a figure of the window, in millionths; of an average, the sum.
    pub(super) fn figure(&self, measure: Measure) -> i128 {
        match measure {
            Measure::Sum | Measure::Average => self.sum,
            Measure::Percentile(percent) => {
                let percent = usize::try_from(percent).expect("at most 100");
                let rank = (self.figures.len() * percent).div_ceil(100).max(1);
                self.figures.nth(rank - 1).unwrap_or(0).into()
            }
        }
    }

    /// Returns the places of entries that hit `n` rules one after the other, the last being the latest entry.
    ///
    /// Of several the latest possible ones: if they are not within the window, no others are. More than `few` entries are not
    /// looked through, as each of them may be the last of a chain.
    pub(super) fn chain(&mut self, n: usize, few: usize) -> Option<Vec<usize>> {
        let last = self.recent.back()?;
        let mut left = n.checked_sub(1)?;
        if last.bases >> left & 1 == 0 {
            return None;
        }
        if self.recent.len() > few {
            let recent = &self.recent;
            let chains = self.chains.get_or_insert_with(|| Chains::of(recent).into());
            return chains.latest(n);
        }
        let mut chain = vec![self.recent.len() - 1];
        for (at, entry) in self.recent.iter().enumerate().rev().skip(1) {
            if left == 0 {
                break;
            }
            if entry.bases >> (left - 1) & 1 == 1 {
                left -= 1;
                chain.push(at);
            }
        }
        chain.reverse();
        (left == 0).then_some(chain)
    }

    /// Judges the windows that are over at `now`, all at the end; returns whether an episode began.
    ///
    /// More than `few` entries are not looked through, as each of them has a window.
    pub(super) fn judge(
        &mut self,
        tree: &Tree<usize>,
        now: Option<i64>,
        timespan_us: i64,
        few: usize,
        context: &Context<'_>,
    ) -> bool {
        let mut has_begun = false;
        while let Some(first) = self.recent.front().map(|entry| entry.ts) {
            let end = first.saturating_add(timespan_us);
            if now.is_some_and(|now| now <= end) {
                break;
            }
            let start = first.saturating_sub(timespan_us);
            while self.judged.front().is_some_and(|&(ts, _)| ts < start) {
                let (_, bases) = self.judged.pop_front().expect("not empty");
                if let Some(spans) = &mut self.spans {
                    spans.forget(bases);
                }
            }
            if self.spans.is_none() && self.recent.len().max(self.judged.len()) > few {
                self.spans = Some(Spans::of(&self.recent, &self.judged).into());
            }
            let (before, within, n_within) = if let Some(spans) = &self.spans {
                let (n_within, within) = spans.until(&self.recent, end);
                (spans.before(), within, n_within)
            } else {
                let before = self.judged.iter().fold(0, |bases, (_, base)| bases | base);
                let within = self.recent.iter().take_while(|entry| entry.ts <= end);
                let (bases, n) =
                    within.fold((0, 0), |(bases, n), entry| (bases | entry.bases, n + 1));
                (before, bases, n)
            };
            if holds_around(tree, within, within | before, false) {
                let runs = |episode: &&mut Episode| episode.tally.last >= first;
                let mut episode = self.episodes.last_mut().filter(runs);
                if episode.is_none() {
                    let tally = Tally::empty();
                    self.episodes.push(Episode { tally, most: 0 });
                    episode = self.episodes.last_mut();
                    has_begun = true;
                }
                let episode = episode.expect("there is one now");
                let taken = self.spans.as_mut();
                let n_taken = taken.map_or(0, |spans| spans.take(n_within));
                for entry in self.recent.range_mut(n_taken..n_within) {
                    if let Some(trace) = entry.trace.take() {
                        episode.tally.add_trace(*trace, context);
                    }
                }
            }
            let judged = self.recent.pop_front().expect("not empty");
            if let Some(spans) = &mut self.spans {
                spans.pop(judged.bases);
            }
            self.judged.push_back((judged.ts, judged.bases));
        }
        if self.recent.is_empty() {
            self.spans = None;
        }
        has_begun
    }

    /// Forgets what follows from the rest, as reading a memory does.
    #[cfg(test)]
    pub(super) fn forget_index(&mut self) {
        (self.chains, self.spans) = (None, None);
    }
}

/// Returns whether a condition on rules holds, where `within` the window counts for what has to be there, and
/// `around` it, before too, for what must not.
fn holds_around(tree: &Tree<usize>, within: u64, around: u64, is_negated: bool) -> bool {
    let holds = |part: &Tree<usize>| holds_around(part, within, around, is_negated);
    match tree {
        Tree::And(parts) => parts.iter().all(holds),
        Tree::Or(parts) => parts.iter().any(holds),
        Tree::AtLeast(n, parts) => parts.iter().filter(|part| holds(part)).count() >= *n,
        Tree::Not(inner) => !holds_around(inner, within, around, !is_negated),
        Tree::Test(position) => {
            let bases = if is_negated { around } else { within };
            bases >> position & 1 == 1
        }
    }
}

/// Returns the form of a hash for a value that counts.
pub(super) fn counted(value: u64) -> u64 {
    value & !1
}

/// Returns the form of a hash that takes the same value back.
pub(super) fn discounted(value: u64) -> u64 {
    value | 1
}

/// Returns the positions of the bits that are set.
pub(super) fn bits(mut bits: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some(at.into())
    })
}
