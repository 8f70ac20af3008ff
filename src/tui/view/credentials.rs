//! The list of credentials.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::events::address_columns;
use super::put;
use super::table::{Head, Line, Table, draw as draw_table, fitted};
use crate::tui::app::App;
use crate::tui::card::CredentialRow;
use crate::tui::document::Look;
use crate::tui::pivot::Pivot;
use crate::tui::update::subject_of;

/// Names, least and best widths of the columns.
pub const COLUMNS: [(&str, usize, usize); 8] = [
    ("credential", 12, 50),
    ("owner", 12, 44),
    ("fate", 14, 60),
    ("count", 5, 8),
    ("from", 9, 22),
    ("first use", 14, 24),
    ("last use", 14, 24),
    ("kind", 8, 14),
];

/// Rows whose addresses are measured.
const MEASURED: usize = 1000;

/// Columns from which on times are shown in full.
const WIDE: usize = 160;

/// Returns the value of a column.
fn cell(row: &CredentialRow, column: usize) -> String {
    match column {
        0 => row.credential.clone(),
        1 => row.owner.clone(),
        2 => row.fate.clone(),
        3 => row.requests.to_string(),
        4 => row.from.clone(),
        5 => row.first.clone(),
        6 => row.last.clone(),
        _ => row.kind.clone(),
    }
}

/// Returns it as it is drawn: where there is little room, times have no fractions, and no year if all are of one; the
/// status line tells their zone.
fn shown(app: &App, row: &CredentialRow, column: usize, width: usize) -> String {
    let cell = cell(row, column);
    let from = if app.spans_years() { 0 } else { 5 };
    match cell.get(from..19) {
        Some(time) if width < WIDE && matches!(column, 5 | 6) => time.to_owned(),
        _ => cell,
    }
}

/// Puts the list into its order.
pub fn sort(rows: &mut [CredentialRow], order: Option<(usize, bool)>) {
    let Some((column, is_reversed)) = order else {
        return;
    };
    if column == 3 {
        rows.sort_by_key(|row| row.requests);
    } else {
        rows.sort_by_cached_key(|row| cell(row, column));
    }
    if is_reversed {
        rows.reverse();
    }
}

/// Returns what a value stands for.
pub fn pivot(row: &CredentialRow, column: usize) -> Pivot {
    match column {
        1 if !row.owner.is_empty() => row.owner_pivot.clone(),
        _ => row.pivot.clone(),
    }
}

/// Draws the list.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let rows = &app.credential_rows;
    if rows.is_empty() {
        let text = if app.reading.is_done {
            "no credential was accepted in this log"
        } else {
            "none so far"
        };
        put(frame, area, 0, text, Style::default());
        return;
    }
    let width = usize::from(area.width);
    let time = if app.spans_years() { 19 } else { 14 };
    let wanted = COLUMNS.map(|(name, least, best)| match name {
        "first use" | "last use" if width < WIDE => (time, time),
        "first use" | "last use" => (best, best),
        "from" => address_columns(rows.iter().take(MEASURED).map(|row| row.from.as_str())),
        _ => (least, best),
    });
    let widths = fitted(&wanted, width);
    let heads: Vec<Head> = COLUMNS
        .iter()
        .zip(widths)
        .map(|((name, ..), width)| {
            match *name {
                "count" => Head::new(name, width).right(),
                // Without its middle an address looks like another one.
                "from" => Head::new(name, width),
                _ => Head::new(name, width).middle(),
            }
        })
        .collect();
    draw_table(
        app,
        frame,
        area,
        &Table {
            heads: &heads,
            grid: &app.credentials,
            rows: rows.len(),
            has_cells: true,
        },
        |at| {
            let row = rows.get(at)?;
            let mut cells: Vec<String> = (0..COLUMNS.len())
                .map(|column| shown(app, row, column, width))
                .collect();
            let subject = subject_of(&row.pivot);
            let mut notes = subject.iter().flat_map(|on| app.case.notes_about(on));
            if notes.next().is_some() {
                cells[0].insert(0, '*');
            }
            Some(Line {
                cells,
                style: app.theme.look(if row.is_undead {
                    Look::Bad
                } else {
                    Look::Plain
                }),
                styles: Vec::new(),
            })
        },
    );
}

/// Returns the lines that a search looks at.
pub fn lines(app: &App) -> Vec<String> {
    let line = |row: &CredentialRow| {
        let cells: Vec<String> = (0..COLUMNS.len()).map(|column| cell(row, column)).collect();
        cells.join(" ")
    };
    app.credential_rows.iter().map(line).collect()
}
