//! Sorting: the order in which rows are shown.

use std::sync::atomic::{AtomicBool, Ordering as Atomic};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::facet::by_segment;
use super::lane::Lane;
use super::{Field, Row, Snapshot, StoreError};
use crate::frame::Column;

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
        let keys: Vec<Keys> = parts
            .par_iter()
            .map(|(segment, rows)| {
                if stop.load(Atomic::Relaxed) {
                    return Ok(Keys::Numbers(Vec::new()));
                }
                let indices = rows.iter().map(|row| (row - segment.first) as usize);
                if self.field == Column::StageTs.into() {
                    let times = segment.times(&snapshot.vocabulary)?;
                    return Ok(Keys::Numbers(
                        indices.map(|row_idx| times[row_idx]).collect(),
                    ));
                }
                let lane = segment.lane(self.field, &snapshot.vocabulary)?;
                Ok(match &lane {
                    Lane::Codes(codes) => Keys::Codes(indices.map(|at| codes[at]).collect()),
                    Lane::Times(times) => Keys::Numbers(indices.map(|at| times[at]).collect()),
                    Lane::Numbers(numbers) => {
                        Keys::Numbers(indices.map(|at| numbers[at]).collect())
                    }
                    Lane::Flags(flags) => {
                        Keys::Numbers(indices.map(|at| i64::from(flags[at])).collect())
                    }
                    Lane::Floats(floats) => Keys::Floats(indices.map(|at| floats[at]).collect()),
                    Lane::Texts(texts) => {
                        Keys::Texts(indices.map(|at| texts.get(at).into()).collect())
                    }
                })
            })
            .collect::<Result<_, StoreError>>()?;
        if stop.load(Atomic::Relaxed) {
            return Ok(None);
        }
        let sorted = match keys.first() {
            None => Vec::new(),
            Some(Keys::Texts(_)) => {
                let texts = keys.into_iter().flat_map(|keys| match keys {
                    Keys::Texts(texts) => texts,
                    _ => unreachable!("a field has one kind"),
                });
                self.sorted(texts.zip(rows.iter().copied()).collect())
            }
            Some(Keys::Floats(_)) => {
                let floats = keys.into_iter().flat_map(|keys| match keys {
                    Keys::Floats(floats) => floats,
                    _ => unreachable!("a field has one kind"),
                });
                let floats = floats.map(OrderedFloat);
                self.sorted(floats.zip(rows.iter().copied()).collect())
            }
            Some(Keys::Codes(_)) => {
                let ranks = ranks(&keys, snapshot);
                let ranked = keys.into_iter().flat_map(|keys| match keys {
                    Keys::Codes(codes) => codes,
                    _ => unreachable!("a field has one kind"),
                });
                let ranked = ranked.map(|code| ranks[&code]);
                self.sorted(ranked.zip(rows.iter().copied()).collect())
            }
            Some(Keys::Numbers(_)) => {
                let numbers = keys.into_iter().flat_map(|keys| match keys {
                    Keys::Numbers(numbers) => numbers,
                    _ => unreachable!("a field has one kind"),
                });
                self.sorted(numbers.zip(rows.iter().copied()).collect())
            }
        };
        Ok((!stop.load(Atomic::Relaxed)).then_some(sorted))
    }

    fn sorted<K: Ord + Send>(self, mut keyed: Vec<(K, Row)>) -> Vec<Row> {
        if self.is_descending {
            keyed.par_sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        } else if !keyed.is_sorted() {
            keyed.par_sort_unstable();
        }
        keyed.into_iter().map(|(_, row)| row).collect()
    }
}

enum Keys {
    Codes(Vec<u32>),
    Numbers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<Box<str>>),
}

/// Numbers that are always in one order; what is no number comes last.
#[derive(PartialEq)]
struct OrderedFloat(f64);

impl Eq for OrderedFloat {}

impl PartialOrd for OrderedFloat {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedFloat {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Returns the place of each code by its text: codes are in no order.
fn ranks(keys: &[Keys], snapshot: &Snapshot) -> HashMap<u32, u32> {
    let mut ranks: HashMap<u32, u32> = HashMap::new();
    for keys in keys {
        if let Keys::Codes(codes) = keys {
            ranks.extend(codes.iter().map(|&code| (code, 0)));
        }
    }
    let mut codes: Vec<u32> = ranks.keys().copied().collect();
    codes.sort_unstable_by_key(|&code| snapshot.vocabulary.text(code));
    for (rank, code) in (0..).zip(codes) {
        ranks.insert(code, rank);
    }
    ranks
}
