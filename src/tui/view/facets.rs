//! Facets: fields at the left, the values of one of them at the right.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::put;
use super::table::{Head, Line, Table, draw as draw_table};
use crate::store::Kind;
use crate::tui::app::{App, facet_fields};
use crate::tui::grid::Grid;

/// Columns of the list of fields.
const FIELDS: u16 = 24;

/// Draws both lists.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let width = FIELDS.min(area.width / 3);
    let left = Rect { width, ..area };
    let right = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    let fields = facet_fields();
    let heads = [Head::new("field", usize::from(width).saturating_sub(1))];
    draw_table(
        app,
        frame,
        left,
        &Table {
            heads: &heads,
            grid: &app.facets.fields,
            rows: fields.len(),
            has_cells: false,
        },
        |at| {
            Some(Line {
                cells: vec![fields.get(at)?.name().to_owned()],
                style: Style::default(),
                styles: Vec::new(),
            })
        },
    );
    let Some(facet) = &app.facets.facet else {
        put(frame, right, 1, "counting", Style::default());
        return;
    };
    if facet.values.is_empty() {
        put(
            frame,
            right,
            1,
            "no row passes the filters; Backspace drops the last one",
            Style::default(),
        );
        return;
    }
    let bar = usize::from(right.width / 5).min(30);
    let value = usize::from(right.width).saturating_sub(bar + 22);
    let rest = match facet.others {
        0 => String::new(),
        others => format!(", {others} rows have further ones"),
    };
    let heads = [
        Head::new(&format!("value ({} distinct{rest})", facet.distinct), value).middle(),
        Head::new("rows", 10).right(),
        Head::new("%", 6).right(),
        Head::new("", bar),
    ];
    let most = facet.values.first().map_or(1, |(_, count)| (*count).max(1));
    // The cursor of a pane without focus is not drawn.
    let grid = if app.facets.in_values {
        app.facets.values
    } else {
        Grid {
            row: usize::MAX,
            ..app.facets.values
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

/// Returns the SQL behind the values.
pub fn sql(app: &App) -> String {
    let Some(field) = facet_fields().get(app.facets.fields.row).copied() else {
        return String::new();
    };
    let name = field.name();
    let note = match field.kind() {
        Kind::List => "-- the view counts each element of a list by itself\n",
        _ => "",
    };
    format!(
        "{note}SELECT {name}, COUNT(*) AS n\n{}\nGROUP BY {name}\nORDER BY n DESC",
        app.chips.sql()
    )
}
