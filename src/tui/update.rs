//! What happens: an event and the state give the next state, and what is to be done outside.
//!
//! Nothing here reads or writes anything but the case, and nothing waits: work goes out as [`Effect`]s and comes back as
//! [`Event`]s. So any sequence of events can be played without a terminal.

mod act;
mod ask;
mod cursor;
mod data;
mod narrow;
mod navigate;
mod notes;
mod overlay;
mod pivots;
mod search;

use ratatui::crossterm::event::{KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind};

pub(super) use act::is_of_use;
pub(super) use notes::{of_pivot as subject_of, place as bookmark_place, purpose};
pub(super) use pivots::pivot_at_cursor;

use super::app::{App, Context, Screen, Tab};
use super::growth::Grown;
use super::keymap;
use super::layout;
use super::results::Results;
use super::view;
use super::work::{Done, Job};
use crate::case::SourceFile;
use crate::pipeline::Position;
use crate::store::Usage;

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// A text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The screen has so many columns and lines now.
    Resize(u16, u16),
    /// A job is done.
    Done(Done),
    /// Something was read.
    News(News),
    /// The shell continues the program.
    Continued,
    /// A signal ends the program.
    Ended,
}

/// What is new of reading.
#[derive(Debug)]
pub enum News {
    /// Which files there are.
    Files(Vec<String>),
    /// What tells those from others, unless one of them cannot be read again.
    Sources(Vec<SourceFile>),
    /// How far it has come.
    Progress(Position, Usage),
    /// What was found so far.
    Preview(Results),
    /// All is read, with what is wrong.
    Finished(Results, Vec<String>),
    /// What the case says of the files.
    Note(String),
    /// Something is wrong with what the case says of the files.
    Damaged(String),
    /// Which files are not what was read any more.
    Grown(Vec<Grown>),
    /// What the case is to keep.
    Keep(Box<super::ingest::Keep>),
    /// It cannot go on.
    Failed(String),
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// A job for the workers.
    Work(Job),
    /// A text goes to the clipboard.
    Copy(String),
    /// Folders of a case that are of no use any more go.
    Remove(Vec<std::path::PathBuf>),
    /// Everything is drawn anew.
    Redraw,
    /// The mouse is caught, or not.
    Mouse(bool),
    /// The program stops until the shell continues it.
    Suspend,
    /// The program ends.
    Quit,
}

/// Changes the state by what happens at the time `now`, in microseconds; returns what is to be done outside.
pub fn update(app: &mut App, event: Event, now: i64) -> Vec<Effect> {
    app.now = now;
    let mut effects = Vec::new();
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => return effects,
        Event::Key(key) => on_key(app, key, &mut effects),
        Event::Paste(text) => overlay::paste(app, &text),
        Event::Mouse(mouse) => on_mouse(app, mouse, &mut effects),
        Event::Resize(width, height) => {
            let before = view::timeline::buckets(app.width());
            app.size = (width, height);
            if before != view::timeline::buckets(app.width()) {
                app.timeline.renew();
            }
        }
        Event::Done(done) => data::done(app, done),
        Event::News(news) => data::news(app, news, &mut effects),
        Event::Continued | Event::Ended => {}
    }
    settle(app);
    if data::make(app) {
        settle(app);
    }
    data::ask(app, &mut effects);
    effects
}

fn on_key(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    let action = keymap::action(&key, app.context());
    if action == Some(keymap::Action::Quit) {
        if app.wants_quit {
            effects.push(Effect::Quit);
        }
        app.wants_quit = true;
        app.message = Some("Ctrl-c again leaves the program".to_owned());
        return;
    }
    app.wants_quit = false;
    app.message = None;
    if action == Some(keymap::Action::Suspend) {
        effects.push(Effect::Suspend);
        return;
    }
    if app.overlay.is_some() {
        overlay::key(app, key, effects);
    } else if app.context() == Context::Editor {
        ask::edit(app, key, effects);
    } else if let Some(action) = action {
        act::act(app, action, effects);
    } else {
        let key = keymap::Key(key.code, key.modifiers - KeyModifiers::SHIFT).name();
        let here = app.context().name();
        app.message = Some(format!(
            "{key} does nothing here ({here}); ? lists the keys"
        ));
    }
}

fn on_mouse(app: &mut App, mouse: MouseEvent, effects: &mut Vec<Effect>) {
    let by = match mouse.kind {
        MouseEventKind::ScrollDown => 3,
        MouseEventKind::ScrollUp => -3,
        _ => return,
    };
    if app.overlay.is_none() && app.context() != Context::Editor {
        act::act(app, keymap::Action::Move(by), effects);
    }
}

/// Brings all cursors back to where something is, and the screen to the cursor.
fn settle(app: &mut App) {
    let (width, height) = (app.width(), app.body_height());
    let table = layout::table_height(app);
    match app.stack.last_mut() {
        Some(Screen::Tab(Tab::Overview)) => settle_page(&mut app.overview, width, height),
        Some(Screen::Tab(Tab::Ingest)) => settle_page(&mut app.ingest, width, height),
        Some(Screen::Tab(Tab::Case)) => settle_page(&mut app.case_page, width, height),
        Some(Screen::Tab(Tab::Findings)) => {
            app.findings.grid.settle(app.findings.shown.len(), 1, table);
        }
        Some(Screen::Tab(Tab::Events)) => {
            let split = layout::split(app, app.events.json.as_ref());
            let events = &mut app.events;
            let height = split.first.saturating_sub(1);
            events
                .grid
                .settle(events.rows.len(), events.fields.len(), height);
            if let Some(json) = &mut events.json {
                settle_json(json, split.second);
            }
        }
        Some(Screen::Tab(Tab::Facets) | Screen::FindingFacets) => {
            let fields = app.facet_names().len();
            if let Some(facets) = app.shown_facets_mut() {
                facets.fields.settle(fields, 1, table);
                let values = facets.facet.as_ref().map_or(0, |facet| facet.values.len());
                facets.values.settle(values, 1, table);
            }
        }
        Some(Screen::Tab(Tab::Credentials)) => {
            let columns = view::credentials::COLUMNS.len();
            let rows = app.credential_rows.len();
            app.credentials.settle(rows, columns, table);
        }
        Some(Screen::Tab(Tab::Questions)) => {
            let rows = app.listed_questions().len();
            // Headings of groups take lines, too.
            app.question_list
                .grid
                .settle(rows, 1, height.saturating_sub(8).max(1));
        }
        Some(Screen::Tab(Tab::Timeline)) => {
            let buckets = app
                .timeline
                .histogram
                .as_ref()
                .map_or(0, |h| h.buckets.len());
            let shown = view::timeline::buckets(width).min(buckets);
            app.timeline.cursor = app.timeline.cursor.min(shown.saturating_sub(1));
        }
        Some(Screen::Tab(Tab::Sql)) => {
            if let Some(screen) = &mut app.sql.answer {
                settle_answer(screen, table);
            }
        }
        Some(Screen::Answer(screen)) => settle_answer(screen, table),
        Some(Screen::Page(_)) => {
            let split = layout::split(app, app.json());
            let width = layout::first_width(app, split);
            if let Some(Screen::Page(screen)) = app.stack.last_mut() {
                settle_page(&mut screen.page, width, split.first);
                if let Some(json) = &mut screen.json {
                    settle_json(json, split.second);
                }
            }
        }
        Some(Screen::Form(_)) | None => {}
    }
    overlay::settle(app);
}

fn settle_page(page: &mut super::app::Page, width: usize, height: usize) {
    if let Some(document) = &page.document {
        layout::settle_page(document, &mut page.grid, width, height);
    }
}

fn settle_json(json: &mut super::app::JsonPane, height: usize) {
    let lines = json.tree.as_ref().map_or(0, |tree| tree.visible());
    json.grid.settle(lines, 1, height.saturating_sub(1));
}

fn settle_answer(screen: &mut super::app::AnswerScreen, height: usize) {
    let (rows, columns) = screen
        .answer
        .as_ref()
        .map_or((0, 0), |answer| (answer.height(), answer.columns().len()));
    screen.grid.settle(rows, columns, height);
}
