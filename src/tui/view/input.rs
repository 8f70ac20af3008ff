//! Texts that are edited, drawn clean: a value of a form and the SQL of a card may come from a log.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui_textarea::TextArea;

use super::{line_of, put};
use crate::report::clean;
use crate::tui::app::App;

/// Draws a text with its cursor; a line that is too long is moved to the left until the cursor is seen.
pub(super) fn draw(app: &App, input: &TextArea<'_>, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if width == 0 || height == 0 {
        return;
    }
    let cursor = input.cursor();
    let (row, column) = (cursor.0, cursor.1);
    let top = (row + 1).saturating_sub(height);
    for (y, line) in input.lines().iter().skip(top).take(height).enumerate() {
        let is_here = top + y == row;
        // No more of a line is looked at than may be seen.
        let start = if is_here {
            column.saturating_sub(width * 2)
        } else {
            0
        };
        let text: String = line.chars().skip(start).take(width * 4).collect();
        let letters = letters(&text, start);
        let here = is_here.then(|| {
            let at = letters.iter().position(|letter| letter.end > column);
            at.unwrap_or(letters.len())
        });
        let mut first = here.unwrap_or(0);
        let mut used = letters.get(first).map_or(1, |letter| letter.columns);
        while first > 0 && used + letters[first - 1].columns <= width {
            first -= 1;
            used += letters[first].columns;
        }
        let mut x = 0;
        for (at, letter) in letters.iter().enumerate().skip(first) {
            let is_chosen = is_chosen(input, top + y, letter.end - 1);
            let style = if here == Some(at) {
                app.theme.cursor()
            } else if is_chosen {
                Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
            } else {
                Style::default()
            };
            x += put(frame, line_of(area, y), x, &letter.text, style);
        }
        if here == Some(letters.len()) {
            put(frame, line_of(area, y), x, " ", app.theme.cursor());
        }
    }
}

/// A character with its marks, as it is seen.
struct Letter {
    text: String,
    columns: usize,
    /// Behind its last character, from the start of the line.
    end: usize,
}

fn letters(text: &str, start: usize) -> Vec<Letter> {
    let mut letters: Vec<(String, usize)> = Vec::new();
    for (at, c) in text.chars().enumerate() {
        let is_mark = clean::columns(c.encode_utf8(&mut [0; 4])) == 0 && !clean::is_hidden(c);
        match letters.last_mut().filter(|_| is_mark) {
            Some((letter, end)) => {
                letter.push(c);
                *end = start + at + 1;
            }
            None => letters.push((c.to_string(), start + at + 1)),
        }
    }
    let letters = letters.into_iter().map(|(text, end)| {
        let text = clean::clean(&text).into_owned();
        Letter {
            columns: clean::columns(&text),
            text,
            end,
        }
    });
    letters.collect()
}

/// Returns whether a character is selected.
fn is_chosen(input: &TextArea<'_>, row: usize, column: usize) -> bool {
    let range = input.selection_range();
    range.is_some_and(|(from, to)| (from..to).contains(&(row, column)))
}
