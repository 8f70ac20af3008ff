//! What is over the view.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Clear, Widget as _};
use ratatui_textarea::TextArea;

use super::{line_of, put};
use crate::report::clean;
use crate::store::Field;
use crate::tui::app::{App, Context, Overlay};
use crate::tui::document::Look;
use crate::tui::grid::Grid;
use crate::tui::keymap::{BINDINGS, Scope};
use crate::tui::text::{Cut, fit};
use crate::tui::update::purpose;

/// Draws it.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    match &app.overlay {
        None => {}
        Some(Overlay::Help(top)) => {
            let lines = help(app.context());
            let title = match scrolls(*top, lines.len(), area) {
                Some(place) => format!("Keys {place}: j k scroll, any other key closes"),
                None => "Keys (any other key closes)".to_owned(),
            };
            list(app, frame, area, &title, &lines, None, *top);
        }
        Some(Overlay::Text(title, text, top)) => {
            let lines = wrapped(text, usize::from(area.width));
            let title = match scrolls(*top, lines.len(), area) {
                Some(place) => {
                    format!("{title} {place}: j k scroll, y copies, any other key closes")
                }
                None => format!("{title} (y copies, any other key closes)"),
            };
            list(app, frame, area, &title, &lines, None, *top);
        }
        Some(Overlay::Palette(palette)) => {
            let lines: Vec<String> = palette
                .entries
                .iter()
                .map(|(words, _)| words.clone())
                .collect();
            let inner = list(
                app,
                frame,
                area,
                "Commands: type, then Enter",
                &lines,
                Some((&palette.grid, 1)),
                0,
            );
            input(app, frame, inner, &palette.input);
        }
        Some(Overlay::Prompt(prompt)) => {
            let mut lines = vec![String::new()];
            lines.extend(
                prompt
                    .error
                    .as_ref()
                    .map(|error| clean::safe(error).into_owned()),
            );
            let inner = list(app, frame, area, purpose(prompt), &lines, None, 0);
            input(app, frame, inner, &prompt.input);
        }
        Some(Overlay::Filters(grid)) => {
            let chips = app.shown_chips().chips.iter().map(|chip| {
                let mark = if chip.is_on { "[x]" } else { "[ ]" };
                format!(
                    "{mark} {}",
                    fit(&chip.label(app.clock), usize::from(area.width), Cut::End)
                )
            });
            let mut lines: Vec<String> = chips.collect();
            if lines.is_empty() {
                let none = if app.is_on_findings() {
                    "none; + and - on a value of a facet (F), & for a text"
                } else {
                    "none; + and - on a value, & for a text, Space in the timeline"
                };
                lines.push(none.to_owned());
            }
            list(
                app,
                frame,
                area,
                "Filters: Space on or off, ! negates, d drops, D drops all",
                &lines,
                Some((grid, 0)),
                0,
            );
        }
        Some(Overlay::Columns(grid)) => {
            let fields = Field::all().map(|field| {
                let mark = if app.events.fields.contains(&field) {
                    "[x]"
                } else {
                    "[ ]"
                };
                format!("{mark} {:22} {}", field.name(), field.meaning())
            });
            let lines: Vec<String> = fields.collect();
            list(
                app,
                frame,
                area,
                "Columns: Space shows or hides",
                &lines,
                Some((grid, 0)),
                0,
            );
        }
        Some(Overlay::Menu(menu)) => {
            let lines: Vec<String> = menu
                .items
                .iter()
                .map(|(key, words, _)| format!("{key}  {words}"))
                .collect();
            list(
                app,
                frame,
                area,
                &menu.title,
                &lines,
                Some((&menu.grid, 0)),
                0,
            );
        }
    }
}

/// Returns which lines of how many are on the screen, if it has not room for all.
fn scrolls(top: usize, lines: usize, area: Rect) -> Option<String> {
    let room = usize::from(area.height).saturating_sub(2);
    let first = top.min(lines.saturating_sub(room));
    (lines > room).then(|| format!("{}-{} of {lines}", first + 1, first + room))
}

/// Breaks a text where the border is.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.saturating_sub(6).max(1);
    text.lines()
        .flat_map(|line| clean::wrap(&clean::safe(line), width, width))
        .collect()
}

/// Returns which line of a text over the view may be the first on the screen, at most.
pub fn last_top(app: &App) -> usize {
    let lines = match &app.overlay {
        Some(Overlay::Help(_)) => help(app.context()).len(),
        Some(Overlay::Text(_, text, _)) => wrapped(text, app.width()).len(),
        _ => 0,
    };
    lines.saturating_sub(usize::from(app.size.1).saturating_sub(2).max(1))
}

/// Draws a list in a border, `cursor` being its grid and the lines kept free above; returns the inside.
fn list(
    app: &App,
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    lines: &[String],
    cursor: Option<(&Grid, usize)>,
    top: usize,
) -> Rect {
    let above = cursor.map_or(0, |(_, above)| above);
    let widest = lines
        .iter()
        .map(|line| clean::columns(line))
        .max()
        .unwrap_or(0);
    let width = (widest.max(clean::columns(title)).max(40) + 4).min(usize::from(area.width));
    let height = (lines.len() + above + 2).min(usize::from(area.height));
    let (width, height) = (cells(width), cells(height));
    let place = Rect::new(
        area.x + (area.width - width) / 2,
        area.y + (area.height - height) / 3,
        width,
        height,
    );
    Clear.render(place, frame.buffer_mut());
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(place);
    block.render(place, frame.buffer_mut());
    let room = usize::from(inner.height).saturating_sub(above);
    let top = match cursor {
        Some((grid, _)) => (grid.row + 1).saturating_sub(room),
        None => top.min(lines.len().saturating_sub(room)),
    };
    for (y, (at, line)) in lines.iter().enumerate().skip(top).take(room).enumerate() {
        let style = match cursor {
            Some((grid, _)) if grid.row == at => app.theme.cursor(),
            _ if line.ends_with(':') => app.theme.look(Look::Heading),
            _ => Style::default(),
        };
        put(frame, line_of(inner, y + above), 1, line, style);
    }
    inner
}

fn cells(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn input(app: &App, frame: &mut Frame<'_>, inner: Rect, input: &TextArea<'_>) {
    let line = line_of(inner, 0);
    if line.height > 0 && line.width > 2 {
        let field = Rect {
            x: line.x + 1,
            width: line.width - 1,
            ..line
        };
        super::input::draw(app, input, frame, field);
    }
}

/// Returns the lines of the help page: the keys of this view first.
pub fn help(context: Context) -> Vec<String> {
    let line = |(keys, help): (String, &str)| format!("  {keys:16} {help}");
    let of = |is_own: bool| {
        BINDINGS
            .iter()
            .filter(move |binding| {
                binding.is_in(context) && (binding.scope != Scope::All) == is_own
            })
            .map(|binding| (binding.names(), binding.help))
    };
    let mut lines = vec![format!("In {}:", context.name())];
    lines.extend(of(true).map(line));
    lines.push("Everywhere:".to_owned());
    lines.extend(of(false).map(line));
    lines
}
