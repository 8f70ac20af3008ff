//! Pages: documents with links, and the JSON of an event below.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{json, line_of, put};
use crate::tui::app::{App, Page, PageScreen};
use crate::tui::document::{Document, Line, Look};
use crate::tui::layout::{self, Split, wrap};
use crate::tui::pivot::Pivot;

/// Draws a page on something.
pub fn screen(app: &App, screen: &PageScreen, frame: &mut Frame<'_>, area: Rect) {
    let split = layout::split(app, screen.json.as_ref());
    let (first, second) = areas(app, split, area);
    if screen.json.is_some()
        && screen.page.document.is_none()
        && matches!(screen.pivot, Pivot::Place(_))
    {
        put(
            frame,
            first,
            0,
            "The JSON of this place; its row is not among those kept.",
            Style::default(),
        );
    } else {
        draw(app, &screen.page, frame, first);
    }
    if let Some(pane) = &screen.json {
        json::draw(app, pane, frame, second);
    }
}

/// Divides a body into two panes.
pub fn areas(app: &App, split: Split, area: Rect) -> (Rect, Rect) {
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).min(area.height);
    if split.is_wide {
        let width = u16::try_from(layout::first_width(app, split))
            .unwrap_or(u16::MAX)
            .min(area.width);
        let first = Rect { width, ..area };
        let second = Rect {
            x: area.x + width,
            width: area.width - width,
            ..area
        };
        return (first, second);
    }
    let height = lines(split.first);
    let first = Rect { height, ..area };
    let second = Rect {
        y: area.y + height,
        height: area.height - height,
        ..area
    };
    (first, second)
}

/// Draws a document.
pub fn draw(app: &App, page: &Page, frame: &mut Frame<'_>, area: Rect) {
    let Some(document) = &page.document else {
        let (text, look) = match &page.error {
            Some(cause) => (crate::report::clean::safe(cause).into_owned(), Look::Bad),
            None => ("reading".to_owned(), Look::Dim),
        };
        put(frame, area, 0, &text, app.theme.look(look));
        return;
    };
    let width = usize::from(area.width);
    let mut y = 0;
    for (row, line) in document.lines.iter().enumerate().skip(page.grid.top) {
        if y >= usize::from(area.height) {
            return;
        }
        let link = (row == page.grid.row).then_some(page.grid.column);
        y = draw_line(app, line, link, frame, area, y, width);
    }
}

/// Draws one line, which may take several of the screen; returns the next free one. `cursor` is the link that has the cursor.
fn draw_line(
    app: &App,
    line: &Line,
    cursor: Option<usize>,
    frame: &mut Frame<'_>,
    area: Rect,
    mut y: usize,
    width: usize,
) -> usize {
    let mut n_links = 0;
    let links: Vec<Option<usize>> = line
        .parts
        .iter()
        .map(|part| {
            part.link.as_ref().map(|_| {
                n_links += 1;
                n_links - 1
            })
        })
        .collect();
    let indent = usize::from(line.indent).min(width / 2);
    for (at, pieces) in wrap(line, width).into_iter().enumerate() {
        let on_screen = line_of(area, y);
        if on_screen.height == 0 {
            return y;
        }
        if cursor.is_some() {
            frame.buffer_mut().set_style(on_screen, app.theme.row());
        }
        let mut x = indent + if at > 0 { 2 } else { 0 };
        for piece in pieces {
            let part = &line.parts[piece.part];
            let mut style = app.theme.look(part.look);
            if let Some(link) = links[piece.part] {
                style = style.patch(app.theme.link());
                if cursor == Some(link) {
                    style = style.patch(app.theme.cursor());
                }
            }
            if cursor.is_some() && links[piece.part] != cursor {
                style = style.patch(app.theme.row());
            }
            x += put(frame, on_screen, x, &piece.text, style);
        }
        y += 1;
    }
    y
}

fn text_of(line: &Line) -> String {
    let parts = line.parts.iter().map(|part| part.text.trim());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn document(app: &App) -> Option<&Document> {
    app.page()?.document.as_ref()
}

/// Returns the line under the cursor.
pub fn line_text(app: &App) -> String {
    let row = app.page().map_or(0, |page| page.grid.row);
    let line = document(app).and_then(|document| document.lines.get(row));
    line.map_or(String::new(), text_of)
}

/// Returns all lines.
pub fn lines(app: &App) -> Vec<String> {
    let lines = document(app).map(|document| document.lines.iter().map(text_of).collect());
    lines.unwrap_or_default()
}
