//! What the events of a log are made of, as far as it decides which rules can hold at all.
//!
//! Comes in: frames, in any order. Goes out: a count of events by kind, and the columns that any event fills. A
//! kind is verb, resource, subresource, stage, level and whether there are bodies: few of them make up a log.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::frame::pieces::{Home, Piece, home};
use crate::frame::vocabulary::known;
use crate::frame::{Column, ColumnType, EventFrame, NULL, Vocabulary, count};

/// How many kinds are told apart; clients choose what they ask for, and of what is beyond, nothing is concluded.
const KINDS: usize = 4096;

/// The coded columns of a kind.
pub(super) const KIND: [Column; 5] = [
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Stage,
    Column::Level,
];

/// What the rules can know of an event without looking at whom it is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// By [`KIND`].
    pub(super) codes: [u32; KIND.len()],
    /// Whether it has `requestObject`.
    pub(super) has_request: bool,
    /// Whether it has `responseObject`.
    pub(super) has_response: bool,
}

impl Kind {
    /// Returns that of a row.
    pub fn of(frame: &EventFrame, row_idx: usize) -> Self {
        Row::of(frame, row_idx).kind(frame)
    }

    /// Returns the code in one of the columns that decide it.
    pub fn code_of(&self, column: Column) -> u32 {
        self.code(column).expect("a column of a kind")
    }

    /// Returns whether it has a body.
    pub fn has_body(&self) -> bool {
        self.has_request || self.has_response
    }

    /// Returns the code in a column, if the kind has it.
    pub fn code(&self, column: Column) -> Option<u32> {
        let at = KIND.iter().position(|known| *known == column)?;
        Some(self.codes[at])
    }
}

/// What a log has to offer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Supply {
    kinds: HashMap<Kind, u64>,
    /// The stages and levels of all kinds, those beyond the limit too.
    stages: BTreeSet<u32>,
    levels: BTreeSet<u32>,
    /// The columns that some event fills, as bits.
    filled: u64,
    /// Whether there are more kinds than are told apart.
    is_cut: bool,
}

const _: () = assert!(Column::COUNT <= 64, "columns are bits of a number");

fn bit(column: Column) -> u64 {
    1 << (column as u64)
}

/// Returns a set of columns, as [`Portion::filled`] gives them.
pub fn set_of(columns: impl IntoIterator<Item = Column>) -> u64 {
    columns.into_iter().fold(0, |set, column| set | bit(column))
}

impl Supply {
    /// Adds what a chunk has to offer.
    pub fn take(&mut self, portion: Portion) {
        for (kind, count) in portion.kinds {
            self.add(kind, count);
        }
        self.filled |= portion.filled;
    }

    fn add(&mut self, kind: Kind, count: u64) {
        if let Some(known) = self.kinds.get_mut(&kind) {
            *known += count;
            return;
        }
        self.stages.extend(kind.code(Column::Stage));
        self.levels.extend(kind.code(Column::Level));
        if self.kinds.len() < KINDS {
            self.kinds.insert(kind, count);
        } else {
            self.is_cut = true;
        }
    }

    /// Returns the kinds, in no order.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.keys()
    }

    /// Returns whether nothing can be concluded from what is not among the kinds.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns whether some event fills a column that was looked at.
    pub fn fills(&self, column: Column) -> bool {
        self.filled & bit(column) != 0
    }

    /// Returns whether some event is of a stage.
    pub fn has_stage(&self, stage: &str, vocabulary: &Vocabulary) -> bool {
        let code = vocabulary.find(stage);
        code.is_some_and(|code| self.stages.contains(&code))
    }

    /// Returns whether some event is of a level that has bodies.
    pub fn has_bodies(&self) -> bool {
        let levels = [known::REQUEST, known::REQUEST_RESPONSE];
        levels.iter().any(|level| self.levels.contains(level))
    }
}

/// What a chunk has to offer.
#[derive(Debug, Default)]
pub struct Portion {
    /// Some of them more than once.
    kinds: Vec<(Kind, u64)>,
    filled: u64,
}

/// What decides the kind of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    /// By [`OWN`].
    own: [u32; OWN.len()],
    /// The number of its object in the chunk.
    object: u32,
    has_request: bool,
    has_response: bool,
}

/// The columns of a kind that are no part of an object.
const OWN: [Column; 3] = [Column::Verb, Column::Stage, Column::Level];

impl Row {
    fn of(frame: &EventFrame, row_idx: usize) -> Self {
        let detail = frame.detail(row_idx);
        Self {
            own: OWN.map(|column| frame.code(column, row_idx)),
            object: frame.pieces(Piece::Object)[row_idx],
            has_request: !detail.request_object.is_empty(),
            has_response: !detail.response_object.is_empty(),
        }
    }

    /// Returns a number that hardly another kind of a chunk has.
    fn number(&self) -> u32 {
        let mix = |sum: u32, code: &u32| sum.wrapping_mul(31).wrapping_add(*code);
        let sum = self.own.iter().fold(self.object, mix);
        sum ^ sum >> 7 ^ u32::from(self.has_response)
    }

    fn kind(&self, frame: &EventFrame) -> Kind {
        let object = frame.piece(Piece::Object, self.object);
        Kind {
            codes: KIND.map(|column| match home(column) {
                Home::Piece(_, at) => object[at],
                _ => {
                    self.own[OWN
                        .iter()
                        .position(|own| *own == column)
                        .expect("one of both")]
                }
            }),
            has_request: self.has_request,
            has_response: self.has_response,
        }
    }
}

impl Portion {
    /// Counts the events of a chunk; of the columns, those in `wanted` are looked at.
    pub fn of(frame: &EventFrame, wanted: u64) -> Self {
        let rows = (0..frame.height()).map(|row_idx| {
            let row = Row::of(frame, row_idx);
            (row.number(), row)
        });
        let mut kinds = Vec::new();
        count(rows, |row, count| {
            kinds.push((row.kind(frame), count));
        });
        let wanted = Column::ALL
            .iter()
            .filter(|column| wanted & bit(**column) != 0);
        let filled = set_of(wanted.copied().filter(|column| is_filled(frame, *column)));
        Self { kinds, filled }
    }

    /// Returns kinds, and how many events are of each; some of them more than once.
    pub fn kinds(&self) -> impl Iterator<Item = (&Kind, u64)> {
        self.kinds.iter().map(|(kind, count)| (kind, *count))
    }

    /// Returns the columns that some event fills, of those that were looked at.
    pub fn filled(&self) -> u64 {
        self.filled
    }
}

/// Returns whether any row fills a column.
fn is_filled(frame: &EventFrame, column: Column) -> bool {
    let mut rows = 0..frame.height();
    match (column.kind(), home(column)) {
        // Pieces come in runs.
        (_, Home::Piece(piece, at)) => {
            let mut last = NULL;
            frame.pieces(piece).iter().any(|&number| {
                let is_known = std::mem::replace(&mut last, number) == number;
                !is_known && frame.piece(piece, number)[at] != NULL
            })
        }
        (ColumnType::Coded | ColumnType::CodedList, _) => {
            rows.any(|row_idx| frame.code(column, row_idx) != NULL)
        }
        (ColumnType::Number, _) => rows.any(|row_idx| frame.code(column, row_idx) != 0),
        (ColumnType::Text, _) => rows.any(|row_idx| !frame.text(column, row_idx).is_empty()),
        (ColumnType::Time | ColumnType::Long | ColumnType::Flag, _) => !rows.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::sample;

    #[test]
    fn kinds_beyond_the_limit_hide_no_stage() {
        let event = |number: usize, stage: &str| {
            format!(
                r#"{{"verb":"get","level":"Metadata","stage":"{stage}","objectRef":{{"resource":"r{number}"}}}}"#
            )
        };
        let mut lines: Vec<String> = (0..KINDS)
            .map(|number| event(number, "ResponseComplete"))
            .collect();
        let supply = |lines: &[String]| {
            let frame = sample::frame_of("a.log", &lines.join("\n")).unwrap();
            let wanted = set_of([Column::Verb, Column::Decision]);
            let mut supply = Supply::default();
            supply.take(Portion::of(&frame, wanted));
            (supply, frame.vocabulary().clone())
        };
        let (known, vocabulary) = supply(&lines);
        assert!(!known.is_cut() && known.fills(Column::Verb) && !known.fills(Column::Decision));
        assert!(known.has_stage("ResponseComplete", &vocabulary));
        assert!(!known.has_stage("Panic", &vocabulary));
        lines.push(event(KINDS, "Panic"));
        let (cut, vocabulary) = supply(&lines);
        assert!(cut.is_cut() && cut.has_stage("Panic", &vocabulary));
        assert!(!cut.has_bodies());
    }
}
