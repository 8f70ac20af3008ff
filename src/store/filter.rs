//! Filters: which rows are shown.
//!
//! Comes in: tests, each of which may be switched off. Goes out: the numbers of the rows that pass all of them, in
//! the order of reading. A test of a coded field is decided once per distinct value of a segment.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use rayon::prelude::*;
use regex::Regex;

use super::field::Kind;
use super::lane::Lane;
use super::{Field, Row, Segment, Snapshot, StoreError};
use crate::frame::vocabulary::parse_list;
use crate::frame::{Column, NULL, Vocabulary};

/// What a row stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rows {
    /// A request, by the most final of its events.
    #[default]
    Requests,
    /// An event.
    Events,
}

/// One condition on a row.
#[derive(Debug, Clone)]
pub enum Test {
    /// The field has this value, or the list holds it; the empty text is null.
    Is(Field, String),
    /// It has not.
    IsNot(Field, String),
    /// Any of the fields that people read matches.
    Search(Regex),
    /// None does.
    SearchNot(Regex),
    /// It is within a stretch of time, in microseconds, the end not among it.
    Time(i64, i64),
    /// It is one of these, sorted.
    Among(std::sync::Arc<[Row]>),
}

/// Fields that a search looks at.
pub const SEARCHED: [Column; 14] = [
    Column::Username,
    Column::ImpUsername,
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
    Column::Name,
    Column::PeerIp,
    Column::UserAgent,
    Column::RequestUri,
    Column::Credential,
    Column::Message,
    Column::AuthzReason,
    Column::AuditId,
];

/// Conditions that must all hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What rows stand for.
    pub rows: Rows,
    /// The conditions.
    pub tests: Vec<Test>,
}

impl Filter {
    /// Returns the rows that pass, or nothing if it was stopped.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn apply(
        &self,
        snapshot: &Snapshot,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let parts: Vec<Vec<Row>> = snapshot
            .segments
            .par_iter()
            .map(|segment| {
                if stop.load(Ordering::Relaxed) {
                    return Ok(Vec::new());
                }
                self.rows_of(segment, &snapshot.vocabulary)
            })
            .collect::<Result<_, _>>()?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(Some(parts.concat()))
    }

    fn rows_of(&self, segment: &Segment, vocabulary: &Vocabulary) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<usize> = (0..segment.height())
            .filter(|&row_idx| segment.is(self.rows, row_idx))
            .collect();
        for test in &self.tests {
            if rows.is_empty() {
                break;
            }
            test.retain(&mut rows, segment, vocabulary)?;
        }
        let number = |row_idx: usize| {
            segment.first + Row::try_from(row_idx).expect("a segment has fewer than 2^32 rows")
        };
        Ok(rows.into_iter().map(number).collect())
    }
}

impl Test {
    /// Takes the rows out that it does not hold for.
    fn retain(
        &self,
        rows: &mut Vec<usize>,
        segment: &Segment,
        vocabulary: &Vocabulary,
    ) -> Result<(), StoreError> {
        match self {
            Self::Is(field, value) | Self::IsNot(field, value) => {
                let expected = matches!(self, Self::Is(..));
                let lane = segment.lane(*field, vocabulary)?;
                let holds = value_test(&lane, *field, value, vocabulary);
                rows.retain(|&row_idx| holds(row_idx) == expected);
            }
            Self::Search(pattern) | Self::SearchNot(pattern) => {
                let expected = matches!(self, Self::Search(_));
                let fields = SEARCHED.map(Field::from);
                let lanes = segment.lanes(&fields, vocabulary)?;
                let mut known: HashMap<u32, bool> = HashMap::new();
                let mut holds = |row_idx: usize| {
                    lanes.iter().any(|lane| match lane {
                        Lane::Codes(codes) if codes[row_idx] == NULL => false,
                        Lane::Codes(codes) => *known
                            .entry(codes[row_idx])
                            .or_insert_with(|| pattern.is_match(vocabulary.text(codes[row_idx]))),
                        Lane::Texts(texts) => match texts.get(row_idx) {
                            "" => false,
                            text => pattern.is_match(text),
                        },
                        _ => false,
                    })
                };
                rows.retain(|&row_idx| holds(row_idx) == expected);
            }
            Self::Time(from, to) => {
                let times = segment.times(vocabulary)?;
                rows.retain(|&row_idx| (*from..*to).contains(&times[row_idx]));
            }
            Self::Among(chosen) => {
                let from = chosen.partition_point(|row| *row < segment.first);
                let to = chosen.partition_point(|row| *row < segment.end());
                let chosen = &chosen[from..to];
                rows.retain(|&row_idx| {
                    let row = segment.first as usize + row_idx;
                    chosen
                        .binary_search_by_key(&row, |row| *row as usize)
                        .is_ok()
                });
            }
        }
        Ok(())
    }
}

/// Returns what says whether a row of `lane` has `value`.
fn value_test<'l>(
    lane: &'l Lane<'_>,
    field: Field,
    value: &'l str,
    vocabulary: &'l Vocabulary,
) -> Box<dyn Fn(usize) -> bool + 'l> {
    match lane {
        Lane::Codes(codes) if field.kind() == Kind::List && !value.is_empty() => {
            // Each distinct list is taken apart once.
            let mut distinct: Vec<u32> = codes.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.retain(|&code| {
                parse_list(vocabulary.text(code))
                    .iter()
                    .any(|element| element == value)
            });
            Box::new(move |row_idx| distinct.binary_search(&codes[row_idx]).is_ok())
        }
        Lane::Codes(codes) => {
            let code = match value {
                "" => Some(NULL),
                value => vocabulary.find(value),
            };
            Box::new(move |row_idx| Some(codes[row_idx]) == code)
        }
        Lane::Texts(texts) => Box::new(move |row_idx| texts.get(row_idx) == value),
        // No status is kept as 0.
        Lane::Numbers(numbers) if field == Column::Code.into() && value.is_empty() => {
            Box::new(move |row_idx| numbers[row_idx] == 0)
        }
        lane => Box::new(move |row_idx| lane.show(row_idx, vocabulary) == value),
    }
}
