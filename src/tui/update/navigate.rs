//! Screens that lead to each other, and the way back.

use super::super::app::{
    AnswerScreen, App, Choice, Context, JsonPane, Menu, Overlay, Page, PageScreen, RowsBefore,
    Screen, Tab,
};
use super::super::cells::Cells;
use super::super::chips::Ask;
use super::super::grid::Grid;
use super::super::pivot::Pivot;
use super::super::work::Task;
use super::cursor::timeline;
use super::narrow::{filter_by_value, mark};
use super::pivots::pivot_at_cursor;
use super::{Effect, ask, data, notes};
use crate::store::Field;
use crate::store::filter::Rows;

/// One step back, which never ends the program.
pub(super) fn back(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) && app.timeline.brush.take().is_some() {
        return;
    }
    let is_asking = |screen: &AnswerScreen| screen.answer.is_none() && screen.error.is_none();
    if matches!(app.screen(), Screen::Tab(Tab::Sql))
        && app.sql.answer.as_ref().is_some_and(is_asking)
    {
        // Its ticket goes with it, and stops the query.
        app.sql.answer = None;
        app.message = Some("stopped".to_owned());
        return;
    }
    if let Some(facets) = app.shown_facets_mut().filter(|facets| facets.in_values) {
        facets.in_values = false;
    } else if app.events.json.is_some() && matches!(app.screen(), Screen::Tab(Tab::Events)) {
        app.events.json = None;
    } else if app.stack.len() > 1 {
        if let Some(Screen::Tab(_)) = app.stack.pop() {
            restore_rows(app);
        }
    } else if app.tab() != Tab::Overview {
        show(app, Tab::Overview);
    }
}

pub(super) fn leave(app: &mut App, effects: &mut Vec<Effect>) {
    if app.stack.len() > 1 || app.tab() != Tab::Overview {
        return back(app);
    }
    let unsaved = !app.case.is_saved();
    let written = app.case_folder.is_none() && notes::has_any(app);
    if !unsaved && !written {
        return effects.push(Effect::Quit);
    }
    let why = if unsaved {
        "Notes could not be saved. Leave all the same?"
    } else {
        "There is no case folder (--case): notes, states and bookmarks go. Leave?"
    };
    app.overlay = Some(Overlay::Menu(Menu {
        title: why.to_owned(),
        items: vec![
            (
                'n',
                "stay (x in the case writes it to a file)".to_owned(),
                Choice::Nothing,
            ),
            ('y', "leave".to_owned(), Choice::Quit),
        ],
        grid: Grid::default(),
    }));
}

/// Shows a tab; there is no way back from it.
pub(super) fn show(app: &mut App, tab: Tab) {
    app.stack = vec![Screen::Tab(tab)];
    app.rows_before.clear();
}

/// Shows a tab in the place of the one that is shown; what led there is still on the way back.
pub(super) fn turn_to(app: &mut App, tab: Tab) {
    match app.stack.last_mut() {
        Some(screen @ Screen::Tab(_)) => *screen = Screen::Tab(tab),
        _ => show(app, tab),
    }
}

/// Shows a tab that leads back to what is shown, and to the rows and filters of now.
pub(super) fn lead_to(app: &mut App, tab: Tab) {
    let App { events, chips, .. } = &*app;
    let shown = events
        .grid
        .visible(events.rows.len(), usize::from(app.size.1));
    let before = RowsBefore {
        chips: chips.clone(),
        order: events.order,
        grid: Grid {
            row: events.grid.row.saturating_sub(shown.start),
            top: 0,
            ..events.grid
        },
        rows: events.rows[shown].into(),
        has_json: events.json.is_some(),
    };
    app.rows_before.push(before);
    app.stack.push(Screen::Tab(tab));
}

/// Brings back the rows and filters that stood before the last tab was led to.
fn restore_rows(app: &mut App) {
    let Some(before) = app.rows_before.pop() else {
        return;
    };
    let events = &mut app.events;
    events.order = before.order;
    events.rows = before.rows;
    events.grid = before.grid;
    events.seek = None;
    events.cells = Cells::default();
    events.json = before.has_json.then(JsonPane::default);
    app.chips = before.chips;
    data::stale(app);
}

/// Opens a page on something.
pub(super) fn open(app: &mut App, pivot: Pivot) {
    match pivot {
        Pivot::Question(name, given) => ask::open(app, &name, &given),
        Pivot::Value(field, value) => {
            let subject = subject(app);
            lead_to(app, Tab::Events);
            if let Some((field, subject)) = subject {
                // Numbers of the page are of all its requests: what else is filtered by waits in the list of filters.
                app.chips.rows = Rows::Requests;
                for chip in &mut app.chips.chips {
                    chip.is_on = false;
                }
                app.chips.add(Ask::Value(field, subject), false);
            }
            app.chips.add(Ask::Value(field, value), false);
            data::stale(app);
        }
        pivot => {
            let has_json = matches!(pivot, Pivot::Event(_) | Pivot::Place(_));
            app.stack.push(Screen::Page(Box::new(PageScreen {
                json: has_json.then(|| JsonPane {
                    has_focus: matches!(pivot, Pivot::Place(_)),
                    ..JsonPane::default()
                }),
                pivot,
                page: Page::default(),
            })));
        }
    }
}

/// Returns the field and the value of the one whom the page is on: a user, a credential or an address.
pub(super) fn subject(app: &App) -> Option<(Field, String)> {
    match app.screen() {
        Screen::Page(screen) => match &screen.pivot {
            pivot @ (Pivot::Identity(_) | Pivot::Credential(_) | Pivot::Address(_)) => pivot.test(),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn open_at_cursor(app: &mut App, effects: &mut Vec<Effect>) {
    match app.context() {
        Context::Json => mark(app),
        Context::Questions => {
            let question = app
                .listed_questions()
                .get(app.question_list.grid.row)
                .map(|q| q.name.clone());
            if let Some(name) = question {
                ask::open(app, &name, &[]);
            }
        }
        Context::Timeline => timeline(app),
        Context::Facets | Context::FindingFacets => match app.shown_facets_mut() {
            Some(facets) if !facets.in_values => facets.in_values = true,
            _ => filter_by_value(app, false),
        },
        _ => {
            let Some(pivot) = pivot_at_cursor(app) else {
                return;
            };
            if let Pivot::Place(place) = &pivot {
                // The row of the place says more than its JSON, if there is one.
                let (ticket, job) = app.tickets.issue(Task::Locate(place.clone()));
                app.locate_ticket = ticket;
                effects.push(Effect::Work(job));
            } else {
                open(app, pivot);
            }
        }
    }
}
