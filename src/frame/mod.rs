//! Frames: the events of one chunk as typed columns.
//!
//! Comes in: decoded events. Goes out: an [`EventFrame`] with the columns of [`schema`], one row per event
//! in file order. Knows nothing of rules. Bodies are no columns: a frame keeps the bytes of its chunk and
//! where the bodies stand in them, and a rule that names a body path reads it from there.
//!
//! A scan reads the buffers of a frame as they are; what works with Polars asks for
//! [`EventFrame::to_polars`]. Making a Polars frame of each chunk would copy every text and check every code,
//! for which nothing in a scan has a use.

pub mod coder;
pub mod columns;
mod data_frame;
mod memo;
pub mod schema;
pub mod vocabulary;

use crate::decode::event::Span;
pub use coder::Coder;
pub use columns::{EventColumns, EventText, Place};
pub use schema::{Column, ColumnType};
pub use vocabulary::{NULL, Vocabulary};

/// Events as columns.
///
/// Shape: one row per event in file order; columns as in [`Column::ALL`]; null is absent or empty.
pub struct EventFrame {
    vocabulary: Vocabulary,
    /// The chunk, UTF-8.
    data: Vec<u8>,
    /// Texts that stand in the chunk otherwise, or not at all: with escapes, or unwrapped.
    kept: String,
    /// By column: coded ones and numbers.
    codes: [Vec<u32>; Column::COUNT],
    /// By column: texts.
    texts: [Vec<TextSpan>; Column::COUNT],
    /// By column: times; 0 is null.
    times: [Vec<i64>; Column::COUNT],
    lines: Vec<u64>,
    offsets: Vec<u64>,
    masters: Vec<bool>,
    details: Vec<RowDetail>,
}

/// What a row has besides its columns.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowDetail {
    /// The event as JSON.
    record: TextSpan,
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
    /// Hash of the record's bytes: records of equal content are duplicates. Nothing else identifies a
    /// record, since clients may reuse an audit ID.
    pub content: u64,
}

/// A text of a frame: in its chunk, or in what it keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct TextSpan {
    /// First byte, with [`KEPT`] if it is in what the frame keeps.
    start: u32,
    /// Bytes; none is null.
    length: u32,
}

/// Set in the start of what is not in the chunk; chunks are shorter than 2 GiB.
const KEPT: u32 = 1 << 31;

impl TextSpan {
    /// Returns where `part` stands, a slice of `text`, which starts at `start`.
    fn of(part: &str, text: &str, start: u32) -> Self {
        let span = Span::of(part, text);
        Self {
            start: start + span.start,
            length: span.length,
        }
    }
}

impl EventFrame {
    fn empty(vocabulary: &Vocabulary) -> Self {
        Self {
            vocabulary: vocabulary.clone(),
            data: Vec::new(),
            kept: String::new(),
            codes: std::array::from_fn(|_| Vec::new()),
            texts: std::array::from_fn(|_| Vec::new()),
            times: std::array::from_fn(|_| Vec::new()),
            lines: Vec::new(),
            offsets: Vec::new(),
            masters: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Takes out everything, but not its room.
    fn clear(&mut self) {
        self.data = Vec::new();
        // A chunk of many long texts must not keep its room for good.
        self.kept.clear();
        self.kept.shrink_to(1 << 20);
        self.codes.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(Vec::clear);
        self.times.iter_mut().for_each(Vec::clear);
        self.lines.clear();
        self.offsets.clear();
        self.masters.clear();
        self.details.clear();
    }

    /// Takes the bytes of the chunk back; the texts of the frame are gone then.
    pub fn take_data(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    /// Keeps a text that does not stand in the chunk as it is.
    fn keep(&mut self, text: &str) -> TextSpan {
        let start = u32::try_from(self.kept.len()).expect("a frame keeps less than 2 GiB");
        self.kept.push_str(text);
        TextSpan {
            start: KEPT | start,
            length: u32::try_from(text.len()).expect("a record is shorter than 2 GiB"),
        }
    }

    fn resolve(&self, span: TextSpan) -> &str {
        let (start, length) = ((span.start & !KEPT) as usize, span.length as usize);
        if span.start & KEPT != 0 {
            &self.kept[start..start + length]
        } else {
            let bytes = &self.data[start..start + length];
            simdutf8::basic::from_utf8(bytes).expect("whole characters of checked text")
        }
    }

    /// Returns the number of events.
    pub fn height(&self) -> usize {
        self.details.len()
    }

    /// Returns the dictionary of the coded columns.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns what row `row_idx` has besides its columns.
    pub fn detail(&self, row_idx: usize) -> &RowDetail {
        &self.details[row_idx]
    }

    /// Returns the event of row `row_idx` as JSON.
    pub fn record(&self, row_idx: usize) -> &str {
        self.resolve(self.details[row_idx].record)
    }

    /// Returns the codes of a coded column; [`NULL`] is null. Or the values of a `UInt32` column.
    pub fn codes(&self, column: Column) -> &[u32] {
        debug_assert!(matches!(
            column.kind(),
            ColumnType::Coded | ColumnType::CodedList | ColumnType::Number
        ));
        &self.codes[column as usize]
    }

    /// Returns the text at `row_idx` of a text column; null is empty.
    pub fn text(&self, column: Column, row_idx: usize) -> &str {
        debug_assert_eq!(column.kind(), ColumnType::Text);
        self.resolve(self.texts[column as usize][row_idx])
    }

    /// Returns a `UInt64` column.
    pub fn longs(&self, column: Column) -> &[u64] {
        debug_assert_eq!(column.kind(), ColumnType::Long);
        match column {
            Column::Line => &self.lines,
            _ => &self.offsets,
        }
    }

    /// Returns a time column in microseconds; 0 is null.
    pub fn times(&self, column: Column) -> &[i64] {
        debug_assert_eq!(column.kind(), ColumnType::Time);
        &self.times[column as usize]
    }

    /// Returns a flag column.
    pub fn flags(&self, column: Column) -> &[bool] {
        debug_assert_eq!(column.kind(), ColumnType::Flag);
        &self.masters
    }
}
