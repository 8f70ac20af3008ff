//! Which rows are shown, and how: filters, order, columns.

use super::super::app::{App, FindingOrder, Screen, Tab, facet_fields};
use super::super::aspect::Aspect;
use super::super::cells::Cells;
use super::super::chips::Ask;
use super::super::pivot::{ListOrder, Pivot};
use super::super::view;
use super::super::work::Ticket;
use super::cursor::json_mut;
use super::data;
use super::navigate::{lead_to, subject, turn_to};
use super::pivots::pivot_at_cursor;
use crate::store::sort::Order;
use crate::store::{Field, Kind};

/// Filters findings by the value under the cursor.
fn filter_findings(app: &mut App, is_negated: bool) {
    let facets = &app.findings.facets;
    let aspect = Aspect::ALL.get(facets.fields.row).copied();
    let Some((aspect, value)) = aspect.zip(facets.value().map(str::to_owned)) else {
        app.message = Some("no value under the cursor to filter by".to_owned());
        return;
    };
    let chips = &mut app.findings.chips;
    chips.add(Ask::Aspect(aspect, value), is_negated);
    data::filtered(app);
}

/// Filters rows, or findings, by the value under the cursor.
pub(super) fn filter_by_value(app: &mut App, is_negated: bool) {
    if matches!(app.screen(), Screen::FindingFacets) {
        return filter_findings(app, is_negated);
    }
    let test = match app.screen() {
        Screen::Tab(Tab::Events) => view::events::cell(app),
        Screen::Tab(Tab::Facets) => {
            let field = facet_fields().get(app.facets.fields.row).copied();
            field.zip(app.facets.value().map(str::to_owned))
        }
        _ => pivot_at_cursor(app).and_then(|pivot| pivot.test()),
    };
    let Some((field, value)) = test else {
        app.message = Some("no value under the cursor to filter by".to_owned());
        return;
    };
    if field.kind() == Kind::Time || field.kind() == Kind::Float {
        app.message =
            Some("filter by time with a stretch of the timeline (3, then Space)".to_owned());
        return;
    }
    let values = match field.kind() {
        // A list is filtered by one of its elements.
        Kind::List if value.starts_with('[') => crate::frame::vocabulary::parse_list(&value)
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .take(1)
            .collect(),
        _ => vec![value],
    };
    let subject = subject(app);
    if !matches!(app.screen(), Screen::Tab(Tab::Events | Tab::Facets)) {
        lead_to(app, Tab::Events);
    }
    if let Some((field, subject)) = subject {
        app.chips.add(Ask::Value(field, subject), false);
    }
    for value in values {
        app.chips.add(Ask::Value(field, value), is_negated);
    }
    data::stale(app);
}

pub(super) fn facet(app: &mut App) {
    if app.is_on_findings() {
        app.stack.push(Screen::FindingFacets);
        return;
    }
    let field = app.events.fields.get(app.events.grid.column);
    let at = facet_fields().iter().position(|known| Some(known) == field);
    if let Some(at) = at {
        app.facets.fields.row = at;
        app.facets.in_values = true;
        turn_to(app, Tab::Facets);
    } else {
        app.message = Some("this column has no facet: nearly every value is its own".to_owned());
    }
}

pub(super) fn sort(app: &mut App, is_reversed: bool) {
    match app.screen() {
        Screen::Tab(Tab::Findings) => {
            if is_reversed {
                app.findings.is_reversed = !app.findings.is_reversed;
            } else {
                let at = FindingOrder::ALL
                    .iter()
                    .position(|order| *order == app.findings.order);
                let next = at.map_or(0, |at| at + 1) % FindingOrder::ALL.len();
                app.findings.order = FindingOrder::ALL[next];
                app.findings.is_reversed = false;
            }
            view::findings::sort(app);
            app.message = Some(format!("sorted by {}", app.findings.order.name()));
        }
        Screen::Tab(Tab::Credentials) => {
            app.credential_order = Some((app.credentials.column, is_reversed));
            view::credentials::sort(&mut app.credential_rows, app.credential_order);
        }
        Screen::Page(_) => sort_list(app, is_reversed),
        _ => {
            let Some(&field) = app.events.fields.get(app.events.grid.column) else {
                return;
            };
            app.events.order = Order {
                field,
                is_descending: is_reversed,
            };
            // A place in time is one in the order of time.
            app.events.seek = None;
            app.message = Some(format!(
                "sorted by {}{}",
                field.name(),
                if is_reversed { ", largest first" } else { "" }
            ));
            data::stale(app);
        }
    }
}

/// Sorts a list that a page shows the beginning of, by the next thing or the other way.
fn sort_list(app: &mut App, is_reversed: bool) {
    let Some(Screen::Page(screen)) = app.stack.last_mut() else {
        return;
    };
    let Pivot::All(listing, order) = &mut screen.pivot else {
        return;
    };
    *order = if is_reversed {
        ListOrder {
            is_reversed: !order.is_reversed,
            ..*order
        }
    } else {
        ListOrder {
            by: (order.by + 1) % listing.orders().len(),
            is_reversed: false,
        }
    };
    app.message = Some(format!("sorted {}", view::by(listing, *order)));
    // The page is made anew.
    screen.page.ticket = Ticket::default();
}

/// Folds JSON, or marks the start and the end of a stretch of time.
pub(super) fn mark(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let timeline = &mut app.timeline;
        let Some(histogram) = &timeline.histogram else {
            return;
        };
        let Some(start) = timeline.brush.take() else {
            timeline.brush = Some(timeline.cursor);
            app.message =
                Some("move to the end of the stretch, then Space; Esc drops it".to_owned());
            return;
        };
        let (from, to) = (start.min(timeline.cursor), start.max(timeline.cursor) + 1);
        let time = |bucket: usize| {
            let bucket = i64::try_from(bucket).unwrap_or(i64::MAX);
            histogram
                .from
                .saturating_add(histogram.bucket_us.saturating_mul(bucket))
        };
        let (from, to) = (time(from), time(to));
        timeline.span = Some((from, to));
        timeline.seek = Some(from);
        app.chips
            .chips
            .retain(|chip| !matches!(chip.ask, Ask::Time(..)));
        app.chips.add(Ask::Time(from, to), false);
        data::stale(app);
    } else if let Some(json) = json_mut(app)
        && let Some(tree) = &mut json.tree
    {
        tree.toggle(json.grid.row);
    }
}

/// Changes which columns events are shown with.
pub(super) fn toggle_column(app: &mut App, field: Field) {
    let fields = &mut app.events.fields;
    match fields.iter().position(|known| *known == field) {
        Some(at) if fields.len() > 1 => {
            fields.remove(at);
        }
        Some(_) => {}
        None => fields.push(field),
    }
    app.events.cells = Cells::default();
}
