//! The JSON of an event, folded.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{line_of, put};
use crate::report::clean;
use crate::tui::app::{App, JsonPane};
use crate::tui::document::Look;
use crate::tui::json::{Kind, Marker};

/// Draws the pane, its title first.
pub fn draw(app: &App, pane: &JsonPane, frame: &mut Frame<'_>, area: Rect) {
    let style = if pane.has_focus {
        app.theme.bar()
    } else {
        Style::new().add_modifier(Modifier::UNDERLINED)
    };
    let title = line_of(area, 0);
    frame.buffer_mut().set_style(title, style);
    let path = pane.tree.as_ref().and_then(|tree| tree.path(pane.grid.row));
    let path = path.map_or(String::new(), |path| clean::clip(&path, 200));
    let focus = if pane.has_focus {
        ""
    } else {
        " (Tab: keys for it)"
    };
    put(frame, title, 0, &format!(" JSON{focus}  {path}"), style);
    let Some(tree) = &pane.tree else {
        let (text, look) = match &pane.error {
            Some(cause) => (clean::safe(cause).into_owned(), Look::Bad),
            None => ("reading it from the log".to_owned(), Look::Dim),
        };
        put(frame, line_of(area, 1), 0, &text, app.theme.look(look));
        return;
    };
    let height = usize::from(area.height).saturating_sub(1);
    for (y, at) in pane.grid.visible(tree.visible(), height).enumerate() {
        let Some(line) = tree.line(at) else { continue };
        let area = line_of(area, y + 1);
        let is_here = pane.has_focus && at == pane.grid.row;
        if is_here {
            frame.buffer_mut().set_style(area, app.theme.row());
        }
        let base = if is_here {
            app.theme.row()
        } else {
            Style::default()
        };
        let mut x = line.depth * 2;
        let marker = match line.marker {
            Marker::Open => "▾ ",
            Marker::Closed => "▸ ",
            Marker::Leaf => "  ",
        };
        x += put(frame, area, x, marker, base);
        if let Some(key) = &line.key {
            let style = base.patch(app.theme.look(Look::Bold));
            x += put(frame, area, x, key, style);
            x += put(frame, area, x, ": ", base);
        }
        let look = match line.value.kind {
            Kind::Text => Look::Good,
            Kind::Null | Kind::Object | Kind::List => Look::Dim,
            _ => Look::Plain,
        };
        put(
            frame,
            area,
            x,
            &line.value.text,
            base.patch(app.theme.look(look)),
        );
    }
}
