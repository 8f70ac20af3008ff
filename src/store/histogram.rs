//! Histograms: rows over time, stacked by how they ended.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::facet::by_segment;
use super::lane::Lane;
use super::{Row, Snapshot, StoreError, shares};
use crate::frame::Column;
use crate::frame::vocabulary::known;

/// How a request ended, in the order of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was served, or has not ended.
    Served,
    /// An error that is no refusal.
    Error,
    /// 403
    Denied,
    /// 401
    Unauthenticated,
}

/// How many ways there are.
pub const ENDINGS: usize = 4;

/// Rows over time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Start of the first bucket, in microseconds.
    pub from: i64,
    /// Length of a bucket.
    pub bucket_us: i64,
    /// By bucket, by [`Ending`].
    pub buckets: Vec<[u32; ENDINGS]>,
    /// Rows without a time, or outside.
    pub outside: u64,
}

impl Histogram {
    /// Counts `rows`, which are sorted, in `n_buckets` from `from` up to `to`; nothing if it was stopped.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn count(
        snapshot: &Snapshot,
        rows: &[Row],
        (from, to): (i64, i64),
        n_buckets: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, StoreError> {
        let n_buckets = n_buckets.max(1);
        let count = i64::try_from(n_buckets).unwrap_or(i64::MAX);
        // Rounded up, so that the last moment is in the last bucket.
        let bucket_us = (to.saturating_sub(from).max(1) - 1) / count + 1;
        let empty = || Self {
            from,
            bucket_us,
            buckets: vec![[0; ENDINGS]; n_buckets],
            outside: 0,
        };
        let parts = by_segment(snapshot, rows);
        // Each share has buckets of its own.
        let counted = shares(&parts)
            .map(|parts| {
                let mut histogram = empty();
                for (segment, rows) in parts {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let times = segment.times(&snapshot.vocabulary)?;
                    let outcome = segment.lane(Column::Outcome.into(), &snapshot.vocabulary)?;
                    let Lane::Codes(outcomes) = outcome else {
                        unreachable!("outcomes are coded");
                    };
                    for row in *rows {
                        let row_idx = (row - segment.first) as usize;
                        histogram.add(times[row_idx], outcomes[row_idx]);
                    }
                }
                Ok(histogram)
            })
            .try_reduce(empty, |a, b| Ok(a.merge(&b)))?;
        Ok((!stop.load(Ordering::Relaxed)).then_some(counted))
    }

    fn add(&mut self, time: i64, outcome: u32) {
        let ending = match outcome {
            known::UNAUTHENTICATED => Ending::Unauthenticated,
            known::DENIED => Ending::Denied,
            known::ERROR => Ending::Error,
            _ => Ending::Served,
        };
        let at = time.checked_sub(self.from).filter(|_| time != 0);
        let at = at.and_then(|at| {
            usize::try_from(at / self.bucket_us)
                .ok()
                .filter(|_| at >= 0)
        });
        match at.and_then(|at| self.buckets.get_mut(at)) {
            Some(bucket) => bucket[ending as usize] += 1,
            None => self.outside += 1,
        }
    }

    fn merge(mut self, other: &Self) -> Self {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            for (count, more) in bucket.iter_mut().zip(more) {
                *count += more;
            }
        }
        self.outside += other.outside;
        self
    }

    /// Returns the bucket that a time is in.
    pub fn bucket_of(&self, time: i64) -> Option<usize> {
        let at = usize::try_from(time.checked_sub(self.from)? / self.bucket_us.max(1)).ok()?;
        (time >= self.from && at < self.buckets.len()).then_some(at)
    }

    /// Returns the time behind the last bucket.
    pub fn to(&self) -> i64 {
        let count = i64::try_from(self.buckets.len()).unwrap_or(i64::MAX);
        self.from
            .saturating_add(self.bucket_us.saturating_mul(count))
    }
}
