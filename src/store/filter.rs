//! Filters: which rows are shown.
//!
//! Comes in: tests, each of which may be switched off. Goes out: the numbers of the rows that pass all of them, in
//! the order of reading. A test of a coded field is decided once per distinct value, of a piece once per piece.

use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::HashMap;
use rayon::prelude::*;
use regex::Regex;

use super::field::Kind;
use super::lane::{Codes, Lane};
use super::mask::Mask;
use super::{Field, Row, Segment, Snapshot, StoreError, shares};
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
        let masks = shares(&snapshot.segments)
            .map(|segments| {
                let mut tests: Vec<Asked<'_>> = self.tests.iter().map(Asked::new).collect();
                let going = segments
                    .iter()
                    .take_while(|_| !stop.load(Ordering::Relaxed));
                let masks = going.map(|segment| {
                    let mut mask = segment.mask(self.rows);
                    for test in &mut tests {
                        if mask.is_empty() {
                            break;
                        }
                        test.keep(&mut mask, segment, &snapshot.vocabulary)?;
                    }
                    Ok(mask)
                });
                masks.collect()
            })
            .collect::<Result<Vec<Vec<Mask>>, StoreError>>()?;
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let masks = || masks.iter().flatten();
        let mut rows = Vec::with_capacity(masks().map(Mask::count).sum());
        for (segment, mask) in snapshot.segments.iter().zip(masks()) {
            mask.append_to(segment.first, &mut rows);
        }
        Ok(Some(rows))
    }
}

/// A test, and what is known of codes: each is decided once for many segments.
struct Asked<'t> {
    test: &'t Test,
    /// A copy of one's own: threads get in each other's way at a shared one.
    pattern: Option<Regex>,
    known: HashMap<u32, bool>,
}

impl<'t> Asked<'t> {
    fn new(test: &'t Test) -> Self {
        let pattern = match test {
            Test::Search(pattern) | Test::SearchNot(pattern) => Some(pattern.clone()),
            _ => None,
        };
        Self {
            test,
            pattern,
            known: HashMap::new(),
        }
    }

    /// Takes the rows out that the test does not hold for.
    fn keep(
        &mut self,
        mask: &mut Mask,
        segment: &Segment,
        vocabulary: &Vocabulary,
    ) -> Result<(), StoreError> {
        match self.test {
            Test::Is(field, value) => self.keep_value(mask, segment, *field, value, vocabulary)?,
            Test::IsNot(field, value) => {
                let mut with = mask.clone();
                self.keep_value(&mut with, segment, *field, value, vocabulary)?;
                mask.remove(&with);
            }
            Test::Search(_) => {
                let mut without = mask.clone();
                self.remove_matches(&mut without, segment, vocabulary)?;
                mask.remove(&without);
            }
            Test::SearchNot(_) => self.remove_matches(mask, segment, vocabulary)?,
            Test::Time(from, to) => {
                let span = segment.summary(vocabulary)?.all;
                if span.1 < *from || span.0 >= *to {
                    mask.clear();
                } else if span.0 < *from || span.1 >= *to {
                    mask.keep(&segment.times(vocabulary)?, |time| {
                        (*from..*to).contains(time)
                    });
                }
            }
            Test::Among(chosen) => {
                let from = chosen.partition_point(|row| *row < segment.first);
                let to = chosen.partition_point(|row| *row < segment.end());
                let chosen = &chosen[from..to];
                mask.keep_rows(|row_idx| {
                    let row = segment.first as usize + row_idx;
                    chosen
                        .binary_search_by_key(&row, |row| *row as usize)
                        .is_ok()
                });
            }
        }
        Ok(())
    }

    /// Keeps the rows that have `value`, or whose list holds it.
    fn keep_value(
        &mut self,
        mask: &mut Mask,
        segment: &Segment,
        field: Field,
        value: &str,
        vocabulary: &Vocabulary,
    ) -> Result<(), StoreError> {
        match &segment.lane(field, vocabulary)? {
            Lane::Codes(codes) if field.kind() == Kind::List && !value.is_empty() => {
                mask.keep_codes(codes, |code| {
                    *self.known.entry(code).or_insert_with(|| {
                        let list = parse_list(vocabulary.text(code));
                        list.iter().any(|element| element == value)
                    })
                });
            }
            Lane::Codes(codes) => {
                let wanted = match value {
                    "" => Some(NULL),
                    value => vocabulary.find(value),
                };
                match (wanted, codes) {
                    (None, _) => mask.clear(),
                    (Some(wanted), Codes::Rows(codes)) => mask.keep(codes, |&code| code == wanted),
                    (Some(wanted), codes) => mask.keep_codes(codes, |code| code == wanted),
                }
            }
            Lane::Texts(texts) => mask.keep_rows(|row_idx| texts.get(row_idx) == value),
            // No status is kept as 0.
            Lane::Numbers(numbers) if field == Column::Code.into() && value.is_empty() => {
                mask.keep_rows(|row_idx| numbers[row_idx] == 0);
            }
            lane => mask.keep_rows(|row_idx| lane.show(row_idx, vocabulary) == value),
        }
        Ok(())
    }

    /// Takes the rows out in which the pattern matches one of [`SEARCHED`].
    fn remove_matches(
        &mut self,
        mask: &mut Mask,
        segment: &Segment,
        vocabulary: &Vocabulary,
    ) -> Result<(), StoreError> {
        let Some(pattern) = &self.pattern else {
            unreachable!("a search has a pattern");
        };
        let lanes = segment.lanes(&SEARCHED.map(Field::from), vocabulary)?;
        // What is decided by code comes first: it leaves fewer texts to look at.
        for lane in &lanes {
            if let Lane::Codes(codes) = lane {
                mask.keep_codes(codes, |code| {
                    let matches = || code != NULL && pattern.is_match(vocabulary.text(code));
                    !*self.known.entry(code).or_insert_with(matches)
                });
            }
        }
        for lane in &lanes {
            if let Lane::Texts(texts) = lane {
                mask.keep_rows(|row_idx| match texts.get(row_idx) {
                    "" => true,
                    text => !pattern.is_match(text),
                });
            }
        }
        Ok(())
    }
}
