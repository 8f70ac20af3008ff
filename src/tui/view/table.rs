//! Tables: aligned columns with a cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line_of, put};
use crate::tui::app::App;
use crate::tui::grid::Grid;
use crate::tui::text::{Cut, fit};

/// Columns below which times are shown without year and fractions.
pub const NARROW: usize = 110;

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its name.
    pub name: String,
    /// Columns it takes.
    pub width: usize,
    /// Where its texts are cut.
    pub cut: Cut,
    /// Whether they stand at the right.
    pub is_right: bool,
    /// Whether it is left out where only a part of it fits: of a number or an address a part is another one.
    pub is_whole: bool,
}

impl Head {
    /// Returns a column.
    pub fn new(name: &str, width: usize) -> Self {
        Self {
            name: name.to_owned(),
            width,
            cut: Cut::End,
            is_right: false,
            is_whole: false,
        }
    }

    /// Returns it cut in the middle.
    #[must_use]
    pub fn middle(self) -> Self {
        Self {
            cut: Cut::Middle,
            ..self
        }
    }

    /// Returns it shown as a whole or not at all.
    #[must_use]
    pub fn whole(self) -> Self {
        Self {
            is_whole: true,
            ..self
        }
    }

    /// Returns it at the right.
    #[must_use]
    pub fn right(self) -> Self {
        Self {
            is_right: true,
            ..self
        }
    }
}

/// A row: its texts, which need not be clean, and its style.
pub struct Line {
    /// By column.
    pub cells: Vec<String>,
    /// Of the whole row.
    pub style: Style,
    /// Of some columns.
    pub styles: Vec<(usize, Style)>,
}

/// What a table is drawn of.
pub struct Table<'a> {
    /// Its columns.
    pub heads: &'a [Head],
    /// The cursor.
    pub grid: &'a Grid,
    /// How many rows there are.
    pub rows: usize,
    /// Whether one cell has the cursor, and not the row.
    pub has_cells: bool,
}

/// Draws a table; `row` gives a row, or nothing if it is not known yet.
pub fn draw(
    app: &App,
    frame: &mut Frame<'_>,
    area: Rect,
    table: &Table<'_>,
    row: impl Fn(usize) -> Option<Line>,
) {
    let Table {
        heads,
        grid,
        rows,
        has_cells,
    } = *table;
    // Columns that do not fit go out at the left as the cursor goes right.
    let first = first_column(heads, grid.column, usize::from(area.width));
    let last = last_column(heads, first, usize::from(area.width));
    let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    let mut x = 0;
    for (at, head) in heads[..last].iter().enumerate().skip(first) {
        let style = if has_cells && at == grid.column {
            bold.patch(app.theme.cursor())
        } else {
            bold
        };
        let name = align(&fit(&head.name, head.width, Cut::End), head);
        put(frame, line_of(area, 0), x, &name, style);
        x += head.width + 1;
    }
    if last < heads.len() && x < usize::from(area.width) {
        put(frame, line_of(area, 0), x, "…", bold);
    }
    let height = usize::from(area.height).saturating_sub(1);
    for (y, at) in grid.visible(rows, height).enumerate() {
        let area = line_of(area, y + 1);
        let is_here = at == grid.row;
        let Some(line) = row(at) else {
            put(frame, area, 0, "…", Style::default());
            continue;
        };
        if is_here {
            let style = if has_cells {
                app.theme.row()
            } else {
                app.theme.cursor()
            };
            frame.buffer_mut().set_style(area, style);
        }
        let mut x = 0;
        for (column, (head, cell)) in heads[..last]
            .iter()
            .zip(&line.cells)
            .enumerate()
            .skip(first)
        {
            let mut style = line.style;
            if let Some((_, own)) = line.styles.iter().find(|(at, _)| *at == column) {
                style = style.patch(*own);
            }
            if is_here {
                style = if has_cells && column == grid.column {
                    style.patch(app.theme.cursor())
                } else if has_cells {
                    style.patch(app.theme.row())
                } else {
                    app.theme.cursor()
                };
            }
            let text = align(&fit(cell, head.width, head.cut), head);
            put(frame, area, x, &text, style);
            x += head.width + 1;
        }
    }
}

/// Returns the first column that is drawn, so that the one of the cursor fits.
fn first_column(heads: &[Head], column: usize, width: usize) -> usize {
    let mut first = 0;
    let span = |from: usize| -> usize {
        heads[from..=column.min(heads.len().saturating_sub(1))]
            .iter()
            .map(|head| head.width + 1)
            .sum()
    };
    while !heads.is_empty() && first < column.min(heads.len() - 1) && span(first) > width + 1 {
        first += 1;
    }
    first
}

/// Returns the column behind the last one that is drawn, if `first` is the first.
fn last_column(heads: &[Head], first: usize, width: usize) -> usize {
    let mut x = 0;
    for (at, head) in heads.iter().enumerate().skip(first) {
        if at > first && head.is_whole && x + head.width > width {
            return at;
        }
        x += head.width + 1;
    }
    heads.len()
}

fn align(text: &str, head: &Head) -> String {
    let blanks = head
        .width
        .saturating_sub(crate::report::clean::columns(text));
    if head.is_right {
        format!("{}{text}", " ".repeat(blanks))
    } else {
        format!("{text}{}", " ".repeat(blanks))
    }
}

/// Shares out the columns that are left among those that can use more; returns widths.
///
/// Shape: `wanted` are least and best widths.
pub fn widths(wanted: &[(usize, usize)], width: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = wanted.iter().map(|(least, _)| *least).collect();
    let mut left = width.saturating_sub(widths.iter().sum::<usize>() + wanted.len());
    loop {
        let open: Vec<usize> = (0..wanted.len())
            .filter(|&at| widths[at] < wanted[at].1)
            .collect();
        if open.is_empty() || left == 0 {
            return widths;
        }
        let share = (left / open.len()).max(1);
        for at in open {
            let more = share.min(wanted[at].1 - widths[at]).min(left);
            widths[at] += more;
            left -= more;
        }
    }
}

/// Returns [`widths`] of the columns that fit from the left on, and the least of the others, which are out at the right
/// and take nothing from those.
pub fn fitted(wanted: &[(usize, usize)], width: usize) -> Vec<usize> {
    let mut used = 0;
    let fitting = wanted.iter().take_while(|(least, _)| {
        used += least + 1;
        used <= width + 1
    });
    let fitting = fitting.count().max(1).min(wanted.len());
    let mut widths = widths(&wanted[..fitting], width);
    widths.extend(wanted[fitting..].iter().map(|(least, _)| *least));
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_fit_take_nothing() {
        assert_eq!(fitted(&[(4, 9), (4, 9), (4, 9)], 11), [5, 4, 4]);
        assert_eq!(fitted(&[(4, 9), (4, 9)], 9), [4, 4]);
        assert_eq!(fitted(&[(4, 9)], 1), [4]);
        assert_eq!(fitted(&[], 1), [0; 0]);
    }

    #[test]
    fn columns_take_what_is_left() {
        assert_eq!(widths(&[(4, 4), (5, 100), (5, 10)], 40), [4, 23, 10]);
        assert_eq!(widths(&[(4, 4), (5, 100)], 3), [4, 5]);
        assert_eq!(widths(&[], 3), [0; 0]);
    }
}
