//! The list of questions, and the form of one.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{line_of, put};
use crate::query::question::GROUPS;
use crate::report::clean;
use crate::tui::app::{App, Form};
use crate::tui::document::Look;
use crate::tui::text::{Cut, fit};

/// Draws the list by groups.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let questions = app.listed_questions();
    if questions.is_empty() {
        put(
            frame,
            area,
            0,
            "no question matches; & and Enter shows all",
            Style::default(),
        );
        return;
    }
    let mut lines: Vec<(Option<usize>, String)> = Vec::new();
    for (group, heading) in GROUPS {
        let of_group = questions
            .iter()
            .enumerate()
            .filter(|(_, question)| question.group == group);
        let mut of_group = of_group.peekable();
        if of_group.peek().is_some() {
            lines.push((None, heading.to_owned()));
        }
        for (at, question) in of_group {
            lines.push((
                Some(at),
                format!("  {:24} {}", question.name, question.title),
            ));
        }
    }
    let here = app.question_list.grid.row;
    let cursor = lines
        .iter()
        .position(|(at, _)| *at == Some(here))
        .unwrap_or(0);
    let height = usize::from(area.height);
    // The heading above the first question is seen, too.
    let top = (cursor + 2)
        .saturating_sub(height)
        .min(lines.len().saturating_sub(height));
    for (y, (at, text)) in lines.iter().skip(top).take(height).enumerate() {
        let style = match at {
            None => app.theme.look(Look::Heading),
            Some(at) if *at == here => app.theme.cursor(),
            Some(_) => Style::default(),
        };
        put(frame, line_of(area, y), 0, text, style);
    }
}

/// Draws the form of a question.
pub fn form(app: &App, form: &Form, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let question = &form.question;
    let mut y = 0;
    let text = |frame: &mut Frame<'_>, y: &mut usize, text: &str, look: Look| {
        for line in clean::wrap(&clean::safe(text), width.max(1), width.max(1)) {
            put(frame, line_of(area, *y), 0, &line, app.theme.look(look));
            *y += 1;
        }
    };
    text(frame, &mut y, &question.title, Look::Heading);
    if !question.read.is_empty() {
        text(frame, &mut y, &question.read, Look::Plain);
    }
    y += 1;
    if form.inputs.is_empty() {
        text(frame, &mut y, "It needs to be told nothing.", Look::Dim);
    }
    for (at, (parameter, input)) in question.parameters.iter().zip(&form.inputs).enumerate() {
        let is_here = at == form.at;
        let label = format!(
            "{} ({})  {}",
            parameter.name,
            parameter.kind.as_str(),
            parameter.meaning
        );
        text(
            frame,
            &mut y,
            &label,
            if is_here { Look::Bold } else { Look::Dim },
        );
        let line = line_of(area, y);
        if line.height > 0 && line.width > 2 {
            let field = Rect {
                x: line.x + 2,
                width: line.width - 2,
                ..line
            };
            if is_here {
                put(frame, line, 0, "> ", app.theme.look(Look::Bold));
                super::input::draw(app, input, frame, field);
            } else {
                put(
                    frame,
                    field,
                    0,
                    &fit(&input.lines().join(" "), width, Cut::End),
                    Style::default(),
                );
            }
        }
        y += 1;
    }
    y += 1;
    if let Some(error) = &form.error {
        text(frame, &mut y, error, Look::Bad);
    } else {
        text(
            frame,
            &mut y,
            "Enter asks; Tab goes to the next field; Esc goes back.",
            Look::Dim,
        );
    }
}
