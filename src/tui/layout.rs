//! Layout: how lines are wrapped and panes are divided. Shared by what moves the cursor and by what draws.

use super::app::{App, JsonPane, Screen, Tab};
use super::document::{Document, Line};
use super::grid::Grid;
use crate::report::clean::columns;

/// Columns from which on JSON stands beside the rows and not below.
const WIDE: usize = 130;

/// How a view with JSON is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Whether the panes are side by side.
    pub is_wide: bool,
    /// Lines of the first pane.
    pub first: usize,
    /// Lines of the JSON, its title among them.
    pub second: usize,
}

/// Returns how a body is divided, with JSON in it or not.
pub fn split(app: &App, json: Option<&JsonPane>) -> Split {
    let height = app.body_height();
    let is_wide = app.width() >= WIDE;
    match json {
        None => Split {
            is_wide: false,
            first: height,
            second: 0,
        },
        Some(_) if is_wide => Split {
            is_wide,
            first: height,
            second: height,
        },
        Some(_) => Split {
            is_wide,
            first: height / 2,
            second: height - height / 2,
        },
    }
}

/// Returns the columns of the first pane.
pub fn first_width(app: &App, split: Split) -> usize {
    if split.is_wide {
        app.width() * 6 / 10
    } else {
        app.width()
    }
}

/// Returns the lines that a table has below its head; other things may be above or below it.
pub fn table_height(app: &App) -> usize {
    let others = match app.screen() {
        Screen::Tab(Tab::Sql) => editor_height(app),
        Screen::Tab(Tab::Findings) => summary_height(app),
        Screen::Answer(_) => 1,
        _ => 0,
    };
    app.body_height().saturating_sub(others + 1)
}

/// Returns the lines below the list of findings that say what the one under the cursor is.
pub fn summary_height(app: &App) -> usize {
    if app.body_height() < 12 { 0 } else { 4 }
}

/// Returns the lines of the editor, its border among them.
pub fn editor_height(app: &App) -> usize {
    let lines = app.sql.editor.lines().len().clamp(3, 10) + 2;
    lines.min(app.body_height() / 2 + 1)
}

/// A stretch of a part that stands in one line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which part.
    pub part: usize,
    /// Its text.
    pub text: String,
}

/// Breaks a line into lines of the screen.
///
/// Shape: at least one; what is wrapped goes on two columns to the right of where the line starts.
pub fn wrap(line: &Line, width: usize) -> Vec<Vec<Piece>> {
    let width = width.max(1);
    let indent = usize::from(line.indent).min(width / 2);
    let mut lines: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut used = 0;
    let room = |is_first: bool| {
        width
            .saturating_sub(indent + if is_first { 0 } else { 2 })
            .max(1)
    };
    for (part, piece) in line.parts.iter().enumerate() {
        for word in piece.text.split_inclusive(' ') {
            let mut word = word;
            while !word.is_empty() {
                let room = room(lines.len() == 1);
                let length = columns(word.trim_end_matches(' '));
                let (text, rest) = if used + length <= room {
                    (word, "")
                } else if used > 0 {
                    lines.push(Vec::new());
                    used = 0;
                    continue;
                } else {
                    split_at_columns(word, room)
                };
                // A blank behind the last column would cost the last letter.
                let text = if used + columns(text) > room {
                    text.trim_end_matches(' ')
                } else {
                    text
                };
                used += columns(text);
                let last = lines.last_mut().expect("there is a line");
                match last.last_mut() {
                    Some(before) if before.part == part => before.text.push_str(text),
                    _ => last.push(Piece {
                        part,
                        text: text.to_owned(),
                    }),
                }
                word = rest;
            }
        }
    }
    lines
}

/// Splits `text` behind at most so many columns, but at least one character.
fn split_at_columns(text: &str, room: usize) -> (&str, &str) {
    let mut used = 0;
    let mut chars = text.char_indices();
    chars.next();
    let end = text.char_indices().find(|(at, c)| {
        used += columns(c.encode_utf8(&mut [0; 4]));
        *at > 0 && used > room
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// Brings the cursor of a page back into it, and the screen to the cursor.
pub fn settle_page(document: &Document, grid: &mut Grid, width: usize, height: usize) {
    grid.row = grid.row.min(document.lines.len().saturating_sub(1));
    let links = document.lines.get(grid.row).map_or(0, |line| {
        line.parts.iter().filter(|part| part.link.is_some()).count()
    });
    grid.column = grid.column.min(links.saturating_sub(1));
    // How far up the top may be so that the line of the cursor is still on the screen.
    let mut left = height.max(1);
    let mut lowest = grid.row;
    for row in (0..=grid.row).rev() {
        let n_lines = document
            .lines
            .get(row)
            .map_or(1, |line| wrap(line, width).len());
        if n_lines > left && row < grid.row {
            break;
        }
        left = left.saturating_sub(n_lines);
        lowest = row;
        if left == 0 {
            break;
        }
    }
    grid.top = grid.top.clamp(lowest, grid.row.max(lowest));
}

#[cfg(test)]
mod tests {
    use super::super::document::Part;
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], width: usize, expected: &[&str]) {
        let line = Line::new(texts.iter().map(|text| Part::from(*text)));
        let lines: Vec<String> = wrap(&line, width)
            .into_iter()
            .map(|pieces| pieces.into_iter().map(|piece| piece.text).collect())
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_are_broken_between_words() {
        check(&["one two three"], 8, &["one two ", "three"]);
        check(&["one ", "two ", "three"], 8, &["one two ", "three"]);
        check(&["abcdefghij"], 4, &["abcd", "ef", "gh", "ij"]);
        check(&[], 4, &[""]);
        check(&["日本語"], 3, &["日", "本", "語"]);
        check(&["x"], 0, &["x"]);
        check(&["abcd efgh ijkl"], 4, &["abcd", "ef", "gh", "ij", "kl"]);
    }
}
