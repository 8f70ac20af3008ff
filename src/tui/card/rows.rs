//! Rows: the events that a card is about, read once, segment by segment.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::{Built, Halt};
use crate::frame::{Column, NULL, Vocabulary};
use crate::store::facet::by_segment;
use crate::store::filter::{Filter, Rows, Test};
use crate::store::{Field, Lane, Row, Segment, Snapshot};

/// Reads rows, until it is stopped.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) snapshot: &'a Snapshot,
    stop: &'a AtomicBool,
}

/// What is put together from rows, part by part.
pub(super) trait Merge: Default + Send {
    /// Adds what comes later in the order of reading.
    fn merge(&mut self, later: Self);
}

impl<T: Send> Merge for Vec<T> {
    fn merge(&mut self, later: Self) {
        self.extend(later);
    }
}

impl Merge for u64 {
    fn merge(&mut self, later: Self) {
        *self += later;
    }
}

/// The fields of one row.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    lanes: &'a [Lane<'a>],
    row_idx: usize,
    vocabulary: &'a Vocabulary,
    /// Its number.
    pub(super) row: Row,
    /// When it has its place in the log; 0 is unknown.
    pub(super) time: i64,
}

impl Cells<'_> {
    /// Returns the code of the field at that place in the list of fields; [`NULL`] if it has none.
    pub(super) fn code(&self, at: usize) -> u32 {
        match &self.lanes[at] {
            Lane::Codes(codes) => codes[self.row_idx],
            _ => NULL,
        }
    }

    /// Returns the text of a field; null is empty.
    pub(super) fn text(&self, at: usize) -> Cow<'_, str> {
        self.lanes[at].show(self.row_idx, self.vocabulary)
    }

    /// Returns a number; 0 is null.
    pub(super) fn number(&self, at: usize) -> i64 {
        match &self.lanes[at] {
            Lane::Numbers(numbers) => numbers[self.row_idx],
            _ => 0,
        }
    }

    /// Returns a time in microseconds; 0 is null.
    pub(super) fn moment(&self, at: usize) -> i64 {
        match &self.lanes[at] {
            Lane::Times(times) => times[self.row_idx],
            _ => 0,
        }
    }

    /// Returns whether a flag is set.
    pub(super) fn flag(&self, at: usize) -> bool {
        matches!(&self.lanes[at], Lane::Flags(flags) if flags[self.row_idx])
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, stop: &'a AtomicBool) -> Self {
        Self { snapshot, stop }
    }

    pub(super) fn vocabulary(&self) -> &'a Vocabulary {
        &self.snapshot.vocabulary
    }

    /// Returns an error if it was stopped.
    fn check(self) -> Built<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        Ok(())
    }

    /// Returns the requests that pass `tests`, in the order of reading.
    pub(super) fn requests(self, tests: Vec<Test>) -> Built<Vec<Row>> {
        let rows = Rows::Requests;
        let filter = Filter { rows, tests };
        filter.apply(self.snapshot, self.stop)?.ok_or(Halt::Stopped)
    }

    /// Returns the requests in which `field` has `value`, which is not null.
    pub(super) fn requests_with(self, field: impl Into<Field>, value: &str) -> Built<Vec<Row>> {
        if value.is_empty() {
            return Ok(Vec::new());
        }
        self.requests(vec![Test::Is(field.into(), value.to_owned())])
    }

    /// Shows `visit` each of `rows`, which are sorted, with `fields`; returns what it makes of them.
    pub(super) fn gather<T: Merge>(
        self,
        rows: &[Row],
        fields: &[Field],
        visit: impl Fn(&mut T, Cells<'_>) + Sync,
    ) -> Built<T> {
        let parts = by_segment(self.snapshot, rows);
        // A few pieces for each thread: each makes a whole of its own.
        let n_pieces = rayon::current_num_threads() * 4;
        let gathered = parts
            .par_chunks(parts.len().div_ceil(n_pieces).max(1))
            .map(|parts| {
                let mut whole = T::default();
                for (segment, rows) in parts {
                    self.visit_segment(segment, rows, fields, &mut whole, &visit)?;
                }
                Ok(whole)
            })
            .collect::<Built<Vec<T>>>()?;
        let mut whole = T::default();
        for part in gathered {
            whole.merge(part);
        }
        Ok(whole)
    }

    fn visit_segment<T>(
        self,
        segment: &Segment,
        rows: &[Row],
        fields: &[Field],
        whole: &mut T,
        visit: &impl Fn(&mut T, Cells<'_>),
    ) -> Built<()> {
        self.check()?;
        let times = [Column::StageTs, Column::Ts].map(Field::from);
        let wanted: Vec<Field> = times.iter().chain(fields).copied().collect();
        let lanes = segment.lanes(&wanted, self.vocabulary())?;
        let [Lane::Times(stage), Lane::Times(received), lanes @ ..] = &lanes[..] else {
            unreachable!("times are times");
        };
        for &row in rows {
            let row_idx = (row - segment.first) as usize;
            let time = match stage[row_idx] {
                0 => received[row_idx],
                time => time,
            };
            let vocabulary = self.vocabulary();
            visit(
                whole,
                Cells {
                    lanes,
                    row_idx,
                    vocabulary,
                    row,
                    time,
                },
            );
        }
        Ok(())
    }

    /// Returns, for each of `places` (file, byte offset, audit ID), the row that stands there, if it is kept.
    pub(super) fn find(self, places: &[(&str, u64, &str)]) -> Built<Vec<Option<Row>>> {
        let codes: Vec<Option<u32>> = places
            .iter()
            .map(|(file, ..)| self.vocabulary().find(file))
            .collect();
        let mut wanted: Vec<(u32, i64, usize)> = Vec::new();
        for (at, (code, place)) in codes.iter().zip(places).enumerate() {
            wanted.extend(code.map(|code| (code, place.1.cast_signed(), at)));
        }
        wanted.sort_unstable();
        let fields = [Column::File, Column::Offset, Column::AuditId].map(Field::from);
        let found = self
            .snapshot
            .segments
            .par_iter()
            .map(|segment| {
                self.check()?;
                let mut found: Vec<(usize, Row, bool)> = Vec::new();
                if wanted.is_empty() {
                    return Ok(found);
                }
                let lanes = segment.lanes(&fields, self.vocabulary())?;
                let [Lane::Codes(files), Lane::Numbers(offsets), Lane::Texts(ids)] = &lanes[..]
                else {
                    unreachable!("a file is coded, an offset is a number, an id is a text");
                };
                for (row, (file, offset)) in (segment.first..).zip(files.by_row().zip(offsets)) {
                    let place = (file, *offset);
                    let from = wanted.partition_point(|&(file, offset, _)| (file, offset) < place);
                    let here = wanted[from..]
                        .iter()
                        .take_while(|&&(file, offset, _)| (file, offset) == place);
                    for &(.., at) in here {
                        let is_it = ids.get((row - segment.first) as usize) == places[at].2;
                        found.push((at, row, is_it));
                    }
                }
                Ok(found)
            })
            .collect::<Built<Vec<_>>>()?;
        // One record may hold several events: the one with the right id, else the first.
        let mut rows: Vec<Option<(Row, bool)>> = vec![None; places.len()];
        for (at, row, is_it) in found.into_iter().flatten() {
            match rows[at] {
                Some((_, was_it)) if was_it || !is_it => {}
                _ => rows[at] = Some((row, is_it)),
            }
        }
        Ok(rows.into_iter().map(|row| Some(row?.0)).collect())
    }
}
