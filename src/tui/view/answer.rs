//! Rows of an answer, and the SQL editor above them.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Widget as _};

use super::table::{Head, Line, NARROW, Table, draw as draw_table, fitted};
use super::{line_of, put};
use crate::query::{Answer, Cell};
use crate::report::clean;
use crate::tui::app::{AnswerScreen, App};
use crate::tui::document::Look;
use crate::tui::layout;

/// Rows whose values decide how wide columns are.
const MEASURED: usize = 100;

/// The same where a value may not be cut.
const WHOLE: usize = 100_000;

/// How wide a column is at most as long as others want more room.
const WIDEST: usize = 60;

/// How wide a column must be at most where it can give way to others.
const NARROWEST: usize = 12;

/// A column of an answer as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// How wide it would be.
    pub best: usize,
    /// Whether it may not be cut: it has numbers or addresses, of which a part is another one.
    pub is_whole: bool,
}

/// Returns how wide the columns of an answer would be.
pub fn measure(answer: &Answer) -> Vec<Measure> {
    let names = answer.columns().into_iter().zip(answer.is_number());
    let measure = |(column, (name, is_number)): (usize, (&str, bool))| {
        let cells = |rows: usize| (0..answer.height().min(rows)).map(move |row| (row, column));
        let texts = |rows| cells(rows).map(|(row, column)| answer.cell(row, column).show());
        let is_address = |text: &String| text.parse::<std::net::IpAddr>().is_ok();
        let mut some = texts(MEASURED).filter(|text| !text.is_empty()).peekable();
        let is_whole = is_number || some.peek().is_some() && some.all(|text| is_address(&text));
        // What may not be cut is looked at further, so that what comes later has room, too.
        let rows = if is_whole { WHOLE } else { MEASURED };
        let widths = texts(rows).map(|text| text.chars().take(WIDEST).count());
        let best = widths.max().unwrap_or_default().max(clean::columns(name));
        Measure { best, is_whole }
    };
    names.enumerate().map(measure).collect()
}

/// Draws the answer to a question: a line on what it is, then the rows.
pub fn draw(app: &App, screen: &AnswerScreen, frame: &mut Frame<'_>, area: Rect) {
    let count = screen.answer.as_ref().map(|answer| answer.height());
    let count = count.map_or(String::new(), |count| format!(" ({count} rows)"));
    let lacks = match &screen.lacks[..] {
        [] => String::new(),
        lacks => format!("  The log lacks {}.", lacks.join("; ")),
    };
    let title = format!("{}{count}{lacks}  {}", screen.title, screen.read);
    put(
        frame,
        line_of(area, 0),
        0,
        &clean::safe(&title),
        app.theme.look(Look::Heading),
    );
    rows(app, screen, frame, below(area, 1));
}

fn below(area: Rect, lines: usize) -> Rect {
    let lines = u16::try_from(lines).unwrap_or(u16::MAX).min(area.height);
    Rect {
        y: area.y + lines,
        height: area.height - lines,
        ..area
    }
}

/// Draws the editor and the answer below.
pub fn sql(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let height = layout::editor_height(app);
    let above = Rect {
        height: u16::try_from(height).unwrap_or(u16::MAX).min(area.height),
        ..area
    };
    let title = if app.sql.in_editor {
        " SQL over events, requests, findings, credentials: Ctrl-r runs "
    } else {
        " SQL (Tab: back into the editor) "
    };
    let block = Block::bordered().title(title);
    let inner = block.inner(above);
    block.render(above, frame.buffer_mut());
    if app.sql.in_editor {
        super::input::draw(app, &app.sql.editor, frame, inner);
    } else {
        for (y, line) in app.sql.editor.lines().iter().enumerate() {
            put(
                frame,
                line_of(inner, y),
                0,
                &clean::safe(line),
                Style::default(),
            );
        }
    }
    let area = below(area, height);
    if let Some((words, at, _)) = &app.sql.completion {
        let shown: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(place, word)| {
                if place == *at {
                    format!("[{word}]")
                } else {
                    word.clone()
                }
            })
            .collect();
        put(
            frame,
            line_of(area, 0),
            1,
            &shown.join("  "),
            app.theme.look(Look::Bold),
        );
        return;
    }
    if let Some(screen) = &app.sql.answer {
        rows(app, screen, frame, area);
    } else {
        let lines = [
            "SELECT username, COUNT(*) AS n FROM requests GROUP BY username ORDER BY n DESC;",
            "Tab completes names of tables and columns; Ctrl-p brings back earlier queries.",
            "p on a question (7) opens its SQL here; = shows that of any other view.",
        ];
        for (y, line) in lines.iter().enumerate() {
            put(frame, line_of(area, y), 1, line, app.theme.look(Look::Dim));
        }
    }
}

fn rows(app: &App, screen: &AnswerScreen, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    if let Some(error) = &screen.error {
        let lines = clean::wrap(&clean::safe(error), width.max(1), width.max(1));
        for (y, line) in lines.iter().enumerate() {
            put(frame, line_of(area, y), 0, line, app.theme.look(Look::Bad));
        }
        return;
    }
    let Some(answer) = &screen.answer else {
        put(
            frame,
            area,
            0,
            "asking; Esc stops",
            app.theme.look(Look::Dim),
        );
        return;
    };
    if answer.height() == 0 {
        let lines = if screen.question.is_none() {
            // Nobody knows what free SQL would need.
            vec!["no rows".to_owned()]
        } else if !screen.strangers.is_empty() {
            let strangers = screen.strangers.iter();
            strangers
                .map(|stranger| format!("no rows: {}", clean::safe(stranger)))
                .collect()
        } else if screen.lacks.is_empty() {
            vec!["no rows: the log holds what this asks for, and nothing in it answers".to_owned()]
        } else {
            let lacks = screen.lacks.iter();
            lacks
                .map(|lack| format!("no rows, and the log lacks {lack}"))
                .collect()
        };
        let mut y = 0;
        for line in lines {
            for line in clean::wrap(&line, width.max(1), width.max(1)) {
                put(
                    frame,
                    line_of(area, y),
                    0,
                    &line,
                    app.theme.look(Look::Bold),
                );
                y += 1;
            }
        }
        return;
    }
    let names = answer.columns();
    let is_number = answer.is_number();
    let is_time = answer.is_time();
    let time = if width < NARROW {
        app.narrow_time_columns()
    } else {
        app.clock.show(app.now.max(1)).len()
    };
    let columns = screen.measures.iter().zip(names.iter().zip(&is_time));
    let wanted: Vec<(usize, usize)> = columns
        .map(|(measure, (name, is_time))| match measure {
            _ if *is_time => (time, time.max(clean::columns(name))),
            Measure {
                best,
                is_whole: true,
            } => (*best, *best),
            Measure { best, .. } => ((*best).min(NARROWEST), *best),
        })
        .collect();
    let widths = fitted(&wanted, width).into_iter().zip(&screen.measures);
    let columns = names.iter().zip(widths).zip(is_number.iter().zip(&is_time));
    let heads: Vec<Head> = columns
        .map(|((name, (width, measure)), (is_number, is_time))| {
            let mut head = Head::new(name, width).middle();
            if *is_number {
                head = head.right();
            }
            if measure.is_whole || *is_time {
                head = head.whole();
            }
            head
        })
        .collect();
    let show = |cell: &Cell| match cell {
        Cell::Time(time) => match chrono::DateTime::parse_from_rfc3339(time) {
            Ok(time) if width < NARROW => app.narrow_time(time.timestamp_micros()),
            Ok(time) => app.clock.show(time.timestamp_micros()),
            Err(_) => time.clone(),
        },
        cell => cell.show(),
    };
    draw_table(
        app,
        frame,
        area,
        &Table {
            heads: &heads,
            grid: &screen.grid,
            rows: answer.height(),
            has_cells: true,
        },
        |at| {
            Some(Line {
                cells: answer.row(at).iter().map(show).collect(),
                style: Style::default(),
                styles: Vec::new(),
            })
        },
    );
}

/// Returns the value under the cursor.
pub fn value(app: &App) -> String {
    let cell = app.answer().and_then(|screen| {
        let answer = screen.answer.as_ref()?;
        (screen.grid.row < answer.height())
            .then(|| answer.row(screen.grid.row))?
            .get(screen.grid.column)
            .map(Cell::show)
    });
    cell.unwrap_or_default()
}

/// Returns the row under the cursor.
pub fn row_text(app: &App) -> String {
    let row = app.answer().and_then(|screen| {
        let answer = screen.answer.as_ref()?;
        (screen.grid.row < answer.height()).then(|| line(&answer.row(screen.grid.row)))
    });
    row.unwrap_or_default()
}

/// Returns a row as a search looks at it.
pub fn line(row: &[Cell]) -> String {
    let cells: Vec<String> = row.iter().map(Cell::show).collect();
    cells.join("  ")
}
