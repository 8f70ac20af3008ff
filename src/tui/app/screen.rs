//! What the screens keep: findings, rows, values, pages, answers.

use std::sync::Arc;

use ratatui_textarea::TextArea;
use regex::Regex;

use super::super::cells::{Cells, RowCells};
use super::super::chips::Chips;
use super::super::document::{Document, Line};
use super::super::grid::{Direction, Grid};
use super::super::json::Tree;
use super::super::pivot::{Pivot, Place};
use super::super::view::answer::Measure;
use super::super::work::Ticket;
use super::tab::Tab;
use crate::frame::Column;
use crate::query::Answer;
use crate::query::question::Question;
use crate::store::facet::Facet;
use crate::store::histogram::Histogram;
use crate::store::sort::Order;
use crate::store::{Field, Kind, Row};

/// What is on the way back, from the tab at the bottom to what is shown.
#[derive(Debug)]
pub enum Screen {
    /// A tab; its state is kept while others are shown. One above the bottom is what a page or an answer led to.
    Tab(Tab),
    /// Values of what findings have; they are kept with the findings.
    FindingFacets,
    /// A page on something.
    Page(Box<PageScreen>),
    /// The form of a question.
    Form(Box<Form>),
    /// The answer to a question.
    Answer(Box<AnswerScreen>),
}

/// A page on something.
#[derive(Debug)]
pub struct PageScreen {
    /// What it is on.
    pub pivot: Pivot,
    /// The page.
    pub page: Page,
    /// The JSON below, if it is on an event.
    pub json: Option<JsonPane>,
}

/// A document with a cursor.
#[derive(Debug, Default)]
pub struct Page {
    /// The document, once it is there, with what the case says of it below its first line.
    pub document: Option<Document>,
    /// Those lines of the case.
    pub of_case: Vec<Line>,
    /// The cursor by lines; its column is the link of the line.
    pub grid: Grid,
    /// Of the document that is on its way.
    pub ticket: Ticket,
    /// What went wrong.
    pub error: Option<String>,
}

/// JSON with a cursor.
#[derive(Debug, Default)]
pub struct JsonPane {
    /// Where the record is.
    pub place: Place,
    /// The record, once it is there.
    pub tree: Option<Box<Tree>>,
    /// The cursor.
    pub grid: Grid,
    /// Whether keys are for it.
    pub has_focus: bool,
    /// Of the record that is on its way.
    pub ticket: Ticket,
    /// What went wrong.
    pub error: Option<String>,
}

/// By what findings are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FindingOrder {
    /// Worst first.
    #[default]
    Severity,
    /// First seen.
    Time,
    /// Who.
    Actor,
    /// Family.
    Family,
    /// Rule.
    Rule,
    /// Requests.
    Count,
    /// State.
    State,
}

impl FindingOrder {
    /// All of them, in the order that a key goes through.
    pub const ALL: [Self; 7] = [
        Self::Severity,
        Self::Time,
        Self::Actor,
        Self::Family,
        Self::Rule,
        Self::Count,
        Self::State,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Time => "time",
            Self::Actor => "actor",
            Self::Family => "family",
            Self::Rule => "rule",
            Self::Count => "requests",
            Self::State => "state",
        }
    }
}

/// The list of findings.
#[derive(Debug, Default)]
pub struct Findings {
    /// The cursor.
    pub grid: Grid,
    /// Their order.
    pub order: FindingOrder,
    /// Whether it is turned round.
    pub is_reversed: bool,
    /// Their filters.
    pub chips: Chips,
    /// Places in [`Results::findings`] of those shown.
    pub shown: Vec<usize>,
    /// Values of what those have.
    pub facets: Facets,
}

/// The table of events.
#[derive(Debug)]
pub struct Events {
    /// The cursor.
    pub grid: Grid,
    /// The columns.
    pub fields: Vec<Field>,
    /// The order of the rows.
    pub order: Order,
    /// The rows.
    pub rows: Arc<[Row]>,
    /// Of rows that are on their way.
    pub ticket: Ticket,
    /// Whether they are.
    pub is_busy: bool,
    /// The row under the cursor when rows were asked for: the cursor stays with it unless it moved on.
    pub kept: Option<Row>,
    /// Where to put the cursor when rows come: at the first one from this time on.
    pub seek: Option<i64>,
    /// What is known of the rows around the cursor.
    pub cells: Cells,
    /// The JSON of the row.
    pub json: Option<JsonPane>,
    /// Places that the search matches, once they are known for these rows.
    pub matches: Option<Vec<u32>>,
    /// Of matches on their way.
    pub match_ticket: Ticket,
    /// Whether matches are wanted as soon as the rows are there.
    pub searches: bool,
}

impl Events {
    /// Returns the values of the row under the cursor, once they are known.
    pub fn row_at_cursor(&self) -> Option<RowCells<'_>> {
        self.cells.row(self.grid.row)
    }

    /// Notes that places of matches are others now, or will be; those that somebody waits for are searched again.
    pub fn forget_matches(&mut self) {
        self.searches |= !self.match_ticket.is_none();
        self.match_ticket = Ticket::default();
        self.matches = None;
    }
}

/// The rows and the filters that stood before a page or an answer led to others.
#[derive(Debug)]
pub struct RowsBefore {
    /// The filters.
    pub chips: Chips,
    /// The order of the rows.
    pub order: Order,
    /// The rows on the screen: the others are found again, and a log may have many.
    pub rows: Arc<[Row]>,
    /// The cursor among those.
    pub grid: Grid,
    /// Whether the JSON of the row was shown.
    pub has_json: bool,
}

/// The histogram.
#[derive(Debug, Default)]
pub struct Timeline {
    /// What is shown.
    pub histogram: Option<Histogram>,
    /// From when to when; `None` is all of the log.
    pub span: Option<(i64, i64)>,
    /// Bucket of the cursor.
    pub cursor: usize,
    /// Bucket where a stretch starts.
    pub brush: Option<usize>,
    /// Time that the cursor goes to when the next histogram comes.
    pub seek: Option<i64>,
    /// Of the one on its way.
    pub ticket: Ticket,
}

impl Timeline {
    fn time_of(&self, bucket: usize) -> Option<i64> {
        let histogram = self.histogram.as_ref()?;
        let bucket = i64::try_from(bucket).unwrap_or(i64::MAX);
        let after = histogram.bucket_us.saturating_mul(bucket);
        Some(histogram.from.saturating_add(after))
    }

    /// Returns the time where the bucket under the cursor starts.
    pub fn time(&self) -> Option<i64> {
        self.time_of(self.cursor)
    }

    /// Asks for the histogram anew; the cursor stays at its time.
    pub fn renew(&mut self) {
        self.seek = self.seek.or_else(|| self.time());
        self.ticket = Ticket::default();
    }

    /// Shows another histogram; the cursor and the start of a stretch stay at their times.
    pub fn put(&mut self, histogram: Histogram) {
        let last = histogram.buckets.len().saturating_sub(1);
        let bucket = |time: i64| {
            let outside = if time < histogram.from { 0 } else { last };
            histogram.bucket_of(time).unwrap_or(outside)
        };
        let time = self.seek.take().or_else(|| self.time());
        let brush = self.brush.and_then(|brush| self.time_of(brush));
        self.cursor = time.map_or(0, bucket);
        self.brush = brush.map(bucket);
        self.histogram = Some(histogram);
    }
}

/// Values of fields, or of what findings have.
#[derive(Debug, Default)]
pub struct Facets {
    /// The cursor in the list of fields.
    pub fields: Grid,
    /// The values.
    pub facet: Option<Facet>,
    /// Place in that list of the field they are of, or will be.
    pub field: Option<usize>,
    /// The cursor in the values.
    pub values: Grid,
    /// Whether keys are for the values.
    pub in_values: bool,
    /// Of values on their way.
    pub ticket: Ticket,
}

impl Facets {
    /// Returns the value under the cursor.
    pub fn value(&self) -> Option<&str> {
        let values = &self.facet.as_ref()?.values;
        values.get(self.values.row).map(|(value, _)| value.as_str())
    }
}

/// Fields that facets are shown of.
pub fn facet_fields() -> Vec<Field> {
    use crate::store::field::Derived;
    let first: [Field; 14] = [
        Column::Username.into(),
        Column::Verb.into(),
        Column::Resource.into(),
        Column::Namespace.into(),
        Column::Outcome.into(),
        Column::Code.into(),
        Column::PeerIp.into(),
        Field::Derived(Derived::AgentFamily),
        Column::Credential.into(),
        Column::CredentialKind.into(),
        Column::IdentityKind.into(),
        Column::Subresource.into(),
        Column::UserGroups.into(),
        Column::AuthzReason.into(),
    ];
    let is_facet = |field: &Field| {
        matches!(
            field.kind(),
            Kind::Code | Kind::List | Kind::Text | Kind::Flag
        ) && !first.contains(field)
    };
    let others: Vec<Field> = Field::all().filter(is_facet).collect();
    first.into_iter().chain(others).collect()
}

/// Rows of an answer.
#[derive(Debug)]
pub struct AnswerScreen {
    /// What was asked, in words.
    pub title: String,
    /// How it is read.
    pub read: String,
    /// The question, if it was one.
    pub question: Option<(String, Vec<(String, String)>)>,
    /// The SQL.
    pub sql: String,
    /// The rows, once they are there.
    pub answer: Option<Box<Answer>>,
    /// How wide its columns would be.
    pub measures: Vec<Measure>,
    /// What the log lacks, if there are none.
    pub lacks: Vec<String>,
    /// Which of its parameters have values that no event has, if there are none.
    pub strangers: Vec<String>,
    /// The cursor.
    pub grid: Grid,
    /// Of rows on their way.
    pub ticket: Ticket,
    /// Which way the next match is wanted, if it is.
    pub seeks: Option<Direction>,
    /// Of the next match.
    pub seek_ticket: Ticket,
    /// What went wrong.
    pub error: Option<String>,
}

/// The form of a question.
#[derive(Debug)]
pub struct Form {
    /// The question.
    pub question: Question,
    /// What was typed, by parameter.
    pub inputs: Vec<TextArea<'static>>,
    /// Which parameter is edited.
    pub at: usize,
    /// What is wrong with them.
    pub error: Option<String>,
}

/// Free SQL.
#[derive(Debug)]
pub struct Sql {
    /// The editor.
    pub editor: TextArea<'static>,
    /// Whether keys are for it.
    pub in_editor: bool,
    /// The answer.
    pub answer: Option<AnswerScreen>,
    /// Place in the history; 0 is what is typed now.
    pub history: usize,
    /// What was typed before the history was looked at.
    pub draft: String,
    /// Words that complete the one at the cursor, and which is in the text.
    pub completion: Option<(Vec<String>, usize, usize)>,
}

/// The list of questions.
#[derive(Debug, Default)]
pub struct QuestionList {
    /// The cursor.
    pub grid: Grid,
    /// Only those that match.
    pub pattern: Option<Regex>,
}
