//! The last side: rows of all lanes in the order of time, folded and fed to the engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use super::{Batch, Recycled, span};
use crate::detect::engine::{Engine, Outcome};
use crate::detect::fold::{Fold, Open};
use crate::detect::request::{RequestColumns, row_ts};
use crate::frame::EventFrame;
use crate::report::Counters;

/// Batches of each lane that are not used up.
pub(super) struct Merge<'r> {
    engine: Engine<'r>,
    fold: Fold,
    lanes: BTreeMap<u32, VecDeque<Started>>,
    counters: Vec<Counters>,
    /// Where used up frames go.
    frames: &'r Mutex<Vec<EventFrame>>,
    /// Their buffers.
    buffers: Vec<Vec<u8>>,
}

/// How many used up frames and buffers are kept to serve again.
const KEPT: usize = 16;

struct Started {
    batch: Batch,
    row: usize,
    /// Where the hits of `row` and later start.
    hit: usize,
    open: Open,
}

impl<'r> Merge<'r> {
    pub(super) fn new(
        files: usize,
        engine: Engine<'r>,
        frames: &'r Mutex<Vec<EventFrame>>,
    ) -> Self {
        Self {
            engine,
            fold: Fold::default(),
            lanes: BTreeMap::new(),
            counters: vec![Counters::default(); files],
            frames,
            buffers: Vec::new(),
        }
    }

    /// Returns a buffer that is used up, or a new one.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Takes in the next batch in reading order, and merges what no later batch can come before.
    pub(super) fn add(&mut self, batch: Batch) {
        let counters = &mut self.counters[batch.file as usize];
        counters.records += batch.records;
        counters.bad += batch.bad;
        counters.other += batch.other;
        counters.bytes += batch.bytes;
        self.engine.note_coverage(&batch.frame);
        let horizon = batch.horizon;
        let started = Started {
            batch,
            row: 0,
            hit: 0,
            open: Open::default(),
        };
        self.lanes
            .entry(started.batch.lane)
            .or_default()
            .push_back(started);
        self.merge_until(horizon);
        for folded in self.fold.overdue() {
            self.engine.observe(&folded);
        }
    }

    /// Merges the rest and draws the findings.
    pub(super) fn finish(mut self) -> (Outcome, Vec<Counters>) {
        self.merge_until(i64::MAX);
        for folded in self.fold.unfinished() {
            self.engine.observe(&folded);
        }
        (self.engine.finish(), self.counters)
    }

    fn merge_until(&mut self, horizon: i64) {
        loop {
            let mut heads: Vec<(i64, u32)> = self
                .lanes
                .iter()
                .filter_map(|(&lane, queue)| Some((queue.front()?.ts(), lane)))
                .collect();
            heads.sort_unstable();
            let Some(&(ts, lane)) = heads.first() else {
                break;
            };
            if ts >= horizon && horizon != i64::MAX {
                break;
            }
            let limit = heads
                .get(1)
                .copied()
                .unwrap_or((i64::MAX, u32::MAX))
                .min((horizon, 0));
            self.run(lane, limit);
        }
    }

    /// Takes rows of one lane's first batch as long as they come before `limit`, at least one.
    fn run(&mut self, lane: u32, limit: (i64, u32)) {
        let queue = self.lanes.get_mut(&lane).expect("the lane has a head");
        let started = queue.front_mut().expect("the lane has a head");
        let Started {
            batch,
            row,
            hit,
            open,
        } = started;
        let columns = RequestColumns::new(&batch.frame);
        let counters = &mut self.counters[batch.file as usize];
        let height = batch.frame.height();
        let first = *row;
        while *row < height {
            let ts = columns.ts(*row);
            if *row > first && limit != (i64::MAX, 0) && (ts, lane) >= limit {
                return;
            }
            let hits = &batch.hits[*hit..];
            let of_row = hits
                .iter()
                .take_while(|hit| hit.row_idx as usize == *row)
                .count();
            let hits = &hits[..of_row];
            let (new, folded) = self.fold.row(&batch.frame, &columns, hits, *row, open);
            if new {
                counters.events += 1;
                span(counters, ts);
            } else {
                counters.duplicates += 1;
            }
            if let Some(folded) = folded {
                counters.requests += 1;
                self.engine.observe(&folded);
            }
            *row += 1;
            *hit += of_row;
        }
        let open = std::mem::take(open);
        let hits_of = |row: usize| {
            let start = batch
                .hits
                .partition_point(|hit| (hit.row_idx as usize) < row);
            let of_row = batch.hits[start..]
                .iter()
                .take_while(|hit| hit.row_idx as usize == row);
            of_row
                .map(|hit| (hit.rule, self.engine.why(hit.rule, &batch.frame, row)))
                .collect()
        };
        self.fold.keep(&columns, open, hits_of);
        if let Some(started) = queue.pop_front() {
            let mut frame = started.batch.frame;
            if self.buffers.len() < KEPT {
                self.buffers.push(frame.take_data());
            }
            Recycled::put(self.frames, frame, KEPT);
        }
    }
}

impl Started {
    /// Returns the time of the next row; a batch without rows counts as the earliest.
    fn ts(&self) -> i64 {
        if self.row < self.batch.frame.height() {
            row_ts(&self.batch.frame, self.row)
        } else {
            i64::MIN
        }
    }
}
