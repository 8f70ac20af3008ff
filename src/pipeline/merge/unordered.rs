//! Lanes in which events stand in no order of time: each batch is in order by itself, and all of them wait for the last.

use std::collections::BTreeSet;

use super::super::Batch;

/// A lane, or one batch of a lane in no order.
pub(super) type Place = (u32, u32);

/// How much of such lanes is held back to be put in order, in bytes of memory.
const HELD_BYTES: usize = 128 << 20;

/// The lanes in no order so far.
#[derive(Default)]
pub(super) struct Unordered {
    lanes: BTreeSet<u32>,
    n_batches: u32,
    held_bytes: usize,
}

impl Unordered {
    /// Returns whether all lanes are in order.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Returns where a batch waits.
    pub(super) fn place(&mut self, lane: u32, batch: &Batch) -> Place {
        if batch.was_unordered {
            self.lanes.insert(lane);
        }
        if !self.lanes.contains(&lane) {
            return (lane, 0);
        }
        self.held_bytes += batch.frame.bytes();
        self.n_batches += 1;
        (lane, self.n_batches)
    }

    /// Returns whether there is no room for more, so that what there is has to go.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= HELD_BYTES
    }

    /// Notes that all that was held is gone.
    pub(super) fn let_go(&mut self) {
        self.held_bytes = 0;
    }
}
