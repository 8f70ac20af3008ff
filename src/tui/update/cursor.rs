//! Where the cursor goes.

use super::super::app::{App, JsonPane, Screen, Tab};
use super::super::grid::Grid;
use super::super::work::Ticket;
use super::navigate::turn_to;
use crate::store::sort::Order;

/// Returns the grid that up and down move in.
pub(super) fn grid_mut(app: &mut App) -> Option<&mut Grid> {
    if json_mut(app).is_some_and(|json| json.has_focus) {
        return json_mut(app).map(|json| &mut json.grid);
    }
    if app.shown_facets().is_some() {
        return app.shown_facets_mut().map(|facets| {
            if facets.in_values {
                &mut facets.values
            } else {
                &mut facets.fields
            }
        });
    }
    Some(match app.stack.last_mut()? {
        Screen::Tab(Tab::Overview) => &mut app.overview.grid,
        Screen::Tab(Tab::Ingest) => &mut app.ingest.grid,
        Screen::Tab(Tab::Case) => &mut app.case_page.grid,
        Screen::Tab(Tab::Findings) => &mut app.findings.grid,
        Screen::Tab(Tab::Events) => &mut app.events.grid,
        Screen::Tab(Tab::Credentials) => &mut app.credentials,
        Screen::Tab(Tab::Questions) => &mut app.question_list.grid,
        Screen::Tab(Tab::Sql) => &mut app.sql.answer.as_mut()?.grid,
        Screen::Tab(Tab::Timeline | Tab::Facets) | Screen::FindingFacets | Screen::Form(_) => {
            return None;
        }
        Screen::Page(screen) => &mut screen.page.grid,
        Screen::Answer(screen) => &mut screen.grid,
    })
}

pub(super) fn json_mut(app: &mut App) -> Option<&mut JsonPane> {
    match app.stack.last_mut()? {
        Screen::Tab(Tab::Events) => app.events.json.as_mut(),
        Screen::Page(screen) => screen.json.as_mut(),
        _ => None,
    }
}

pub(super) fn step(app: &mut App, by: i64) {
    if let Some(grid) = grid_mut(app) {
        grid.step(by);
    } else if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        // Up and down go by ten, to the ends of the log at most.
        side(
            app,
            i32::try_from(by.clamp(-1000, 1000))
                .unwrap_or_default()
                .saturating_mul(10),
        );
    }
}

pub(super) fn side(app: &mut App, by: i32) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let cursor = &mut app.timeline.cursor;
        *cursor = cursor.saturating_add_signed(by as isize);
    } else if let Some(facets) = app.shown_facets_mut() {
        facets.in_values = by > 0;
    } else if let Some(grid) = grid_mut(app) {
        grid.side(by);
    }
}

pub(super) fn pane(app: &mut App, by: i32) {
    if let Some(facets) = app.shown_facets_mut() {
        facets.in_values = !facets.in_values;
        return;
    }
    match app.screen() {
        Screen::Tab(Tab::Sql) => app.sql.in_editor = !app.sql.in_editor,
        _ => {
            if let Some(json) = json_mut(app) {
                json.has_focus = !json.has_focus;
            } else {
                to_link(app, by);
            }
        }
    }
}

/// Moves the cursor of a page to the next link.
fn to_link(app: &mut App, by: i32) {
    let Some(page) = app.page() else {
        return side(app, by);
    };
    let Some(document) = &page.document else {
        return;
    };
    let links: Vec<(usize, usize)> = document
        .lines
        .iter()
        .enumerate()
        .flat_map(|(row, line)| {
            let count = line.parts.iter().filter(|part| part.link.is_some()).count();
            (0..count).map(move |column| (row, column))
        })
        .collect();
    let here = (page.grid.row, page.grid.column);
    let next = if by > 0 {
        let has_link = links.contains(&here);
        links.into_iter().find(|place| {
            if has_link {
                *place > here
            } else {
                *place >= here
            }
        })
    } else {
        links.into_iter().rev().find(|place| *place < here)
    };
    if let (Some((row, column)), Some(grid)) = (next, grid_mut(app)) {
        grid.row = row;
        grid.column = column;
    }
}

pub(super) fn zoom(app: &mut App, by: i32) {
    let timeline = &mut app.timeline;
    let Some(histogram) = &timeline.histogram else {
        return;
    };
    let (from, to) = (histogram.from, histogram.to());
    let at = from + histogram.bucket_us * i64::try_from(timeline.cursor).unwrap_or(0);
    let length = to.saturating_sub(from).max(1);
    if by > 0 {
        // A quarter of the time around the cursor, which stays where it is in it.
        let length = (length / 4).max(i64::try_from(histogram.buckets.len()).unwrap_or(1));
        let from = (at - length / 2).max(from).min(to.saturating_sub(length));
        timeline.span = Some((from, from + length));
    } else if timeline.span.take().is_some() {
        let whole = app
            .results
            .summary
            .totals
            .first
            .zip(app.results.summary.totals.last);
        let wide = (at.saturating_sub(length * 2), at.saturating_add(length * 2));
        let is_part = whole.is_some_and(|(first, last)| wide.0 > first.0 || wide.1 < last.0);
        timeline.span = is_part.then_some(wide);
    }
    timeline.seek = Some(at);
    timeline.ticket = Ticket::default();
}

/// To the timeline and back, at the same time.
pub(super) fn timeline(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        if let Some(time) = app.timeline.time() {
            app.events.seek = Some(time);
            app.events.order = Order::default();
            app.events.ticket = Ticket::default();
        }
        turn_to(app, Tab::Events);
        return;
    }
    if let Some(time) = time_at_cursor(app) {
        let timeline = &mut app.timeline;
        let histogram = timeline.histogram.as_ref();
        if let Some(bucket) = histogram.and_then(|histogram| histogram.bucket_of(time)) {
            timeline.cursor = bucket;
        } else {
            timeline.span = None;
            timeline.seek = Some(time);
            timeline.ticket = Ticket::default();
        }
    }
    turn_to(app, Tab::Timeline);
}

/// Returns when the row under the cursor was, once that is known.
pub(super) fn time_at_cursor(app: &App) -> Option<i64> {
    app.events.row_at_cursor()?.time()
}

/// To the next finding in time.
pub(super) fn to_finding(app: &mut App, by: i32) {
    let here = match app.screen() {
        Screen::Tab(Tab::Timeline) => app.timeline.time(),
        _ => time_at_cursor(app),
    };
    let Some(here) = here else { return };
    let width = match (app.screen(), &app.timeline.histogram) {
        (Screen::Tab(Tab::Timeline), Some(histogram)) => histogram.bucket_us,
        _ => 1,
    };
    let findings = app.results.findings.iter();
    let times = findings
        .filter(|finding| finding.is_step())
        .map(|finding| (finding.first_seen.0, &finding.summary));
    let next = if by > 0 {
        times
            .filter(|(time, _)| *time >= here.saturating_add(width))
            .min_by_key(|(time, _)| *time)
    } else {
        times
            .filter(|(time, _)| *time < here)
            .max_by_key(|(time, _)| *time)
    };
    let Some((time, summary)) = next else {
        app.message = Some("no further finding in that direction".to_owned());
        return;
    };
    app.message = Some(crate::report::clean::safe(summary).into_owned());
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let bucket = app
            .timeline
            .histogram
            .as_ref()
            .and_then(|histogram| histogram.bucket_of(time));
        match bucket {
            Some(bucket) => app.timeline.cursor = bucket,
            None => app.message = Some("the next finding is outside; Z shows more".to_owned()),
        }
    } else {
        app.events.order = Order::default();
        app.events.seek = Some(time);
        app.events.ticket = Ticket::default();
    }
}
