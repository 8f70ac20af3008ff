//! The state of the browser. Draws nothing, reads nothing: [`super::update`] changes it, views draw it.

mod overlay;
mod screen;
mod tab;

use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;

use super::aspect::Aspect;
use super::card::CredentialRow;
use super::cells::{Cells, Labels};
use super::chips::{Chips, SHOWN};
use super::clock::Clock;
use super::grid::Grid;
use super::growth::Grown;
use super::pivot::Pivot;
use super::results::Results;
use super::theme::Theme;
use super::work::{Ticket, Tickets};
use crate::case::{Case, SourceFile};
use crate::pipeline::Position;
use crate::query::Questions;
use crate::query::question::Question;
use crate::store::sort::Order;
use crate::store::{Field, Usage};

pub use overlay::{
    CaseLine, Choice, Command, Menu, Overlay, Palette, Prompt, Purpose, editor, input,
};
pub use screen::{
    AnswerScreen, Events, Facets, FindingOrder, Findings, Form, JsonPane, Page, PageScreen,
    QuestionList, RowsBefore, Screen, Sql, Timeline, facet_fields,
};
pub use tab::{Context, Tab};

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
    /// Of events that notes are on.
    pub event_labels: Labels,
    /// Of those that were asked for.
    pub label_ticket: Ticket,
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
    /// Where that was asked for, and the name that was typed.
    pub exporting: Option<(Context, String)>,
    /// Files that were written.
    pub written: Vec<PathBuf>,
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
            event_labels: Labels::new(),
            label_ticket: Ticket::default(),
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
            exporting: None,
            written: Vec::new(),
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
