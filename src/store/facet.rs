//! Facets: how often each value of a field occurs among some rows.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::field::Kind;
use super::lane::{Codes, Lane};
use super::{Field, Row, Segment, Snapshot, StoreError, shares};
use crate::frame::vocabulary::parse_list;
use crate::frame::{Column, NULL, Vocabulary};

/// How many distinct values a facet holds; the rest is counted together.
pub const VALUES: usize = 10_000;

/// The values of a field and how often they occur.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facet {
    /// Values, the most frequent first, then by text; the empty text is null.
    pub values: Vec<(String, u64)>,
    /// Distinct values.
    pub distinct: usize,
    /// Rows of values past [`VALUES`].
    pub others: u64,
    /// Rows. A row with a list counts for each of its elements, so the counts of a list may sum to more.
    pub rows: u64,
}

impl Facet {
    /// Counts values, as they stand, of so many rows.
    pub fn of_values<'v>(values: impl Iterator<Item = &'v str>, rows: u64) -> Self {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for value in values {
            *counts.entry_ref(value).or_default() += 1;
        }
        Self::of(counts, rows)
    }

    fn of(counts: HashMap<String, u64>, rows: u64) -> Self {
        let mut values: Vec<(String, u64)> = counts.into_iter().collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let distinct = values.len();
        let others = values.iter().skip(VALUES).map(|(_, count)| count).sum();
        values.truncate(VALUES);
        Self {
            values,
            distinct,
            others,
            rows,
        }
    }

    /// Counts the values of `field` among `rows`, which are sorted; nothing if it was stopped.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn count(
        snapshot: &Snapshot,
        rows: &[Row],
        field: Field,
        stop: &AtomicBool,
    ) -> Result<Option<Self>, StoreError> {
        let vocabulary = &snapshot.vocabulary;
        let counts = shares(&by_segment(snapshot, rows))
            .map(|parts| {
                let mut counts = Counts::default();
                for (segment, rows) in parts {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    counts.add(
                        &segment.lane(field, vocabulary)?,
                        segment.first,
                        rows,
                        vocabulary,
                    );
                }
                Ok(counts)
            })
            .try_reduce(Counts::default, |a, b| Ok(a.merge(b)))?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(Some(counts.finish(rows.len() as u64, field, vocabulary)))
    }
}

/// Returns the segments that hold some of `rows`, which are sorted, each with its rows.
pub(crate) fn by_segment<'s, 'r>(
    snapshot: &'s Snapshot,
    rows: &'r [Row],
) -> Vec<(&'s Segment, &'r [Row])> {
    let mut rest = rows;
    let mut parts = Vec::new();
    for segment in &*snapshot.segments {
        let end = rest.partition_point(|&row| row < segment.end());
        let (of_segment, others) = rest.split_at(end);
        if !of_segment.is_empty() {
            parts.push((&**segment, of_segment));
        }
        rest = others;
    }
    parts
}

#[derive(Default)]
struct Counts {
    codes: HashMap<u32, u64>,
    texts: HashMap<String, u64>,
}

impl Counts {
    fn add(&mut self, lane: &Lane<'_>, first: Row, rows: &[Row], vocabulary: &Vocabulary) {
        let indices = rows.iter().map(|row| (row - first) as usize);
        match lane {
            Lane::Codes(Codes::Rows(codes)) => {
                for row_idx in indices {
                    *self.codes.entry(codes[row_idx]).or_default() += 1;
                }
            }
            Lane::Codes(Codes::Pieces { codes, numbers }) => {
                let mut by_piece = vec![0; codes.len()];
                for row_idx in indices {
                    by_piece[numbers[row_idx] as usize] += 1;
                }
                for (code, count) in codes.iter().zip(by_piece).filter(|(_, count)| *count > 0) {
                    *self.codes.entry(*code).or_default() += count;
                }
            }
            Lane::Texts(texts) => {
                let mut nulls = 0;
                for row_idx in indices {
                    match texts.get(row_idx) {
                        "" => nulls += 1,
                        text => self.add_text(text, 1),
                    }
                }
                if nulls > 0 {
                    self.add_text("", nulls);
                }
            }
            // Each value is written once.
            Lane::Times(_) | Lane::Numbers(_) | Lane::Floats(_) | Lane::Flags(_) => {
                let mut counts: HashMap<u64, (usize, u64)> = HashMap::new();
                for row_idx in indices {
                    let (_, count) = counts.entry(lane.bits(row_idx)).or_insert((row_idx, 0));
                    *count += 1;
                }
                for (row_idx, count) in counts.into_values() {
                    self.add_text(&lane.show(row_idx, vocabulary), count);
                }
            }
        }
    }

    fn add_text(&mut self, text: &str, count: u64) {
        *self.texts.entry_ref(text).or_default() += count;
    }

    fn merge(mut self, mut other: Self) -> Self {
        if self.texts.len() < other.texts.len() {
            std::mem::swap(&mut self, &mut other);
        }
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        for (text, count) in other.texts {
            *self.texts.entry(text).or_default() += count;
        }
        self
    }

    fn finish(self, rows: u64, field: Field, vocabulary: &Vocabulary) -> Facet {
        let mut by_text = self.texts;
        // No status is kept as 0.
        if field == Column::Code.into()
            && let Some(count) = by_text.remove("0")
        {
            by_text.insert(String::new(), count);
        }
        for (code, count) in self.codes {
            let elements = match field.kind() {
                Kind::List if code != NULL => parse_list(vocabulary.text(code)),
                _ => vec![vocabulary.text(code).into()],
            };
            for element in elements {
                *by_text.entry(element.into_owned()).or_default() += count;
            }
        }
        Facet::of(by_text, rows)
    }
}
