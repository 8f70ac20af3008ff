//! The last side: rows of all lanes in the order of time, folded and fed to the engine.

use std::collections::{BTreeMap, VecDeque};

use super::{Batch, Done, NAMED_REJECTS, Recycled, Scan};
use crate::detect::engine::Engine;
use crate::detect::fold::{Fold, Open};
use crate::detect::request::{RequestColumns, row_ts};
use crate::finding::Timestamp;
use crate::report::{Counters, FileStats, RejectLine, Summary};
use crate::source::{InputFile, Oversize, SourceError};

/// What was read so far, and batches of each lane that are not used up.
pub(super) struct Merge<'r> {
    files: &'r [InputFile],
    recycled: &'r Recycled,
    engine: Engine<'r>,
    fold: Fold,
    lanes: BTreeMap<u32, VecDeque<Started>>,
    counters: Vec<Counters>,
    errors: Vec<SourceError>,
    oversize: Vec<Oversize>,
    rejects: Vec<RejectLine>,
}

struct Started {
    batch: Batch,
    row: usize,
    /// Where the hits of `row` and later start.
    hit: usize,
    open: Open,
}

impl<'r> Merge<'r> {
    pub(super) fn new(
        files: &'r [InputFile],
        recycled: &'r Recycled,
        engine: Engine<'r>,
        errors: Vec<SourceError>,
    ) -> Self {
        Self {
            files,
            recycled,
            engine,
            fold: Fold::default(),
            lanes: BTreeMap::new(),
            counters: vec![Counters::default(); files.len()],
            errors,
            oversize: Vec::new(),
            rejects: Vec::new(),
        }
    }

    /// Takes in what is next in reading order, and merges what nothing later can come before.
    pub(super) fn take(&mut self, done: Done) {
        self.errors.extend(done.notes.errors);
        for line in done.notes.oversize {
            let counters = &mut self.counters[line.file as usize];
            counters.records += 1;
            counters.oversize += 1;
            counters.bytes += line.length;
            self.oversize.push(line);
        }
        let Some(mut batch) = done.batch else { return };
        let counters = &mut self.counters[batch.file as usize];
        counters.records += batch.records;
        counters.bad += batch.bad;
        counters.other += batch.other;
        counters.bytes += batch.bytes;
        let room = NAMED_REJECTS.saturating_sub(self.rejects.len());
        self.rejects.extend(batch.rejects.drain(..).take(room));
        self.engine.note_coverage(&batch.frame);
        let started = Started {
            batch,
            row: 0,
            hit: 0,
            open: Open::default(),
        };
        self.lanes.entry(done.lane).or_default().push_back(started);
        self.merge_until(done.horizon);
        for folded in self.fold.overdue() {
            self.engine.observe(&folded);
        }
    }

    /// Merges the rest and draws the findings.
    pub(super) fn finish(mut self) -> Scan {
        self.merge_until(i64::MAX);
        for folded in self.fold.unfinished() {
            self.engine.observe(&folded);
        }
        let outcome = self.engine.finish();
        let mut totals = Counters::default();
        for counters in &self.counters {
            totals.merge(counters);
        }
        totals.requests = outcome.requests;
        let files = self.files.iter().zip(self.counters);
        let too_long = self.oversize.iter().map(|line| {
            let name = &self.files[line.file as usize].name;
            format!(
                "skipped line {} of `{name}`: {} bytes are over the limit for a line",
                line.line, line.length
            )
        });
        let summary = Summary {
            files: files
                .map(|(file, counters)| FileStats {
                    path: file.name.clone(),
                    counters,
                })
                .collect(),
            totals,
            problems: self
                .errors
                .iter()
                .map(ToString::to_string)
                .chain(too_long)
                .collect(),
            rejects: self.rejects,
            blind: outcome.blind.clone(),
            notes: outcome.notes.clone(),
        };
        Scan {
            outcome,
            summary,
            errors: self.errors,
        }
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
            self.recycled.put_buffer(frame.take_data());
            self.recycled.put_frame(frame);
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

/// Widens the time that a counter spans.
fn span(counters: &mut Counters, ts: i64) {
    let ts = Timestamp(ts);
    counters.first = Some(counters.first.map_or(ts, |first| first.min(ts)));
    counters.last = Some(counters.last.map_or(ts, |last| last.max(ts)));
}
