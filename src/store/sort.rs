//! Sorting: the order in which rows are shown.
//!
//! All values but texts become numbers of one order, and these are sorted with the rows behind them. By place in the
//! log, rows are nearly sorted already: segments whose times do not overlap are sorted each for itself, or not at all.

use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::facet::by_segment;
use super::lane::Lane;
use super::{Field, Row, Segment, Snapshot, StoreError};
use crate::frame::{Column, Vocabulary};

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The field; `stage_ts` stands for the place in the log, which is `ts` where it lacks.
    pub field: Field,
    /// Largest first.
    pub is_descending: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            field: Column::StageTs.into(),
            is_descending: false,
        }
    }
}

/// A segment, and those of its rows that are sorted.
type Part<'s, 'r> = (&'s Segment, &'r [Row]);

impl Order {
    /// Returns `rows`, which are sorted by number, in this order; equal ones stay in the order of the log. Nothing if
    /// it was stopped.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn apply(
        self,
        snapshot: &Snapshot,
        rows: &[Row],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let parts = by_segment(snapshot, rows);
        let runs = if self.is_by_place() {
            runs(&parts, &snapshot.vocabulary)?
        } else {
            vec![&parts[..]]
        };
        let mut sorted = runs
            .par_iter()
            .map(|run| {
                if stop.load(Atomic::Relaxed) {
                    return Ok(Vec::new());
                }
                self.sort(run, &snapshot.vocabulary)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if self.is_descending {
            sorted.reverse();
        }
        let sorted = match &mut sorted[..] {
            [one] => std::mem::take(one),
            runs => runs.concat(),
        };
        Ok((!stop.load(Atomic::Relaxed)).then_some(sorted))
    }

    fn is_by_place(self) -> bool {
        self.field == Column::StageTs.into()
    }

    fn sort(self, run: &[Part<'_, '_>], vocabulary: &Vocabulary) -> Result<Vec<Row>, StoreError> {
        if self.is_by_place()
            && !self.is_descending
            && let [(segment, rows)] = run
            && segment.summary(vocabulary)?.is_sorted
        {
            return Ok(rows.to_vec());
        }
        let lanes = run
            .par_iter()
            .map(|(segment, _)| {
                if self.is_by_place() {
                    Ok(Lane::Times(segment.times(vocabulary)?.into()))
                } else {
                    segment.lane(self.field, vocabulary)
                }
            })
            .collect::<Result<Vec<Lane<'_>>, StoreError>>()?;
        let parts = || {
            let rows = run.par_iter().map(|&(segment, rows)| (segment.first, rows));
            lanes.par_iter().zip(rows)
        };
        if let Some(Lane::Texts(_)) = lanes.first() {
            let texts = parts().flat_map_iter(|(lane, (first, rows))| {
                let Lane::Texts(texts) = lane else {
                    unreachable!("a field has one kind");
                };
                let text = move |&row: &Row| (texts.get((row - first) as usize), row);
                rows.iter().map(text)
            });
            let mut texts: Vec<(&str, Row)> = texts.collect();
            if self.is_descending {
                texts.par_sort_unstable_by(|a, b| b.0.cmp(a.0).then(a.1.cmp(&b.1)));
            } else {
                texts.par_sort_unstable();
            }
            return Ok(texts.into_iter().map(|(_, row)| row).collect());
        }
        let ranks = ranks(&lanes, vocabulary);
        let flip = if self.is_descending { u64::MAX } else { 0 };
        let keys = parts().flat_map_iter(|(lane, (first, rows))| {
            // Codes are in no order, their ranks are.
            let ranked = match lane {
                Lane::Codes(codes) => Some(Lane::Codes(codes.map(|code| ranks[&code]))),
                _ => None,
            };
            let lane = ranked.as_ref().unwrap_or(lane);
            let key = |&row: &Row| (lane.bits((row - first) as usize) ^ flip, row);
            rows.iter().map(key).collect::<Vec<_>>()
        });
        Ok(sorted(keys.collect()))
    }
}

/// Returns the rows of `keyed` in the order of their keys, then of their numbers.
fn sorted(mut keyed: Vec<(u64, Row)>) -> Vec<Row> {
    if keyed.is_sorted() {
        return keyed.into_iter().map(|(_, row)| row).collect();
    }
    let keys = || keyed.par_iter().map(|(key, _)| *key);
    let (low, high) = (keys().min().unwrap_or(0), keys().max().unwrap_or(0));
    let last = keyed.par_iter().map(|(_, row)| *row).max().unwrap_or(0);
    let row_bits = Row::BITS - last.leading_zeros();
    if row_bits > (high - low).leading_zeros() {
        keyed.par_sort_unstable();
        return keyed.into_iter().map(|(_, row)| row).collect();
    }
    // Key and row fit in one number, which sorts in half the time.
    let packed = keyed.par_iter();
    let packed = packed.map(|(key, row)| (key - low) << row_bits | u64::from(*row));
    let mut packed: Vec<u64> = packed.collect();
    drop(keyed);
    packed.par_sort_unstable();
    let mask = (1 << row_bits) - 1;
    let rows = packed.into_iter().map(|packed| packed & mask);
    rows.map(|row| Row::try_from(row).expect("a row was packed"))
        .collect()
}

/// Returns runs of parts: all times of a run are before those of the next one.
fn runs<'p, 's, 'r>(
    parts: &'p [Part<'s, 'r>],
    vocabulary: &Vocabulary,
) -> Result<Vec<&'p [Part<'s, 'r>]>, StoreError> {
    let spans = parts
        .par_iter()
        .map(|(segment, _)| Ok(segment.summary(vocabulary)?.all))
        .collect::<Result<Vec<_>, StoreError>>()?;
    // By part, the first time of it and of those behind it.
    let mut firsts: Vec<i64> = spans.iter().map(|span| span.0).collect();
    for at in (1..firsts.len()).rev() {
        firsts[at - 1] = firsts[at - 1].min(firsts[at]);
    }
    let mut runs = Vec::new();
    let (mut start, mut last) = (0, i64::MIN);
    for at in 0..parts.len() {
        last = last.max(spans[at].1);
        if firsts.get(at + 1).is_none_or(|&first| last < first) {
            runs.push(&parts[start..=at]);
            start = at + 1;
        }
    }
    Ok(runs)
}

/// Returns the place of each code by its text.
fn ranks(lanes: &[Lane<'_>], vocabulary: &Vocabulary) -> HashMap<u32, u32> {
    let mut ranks: HashMap<u32, u32> = HashMap::new();
    for lane in lanes {
        if let Lane::Codes(codes) = lane {
            ranks.extend(codes.some().iter().map(|&code| (code, 0)));
        }
    }
    let mut codes: Vec<u32> = ranks.keys().copied().collect();
    codes.sort_unstable_by_key(|&code| vocabulary.text(code));
    for (rank, code) in (0..).zip(codes) {
        ranks.insert(code, rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_key_then_number_however_large_both_are() {
        for (range, first) in [
            (3, 0),
            (1000, 5),
            (u64::MAX, 7),
            (1 << 40, Row::MAX - 500),
            (1, 9),
        ] {
            let mut random = 1_u64;
            let keyed = (first..first + 400).map(|row| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695);
                (random % range + 17_u64.min(u64::MAX - range), row)
            });
            let keyed: Vec<(u64, Row)> = keyed.collect();
            let mut expected = keyed.clone();
            expected.sort_unstable();
            let expected: Vec<Row> = expected.into_iter().map(|(_, row)| row).collect();
            assert_eq!(sorted(keyed), expected, "{range} {first}");
        }
    }
}
