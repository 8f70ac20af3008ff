//! Facets: how often each value of a field occurs among some rows.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use rayon::prelude::*;

use super::field::Kind;
use super::lane::Lane;
use super::{Field, Row, Segment, Snapshot, StoreError};
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
        let counts = by_segment(snapshot, rows)
            .into_par_iter()
            .map(|(segment, rows)| {
                if stop.load(Ordering::Relaxed) {
                    return Ok(Counts::default());
                }
                Counts::of(segment, rows, field, vocabulary)
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
    fn of(
        segment: &Segment,
        rows: &[Row],
        field: Field,
        vocabulary: &Vocabulary,
    ) -> Result<Self, StoreError> {
        let lane = segment.lane(field, vocabulary)?;
        let mut counts = Self::default();
        let indices = rows.iter().map(|row| (row - segment.first) as usize);
        match &lane {
            Lane::Codes(codes) => {
                for row_idx in indices {
                    *counts.codes.entry(codes[row_idx]).or_default() += 1;
                }
            }
            lane => {
                for row_idx in indices {
                    let text = lane.show(row_idx, vocabulary);
                    match counts.texts.get_mut(&*text) {
                        Some(count) => *count += 1,
                        None => {
                            counts.texts.insert(text.into_owned(), 1);
                        }
                    }
                }
            }
        }
        Ok(counts)
    }

    fn merge(mut self, other: Self) -> Self {
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
        let mut values: Vec<(String, u64)> = by_text.into_iter().collect();
        values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let distinct = values.len();
        let others = values.iter().skip(VALUES).map(|(_, count)| count).sum();
        values.truncate(VALUES);
        Facet {
            values,
            distinct,
            others,
            rows,
        }
    }
}
