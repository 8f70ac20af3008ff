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
mod count;
mod data_frame;
pub mod derived;
mod identity;
mod join;
mod memo;
mod order;
pub mod pieces;
#[cfg(test)]
pub(crate) mod reading;
pub mod schema;
mod template;
pub mod vocabulary;

use std::borrow::Cow;
use std::ops::Range;

use crate::decode::event::Span;
pub use coder::Coder;
use coder::Tables;
pub use columns::{EventColumns, EventText, Origin, Place};
pub(crate) use count::count;
use derived::outcome;
pub(crate) use order::place_in_time;
use pieces::{Home, OWN, Piece, home};
pub use schema::{Column, ColumnType};
pub use vocabulary::{NULL, Vocabulary};

/// Events as columns.
///
/// Shape: one row per event in file order; columns as in [`Column::ALL`]; null is absent or empty.
pub struct EventFrame {
    vocabulary: Vocabulary,
    /// The chunk.
    text: String,
    /// Texts that stand in the chunk otherwise, or not at all: with escapes, or unwrapped.
    kept: String,
    file: u32,
    /// By [`OWN`].
    own: [Vec<u32>; OWN.len()],
    /// By [`Piece`]: the numbers of the rows' pieces in `tables`.
    pieces: [Vec<u32>; Piece::ALL.len()],
    tables: Tables,
    /// By [`TEXTS`].
    texts: [Vec<TextSpan>; TEXTS.len()],
    /// Received and stage time; 0 is null.
    times: [Vec<i64>; 2],
    lines: Vec<u64>,
    offsets: Vec<u64>,
    details: Vec<RowDetail>,
}

/// The text columns.
pub const TEXTS: [Column; 6] = [
    Column::AuditId,
    Column::RequestUri,
    Column::Name,
    Column::ObjectUid,
    Column::Message,
    Column::IssuedCredentialId,
];

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
    /// Whether the event was found behind damage: who can cut the log could have forged it.
    pub is_recovered: bool,
    /// What rows have in common that differ in audit ID and times only, across chunks and threads; 0 is unknown.
    pub template: u64,
    /// Key under which the stages of one request meet; seeded per run, or for all runs of a session.
    pub request: u64,
    /// Key of the record, seeded likewise: duplicates have the same one, in whatever JSON they are written. Where times do
    /// not tell, of its bytes.
    pub record_key: u64,
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
    /// Returns its bytes in what it stands in.
    fn range(self) -> Range<usize> {
        let start = (self.start & !KEPT) as usize;
        start..start + self.length as usize
    }

    /// Returns where `part` stands, a slice of `text`, which starts at `start`.
    fn of(part: &str, text: &str, start: u32) -> Self {
        let span = Span::of(part, text);
        Self {
            start: start + span.start,
            length: span.length,
        }
    }
}

/// A text column of a frame.
#[derive(Clone, Copy)]
pub struct FrameTexts<'a> {
    frame: &'a EventFrame,
    spans: &'a [TextSpan],
}

impl<'a> FrameTexts<'a> {
    /// Returns the text at `row_idx`; null is empty.
    #[inline]
    pub fn get(&self, row_idx: usize) -> &'a str {
        match self.spans[row_idx] {
            span if span.length == 0 => "",
            span => self.frame.resolve(span),
        }
    }
}

impl EventFrame {
    fn empty(vocabulary: &Vocabulary) -> Self {
        Self {
            vocabulary: vocabulary.clone(),
            text: String::new(),
            kept: String::new(),
            file: NULL,
            own: std::array::from_fn(|_| Vec::new()),
            pieces: std::array::from_fn(|_| Vec::new()),
            tables: Tables::new(),
            texts: std::array::from_fn(|_| Vec::new()),
            times: [Vec::new(), Vec::new()],
            lines: Vec::new(),
            offsets: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Takes out everything, but not its room.
    fn clear(&mut self) {
        self.text = String::new();
        // A chunk of many long texts must not keep its room for good.
        self.kept.clear();
        self.kept.shrink_to(1 << 20);
        self.tables.origins.clear();
        self.own.iter_mut().for_each(Vec::clear);
        self.pieces.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(Vec::clear);
        self.times.iter_mut().for_each(Vec::clear);
        self.lines.clear();
        self.offsets.clear();
        self.details.clear();
    }

    /// Takes the text of the chunk back; the texts of the frame are gone then.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Appends a row.
    fn push(
        &mut self,
        own: [u32; OWN.len()],
        pieces: [u32; Piece::ALL.len()],
        texts: [TextSpan; TEXTS.len()],
        times: [i64; 2],
        place: &Place<'_>,
        detail: RowDetail,
    ) {
        for (buffer, code) in self.own.iter_mut().zip(own) {
            buffer.push(code);
        }
        for (buffer, number) in self.pieces.iter_mut().zip(pieces) {
            buffer.push(number);
        }
        for (buffer, span) in self.texts.iter_mut().zip(texts) {
            buffer.push(span);
        }
        for (buffer, time) in self.times.iter_mut().zip(times) {
            buffer.push(time);
        }
        self.lines.push(place.line);
        self.offsets.push(place.offset);
        self.details.push(detail);
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

    #[inline]
    fn resolve(&self, span: TextSpan) -> &str {
        let text = if span.start & KEPT == 0 {
            &self.text
        } else {
            &self.kept
        };
        &text[span.range()]
    }

    /// Returns a copy that does not need the chunk any more: its texts stand in what it keeps, and of each event
    /// only what the columns hold is left. With `keeps_records`, the events as JSON are kept, too.
    ///
    /// Details of rows are those of bodies and stages, so there are none left without the records.
    #[must_use]
    pub fn detached(&self, keeps_records: bool) -> Self {
        let length = |span: &TextSpan| span.length as usize;
        let texts = self.texts.iter().flatten().map(length).sum::<usize>();
        let mut copy = Self {
            vocabulary: self.vocabulary.clone(),
            text: String::new(),
            kept: String::with_capacity(texts),
            file: self.file,
            own: self.own.clone(),
            pieces: self.pieces.clone(),
            tables: self.tables.clone(),
            texts: std::array::from_fn(|_| Vec::with_capacity(self.height())),
            times: self.times.clone(),
            lines: self.lines.clone(),
            offsets: self.offsets.clone(),
            details: Vec::new(),
        };
        // By column: whoever goes through one has its texts side by side.
        for (at, spans) in self.texts.iter().enumerate() {
            for span in spans {
                let span = match *span {
                    span if span.length == 0 => TextSpan::default(),
                    span => copy.keep(self.resolve(span)),
                };
                copy.texts[at].push(span);
            }
        }
        if keeps_records {
            for row_idx in 0..self.height() {
                let record = copy.keep(self.record(row_idx));
                copy.details.push(RowDetail {
                    record,
                    ..self.details[row_idx]
                });
            }
        }
        copy
    }

    /// Returns how many bytes of memory it takes, about.
    pub fn bytes(&self) -> usize {
        let rows = 4 * (OWN.len() + Piece::ALL.len()) + 8 * (TEXTS.len() + 4);
        let pieces = self.tables.bytes();
        let details = self.details.len() * size_of::<RowDetail>();
        size_of::<Self>()
            + self.height() * rows
            + pieces
            + details
            + self.text.len()
            + self.kept.len()
    }

    /// Returns the event of row `row_idx` as JSON, if the frame has it still.
    pub fn kept_record(&self, row_idx: usize) -> Option<&str> {
        self.details
            .get(row_idx)
            .map(|detail| self.resolve(detail.record))
    }

    /// Returns the number of events.
    pub fn height(&self) -> usize {
        self.lines.len()
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

    /// Returns the code at `row_idx` of a coded column, [`NULL`] being null; the value of a number column;
    /// 1 at a flag that is set.
    #[expect(clippy::inline_always, reason = "most callers name the column")]
    #[inline(always)]
    pub fn code(&self, column: Column, row_idx: usize) -> u32 {
        match home(column) {
            Home::Own(at) => self.own[at][row_idx],
            Home::Piece(piece, at) => self.piece(piece, self.pieces[piece as usize][row_idx])[at],
            Home::Derived => self.derived(column, row_idx),
        }
    }

    fn derived(&self, column: Column, row_idx: usize) -> u32 {
        match column {
            Column::Actor => match self.code(Column::ImpUsername, row_idx) {
                NULL => self.code(Column::Username, row_idx),
                impersonated => impersonated,
            },
            Column::Outcome => outcome(self.code(Column::Code, row_idx)),
            Column::File => self.file,
            other => unreachable!("no coded column: {other:?}"),
        }
    }

    /// Returns whether the flag is set at `row_idx`.
    pub fn is_masters(&self, row_idx: usize) -> bool {
        let [user, impersonated] = [Piece::User, Piece::Impersonated].map(|piece| {
            let number = self.pieces[piece as usize][row_idx];
            self.tables.users.get(number)[pieces::IS_MASTERS]
        });
        user == 1 || impersonated == 1
    }

    /// Returns whether the event of row `row_idx` has annotations under a name that is no column's path.
    pub fn has_other_annotations(&self, row_idx: usize) -> bool {
        let number = self.pieces[Piece::Annotations as usize][row_idx];
        self.tables.annotations.get(number)[pieces::ANNOTATION_CODES - 1] == 1
    }

    /// Returns all codes of a column, as [`Self::code`] gives them.
    pub fn codes(&self, column: Column) -> Cow<'_, [u32]> {
        if let Home::Own(at) = home(column) {
            return Cow::Borrowed(&self.own[at]);
        }
        let rows = 0..self.height();
        rows.map(|row_idx| self.code(column, row_idx)).collect()
    }

    /// Returns the numbers of one kind of piece by row.
    pub fn pieces(&self, piece: Piece) -> &[u32] {
        &self.pieces[piece as usize]
    }

    /// Returns the codes of a piece, in the order of its columns.
    #[expect(clippy::inline_always, reason = "most callers name the column")]
    #[inline(always)]
    pub fn piece(&self, piece: Piece, number: u32) -> &[u32] {
        match piece {
            Piece::User | Piece::Impersonated => self.tables.users.get(number),
            Piece::Addresses => self.tables.addresses.get(number),
            Piece::Object => self.tables.objects.get(number),
            Piece::Annotations => self.tables.annotations.get(number),
            Piece::Origin => self.tables.origins.get(number),
        }
    }

    /// Returns the codes of all pieces of one kind, in the order of their numbers.
    pub fn table(&self, piece: Piece) -> impl Iterator<Item = &[u32]> {
        let count = match piece {
            Piece::User | Piece::Impersonated => self.tables.users.len(),
            Piece::Addresses => self.tables.addresses.len(),
            Piece::Object => self.tables.objects.len(),
            Piece::Annotations => self.tables.annotations.len(),
            Piece::Origin => self.tables.origins.len(),
        };
        (0..count).map(move |number| self.piece(piece, number))
    }

    /// Returns the text at `row_idx` of a text column; null is empty.
    pub fn text(&self, column: Column, row_idx: usize) -> &str {
        self.texts(column).get(row_idx)
    }

    /// Returns whether a text column has a value at `row_idx`.
    pub fn has_text(&self, column: Column, row_idx: usize) -> bool {
        self.texts(column).spans[row_idx].length != 0
    }

    /// Returns a text column.
    pub fn texts(&self, column: Column) -> FrameTexts<'_> {
        let at = pieces::position(&TEXTS, column).expect("a text column");
        FrameTexts {
            frame: self,
            spans: &self.texts[at],
        }
    }

    /// Returns a `UInt64` column.
    pub fn longs(&self, column: Column) -> &[u64] {
        match column {
            Column::Line => &self.lines,
            _ => &self.offsets,
        }
    }

    /// Returns a time column in microseconds; 0 is null.
    pub fn times(&self, column: Column) -> &[i64] {
        match column {
            Column::Ts => &self.times[0],
            _ => &self.times[1],
        }
    }
}
