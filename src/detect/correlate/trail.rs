//! The requests behind a window, for the finding that may come of it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::analytics::Context;
use super::super::tally::{Tally, Trace};

/// So many of the latest requests are kept one by one. Few in tests, so that they see what is over it.
const RECENT: usize = if cfg!(test) { 4 } else { 128 };

/// So many tallies of older ones share a timespan.
const TALLIES: i64 = 64;

/// What a window saw, in the order in which it came.
///
/// Memory: bounded. What a window holds beyond [`RECENT`] is summed up, in pieces of a [`TALLIES`]th of the timespan at
/// most: by that much earlier than the window the first requests of a finding may be. Whether there is one does not depend on
/// it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Trail {
    old: VecDeque<Tally>,
    recent: VecDeque<Trace>,
}

impl Trail {
    /// Starts with room for one request: most windows have no more, and grown from nothing there would be room for four.
    pub(super) fn new() -> Self {
        Self {
            old: VecDeque::new(),
            recent: VecDeque::with_capacity(1),
        }
    }

    /// Adds a request.
    pub(super) fn push(&mut self, trace: Trace, timespan_us: i64, context: &Context<'_>) {
        if self.recent.len() >= 2 * RECENT {
            let mut tally = Tally::empty();
            for trace in self.recent.drain(..RECENT) {
                tally.add_trace(trace, context);
            }
            match self.old.back_mut() {
                Some(last) if tally.last.saturating_sub(last.first) <= timespan_us / TALLIES => {
                    last.merge(tally, context);
                }
                _ => self.old.push_back(tally),
            }
        }
        self.recent.push_back(trace);
    }

    /// Forgets what is before a time, of what stands in front.
    pub(super) fn forget(&mut self, before: i64) {
        while self.old.front().is_some_and(|tally| tally.last < before) {
            self.old.pop_front();
        }
        while self.old.is_empty() && self.recent.front().is_some_and(|trace| trace.ts() < before) {
            self.recent.pop_front();
        }
    }

    /// Takes all requests, summed up.
    pub(super) fn take(&mut self, context: &Context<'_>) -> Tally {
        let mut tally = self.old.pop_front().unwrap_or_else(Tally::empty);
        for next in self.old.drain(..) {
            tally.merge(next, context);
        }
        for trace in self.recent.drain(..) {
            tally.add_trace(trace, context);
        }
        tally
    }

    /// Returns of how many pieces it is.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.old.len() + self.recent.len()
    }
}
