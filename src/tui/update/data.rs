//! What comes back from workers and from reading, and what is asked of workers.

use std::sync::Arc;

use super::super::app::{AnswerScreen, App, JsonPane, Page, PageScreen, Screen, Tab, facet_fields};
use super::super::aspect::Aspect;
use super::super::cells::{Cells, HIDDEN};
use super::super::grid::Grid;
use super::super::ingest::{FRAMES, Keep};
use super::super::pivot::{Pivot, Place};
use super::super::view;
use super::super::work::{Done, Outcome, Task, Ticket};
use super::{Effect, News};
use crate::case::Subject;
use crate::store::Field;

/// Takes in what was read.
pub(super) fn news(app: &mut App, news: News, effects: &mut Vec<Effect>) {
    match news {
        News::Files(files) => app.reading.files = files,
        News::Sources(sources) => app.reading.sources = sources,
        News::Note(note) => app.reading.note = Some(note),
        News::Damaged(problem) => {
            app.reading.problems.push(problem.clone());
            app.message.get_or_insert(problem);
        }
        News::Grown(grown) => app.reading.grown = grown,
        News::Keep(kept) => {
            let Keep {
                sources,
                results,
                folder,
                old,
            } = *kept;
            let folder = serde_json::to_string(&folder).unwrap_or_default();
            let stored = super::notes::keep(app, |case, _| {
                case.store_results(sources, &results)?;
                case.set_view(FRAMES, &folder)
            });
            // Not before the case knows the new ones.
            if stored.is_some() {
                effects.push(Effect::Remove(old));
            }
        }
        News::Progress(position, usage) => {
            app.reading.position = Some(position);
            app.reading.usage = usage;
            // Rows are asked for again when there are noticeably more of them, or no more come.
            let (events, shown) = (usage.rows, app.reading.events_shown);
            let is_due = events > shown + shown / 10 + 1000 || app.reading.is_behind(app.now);
            if is_due && !app.events.is_busy {
                app.reading.events_shown = events;
                app.reading.shown_at = app.now;
                stale(app);
            }
        }
        News::Preview(results) => {
            app.results = results;
            refresh(app);
        }
        News::Finished(results, problems) => {
            app.results = results;
            app.reading.is_done = true;
            app.reading.problems.extend(problems);
            refresh(app);
            stale(app);
        }
        News::Failed(cause) => {
            app.reading.is_done = true;
            app.reading.problems.push(cause.clone());
            app.message = Some(cause);
            refresh(app);
        }
    }
}

/// Notes that findings are others now: pages that show them are made anew.
pub(in super::super) fn refresh(app: &mut App) {
    view::findings::sort(app);
    app.credential_rows = super::super::card::credentials(&app.results, app.clock);
    view::credentials::sort(&mut app.credential_rows, app.credential_order);
    for page in [&mut app.overview, &mut app.ingest, &mut app.case_page] {
        page.ticket = Ticket::default();
        page.error = None;
    }
    app.case_lines.clear();
    app.label_ticket = Ticket::default();
    for screen in &mut app.stack {
        if let Screen::Page(screen) = screen {
            screen.page.ticket = Ticket::default();
        }
    }
}

/// Events with notes that are looked up: each takes a filter over the log.
const LABELS: usize = 100;

/// Notes that rows are others now.
pub(in super::super) fn stale(app: &mut App) {
    app.events.ticket = Ticket::default();
    app.events.is_busy = false;
    app.events.forget_matches();
    app.timeline.ticket = Ticket::default();
    app.facets.ticket = Ticket::default();
}

/// Notes that the filters of what is shown are others now.
pub(super) fn filtered(app: &mut App) {
    if app.is_on_findings() {
        view::findings::sort(app);
    } else {
        stale(app);
    }
}

/// Takes in what a worker found.
pub(super) fn done(app: &mut App, done: Done) {
    let Done { number, result } = done;
    let is = |ticket: &Ticket| ticket.is(number);
    if is(&app.events.ticket) {
        app.events.is_busy = false;
        match result {
            Ok(Outcome::Rows(rows, place)) => {
                let events = &mut app.events;
                let has_moved = events.rows.get(events.grid.row).copied() != events.kept;
                events.rows = rows;
                if let Some(place) = place.filter(|_| events.seek.is_some() || !has_moved) {
                    // The row stays where it is on the screen.
                    let line = events.grid.row.saturating_sub(events.grid.top);
                    events.grid.row = place;
                    events.grid.top = place.saturating_sub(line);
                }
                events.cells = Cells::default();
                events.seek = None;
                events.forget_matches();
            }
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if is(&app.events.match_ticket) {
        match result {
            Ok(Outcome::Matches(places)) => {
                app.events.matches = Some(places);
                app.events.match_ticket = Ticket::default();
                super::search::to_match(app, 1, true);
            }
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if is(&app.events.cells.ticket) {
        match result {
            Ok(Outcome::Cells(first, rows)) => {
                let cells = &mut app.events.cells;
                cells.first = first;
                cells.rows = rows;
            }
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if is(&app.timeline.ticket) {
        match result {
            Ok(Outcome::Histogram(histogram)) => app.timeline.put(histogram),
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if is(&app.facets.ticket) {
        match result {
            Ok(Outcome::Facet(facet)) => app.facets.facet = Some(facet),
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if is(&app.export_ticket) {
        app.export_ticket = Ticket::default();
        match result {
            Ok(Outcome::Written(path, rows)) => {
                app.message = Some(format!("wrote {rows} lines to {}", path.display()));
                app.written.push(path);
            }
            Ok(Outcome::Taken(free)) => super::ask::export_again(app, Ok(free)),
            Err(cause) => super::ask::export_again(app, Err(cause)),
            Ok(_) => {}
        }
    } else if is(&app.locate_ticket) {
        if let Ok(Outcome::Located(Some(row))) = result {
            super::navigate::open(app, Pivot::Event(row));
        }
    } else if is(&app.label_ticket) {
        // Those of events that are not read yet are asked for again when more is.
        if let Ok(Outcome::Labels(labels)) = result {
            app.event_labels.extend(labels);
            app.case_lines.clear();
        }
    } else if is(&app.overview.ticket) {
        settle_page(&mut app.overview, result);
    } else if is(&app.ingest.ticket) {
        settle_page(&mut app.ingest, result);
    } else if app
        .sql
        .answer
        .as_ref()
        .is_some_and(|screen| is(&screen.ticket))
    {
        if let Some(screen) = &mut app.sql.answer {
            // What is wrong is mended where it was typed.
            app.sql.in_editor |= result.is_err();
            settle_answer(screen, result);
        }
    } else if let Some(screen) = app.answer_mut().filter(|screen| is(&screen.seek_ticket)) {
        screen.seek_ticket = Ticket::default();
        match result {
            Ok(Outcome::Found(Some(row))) => {
                screen.grid.row = row;
                app.message = None;
            }
            Ok(Outcome::Found(None)) => super::search::say_no_match(app),
            Err(cause) => app.message = Some(cause),
            Ok(_) => {}
        }
    } else if let Some(json) = app.events.json.as_mut().filter(|json| is(&json.ticket)) {
        settle_record(json, result);
    } else {
        for screen in &mut app.stack {
            match screen {
                Screen::Page(screen) if is(&screen.page.ticket) => {
                    return settle_page(&mut screen.page, result);
                }
                Screen::Page(screen) => {
                    if let Some(json) = screen.json.as_mut().filter(|json| is(&json.ticket)) {
                        return settle_record(json, result);
                    }
                }
                Screen::Answer(screen) if is(&screen.ticket) => {
                    return settle_answer(screen, result);
                }
                _ => {}
            }
        }
    }
}

fn settle_page(page: &mut Page, result: Result<Outcome, String>) {
    match result {
        Ok(Outcome::Page(mut document)) => {
            // Until it is looked at again, what the case says is what it said.
            let at = document.lines.len().min(1);
            document.lines.splice(at..at, page.of_case.iter().cloned());
            page.document = Some(document);
            page.error = None;
        }
        Err(cause) => page.error = Some(cause),
        Ok(_) => {}
    }
}

fn settle_record(json: &mut JsonPane, result: Result<Outcome, String>) {
    match result {
        Ok(Outcome::Record(tree)) => {
            json.tree = Some(tree);
            json.error = None;
        }
        Err(cause) => {
            json.tree = None;
            json.error = Some(cause);
        }
        Ok(_) => {}
    }
}

fn settle_answer(screen: &mut AnswerScreen, result: Result<Outcome, String>) {
    match result {
        Ok(Outcome::Answer {
            answer,
            measures,
            sql,
            lacks,
            strangers,
        }) => {
            screen.answer = Some(answer);
            screen.seek_ticket = Ticket::default();
            screen.measures = measures;
            screen.sql = sql;
            screen.lacks = lacks;
            screen.strangers = strangers;
            screen.error = None;
        }
        Err(cause) => screen.error = Some(cause),
        Ok(_) => {}
    }
}

/// Makes what the screen needs and what takes no time; returns whether something is another one now.
pub(super) fn make(app: &mut App) -> bool {
    match app.screen() {
        Screen::Tab(Tab::Ingest) => {
            app.ingest.document = Some(view::ingest::document(app));
        }
        Screen::Tab(Tab::Case) if app.case_lines.is_empty() => {
            let (document, lines) = view::case::document(app);
            app.case_page.document = Some(document);
            app.case_lines = lines;
        }
        Screen::FindingFacets => {
            let facets = &mut app.findings.facets;
            let at = facets.fields.row;
            if facets.field != Some(at) {
                facets.field = Some(at);
                facets.facet = None;
                facets.values = Grid::default();
            }
            if facets.facet.is_some() {
                return false;
            }
            let aspect = Aspect::ALL.get(at);
            let facet = aspect.map(|&aspect| view::findings::facet(app, aspect));
            app.findings.facets.facet = facet;
        }
        Screen::Page(_) => return annotate(app),
        _ => return false,
    }
    true
}

/// Puts what the case says below the first line of a page; the cursor stays with its line. Returns whether that is new.
fn annotate(app: &mut App) -> bool {
    let lines = match app.screen() {
        Screen::Page(screen) => view::case::of_page(app, &screen.pivot),
        _ => return false,
    };
    let Some(Screen::Page(screen)) = app.stack.last_mut() else {
        return false;
    };
    let page = &mut screen.page;
    let Some(document) = page.document.as_mut().filter(|_| page.of_case != lines) else {
        return false;
    };
    let at = document.lines.len().min(1);
    let end = (at + page.of_case.len()).min(document.lines.len());
    document.lines.splice(at..end, lines.iter().cloned());
    if page.grid.row >= end && page.grid.row > 0 {
        page.grid.row = page.grid.row - (end - at) + lines.len();
    }
    page.of_case = lines;
    true
}

/// Asks for what the screen needs and does not have.
pub(super) fn ask(app: &mut App, effects: &mut Vec<Effect>) {
    match app.screen() {
        Screen::Tab(Tab::Overview) if is_idle(&app.overview.ticket) => {
            let (ticket, job) = app.tickets.issue(Task::Overview);
            app.overview.ticket = ticket;
            effects.push(Effect::Work(job));
        }
        Screen::Tab(Tab::Events) => ask_events(app, effects),
        Screen::Tab(Tab::Timeline) if is_idle(&app.timeline.ticket) => {
            let task = Task::Histogram {
                filter: app.chips.filter(),
                span: app.timeline.span,
                n_buckets: view::timeline::buckets(app.width()),
            };
            let (ticket, job) = app.tickets.issue(task);
            app.timeline.ticket = ticket;
            effects.push(Effect::Work(job));
        }
        Screen::Tab(Tab::Facets) => {
            let at = app.facets.fields.row;
            let field = facet_fields().get(at).copied();
            let is_other = app.facets.field != Some(at);
            if let Some(field) = field.filter(|_| is_other || is_idle(&app.facets.ticket)) {
                let task = Task::Facet {
                    filter: app.chips.filter(),
                    field,
                };
                let (ticket, job) = app.tickets.issue(task);
                app.facets.ticket = ticket;
                if is_other {
                    app.facets.field = Some(at);
                    app.facets.facet = None;
                    app.facets.values = Grid::default();
                }
                effects.push(Effect::Work(job));
            }
        }
        Screen::Tab(Tab::Case) if is_idle(&app.label_ticket) => ask_labels(app, effects),
        Screen::Page(_) => ask_page(app, effects),
        Screen::Answer(_) | Screen::Tab(Tab::Sql) => ask_answer(app, effects),
        _ => {}
    }
}

fn ask_answer(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(pattern) = app.search.clone() else {
        return;
    };
    let Some(screen) = app.answer_mut() else {
        return;
    };
    if let (Some(direction), Some(answer)) = (screen.seeks, &screen.answer) {
        let task = Task::Seek {
            answer: answer.clone(),
            pattern,
            from: screen.grid.row,
            direction,
        };
        screen.seeks = None;
        let (ticket, job) = app.tickets.issue(task);
        if let Some(screen) = app.answer_mut() {
            screen.seek_ticket = ticket;
        }
        effects.push(Effect::Work(job));
    }
}

/// Asks what the events are that notes are on.
fn ask_labels(app: &mut App, effects: &mut Vec<Effect>) {
    let events = app.case.notes().filter_map(|note| match &note.subject {
        Subject::Event { file, offset } => Some((file.clone(), *offset)),
        _ => None,
    });
    let unknown = events.filter(|event| !app.event_labels.contains_key(event));
    let unknown: Vec<(String, u64)> = unknown.take(LABELS).collect();
    if !unknown.is_empty() {
        let (ticket, job) = app.tickets.issue(Task::Labels(unknown));
        app.label_ticket = ticket;
        effects.push(Effect::Work(job));
    }
}

fn is_idle(ticket: &Ticket) -> bool {
    ticket.is_none()
}

fn ask_events(app: &mut App, effects: &mut Vec<Effect>) {
    let events = &mut app.events;
    if is_idle(&events.ticket) {
        events.kept = events.rows.get(events.grid.row).copied();
        let task = Task::Rows {
            filter: app.chips.filter(),
            order: events.order,
            keep: events.kept,
            seek: events.seek,
        };
        let (ticket, job) = app.tickets.issue(task);
        events.ticket = ticket;
        events.is_busy = true;
        effects.push(Effect::Work(job));
    }
    if events.searches
        && !events.is_busy
        && let Some(pattern) = app.search.clone()
    {
        events.searches = false;
        let task = Task::Matches {
            rows: Arc::clone(&events.rows),
            filter: app.chips.filter(),
            pattern,
        };
        let (ticket, job) = app.tickets.issue(task);
        events.match_ticket = ticket;
        effects.push(Effect::Work(job));
    }
    // A screen more on both sides, so that moving by lines seldom waits.
    let height = usize::from(app.size.1).max(1);
    let visible = events.grid.top..(events.grid.top + height).min(events.rows.len());
    let cells = &mut events.cells;
    let has = cells.first..cells.first + cells.rows.len();
    let is_there =
        visible.start >= has.start && visible.end <= has.end && cells.fields == events.fields;
    let first = events.grid.top.saturating_sub(height);
    let last = (events.grid.top + 2 * height).min(events.rows.len());
    let asked = (first, last - first.min(last));
    if !is_there && !visible.is_empty() && (cells.asked != asked || cells.fields != events.fields) {
        let fields: Vec<Field> = events
            .fields
            .iter()
            .copied()
            .chain(HIDDEN.map(Field::from))
            .collect();
        let task = Task::Cells {
            first,
            rows: events.rows[first..last].to_vec(),
            fields,
        };
        let (ticket, job) = app.tickets.issue(task);
        if cells.fields != events.fields {
            cells.rows.clear();
        }
        cells.fields.clone_from(&events.fields);
        cells.asked = asked;
        cells.ticket = ticket;
        effects.push(Effect::Work(job));
    }
    let place = place_at_cursor(app);
    let row = app.events.rows.get(app.events.grid.row).copied();
    if let (Some(json), Some(place)) = (&mut app.events.json, place)
        && json.place != place
    {
        let (ticket, job) = app.tickets.issue(Task::Record(place.clone(), row));
        *json = JsonPane {
            place,
            ticket,
            has_focus: json.has_focus,
            ..JsonPane::default()
        };
        effects.push(Effect::Work(job));
    }
}

/// Returns where the event under the cursor stands, once that is known.
pub(in super::super) fn place_at_cursor(app: &App) -> Option<Place> {
    app.events.row_at_cursor()?.place()
}

fn ask_page(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(Screen::Page(screen)) = app.stack.last_mut() else {
        return;
    };
    let PageScreen { pivot, page, json } = &mut **screen;
    if is_idle(&page.ticket) && !matches!(pivot, Pivot::Place(_)) {
        let (ticket, job) = app.tickets.issue(Task::Card(pivot.clone()));
        page.ticket = ticket;
        effects.push(Effect::Work(job));
    }
    if let Some(json) = json.as_mut().filter(|json| is_idle(&json.ticket)) {
        let (place, row) = match pivot {
            Pivot::Place(place) => (place.clone(), None),
            Pivot::Event(row) => (Place::default(), Some(*row)),
            _ => return,
        };
        let (ticket, job) = app.tickets.issue(Task::Record(place, row));
        json.ticket = ticket;
        effects.push(Effect::Work(job));
    }
}
