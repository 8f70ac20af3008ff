//! Segments: runs of kept events, in memory or in a file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::field::Derived;
use super::filter::Rows;
use super::lane::{Codes, Lane, Texts, derive, sources};
use super::mask::Mask;
use super::{Field, Gist, Row, StoreError, spill};
use crate::frame::pieces::{Home, home};
use crate::frame::{Column, ColumnType, EventFrame, Vocabulary};

/// Events that follow each other.
pub struct Segment {
    /// Number of its first row.
    pub first: Row,
    height: u32,
    /// Rows that are events: not seen before.
    events: Bits,
    /// Rows that stand for a request. May lose one while the log is read, as later stages come.
    requests: Bits,
    summary: OnceLock<Summary>,
    body: Body,
}

/// What is known of the times of a segment once somebody asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    /// First and last time, the unknown one being 0.
    pub(super) all: (i64, i64),
    /// The same without unknown ones.
    known: Option<(i64, i64)>,
    /// Whether no row has a later time than the next one.
    pub(super) is_sorted: bool,
}

enum Body {
    Memory {
        frame: Box<EventFrame>,
        gists: Vec<(u32, Gist)>,
    },
    File(PathBuf),
}

impl Segment {
    pub(super) fn new(first: Row, frame: EventFrame, gists: Vec<(u32, Gist)>) -> Self {
        let height = frame.height();
        Self {
            first,
            height: u32::try_from(height).expect("a chunk has fewer than 2^32 events"),
            events: Bits::new(height),
            requests: Bits::new(height),
            summary: OnceLock::new(),
            body: Body::Memory {
                frame: Box::new(frame),
                gists,
            },
        }
    }

    pub(super) fn in_file(first: Row, height: u32, path: PathBuf) -> Self {
        Self {
            first,
            height,
            events: Bits::new(height as usize),
            requests: Bits::new(height as usize),
            summary: OnceLock::new(),
            body: Body::File(path),
        }
    }

    /// Returns the rows of both, if both are in memory and of one file. Rows of `next` follow these.
    pub(super) fn joined(&self, next: &Self) -> Option<Self> {
        let (
            Body::Memory { frame, gists },
            Body::Memory {
                frame: next_frame,
                gists: next_gists,
            },
        ) = (&self.body, &next.body)
        else {
            return None;
        };
        if frame.height() == 0 || frame.code(Column::File, 0) != next_frame.code(Column::File, 0) {
            return None;
        }
        let next_gists = next_gists.iter();
        let next_gists = next_gists.map(|(row, gist)| (row + self.height, gist.clone()));
        let gists = gists.iter().cloned().chain(next_gists).collect();
        let segment = Self::new(self.first, frame.joined(next_frame), gists);
        segment.take_over([self, next]);
        Some(segment)
    }

    /// Takes over what the rows of others are, which are rows of this one, too.
    pub(super) fn take_over<'s>(&self, others: impl IntoIterator<Item = &'s Self>) {
        for other in others {
            let first = (other.first - self.first) as usize;
            for row_idx in 0..other.height() {
                if other.is(Rows::Events, row_idx) {
                    self.set_event(first + row_idx);
                }
                self.set_request(first + row_idx, other.is(Rows::Requests, row_idx));
            }
        }
    }

    /// Returns the number behind that of its last row.
    pub fn end(&self) -> Row {
        self.first + self.height
    }

    /// Returns the number of rows.
    pub fn height(&self) -> usize {
        self.height as usize
    }

    pub(super) fn set_event(&self, row_idx: usize) {
        self.events.set(row_idx, true);
    }

    pub(super) fn set_request(&self, row_idx: usize, is_request: bool) {
        self.requests.set(row_idx, is_request);
    }

    /// Returns whether a row is an event, or stands for a request.
    pub fn is(&self, rows: Rows, row_idx: usize) -> bool {
        self.bits(rows).get(row_idx)
    }

    /// Returns how many rows are.
    pub fn count(&self, rows: Rows) -> usize {
        self.bits(rows).count()
    }

    /// Returns the rows that are.
    pub(super) fn mask(&self, rows: Rows) -> Mask {
        self.bits(rows).mask()
    }

    fn bits(&self, rows: Rows) -> &Bits {
        match rows {
            Rows::Events => &self.events,
            Rows::Requests => &self.requests,
        }
    }

    /// Returns how many bytes of memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let bits = self.height.div_ceil(64) as usize * 16;
        let body = match &self.body {
            Body::Memory { frame, gists } => {
                frame.bytes() + gists.iter().map(|(_, gist)| gist.bytes()).sum::<usize>()
            }
            Body::File(_) => 0,
        };
        size_of::<Self>() + bits + body
    }

    /// Returns the file that it is in, if it is not in memory.
    pub fn file(&self) -> Option<&Path> {
        match &self.body {
            Body::Memory { .. } => None,
            Body::File(path) => Some(path),
        }
    }

    /// Returns the event as JSON, if it is kept.
    pub fn record(&self, row_idx: usize) -> Option<Cow<'_, str>> {
        match &self.body {
            Body::Memory { frame, .. } => frame.kept_record(row_idx).map(Cow::Borrowed),
            Body::File(path) => spill::record(path, row_idx).map(Cow::Owned),
        }
    }

    /// Returns the lane of one field.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn lane(&self, field: Field, vocabulary: &Vocabulary) -> Result<Lane<'_>, StoreError> {
        let lane = self.lanes(&[field], vocabulary)?.pop();
        Ok(lane.expect("a field has a lane"))
    }

    /// Returns the lanes of `fields`, in that order; a file is read once.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn lanes(
        &self,
        fields: &[Field],
        vocabulary: &Vocabulary,
    ) -> Result<Vec<Lane<'_>>, StoreError> {
        match &self.body {
            Body::Memory { frame, gists } => Ok(fields
                .iter()
                .map(|&field| memory_lane(frame, gists, field, vocabulary))
                .collect()),
            Body::File(path) => spill::lanes(path, fields, vocabulary),
        }
    }

    /// Returns when each event has its place in the log: `stage_ts`, else `ts`; 0 is unknown.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn times(&self, vocabulary: &Vocabulary) -> Result<Vec<i64>, StoreError> {
        let fields = [Column::StageTs.into(), Column::Ts.into()];
        let lanes = self.lanes(&fields, vocabulary)?;
        let [Lane::Times(stage), Lane::Times(received)] = &lanes[..] else {
            unreachable!("times are times");
        };
        let pairs = stage.iter().zip(&**received);
        Ok(pairs
            .map(|(&stage, &received)| if stage == 0 { received } else { stage })
            .collect())
    }

    /// Returns what is known of its times.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(super) fn summary(&self, vocabulary: &Vocabulary) -> Result<Summary, StoreError> {
        if let Some(summary) = self.summary.get() {
            return Ok(*summary);
        }
        let times = self.times(vocabulary)?;
        let span = |times: &mut dyn Iterator<Item = i64>| {
            times.fold(None, |span: Option<(i64, i64)>, time| {
                let (first, last) = span.unwrap_or((time, time));
                Some((first.min(time), last.max(time)))
            })
        };
        let summary = Summary {
            all: span(&mut times.iter().copied()).unwrap_or_default(),
            known: span(&mut times.iter().copied().filter(|&time| time != 0)),
            is_sorted: times.is_sorted(),
        };
        Ok(*self.summary.get_or_init(|| summary))
    }

    /// Returns the times of its first and last event.
    pub(super) fn span(&self, vocabulary: &Vocabulary) -> Result<Option<(i64, i64)>, StoreError> {
        Ok(self.summary(vocabulary)?.known)
    }
}

fn memory_lane<'a>(
    frame: &'a EventFrame,
    gists: &'a [(u32, Gist)],
    field: Field,
    vocabulary: &Vocabulary,
) -> Lane<'a> {
    match field {
        Field::Column(column) => column_lane(frame, column),
        Field::Derived(Derived::IsDeprecated) => {
            let mut flags = vec![false; frame.height()];
            for (row, gist) in gists {
                flags[*row as usize] = gist.is_deprecated;
            }
            Lane::Flags(flags)
        }
        Field::Derived(derived) => match sources(derived) {
            [] => Lane::Texts(Texts::Gists(gists, derived)),
            columns => {
                let lanes: Vec<Lane<'_>> = columns
                    .iter()
                    .map(|&column| column_lane(frame, column))
                    .collect();
                derive(derived, &lanes, frame.height(), vocabulary)
            }
        },
    }
}

fn column_lane(frame: &EventFrame, column: Column) -> Lane<'_> {
    let rows = 0..frame.height();
    match column.kind() {
        ColumnType::Coded | ColumnType::CodedList => Lane::Codes(codes(frame, column)),
        ColumnType::Text => Lane::Texts(Texts::Frame(frame.texts(column))),
        ColumnType::Time => Lane::Times(Cow::Borrowed(frame.times(column))),
        ColumnType::Number => {
            let numbers = frame.codes(column);
            Lane::Numbers(numbers.iter().map(|&number| i64::from(number)).collect())
        }
        ColumnType::Long => {
            let numbers = frame.longs(column).iter();
            Lane::Numbers(numbers.map(|&number| number.cast_signed()).collect())
        }
        ColumnType::Flag => Lane::Flags(rows.map(|row_idx| frame.is_masters(row_idx)).collect()),
    }
}

fn codes(frame: &EventFrame, column: Column) -> Codes<'_> {
    let Home::Piece(piece, at) = home(column) else {
        return Codes::Rows(frame.codes(column));
    };
    Codes::Pieces {
        codes: frame.table(piece).map(|codes| codes[at]).collect(),
        numbers: frame.pieces(piece),
    }
}

/// Bits that threads may set.
struct Bits(Vec<AtomicU64>);

impl Bits {
    fn new(length: usize) -> Self {
        Self(
            (0..length.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        )
    }

    fn set(&self, at: usize, value: bool) {
        let bit = 1 << (at % 64);
        let word = &self.0[at / 64];
        if value {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    fn mask(&self) -> Mask {
        let words = self.0.iter();
        Mask::new(words.map(|word| word.load(Ordering::Relaxed)).collect())
    }

    fn count(&self) -> usize {
        let words = self.0.iter();
        words
            .map(|word| word.load(Ordering::Relaxed).count_ones() as usize)
            .sum()
    }
}
