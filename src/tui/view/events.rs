//! The table of events.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::table::{Head, Line, NARROW, Table, draw as draw_table, fitted};
use super::{json, page, put};
use crate::finding::words::counted;
use crate::frame::Column;
use crate::store::{Field, Kind};
use crate::tui::app::App;
use crate::tui::cells::RowCells;
use crate::tui::document::Look;
use crate::tui::layout;
use crate::tui::text::Cut;

/// Draws the table, and the JSON of a row beside or below it.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let split = layout::split(app, app.events.json.as_ref());
    let (first, second) = page::areas(app, split, area);
    if app.events.rows.is_empty() {
        put(frame, first, 0, &nothing(app), Style::default());
    } else {
        table(app, frame, first);
    }
    if let Some(pane) = &app.events.json {
        json::draw(app, pane, frame, second);
    }
}

/// Returns which of how many rows has the cursor.
pub fn position(app: &App) -> String {
    let rows = app.events.rows.len();
    let here = (app.events.grid.row + 1).min(rows);
    format!("{here} of {rows}")
}

/// Says why there is no row.
fn nothing(app: &App) -> String {
    if app.events.is_busy {
        return "looking".to_owned();
    }
    let kept = app.reading.usage.rows;
    let on = app.chips.chips.iter().filter(|chip| chip.is_on).count();
    match (kept, on) {
        (0, _) if app.reading.is_done => "the log holds no event".to_owned(),
        (0, _) => "nothing read so far".to_owned(),
        (_, 0) => "no row".to_owned(),
        (kept, on) => format!(
            "none of {kept} events passes {}; Backspace drops the last one, f lists them",
            counted(on as u64, "filter")
        ),
    }
}

fn table(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let events = &app.events;
    let width = usize::from(area.width);
    let heads = heads(app, width);
    draw_table(
        app,
        frame,
        area,
        &Table {
            heads: &heads,
            grid: &events.grid,
            rows: events.rows.len(),
            has_cells: true,
        },
        |at| {
            let cells = events.cells.row(at)?;
            let look = match cells.get(Column::Outcome) {
                "unauthenticated" | "denied" => Look::Bad,
                "error" => Look::Severity(crate::finding::Severity::Medium),
                _ => Look::Plain,
            };
            let shown = events.fields.iter().zip(cells.shown).map(|(field, cell)| {
                let path = path(*field, cell, cells);
                show(app, *field, path.unwrap_or(cell), width)
            });
            let offset = cells.get(Column::Offset).parse().ok();
            let is_marked = offset.is_some_and(|offset| {
                let file = cells.get(Column::File);
                app.case.bookmark_at(file, offset).is_some()
            });
            let mut cells: Vec<String> = shown.collect();
            if is_marked && let Some(first) = cells.first_mut() {
                first.insert(0, '*');
            }
            Some(Line {
                cells,
                style: app.theme.look(look),
                styles: Vec::new(),
            })
        },
    );
}

/// Returns a value as people read it.
fn show(app: &App, field: Field, cell: &str, width: usize) -> String {
    match field.kind() {
        Kind::Time => match chrono::DateTime::parse_from_rfc3339(cell) {
            Ok(time) if width < NARROW => app.narrow_time(time.timestamp_micros()),
            Ok(time) => app.clock.show(time.timestamp_micros()),
            Err(_) => String::new(),
        },
        Kind::Number if field == Column::Code.into() && cell == "0" => String::new(),
        Kind::Float => cell
            .split_once('.')
            .map_or(cell, |(whole, _)| whole)
            .to_owned(),
        _ => cell.to_owned(),
    }
}

/// Returns the path that stands for the name of what is no resource.
fn path<'c>(field: Field, cell: &str, cells: RowCells<'c>) -> Option<&'c str> {
    let is_resource = !cells.get(Column::Resource).is_empty();
    let is_other = field == Column::Name.into() && cell.is_empty() && !is_resource;
    Some(cells.get(Column::RequestUri)).filter(|path| is_other && !path.is_empty())
}

fn heads(app: &App, width: usize) -> Vec<Head> {
    let fields = &app.events.fields;
    let mut wanted: Vec<(usize, usize)> = fields
        .iter()
        .map(|field| match field.kind() {
            Kind::Time if width < NARROW => {
                let columns = app.narrow_time_columns();
                (columns, columns)
            }
            _ => wanted(*field),
        })
        .collect();
    if let Some((least, best)) = wanted.first_mut() {
        // The star of a bookmark must not cut what it stands before.
        let star = usize::from(!app.case.bookmarks().is_empty());
        *least += star;
        *best += star;
    }
    for (at, field) in fields.iter().enumerate() {
        if matches!(field, Field::Column(Column::PeerIp | Column::ClientIp)) {
            let rows = app.events.cells.rows.iter();
            let addresses = rows.filter_map(|row| row.get(at));
            wanted[at] = address_columns(addresses.map(String::as_str));
            make_room(fields, &mut wanted[..=at], width);
        }
    }
    fields
        .iter()
        .zip(fitted(&wanted, width))
        .map(|(field, width)| Head {
            name: field.name().to_owned(),
            width,
            // What tells most stands at the end of names and at the start of programs.
            cut: match field {
                Field::Column(
                    Column::UserAgent
                    | Column::RequestUri
                    | Column::Message
                    // Without its middle it looks like another one.
                    | Column::PeerIp
                    | Column::ClientIp
                    | Column::SourceIps,
                ) => Cut::End,
                _ => Cut::Middle,
            },
            is_whole: false,
            is_right: matches!(field.kind(), Kind::Number | Kind::Float),
        })
        .collect()
}

/// Has names give what is missing for the last column to fit, if they can: they are cut anyway.
fn make_room(fields: &[Field], wanted: &mut [(usize, usize)], width: usize) {
    let used: usize = wanted.iter().map(|(least, _)| least + 1).sum();
    let mut lack = used.saturating_sub(width + 1);
    // Who it was gives last.
    let names = [
        Column::Name,
        Column::Resource,
        Column::Namespace,
        Column::Username,
    ];
    let place = |name: Column| fields.iter().position(|field| *field == name.into());
    let givers = names.into_iter().filter_map(place);
    let givers: Vec<usize> = givers.filter(|&at| at < wanted.len()).collect();
    if lack > givers.len() * GIFT {
        return;
    }
    for _ in 0..GIFT {
        for &at in &givers {
            let gift = lack.min(1);
            wanted[at].0 -= gift;
            lack -= gift;
        }
    }
}

/// Columns that a name gives to an address at most.
const GIFT: usize = 2;

/// Returns least and best columns of addresses: all of the longest, if it is one of IPv4.
pub(super) fn address_columns<'a>(addresses: impl Iterator<Item = &'a str>) -> (usize, usize) {
    let longest = addresses.map(str::len).max().unwrap_or_default();
    (longest.clamp(9, 15), longest.clamp(9, 39))
}

/// Returns least and best columns of a field.
fn wanted(field: Field) -> (usize, usize) {
    match (field, field.kind()) {
        (_, Kind::Time) => (24, 24),
        (Field::Column(Column::Code), _) => (4, 4),
        (Field::Column(Column::Verb), _) => (6, 10),
        (Field::Column(Column::Username), _) => (14, 40),
        (Field::Column(Column::Resource), _) => (9, 24),
        (Field::Column(Column::Name), _) => (9, 40),
        (Field::Column(Column::Namespace), _) => (6, 16),
        (Field::Column(Column::UserAgent), _) => (8, 60),
        (_, Kind::Number | Kind::Float) => (8, 10),
        (_, Kind::Flag) => (5, 8),
        _ => (8, 40),
    }
}

/// Returns the field and the value under the cursor, as they are filtered by.
pub fn cell(app: &App) -> Option<(Field, String)> {
    let cells = app.events.row_at_cursor()?;
    let column = app.events.grid.column;
    let (field, value) = (*app.events.fields.get(column)?, cells.shown.get(column)?);
    Some(match path(field, value, cells) {
        Some(path) => (Column::RequestUri.into(), path.to_owned()),
        None => (field, value.clone()),
    })
}

/// Returns the value under the cursor.
pub fn value(app: &App) -> String {
    cell(app).map_or(String::new(), |(_, value)| value)
}

/// Returns the row under the cursor.
pub fn row_text(app: &App) -> String {
    let cells = app.events.row_at_cursor();
    cells.map_or(String::new(), |cells| cells.shown.join("  "))
}

/// Returns the SQL behind the table.
pub fn sql(app: &App) -> String {
    let names: Vec<&str> = app.events.fields.iter().map(|field| field.name()).collect();
    let order = app.events.order;
    format!(
        "SELECT {}\n{}\nORDER BY {}{}",
        names.join(", "),
        app.chips.sql(),
        order.field.name(),
        if order.is_descending { " DESC" } else { "" }
    )
}
