//! Facets: fields at the left, the values of one of them at the right.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::put;
use super::table::{Head, Line, Table, draw as draw_table};
use crate::store::Kind;
use crate::tui::app::{App, Facets, facet_fields};
use crate::tui::aspect::Aspect;
use crate::tui::grid::Grid;

/// Columns of the list of fields.
const FIELDS: u16 = 24;

/// Draws both lists.
pub fn draw(app: &App, facets: &Facets, frame: &mut Frame<'_>, area: Rect) {
    let width = FIELDS.min(area.width / 3);
    let left = Rect { width, ..area };
    let right = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    let fields = app.facet_names();
    let heads = [Head::new("field", usize::from(width).saturating_sub(1))];
    draw_table(
        app,
        frame,
        left,
        &Table {
            heads: &heads,
            grid: &facets.fields,
            rows: fields.len(),
            has_cells: false,
        },
        |at| {
            Some(Line {
                cells: vec![(*fields.get(at)?).to_owned()],
                style: Style::default(),
                styles: Vec::new(),
            })
        },
    );
    let Some(facet) = &facets.facet else {
        put(frame, right, 1, "counting", Style::default());
        return;
    };
    let (one, many) = if app.is_on_findings() {
        ("finding", "findings")
    } else {
        ("row", "rows")
    };
    if facet.values.is_empty() {
        let text = if app.shown_chips().chips.is_empty() {
            format!("no {one}")
        } else {
            format!("no {one} passes the filters; Backspace drops the last one")
        };
        put(frame, right, 1, &text, Style::default());
        return;
    }
    let bar = usize::from(right.width / 5).min(30);
    let value = usize::from(right.width).saturating_sub(bar + 22);
    let rest = match facet.others {
        0 => String::new(),
        others => format!(", {others} {many} have further ones"),
    };
    let heads = [
        Head::new(&format!("value ({} distinct{rest})", facet.distinct), value).middle(),
        Head::new(many, 10).right(),
        Head::new("%", 6).right(),
        Head::new("", bar),
    ];
    let most = facet.values.first().map_or(1, |(_, count)| (*count).max(1));
    // The cursor of a pane without focus is not drawn.
    let grid = if facets.in_values {
        facets.values
    } else {
        Grid {
            row: usize::MAX,
            ..facets.values
        }
    };
    draw_table(
        app,
        frame,
        right,
        &Table {
            heads: &heads,
            grid: &grid,
            rows: facet.values.len(),
            has_cells: false,
        },
        |at| {
            let (value, count) = facet.values.get(at)?;
            let per_mille = count.saturating_mul(1000) / facet.rows.max(1);
            let length = usize::try_from(count.saturating_mul(bar as u64) / most).unwrap_or(0);
            let value = match &value[..] {
                "" => "(none)".to_owned(),
                value => value.to_owned(),
            };
            Some(Line {
                cells: vec![
                    value,
                    count.to_string(),
                    format!("{}.{}", per_mille / 10, per_mille % 10),
                    "█".repeat(length),
                ],
                style: Style::default(),
                styles: Vec::new(),
            })
        },
    );
}

/// Returns the SQL behind the values of what findings have.
pub fn sql_of_findings(app: &App) -> String {
    let from = app.findings.chips.sql_of_findings();
    match Aspect::ALL.get(app.findings.facets.fields.row) {
        Some(aspect) if aspect.is_column() => counts(aspect.name(), aspect.is_list(), &from),
        _ => format!("-- this is no column of the table\nSELECT COUNT(*) AS n\n{from}"),
    }
}

/// Returns the SQL behind the values.
pub fn sql(app: &App) -> String {
    let Some(field) = facet_fields().get(app.facets.fields.row).copied() else {
        return String::new();
    };
    counts(field.name(), field.kind() == Kind::List, &app.chips.sql())
}

fn counts(name: &str, is_list: bool, from: &str) -> String {
    let note = if is_list {
        "-- the view counts each element of a list by itself\n"
    } else {
        ""
    };
    format!("{note}SELECT {name}, COUNT(*) AS n\n{from}\nGROUP BY {name}\nORDER BY n DESC")
}
