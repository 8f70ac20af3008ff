//! Kept events: what is browsed and queried once it is read.
//!
//! Comes in: frames, as the pipeline is done with them. Goes out: a [`Snapshot`] of [`Segment`]s, whose columns
//! are read as [`Lane`]s, and on these filters, facets, histograms and sorting. A scan keeps nothing; who browses or
//! asks keeps the columns of each event, never its bodies: a row's JSON is read again from its file.
//!
//! ```text
//! EventFrame ──push──▶ Store ──snapshot──▶ Segments ──lane──▶ filter, facet, histogram, sort, SQL
//!                         └──spill──▶ Parquet files, read column by column when they are asked for
//! ```
//!
//! Memory: about 300 bytes an event. What is over the limit is written to Parquet, oldest first, and leaves
//! memory. A row is a number, by its place in the order of reading; a view is a list of numbers, and no row is copied.

pub mod facet;
pub mod field;
pub mod filter;
pub mod gist;
pub mod histogram;
mod lane;
mod mask;
mod segment;
mod series;
pub mod sort;
mod spill;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use rayon::slice::ParallelSlice;

use crate::detect::request::Stage;
use crate::frame::{Column, EventFrame, Vocabulary};
pub use field::{Field, Kind};
pub use gist::Gist;
pub use lane::{Codes, Lane, Texts, ip_class, is_mutating, time_text};
pub use segment::Segment;

/// Number of an event among those kept.
pub type Row = u32;

/// What became of an event when the log was put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was seen before: no view has it.
    Duplicate,
    /// A later stage of its request may follow.
    Open,
    /// Its request has ended before it.
    Late,
    /// It is the last of its request.
    Final,
}

/// Why kept events cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A Parquet file of the case.
    #[error("cannot use `{path}`: {cause}", path = path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What Polars said.
        #[source]
        cause: polars::error::PolarsError,
    },
    /// A file of the case is not as it was written.
    #[error("`{path}` is damaged", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A folder or file.
    #[error("cannot read or write `{path}`: {cause}", path = path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// More events than numbers.
    #[error("more than {} events are too many to browse at once", Row::MAX)]
    TooMany,
}

/// Where events are kept, and how many.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes of memory that kept events may take; 0 is no limit.
    pub memory_bytes: usize,
    /// Where events go that are over the limit; `None` is a folder of the system's for as long as the store lives.
    pub folder: Option<PathBuf>,
}

/// Rows up to which a segment is so small that it is joined with those before it: what a pipe gives that is quiet now and
/// then. A segment costs about 1.2 KB of memory beside its rows, and a facet of it 0.8 us (token-reuse.log ten times,
/// 40470 rows: 8.5 MB and 0.14 ms in 8 segments, 20 MB and 8.5 ms in 9321; debug build, 2026-11-26).
const SMALL_ROWS: usize = 128;

/// Rows that small segments are joined to, at most: about those of a chunk.
const JOINED_ROWS: usize = 4096;

/// Bytes that joined segments take, at most: events from standard input are kept as JSON, and some are long.
const JOINED_BYTES: usize = 8 << 20;

/// Kept events, growing while a log is read. Cloning it gives the same one.
#[derive(Clone)]
pub struct Store {
    vocabulary: Vocabulary,
    limits: Arc<Limits>,
    inner: Arc<Mutex<Inner>>,
    /// Held by who pushes, until what has no room is in files; readers need not wait for that.
    pushing: Arc<Mutex<()>>,
    /// Outside of the locks, so that who writes files sees it between two of them.
    is_closed: Arc<AtomicBool>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Inner {
    segments: Vec<Arc<Segment>>,
    /// Rows in all segments.
    height: u64,
    /// By request: the row that stands for it as long as none is final, with its stage.
    open: HashMap<u64, (Row, Stage)>,
    /// Of the segments in memory.
    bytes: usize,
    /// How many segments are in files, from the first.
    spilled: usize,
    folder: Option<tempfile::TempDir>,
    error: Option<StoreError>,
}

/// What is kept at one moment. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    /// In the order of their rows.
    pub segments: Arc<[Arc<Segment>]>,
    /// The dictionary of their codes.
    pub vocabulary: Vocabulary,
}

/// How much is kept, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Events in memory and in files.
    pub rows: u64,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// The limit of these; 0 is none.
    pub limit_bytes: usize,
    /// Events in files.
    pub spilled_rows: u64,
}

impl Store {
    /// Returns an empty store whose codes are of `vocabulary`.
    pub fn new(vocabulary: &Vocabulary, limits: Limits) -> Self {
        Self {
            vocabulary: vocabulary.clone(),
            limits: Arc::new(limits),
            inner: Arc::default(),
            pushing: Arc::default(),
            is_closed: Arc::default(),
        }
    }

    /// Keeps and writes nothing further, and removes the folder of the system's if there is one: what is in it cannot
    /// be read any more. For the end of a program whose threads may still have the store.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        // A thread that panicked leaves the list of files as it was.
        let _pushing = self.pushing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.folder = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("a thread that panics ends the program")
    }

    /// Returns the dictionary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Keeps the events of `frame`, whose chunk is still there; `fates` are those of its rows.
    pub fn push(&self, frame: &EventFrame, gists: Vec<(u32, Gist)>, fates: &[Fate]) {
        let height = frame.height();
        if height == 0 {
            return;
        }
        // Standard input cannot be read again.
        let keeps_records = self.vocabulary.text(frame.code(Column::File, 0)) == "-";
        let kept = frame.detached(keeps_records);
        let _pushing = self
            .pushing
            .lock()
            .expect("a thread that panics ends the program");
        // A folder that is made now would stay.
        if self.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        let Ok(first) = Row::try_from(inner.height) else {
            inner.error.get_or_insert(StoreError::TooMany);
            return;
        };
        if Row::try_from(inner.height + height as u64).is_err() {
            inner.error.get_or_insert(StoreError::TooMany);
            return;
        }
        let segment = Segment::new(first, kept, gists);
        for (row, fate) in (first..).zip(fates) {
            let row_idx = (row - first) as usize;
            let key = frame.detail(row_idx).request;
            if *fate == Fate::Duplicate {
                continue;
            }
            segment.set_event(row_idx);
            if *fate == Fate::Late {
                continue;
            }
            let stage = Stage::of(frame.code(Column::Stage, row_idx));
            let known = match fate {
                Fate::Open => inner.open.insert(key, (row, stage)),
                _ => inner.open.remove(&key),
            };
            match known {
                // An earlier stage that came late stands for nothing.
                Some((other, later)) if *fate == Fate::Open && later > stage => {
                    inner.open.insert(key, (other, later));
                }
                Some((other, _)) => {
                    segment.set_request(row_idx, true);
                    if other >= first {
                        segment.set_request((other - first) as usize, false);
                    } else if let Some(place) = place(&inner.segments, other) {
                        let earlier = &inner.segments[place];
                        earlier.set_request((other - earlier.first) as usize, false);
                    }
                }
                None => segment.set_request(row_idx, true),
            }
        }
        inner.height += height as u64;
        inner.bytes += segment.bytes();
        inner.segments.push(Arc::new(segment));
        let limit = self.limits.memory_bytes;
        let is_over = limit > 0 && inner.bytes > limit;
        drop(inner);
        if height < SMALL_ROWS {
            self.join_small();
        }
        if is_over && let Err(error) = self.spill(limit / 2) {
            self.lock().error.get_or_insert(error);
        }
    }

    /// Returns what is kept now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            segments: self.lock().segments.clone().into(),
            vocabulary: self.vocabulary.clone(),
        }
    }

    /// Returns how much is kept, and where.
    pub fn usage(&self) -> Usage {
        let inner = self.lock();
        let spilled = inner.segments[..inner.spilled].last();
        Usage {
            rows: inner.height,
            memory_bytes: inner.bytes,
            limit_bytes: self.limits.memory_bytes,
            spilled_rows: spilled.map_or(0, |last| u64::from(last.end())),
        }
    }

    /// Takes out what went wrong while events were kept, if something did: some are missing then.
    pub fn take_error(&self) -> Option<StoreError> {
        self.lock().error.take()
    }

    /// Writes everything that is in memory to the folder of the limits, and keeps it in memory.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), StoreError> {
        let snapshot = self.snapshot();
        spill::save(&snapshot, folder, &self.is_closed)
    }

    /// Returns the events that [`Self::save`] wrote to a folder.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, StoreError> {
        let store = Self::new(&Vocabulary::new(), limits);
        let segments = spill::open(folder)?;
        {
            let mut inner = store.lock();
            inner.height = segments.last().map_or(0, |last| u64::from(last.end()));
            inner.spilled = segments.len();
            inner.segments = segments.into_iter().map(Arc::new).collect();
        }
        Ok(store)
    }

    /// Joins the last segments as long as none is much larger than the one behind it: so a row is copied as often as its
    /// segment doubles, and few segments can double still. Numbers of rows stay what they are, and so do snapshots.
    /// Nobody else pushes.
    fn join_small(&self) {
        loop {
            let (before, last) = {
                let inner = self.lock();
                let [.., before, last] = &inner.segments[inner.spilled..] else {
                    return;
                };
                (Arc::clone(before), Arc::clone(last))
            };
            let bytes = before.bytes() + last.bytes();
            let is_small = before.height() + last.height() <= JOINED_ROWS && bytes <= JOINED_BYTES;
            if !is_small || before.height() > 2 * last.height() {
                return;
            }
            let Some(joined) = before.joined(&last) else {
                return;
            };
            let mut inner = self.lock();
            let behind = inner.segments.len() - 2;
            inner.bytes = inner.bytes.saturating_sub(bytes) + joined.bytes();
            inner.segments.splice(behind.., [Arc::new(joined)]);
        }
    }

    /// Writes the oldest segments to files until at most `target` bytes are left in memory. Nobody else pushes.
    fn spill(&self, target: usize) -> Result<(), StoreError> {
        let folder = self.folder()?;
        while !self.is_closed.load(Ordering::Relaxed) {
            let segments = {
                let inner = self.lock();
                let in_memory = &inner.segments[inner.spilled..];
                match spill::groups(in_memory).next() {
                    Some(group) if inner.bytes > target => group.to_vec(),
                    _ => return Ok(()),
                }
            };
            let freed: usize = segments.iter().map(|segment| segment.bytes()).sum();
            let segment = spill::write(&segments, &folder, &self.vocabulary)?;
            let mut inner = self.lock();
            let range = inner.spilled..inner.spilled + segments.len();
            inner.segments.splice(range, [Arc::new(segment)]);
            inner.spilled += 1;
            inner.bytes = inner.bytes.saturating_sub(freed);
        }
        Ok(())
    }

    /// Returns the folder for what has no room in memory.
    fn folder(&self) -> Result<PathBuf, StoreError> {
        if let Some(folder) = &self.limits.folder {
            return Ok(folder.clone());
        }
        let mut inner = self.lock();
        if inner.folder.is_none() {
            let folder = tempfile::Builder::new().prefix("kubescry-").tempdir();
            inner.folder = Some(folder.map_err(|cause| StoreError::Io {
                path: std::env::temp_dir(),
                cause,
            })?);
        }
        let folder = inner.folder.as_ref().map(|folder| folder.path().to_owned());
        Ok(folder.unwrap_or_else(std::env::temp_dir))
    }
}

impl Snapshot {
    /// Returns how many rows there are, duplicates among them.
    pub fn height(&self) -> u32 {
        self.segments.last().map_or(0, |last| last.end())
    }

    /// Returns the segment that holds `row`, and the row's place in it.
    pub fn locate(&self, row: Row) -> Option<(&Segment, usize)> {
        let segment = &self.segments[place(&self.segments, row)?];
        Some((segment, (row - segment.first) as usize))
    }

    /// Returns how many events, or requests, there are.
    pub fn count(&self, rows: filter::Rows) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.count(rows) as u64)
            .sum()
    }

    /// Returns a field of the rows that stand for `rows`, as a column of Polars.
    ///
    /// Shape: in the order of reading; texts are `String`, times microseconds as `Int64`, other numbers `Int64`;
    /// what is absent is null.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn series(
        &self,
        field: Field,
        rows: filter::Rows,
    ) -> Result<polars::prelude::Column, StoreError> {
        series::series(&self.segments, &self.vocabulary, field, Some(rows))
    }

    /// Returns the time of the first and of the last event.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn span(&self) -> Result<Option<(i64, i64)>, StoreError> {
        let mut span: Option<(i64, i64)> = None;
        for segment in &*self.segments {
            let Some((first, last)) = segment.span(&self.vocabulary)? else {
                continue;
            };
            span = Some(span.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
        }
        Ok(span)
    }
}

/// Returns which segment holds `row`.
fn place(segments: &[Arc<Segment>], row: Row) -> Option<usize> {
    let place = segments.partition_point(|segment| segment.first <= row);
    let place = place.checked_sub(1)?;
    (row < segments[place].end()).then_some(place)
}

/// Returns a few shares of `parts` for each thread: what is made once for each share is made seldom.
pub(crate) fn shares<T: Sync>(parts: &[T]) -> rayon::slice::Chunks<'_, T> {
    let n_shares = rayon::current_num_threads() * 4;
    parts.par_chunks(parts.len().div_ceil(n_shares).max(1))
}
