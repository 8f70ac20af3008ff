//! Looking for a text on the screen.

use super::super::app::{App, Context, Tab};
use super::super::grid::Direction;
use super::super::view;
use super::cursor::{grid_mut, json_mut};
use super::navigate::turn_to;

/// Searches for the pattern that was typed.
pub(super) fn search(app: &mut App) {
    if matches!(app.context(), Context::Events | Context::Timeline) {
        app.events.forget_matches();
        app.events.searches = true;
        app.message = Some("searching".to_owned());
        if app.context() == Context::Timeline {
            turn_to(app, Tab::Events);
        }
    } else {
        to_next_match(app, 1);
    }
}

pub(super) fn to_next_match(app: &mut App, by: i32) {
    let Some(pattern) = app.search.clone() else {
        app.message = Some("nothing was searched yet: / does".to_owned());
        return;
    };
    if app.context() == Context::Events {
        return match app.events.matches {
            Some(_) => to_match(app, by, false),
            None => search(app),
        };
    }
    if app.context() == Context::Timeline {
        return search(app);
    }
    let direction = if by > 0 {
        Direction::Forward
    } else {
        Direction::Backward
    };
    if app.context() == Context::Json {
        let found = json_mut(app).and_then(|json| {
            let from = json.grid.row;
            json.tree.as_mut()?.find(&pattern, from, direction)
        });
        match (found, json_mut(app)) {
            (Some(row), Some(json)) => json.grid.row = row,
            _ => app.message = Some(format!("no match of /{pattern}/")),
        }
        return;
    }
    if let Some(screen) = app.answer_mut() {
        if screen.answer.is_some() {
            screen.seeks = Some(direction);
            app.message = Some("searching".to_owned());
        }
        return;
    }
    let lines = view::searched_lines(app);
    let Some(grid) = grid_mut(app) else { return };
    let mut order = direction.round(grid.row, lines.len());
    match order.find(|&row| pattern.is_match(&lines[row])) {
        Some(row) => grid.row = row,
        None => say_no_match(app),
    }
}

/// Says that the pattern that was searched for is nowhere.
pub(super) fn say_no_match(app: &mut App) {
    let pattern = app.search.as_ref().map_or("", |pattern| pattern.as_str());
    let pattern = crate::report::clean::safe(pattern);
    app.message = Some(format!("no match of /{pattern}/"));
}

/// To the next match among the rows; `is_first` also takes the one under the cursor.
pub(super) fn to_match(app: &mut App, by: i32, is_first: bool) {
    let events = &mut app.events;
    let here = u32::try_from(events.grid.row).unwrap_or(u32::MAX);
    let Some(matches) = &events.matches else {
        return;
    };
    if matches.is_empty() {
        app.message = Some("no match among these rows".to_owned());
        return;
    }
    let at = if by > 0 {
        let at = matches.partition_point(|&place| {
            if is_first {
                place < here
            } else {
                place <= here
            }
        });
        at % matches.len()
    } else {
        let before = matches.partition_point(|&place| place < here);
        before.checked_sub(1).unwrap_or(matches.len() - 1)
    };
    events.grid.row = matches[at] as usize;
    app.message = Some(format!("match {} of {}", at + 1, matches.len()));
}
