//! Frames: the events of one chunk as typed columns.
//!
//! Comes in: decoded events. Goes out: an [`EventFrame`], a Polars frame with the columns of
//! [`schema`], one row per event in file order. Knows nothing of rules. Bodies are no columns: a frame
//! keeps where they stand in the chunk, and a rule that names a body path reads it from there.

pub mod columns;
pub mod schema;
pub mod vocabulary;

use polars::prelude::{DataFrame, StringChunked};

use crate::decode::event::Span;
pub use columns::EventColumns;
pub use schema::{Column, ColumnType};
pub use vocabulary::{NULL, Vocabulary};

/// A Polars frame known to have the event schema.
///
/// Shape: one row per event in file order; columns as in [`Column::ALL`]; null is absent or empty.
pub struct EventFrame {
    frame: DataFrame,
    details: Vec<RowDetail>,
    vocabulary: Vocabulary,
}

/// What a row has besides its columns, all relative to its chunk or run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowDetail {
    /// Where the record starts in the chunk's data.
    pub start: u32,
    /// `requestObject`, within the record.
    pub request_object: Span,
    /// `responseObject`, within the record.
    pub response_object: Span,
    /// `annotations`, within the record.
    pub annotations: Span,
    /// `user.extra`, within the record.
    pub extra: Span,
    /// Key under which the stages of one request meet; seeded per run.
    pub request: u64,
    /// Hash of the record's bytes.
    pub content: u64,
}

impl EventFrame {
    /// Returns the number of events.
    pub fn height(&self) -> usize {
        self.details.len()
    }

    /// Returns the frame itself.
    pub fn data(&self) -> &DataFrame {
        &self.frame
    }

    /// Returns the dictionary of the coded columns.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns what row `row_idx` has besides its columns.
    pub fn detail(&self, row_idx: usize) -> &RowDetail {
        &self.details[row_idx]
    }

    /// Returns the codes of a coded column; [`NULL`] is null.
    pub fn codes(&self, column: Column) -> &[u32] {
        let categorical = self.series(column).cat32().expect("a coded column");
        let array = categorical
            .physical()
            .downcast_iter()
            .next()
            .expect("one array a column");
        array.values().as_slice()
    }

    /// Returns a text column.
    pub fn texts(&self, column: Column) -> &StringChunked {
        self.series(column).str().expect("a text column")
    }

    /// Returns the text at `row_idx` of a coded or text column; null is empty.
    pub fn text(&self, column: Column, row_idx: usize) -> &str {
        match column.kind() {
            ColumnType::Coded | ColumnType::CodedList => {
                self.vocabulary.text(self.codes(column)[row_idx])
            }
            _ => self.texts(column).get(row_idx).unwrap_or(""),
        }
    }

    /// Returns a `UInt32` column.
    pub fn numbers(&self, column: Column) -> &[u32] {
        let numbers = self.series(column).u32().expect("a number column");
        numbers.cont_slice().expect("one array without nulls")
    }

    /// Returns a `UInt64` column.
    pub fn longs(&self, column: Column) -> &[u64] {
        let numbers = self.series(column).u64().expect("a long column");
        numbers.cont_slice().expect("one array without nulls")
    }

    /// Returns a time column in microseconds; the value at a null is 0.
    pub fn times(&self, column: Column) -> &[i64] {
        let times = self.series(column).datetime().expect("a time column");
        let array = times
            .physical()
            .downcast_iter()
            .next()
            .expect("one array a column");
        array.values().as_slice()
    }

    /// Returns the flag at `row_idx`.
    pub fn flag(&self, column: Column, row_idx: usize) -> bool {
        let flags = self.series(column).bool().expect("a flag column");
        flags.get(row_idx).unwrap_or(false)
    }

    fn series(&self, column: Column) -> &polars::prelude::Series {
        self.frame.columns()[column as usize].as_materialized_series()
    }
}
