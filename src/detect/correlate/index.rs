//! What is known of the many entries of a window, so that not each new one has to look at all.
//!
//! All of it follows from the entries, is brought up to date as they come and go, and is not written down.

use std::collections::VecDeque;

use super::window::{Entry, bits};

/// Chains of hits, one rule after the other.
#[derive(Clone, Default)]
pub(super) struct Chains {
    /// By rule: the latest chain that ends with it, as numbers of entries. The chain to the latest hit of a rule is later than
    /// all others at every link, so no other has to be known.
    latest: Vec<Vec<usize>>,
    /// Number of the first entry in the window: those that are gone.
    n_gone: usize,
    /// Number behind the last entry.
    n_seen: usize,
}

impl Chains {
    pub(super) fn of(recent: &VecDeque<Entry>) -> Self {
        let mut chains = Self::default();
        for entry in recent {
            chains.push(entry.bases);
        }
        chains
    }

    pub(super) fn push(&mut self, bases: u64) {
        let mut positions: Vec<usize> = bits(bases)
            .map(|position| usize::try_from(position).expect("at most 63"))
            .collect();
        // From the last one on: an entry does not follow itself.
        positions.reverse();
        for position in positions {
            let mut chain = match position.checked_sub(1) {
                None => Vec::new(),
                Some(before) => match self.latest.get(before) {
                    Some(chain) if self.is_whole(chain) => chain.clone(),
                    _ => continue,
                },
            };
            chain.push(self.n_seen);
            if self.latest.len() <= position {
                self.latest.resize_with(position + 1, Vec::new);
            }
            self.latest[position] = chain;
        }
        self.n_seen += 1;
    }

    pub(super) fn pop(&mut self) {
        self.n_gone += 1;
    }

    /// Returns the places in the window of the latest hits of `n` rules.
    pub(super) fn latest(&self, n: usize) -> Option<Vec<usize>> {
        let chain = self.latest.get(n.checked_sub(1)?)?;
        let places = chain.iter().map(|number| number - self.n_gone);
        self.is_whole(chain).then(|| places.collect())
    }

    fn is_whole(&self, chain: &[usize]) -> bool {
        chain.first().is_some_and(|first| *first >= self.n_gone)
    }
}

/// Entries of one run in those of the next level, as a power of two.
const FANOUT: usize = if cfg!(test) { 1 } else { 4 };

/// Levels of runs: the longest have sixteen million entries.
const LEVELS: usize = 6;

/// Which rules hit up to a time, and before the window.
#[derive(Clone)]
pub(super) struct Spans {
    /// By level, from short to long: runs of entries, aligned by the entries' numbers; the first ones may be gone in part.
    runs: [VecDeque<Run>; LEVELS],
    n_gone: usize,
    n_seen: usize,
    /// So many entries in front are in an episode.
    n_taken: usize,
    /// By rule: judged entries that hit it.
    judged: [usize; u64::BITS as usize],
    before: u64,
}

#[derive(Clone)]
struct Run {
    latest: i64,
    bases: u64,
}

impl Spans {
    pub(super) fn of(recent: &VecDeque<Entry>, judged: &VecDeque<(i64, u64)>) -> Self {
        let mut spans = Self {
            runs: Default::default(),
            n_gone: 0,
            n_seen: 0,
            n_taken: recent
                .iter()
                .take_while(|entry| entry.trace.is_none())
                .count(),
            judged: [0; u64::BITS as usize],
            before: 0,
        };
        for entry in recent {
            spans.push(entry);
        }
        for (_, bases) in judged {
            spans.note(*bases);
        }
        spans
    }

    pub(super) fn push(&mut self, entry: &Entry) {
        for (level, runs) in self.runs.iter_mut().enumerate() {
            let shift = FANOUT * (level + 1);
            match runs.get_mut((self.n_seen >> shift) - (self.n_gone >> shift)) {
                Some(run) => {
                    run.latest = run.latest.max(entry.ts);
                    run.bases |= entry.bases;
                }
                None => runs.push_back(Run {
                    latest: entry.ts,
                    bases: entry.bases,
                }),
            }
        }
        self.n_seen += 1;
    }

    /// Takes the first entry, which is judged now.
    pub(super) fn pop(&mut self, bases: u64) {
        self.n_gone += 1;
        self.n_taken = self.n_taken.saturating_sub(1);
        for (level, runs) in self.runs.iter_mut().enumerate() {
            if self.n_gone.trailing_zeros() as usize >= FANOUT * (level + 1) {
                runs.pop_front();
            }
        }
        self.note(bases);
    }

    fn note(&mut self, bases: u64) {
        for position in bits(bases) {
            self.judged[usize::try_from(position).expect("at most 63")] += 1;
        }
        self.before |= bases;
    }

    /// Forgets an entry that was judged.
    pub(super) fn forget(&mut self, bases: u64) {
        for position in bits(bases) {
            let n_judged = &mut self.judged[usize::try_from(position).expect("at most 63")];
            *n_judged -= 1;
            if *n_judged == 0 {
                self.before &= !(1 << position);
            }
        }
    }

    /// Returns the rules that judged entries hit.
    pub(super) fn before(&self) -> u64 {
        self.before
    }

    /// Returns how many entries stand before the first that is later than `end`, and the rules that they hit.
    ///
    /// Entries may stand out of order, so this is no more than what can be skipped run by run.
    pub(super) fn until(&self, recent: &VecDeque<Entry>, end: i64) -> (usize, u64) {
        let (mut at, mut bases) = (self.n_gone, 0);
        while at < self.n_seen {
            let aligned = (at.trailing_zeros() as usize / FANOUT).min(LEVELS);
            let runs = (0..aligned).rev().map(|level| {
                let shift = FANOUT * (level + 1);
                (
                    shift,
                    &self.runs[level][(at >> shift) - (self.n_gone >> shift)],
                )
            });
            if let Some((shift, run)) = runs.into_iter().find(|(_, run)| run.latest <= end) {
                bases |= run.bases;
                at = (at + (1 << shift)).min(self.n_seen);
                continue;
            }
            let entry = &recent[at - self.n_gone];
            if entry.ts > end {
                break;
            }
            bases |= entry.bases;
            at += 1;
        }
        (at - self.n_gone, bases)
    }

    /// Says that so many entries in front are in an episode; returns how many of them were so before.
    pub(super) fn take(&mut self, n: usize) -> usize {
        let before = self.n_taken.min(n);
        self.n_taken = self.n_taken.max(n);
        before
    }
}
