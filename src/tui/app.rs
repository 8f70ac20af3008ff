//! The state of the browser. Draws nothing, reads nothing: [`super::update`] changes it, views draw it.

use std::path::PathBuf;
use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::TextArea;
use regex::Regex;

use super::aspect::Aspect;
use super::card::CredentialRow;
use super::cells::{Cells, RowCells};
use super::chips::{Chips, SHOWN};
use super::clock::Clock;
use super::document::{Document, Line};
use super::grid::{Direction, Grid};
use super::growth::Grown;
use super::json::Tree;
use super::pivot::{Pivot, Place};
use super::results::Results;
use super::theme::Theme;
use super::view::answer::Measure;
use super::work::{Ticket, Tickets};
use crate::case::{Case, NoteId, SourceFile, State, StoryId, Subject};
use crate::frame::Column;
use crate::pipeline::Position;
use crate::query::question::Question;
use crate::query::{Answer, Questions};
use crate::store::facet::Facet;
use crate::store::histogram::Histogram;
use crate::store::sort::Order;
use crate::store::{Field, Kind, Row, Usage};

/// The views that number keys lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tab {
    /// What the log is, and where to start.
    Overview,
    /// Findings.
    Findings,
    /// Rows over time.
    Timeline,
    /// Events or requests.
    Events,
    /// Values of fields.
    Facets,
    /// Credentials.
    Credentials,
    /// Saved questions.
    Questions,
    /// Free SQL.
    Sql,
    /// Notes, bookmarks, the story.
    Case,
    /// What is read.
    Ingest,
}

impl Tab {
    /// All tabs, in the order of their keys.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Findings,
        Self::Timeline,
        Self::Events,
        Self::Facets,
        Self::Credentials,
        Self::Questions,
        Self::Sql,
        Self::Case,
        Self::Ingest,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Findings => "Findings",
            Self::Timeline => "Timeline",
            Self::Events => "Events",
            Self::Facets => "Facets",
            Self::Credentials => "Credentials",
            Self::Questions => "Questions",
            Self::Sql => "SQL",
            Self::Case => "Case",
            Self::Ingest => "Ingest",
        }
    }
}

/// What keys are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// A page of text with links.
    Page,
    /// A list that a page shows the beginning of.
    List,
    /// The list of findings.
    Findings,
    /// Values of what findings have.
    FindingFacets,
    /// The histogram.
    Timeline,
    /// The table of events.
    Events,
    /// The JSON beside it.
    Json,
    /// Values of fields.
    Facets,
    /// The list of credentials.
    Credentials,
    /// The list of questions.
    Questions,
    /// Rows of an answer.
    Answer,
    /// A text that is edited.
    Editor,
    /// The case.
    Case,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Page,
        Self::List,
        Self::Findings,
        Self::FindingFacets,
        Self::Timeline,
        Self::Events,
        Self::Json,
        Self::Facets,
        Self::Credentials,
        Self::Questions,
        Self::Answer,
        Self::Editor,
        Self::Case,
    ];

    /// Returns its name, for the help page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "pages",
            Self::List => "whole lists",
            Self::Findings => "findings",
            Self::FindingFacets => "facets of findings",
            Self::Timeline => "timeline",
            Self::Events => "events",
            Self::Json => "JSON",
            Self::Facets => "facets",
            Self::Credentials => "credentials",
            Self::Questions => "questions",
            Self::Answer => "answers",
            Self::Editor => "SQL editor",
            Self::Case => "case",
        }
    }
}

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

/// What is over the view.
#[derive(Debug)]
pub enum Overlay {
    /// Keys, with the first line on the screen.
    Help(usize),
    /// Commands that match what is typed.
    Palette(Box<Palette>),
    /// A line to type.
    Prompt(Box<Prompt>),
    /// The filters.
    Filters(Grid),
    /// The columns of events.
    Columns(Grid),
    /// A choice.
    Menu(Menu),
    /// A text to read, such as SQL.
    Text(String, String, usize),
}

/// A choice.
#[derive(Debug)]
pub struct Menu {
    /// What is chosen.
    pub title: String,
    /// Key, words, and what comes of it.
    pub items: Vec<(char, String, Choice)>,
    /// The cursor.
    pub grid: Grid,
}

/// What comes of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A text is copied.
    Copy(String),
    /// A finding gets a state.
    State(String, State),
    /// A note or an entry of the story goes.
    Delete(CaseLine),
    /// The program ends.
    Quit,
    /// Nothing.
    Nothing,
}

/// A line to type.
#[derive(Debug)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    /// What is typed.
    pub input: TextArea<'static>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What a line is typed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A search.
    Search,
    /// A filter.
    Filter,
    /// A note.
    Note(Subject),
    /// A note that is there.
    EditNote(NoteId),
    /// A text of the story.
    Story,
    /// The name of a file.
    Export,
}

/// Commands that match.
#[derive(Debug)]
pub struct Palette {
    /// What is typed.
    pub input: TextArea<'static>,
    /// Those that match, best first: words and what they do.
    pub entries: Vec<(String, Command)>,
    /// The cursor.
    pub grid: Grid,
}

/// What a command of the palette does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What a key does.
    Key(super::keymap::Action),
    /// A question is asked.
    Question(String),
    /// A page is opened.
    Page(Pivot),
}

/// What a line of the case is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseLine {
    /// A heading or nothing.
    None,
    /// An entry of the story.
    Story(StoryId),
    /// A note.
    Note(NoteId),
    /// A bookmark: its place.
    Bookmark(Place),
}

/// How a file set is being read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// How far it has come.
    pub position: Option<Position>,
    /// Whether it is over.
    pub is_done: bool,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// How much is kept, and where.
    pub usage: Usage,
    /// Files that are read, as given.
    pub files: Vec<String>,
    /// What tells them from others.
    pub sources: Vec<SourceFile>,
    /// What the case says of them: `opened from the case`, `grew by ...`.
    pub note: Option<String>,
    /// Files that are not what was read any more.
    pub grown: Vec<Grown>,
    /// Events when rows were last asked for.
    pub events_shown: u64,
    /// When that was, in microseconds.
    pub shown_at: i64,
}

/// How long new events wait for others before rows are asked for again, in microseconds, and how much longer for each
/// event that there is: a filter of a million takes some hundredths of a second.
const WAIT_US: i64 = 1_000_000;
const WAIT_US_BY_EVENT: i64 = 1;

impl Reading {
    /// Returns whether there are events that are not shown and have waited for others long enough.
    pub fn is_behind(&self, now: i64) -> bool {
        let events = i64::try_from(self.events_shown).unwrap_or(i64::MAX);
        let wait = WAIT_US.saturating_add(events.saturating_mul(WAIT_US_BY_EVENT));
        self.usage.rows > self.events_shown && now.saturating_sub(self.shown_at) >= wait
    }
}

/// The state.
pub struct App {
    /// What was found.
    pub results: Results,
    /// How it is read.
    pub reading: Reading,
    /// What the investigator adds.
    pub case: Case,
    /// Its folder.
    pub case_folder: Option<PathBuf>,
    /// Saved questions.
    pub questions: Questions,
    /// What is on the way back; never empty.
    pub stack: Vec<Screen>,
    /// What stood before, for each tab above the bottom of the stack.
    pub rows_before: Vec<RowsBefore>,
    /// The overview.
    pub overview: Page,
    /// What is read.
    pub ingest: Page,
    /// The case as a page.
    pub case_page: Page,
    /// By line of that page.
    pub case_lines: Vec<CaseLine>,
    /// The list of findings.
    pub findings: Findings,
    /// The filters of events, timeline and their facets.
    pub chips: Chips,
    /// The table of events.
    pub events: Events,
    /// The histogram.
    pub timeline: Timeline,
    /// Values of fields.
    pub facets: Facets,
    /// The list of credentials.
    pub credentials: Grid,
    /// Its rows.
    pub credential_rows: Vec<CredentialRow>,
    /// Its order: column and direction; `None` is that of the log.
    pub credential_order: Option<(usize, bool)>,
    /// The list of questions.
    pub question_list: QuestionList,
    /// Free SQL.
    pub sql: Sql,
    /// What is over the view.
    pub overlay: Option<Overlay>,
    /// What the status line says.
    pub message: Option<String>,
    /// The last search.
    pub search: Option<Regex>,
    /// Numbers of jobs.
    pub tickets: Tickets,
    /// Of a file that is written.
    pub export_ticket: Ticket,
    /// Of a place whose row is looked for.
    pub locate_ticket: Ticket,
    /// How things look.
    pub theme: Theme,
    /// Whether only ASCII is drawn.
    pub is_ascii: bool,
    /// How times are shown.
    pub clock: Clock,
    /// Whether the mouse is caught.
    pub has_mouse: bool,
    /// Columns and lines of the screen.
    pub size: (u16, u16),
    /// Whether Ctrl-c was the last key.
    pub wants_quit: bool,
    /// The time now, in microseconds; given with each event.
    pub now: i64,
}

/// How the browser starts.
pub struct Start {
    /// What the investigator adds.
    pub case: Case,
    /// Its folder.
    pub case_folder: Option<PathBuf>,
    /// Saved questions.
    pub questions: Questions,
    /// How things look.
    pub theme: Theme,
    /// Whether only ASCII is drawn.
    pub is_ascii: bool,
    /// Whether the mouse is caught.
    pub has_mouse: bool,
    /// Columns and lines of the screen.
    pub size: (u16, u16),
}

impl App {
    /// Returns the state before anything is read.
    pub fn new(start: Start) -> Self {
        // Whoever takes notes has to know at once that those from before are not there.
        let aside = start.case.set_aside();
        let message = aside.map(|_| "the case was damaged and starts empty (9)".to_owned());
        let problems = aside.map(|aside| format!("{aside}; {}", aside.hint()));
        Self {
            results: Results::default(),
            reading: Reading {
                problems: problems.into_iter().collect(),
                ..Reading::default()
            },
            case: start.case,
            case_folder: start.case_folder,
            questions: start.questions,
            stack: vec![Screen::Tab(Tab::Overview)],
            rows_before: Vec::new(),
            overview: Page::default(),
            ingest: Page::default(),
            case_page: Page::default(),
            case_lines: Vec::new(),
            findings: Findings::default(),
            chips: Chips::default(),
            events: Events {
                grid: Grid::default(),
                fields: SHOWN.map(Field::from).to_vec(),
                order: Order::default(),
                rows: Arc::default(),
                ticket: Ticket::default(),
                is_busy: false,
                kept: None,
                seek: None,
                cells: Cells::default(),
                json: None,
                matches: None,
                match_ticket: Ticket::default(),
                searches: false,
            },
            timeline: Timeline::default(),
            facets: Facets::default(),
            credentials: Grid::default(),
            credential_rows: Vec::new(),
            credential_order: None,
            question_list: QuestionList::default(),
            sql: Sql {
                editor: editor(""),
                in_editor: true,
                answer: None,
                history: 0,
                draft: String::new(),
                completion: None,
            },
            overlay: None,
            message,
            search: None,
            tickets: Tickets::default(),
            export_ticket: Ticket::default(),
            locate_ticket: Ticket::default(),
            theme: start.theme,
            is_ascii: start.is_ascii,
            clock: Clock::default(),
            has_mouse: start.has_mouse,
            size: start.size,
            wants_quit: false,
            now: 0,
        }
    }

    /// Returns what is shown.
    pub fn screen(&self) -> &Screen {
        self.stack.last().expect("the stack is never empty")
    }

    /// Returns the tab at the bottom.
    pub fn tab(&self) -> Tab {
        match self.stack.first() {
            Some(Screen::Tab(tab)) => *tab,
            _ => Tab::Overview,
        }
    }

    /// Returns what keys are about.
    pub fn context(&self) -> Context {
        match self.screen() {
            Screen::Tab(Tab::Overview | Tab::Ingest) => Context::Page,
            Screen::Tab(Tab::Findings) => Context::Findings,
            Screen::FindingFacets => Context::FindingFacets,
            Screen::Tab(Tab::Timeline) => Context::Timeline,
            Screen::Tab(Tab::Events) => match &self.events.json {
                Some(json) if json.has_focus => Context::Json,
                _ => Context::Events,
            },
            Screen::Tab(Tab::Facets) => Context::Facets,
            Screen::Tab(Tab::Credentials) => Context::Credentials,
            Screen::Tab(Tab::Questions) => Context::Questions,
            Screen::Tab(Tab::Sql) if self.sql.in_editor => Context::Editor,
            Screen::Tab(Tab::Sql) => Context::Answer,
            Screen::Tab(Tab::Case) => Context::Case,
            Screen::Page(page) => match &page.json {
                Some(json) if json.has_focus => Context::Json,
                _ if matches!(page.pivot, Pivot::All(..)) => Context::List,
                _ => Context::Page,
            },
            Screen::Form(_) => Context::Editor,
            Screen::Answer(_) => Context::Answer,
        }
    }

    /// Returns the lines between title and footer.
    pub fn body_height(&self) -> usize {
        usize::from(self.size.1).saturating_sub(3)
    }

    /// Returns the columns of the screen.
    pub fn width(&self) -> usize {
        usize::from(self.size.0)
    }

    /// Shows a time in a list where there is little room: to the second, and with the year only if the log is of several.
    pub fn narrow_time(&self, time_us: i64) -> String {
        if self.spans_years() {
            self.clock.show_dated(time_us)
        } else {
            self.clock.show_narrow(time_us)
        }
    }

    /// Returns whether the log has events of several years: days of lists are nothing then without theirs.
    pub fn spans_years(&self) -> bool {
        let totals = &self.results.summary.totals;
        let span = totals.first.zip(totals.last);
        span.is_some_and(|(first, last)| self.clock.year(first.0) != self.clock.year(last.0))
    }

    /// Returns the columns that such times take.
    pub fn narrow_time_columns(&self) -> usize {
        self.narrow_time(self.now.max(1)).len()
    }

    /// Returns whether findings are shown, and not events.
    pub fn is_on_findings(&self) -> bool {
        matches!(self.context(), Context::Findings | Context::FindingFacets)
    }

    /// Returns the filters of what is shown.
    pub fn shown_chips(&self) -> &Chips {
        if self.is_on_findings() {
            &self.findings.chips
        } else {
            &self.chips
        }
    }

    /// Returns the filters of what is shown, to change them.
    pub fn shown_chips_mut(&mut self) -> &mut Chips {
        if self.is_on_findings() {
            &mut self.findings.chips
        } else {
            &mut self.chips
        }
    }

    /// Returns the facets that are shown, if some are.
    pub fn shown_facets(&self) -> Option<&Facets> {
        match self.screen() {
            Screen::Tab(Tab::Facets) => Some(&self.facets),
            Screen::FindingFacets => Some(&self.findings.facets),
            _ => None,
        }
    }

    /// Returns the facets that are shown, if some are, to change them.
    pub fn shown_facets_mut(&mut self) -> Option<&mut Facets> {
        match self.screen() {
            Screen::Tab(Tab::Facets) => Some(&mut self.facets),
            Screen::FindingFacets => Some(&mut self.findings.facets),
            _ => None,
        }
    }

    /// Returns the names of the fields that facets are shown of.
    pub fn facet_names(&self) -> Vec<&'static str> {
        if self.is_on_findings() {
            Aspect::ALL.map(Aspect::name).to_vec()
        } else {
            facet_fields().iter().map(|field| field.name()).collect()
        }
    }

    /// Returns the page that is shown, if it is one.
    pub fn page(&self) -> Option<&Page> {
        match self.screen() {
            Screen::Tab(Tab::Overview) => Some(&self.overview),
            Screen::Tab(Tab::Ingest) => Some(&self.ingest),
            Screen::Tab(Tab::Case) => Some(&self.case_page),
            Screen::Page(screen) => Some(&screen.page),
            _ => None,
        }
    }

    /// Returns the answer that is shown, if it is one.
    pub fn answer(&self) -> Option<&AnswerScreen> {
        match self.screen() {
            Screen::Answer(screen) => Some(screen),
            Screen::Tab(Tab::Sql) => self.sql.answer.as_ref(),
            _ => None,
        }
    }

    /// Returns the answer that is shown, to change it.
    pub fn answer_mut(&mut self) -> Option<&mut AnswerScreen> {
        match self.stack.last_mut()? {
            Screen::Answer(screen) => Some(screen),
            Screen::Tab(Tab::Sql) => self.sql.answer.as_mut(),
            _ => None,
        }
    }

    /// Returns the JSON that is shown, if it is.
    pub fn json(&self) -> Option<&JsonPane> {
        match self.screen() {
            Screen::Tab(Tab::Events) => self.events.json.as_ref(),
            Screen::Page(screen) => screen.json.as_ref(),
            _ => None,
        }
    }

    /// Returns the questions that are listed, in their order.
    pub fn listed_questions(&self) -> Vec<&Question> {
        let pattern = self.question_list.pattern.as_ref();
        let is_listed = |question: &&Question| {
            pattern.is_none_or(|pattern| {
                pattern.is_match(&question.title) || pattern.is_match(&question.name)
            })
        };
        self.questions.all().iter().filter(is_listed).collect()
    }
}

/// Types a key into an editor; returns whether its text is another one now.
///
/// Ctrl-u clears the line to its beginning, as in a shell, and undoes nothing.
pub fn input(editor: &mut TextArea<'_>, key: KeyEvent) -> bool {
    if key.code == KeyCode::Char('u') && key.modifiers == KeyModifiers::CONTROL {
        return editor.cursor().1 > 0 && editor.delete_line_by_head();
    }
    editor.input(key)
}

/// Returns an editor with `text`, the cursor at its end.
pub fn editor(text: &str) -> TextArea<'static> {
    let mut editor = TextArea::new(text.lines().map(str::to_owned).collect());
    editor.set_cursor_line_style(ratatui::style::Style::default());
    editor.move_cursor(ratatui_textarea::CursorMove::Bottom);
    editor.move_cursor(ratatui_textarea::CursorMove::End);
    editor
}
