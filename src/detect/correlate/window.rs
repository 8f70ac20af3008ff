//! The requests in a window of time, and what they come to.

use std::collections::VecDeque;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::super::analytics::Context;
use super::super::tally::{Tally, Trace};
use super::super::tree::Tree;
use super::condition::{Condition, Measure};

/// The requests of one group that a window may still hold.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) recent: VecDeque<Entry>,
    /// Time and bases of judged entries, for what must not have been before.
    pub(super) judged: VecDeque<(i64, u64)>,
    /// By distinct value, or by base: how often it is in the window.
    pub(super) counts: HashMap<u64, u32>,
    /// All figures in the window, in order.
    pub(super) sorted: Vec<i64>,
    pub(super) sum: i128,
    pub(super) episodes: Vec<Episode>,
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
    /// Gone once it is in an episode.
    pub(super) trace: Option<Trace>,
}

impl Window {
    /// Starts with room for one request: most groups have no more, and grown from nothing there would be room for four.
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(1),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, condition: &Condition, entry: &Entry) {
        match condition {
            Condition::Values(_) => *self.counts.entry(entry.value).or_default() += 1,
            Condition::Rules(_) => {
                for base in bits(entry.bases) {
                    *self.counts.entry(base).or_default() += 1;
                }
            }
            Condition::Measure(..) => {
                let at = self.sorted.partition_point(|figure| *figure < entry.figure);
                self.sorted.insert(at, entry.figure);
                self.sum += i128::from(entry.figure);
            }
            Condition::Requests(_) | Condition::Sequence | Condition::Expression(_) => {}
        }
    }

    pub(super) fn forget(&mut self, condition: &Condition, entry: &Entry) {
        let mut less = |value: u64| {
            if let Some(count) = self.counts.get_mut(&value) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&value);
                }
            }
        };
        match condition {
            Condition::Values(_) => less(entry.value),
            Condition::Rules(_) => bits(entry.bases).for_each(less),
            Condition::Measure(..) => {
                let at = self.sorted.partition_point(|figure| *figure < entry.figure);
                self.sorted.remove(at);
                self.sum -= i128::from(entry.figure);
            }
            Condition::Requests(_) | Condition::Sequence | Condition::Expression(_) => {}
        }
    }

    /// Returns a figure of the window, in millionths; of an average, the sum.
    pub(super) fn figure(&self, measure: Measure) -> i128 {
        match measure {
            Measure::Sum | Measure::Average => self.sum,
            Measure::Percentile(percent) => {
                let percent = usize::try_from(percent).expect("at most 100");
                let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
                self.sorted.get(rank - 1).copied().unwrap_or(0).into()
            }
        }
    }

    /// Returns the places of entries that hit `n` rules one after the other, the last being the latest entry.
    ///
    /// Of several the latest possible ones: if they are not within the window, no others are.
    pub(super) fn chain(&self, n: usize) -> Option<Vec<usize>> {
        let last = self.recent.back()?;
        let mut left = n.checked_sub(1)?;
        if last.bases >> left & 1 == 0 {
            return None;
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
        (left == 0).then_some(chain)
    }

    /// Judges the windows that are over at `now`, all at the end; returns whether an episode began.
    pub(super) fn judge(
        &mut self,
        tree: &Tree<usize>,
        now: Option<i64>,
        timespan_us: i64,
        context: &Context<'_>,
    ) -> bool {
        let mut has_begun = false;
        while let Some(first) = self.recent.front() {
            let end = first.ts.saturating_add(timespan_us);
            if now.is_some_and(|now| now <= end) {
                break;
            }
            let start = first.ts.saturating_sub(timespan_us);
            while self.judged.front().is_some_and(|&(ts, _)| ts < start) {
                self.judged.pop_front();
            }
            let before = self.judged.iter().fold(0, |bases, (_, base)| bases | base);
            let within = self.recent.iter().take_while(|entry| entry.ts <= end);
            let within = within.fold(0, |bases, entry| bases | entry.bases);
            if holds_around(tree, within, within | before, false) {
                let runs = |episode: &&mut Episode| episode.tally.last >= self.recent[0].ts;
                let mut episode = self.episodes.last_mut().filter(runs);
                if episode.is_none() {
                    let tally = Tally::empty();
                    self.episodes.push(Episode { tally, most: 0 });
                    episode = self.episodes.last_mut();
                    has_begun = true;
                }
                let episode = episode.expect("there is one now");
                for entry in self.recent.iter_mut().take_while(|entry| entry.ts <= end) {
                    if let Some(trace) = entry.trace.take() {
                        episode.tally.add_trace(trace, context);
                    }
                }
            }
            let judged = self.recent.pop_front().expect("not empty");
            self.judged.push_back((judged.ts, judged.bases));
        }
        has_begun
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

/// Returns the positions of the bits that are set.
fn bits(mut bits: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        bits &= bits.checked_sub(1)?;
        Some(at.into())
    })
}
