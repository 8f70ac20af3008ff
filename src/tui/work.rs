//! Work: what takes too long for the thread that draws.
//!
//! Each piece has a ticket. Dropping the ticket stops the piece, and its answer finds nobody who waits for that number:
//! so a newer question takes the place of an older one by replacing its ticket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use regex::Regex;

use super::cells::Labels;
use super::document::Document;
use super::grid::Direction;
use super::json::Tree;
use super::pivot::{Pivot, Place};
use super::view::answer::Measure;
use crate::query::Answer;
use crate::query::question::Question;
use crate::store::facet::Facet;
use crate::store::filter::Filter;
use crate::store::histogram::Histogram;
use crate::store::sort::Order;
use crate::store::{Field, Row};

/// The right to an answer.
#[derive(Debug, Default)]
pub struct Ticket {
    number: u64,
    stop: Arc<AtomicBool>,
}

impl Ticket {
    /// Returns whether it is for nothing: nothing was asked.
    pub fn is_none(&self) -> bool {
        self.number == 0
    }

    /// Returns whether an answer of that number is for it.
    pub fn is(&self, number: u64) -> bool {
        self.number == number && number != 0
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Gives out numbers.
#[derive(Debug, Default)]
pub struct Tickets(u64);

impl Tickets {
    /// Returns a piece of work and the ticket for its answer.
    pub fn issue(&mut self, task: Task) -> (Ticket, Job) {
        self.0 += 1;
        let stop = Arc::new(AtomicBool::new(false));
        let ticket = Ticket {
            number: self.0,
            stop: Arc::clone(&stop),
        };
        let number = self.0;
        (ticket, Job { number, stop, task })
    }
}

/// A piece of work.
#[derive(Debug)]
pub struct Job {
    /// Its number.
    pub number: u64,
    /// Set when nobody waits any more.
    pub stop: Arc<AtomicBool>,
    /// What is to be done.
    pub task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Rows that pass a filter, in an order.
    Rows {
        /// The filter.
        filter: Filter,
        /// The order.
        order: Order,
        /// The row whose place is wanted.
        keep: Option<Row>,
        /// Or the place of the first row from this time on.
        seek: Option<i64>,
    },
    /// Places of the rows that a pattern matches.
    Matches {
        /// The rows as they are shown.
        rows: Arc<[Row]>,
        /// The filter that they passed.
        filter: Filter,
        /// The pattern.
        pattern: Regex,
    },
    /// The next row of an answer that a pattern matches, round the end.
    Seek {
        /// The answer.
        answer: Box<Answer>,
        /// The pattern.
        pattern: Regex,
        /// The row of the cursor, which is looked at last.
        from: usize,
        /// Which way.
        direction: Direction,
    },
    /// Rows over time.
    Histogram {
        /// The filter.
        filter: Filter,
        /// From when to when; `None` is the span of the log.
        span: Option<(i64, i64)>,
        /// Into how many buckets.
        n_buckets: usize,
    },
    /// Values of a field.
    Facet {
        /// The filter.
        filter: Filter,
        /// The field.
        field: Field,
    },
    /// Values of some rows.
    Cells {
        /// Place of the first among those shown.
        first: usize,
        /// The rows.
        rows: Vec<Row>,
        /// The fields.
        fields: Vec<Field>,
    },
    /// A page on something.
    Card(Pivot),
    /// The overview.
    Overview,
    /// The JSON of an event.
    Record(Place, Option<Row>),
    /// The row of a place.
    Locate(Place),
    /// When and who did what in the events at these places: files and offsets.
    Labels(Vec<(String, u64)>),
    /// An answer to SQL.
    Sql(String),
    /// An answer to a question.
    Question(Box<Question>, Vec<(String, String)>),
    /// Rows to a file.
    ExportRows {
        /// Where to.
        path: PathBuf,
        /// The rows.
        rows: Arc<[Row]>,
        /// The fields.
        fields: Vec<Field>,
    },
    /// An answer to a file.
    ExportAnswer(PathBuf, Box<Answer>),
    /// The answer to SQL to a file.
    ExportSql(PathBuf, String),
    /// A text to a file.
    ExportText(PathBuf, String),
}

impl Task {
    /// Returns the file that is to be written, if one is.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::ExportRows { path, .. }
            | Self::ExportAnswer(path, _)
            | Self::ExportSql(path, _)
            | Self::ExportText(path, _) => Some(path),
            _ => None,
        }
    }
}

/// The answer to a job.
#[derive(Debug)]
pub struct Done {
    /// Number of the job.
    pub number: u64,
    /// What came out; an error is in words.
    pub result: Result<Outcome, String>,
}

/// What came out.
#[derive(Debug)]
pub enum Outcome {
    /// Rows, and the place of the one that was asked for.
    Rows(Arc<[Row]>, Option<usize>),
    /// Places, sorted.
    Matches(Vec<u32>),
    /// A row of an answer, if one was found.
    Found(Option<usize>),
    /// Rows over time.
    Histogram(Histogram),
    /// Values.
    Facet(Facet),
    /// Values by row, with the place of the first.
    Cells(usize, Vec<Vec<String>>),
    /// A page.
    Page(Document),
    /// JSON.
    Record(Box<Tree>),
    /// The row of a place, if it is kept.
    Located(Option<Row>),
    /// When and who did what, by place; of events that are kept.
    Labels(Labels),
    /// Rows of SQL, with the SQL, and what the log lacks if there are none.
    Answer {
        /// The rows.
        answer: Box<Answer>,
        /// How wide its columns would be.
        measures: Vec<Measure>,
        /// The query with its parameters.
        sql: String,
        /// What the log lacks.
        lacks: Vec<String>,
        /// Which of its parameters have values that no event has, if there are no rows.
        strangers: Vec<String>,
    },
    /// A file was written.
    Written(PathBuf, u64),
    /// A file of that name is there already; this name is free.
    Taken(PathBuf),
}
