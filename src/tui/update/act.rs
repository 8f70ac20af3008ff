//! What keys do.

use super::super::app::{App, Choice, Context, JsonPane, Menu, Overlay, Purpose};
use super::super::grid::Grid;
use super::super::keymap::Action;
use super::super::pivot::Pivot;
use super::super::view;
use super::{Effect, ask, cursor, data, narrow, navigate, notes, overlay, pivots, search};
use crate::case::State;
use crate::store::filter::Rows;

/// Does what a key asks for.
pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Move(by) => cursor::step(app, i64::from(by)),
        Action::Page(by) => {
            let half = i64::try_from(app.body_height() / 2).unwrap_or(1).max(1);
            cursor::step(app, i64::from(by) * half);
        }
        Action::Top => cursor::step(app, i64::MIN),
        Action::Bottom => cursor::step(app, i64::MAX),
        Action::Side(by) => cursor::side(app, by),
        Action::Pane(by) => cursor::pane(app, by),
        Action::Open => navigate::open_at_cursor(app, effects),
        Action::Back => navigate::back(app),
        Action::Leave => navigate::leave(app, effects),
        Action::Show(tab) => navigate::show(app, tab),
        Action::Help => app.overlay = Some(Overlay::Help(0)),
        Action::Palette => overlay::palette(app),
        Action::Search => overlay::prompt(app, Purpose::Search, ""),
        Action::Match(by) => search::to_next_match(app, by),
        Action::FilterText => overlay::prompt(app, Purpose::Filter, ""),
        Action::Filters => app.overlay = Some(Overlay::Filters(Grid::default())),
        Action::DropFilter => {
            if app.shown_chips_mut().chips.pop().is_some() {
                data::filtered(app);
            }
        }
        Action::Include => narrow::filter_by_value(app, false),
        Action::Exclude => narrow::filter_by_value(app, true),
        Action::Facet => narrow::facet(app),
        Action::Sort | Action::SortReverse => narrow::sort(app, action == Action::SortReverse),
        Action::Rows => {
            app.chips.rows = match app.chips.rows {
                Rows::Requests => Rows::Events,
                Rows::Events => Rows::Requests,
            };
            data::stale(app);
        }
        Action::Columns => app.overlay = Some(Overlay::Columns(Grid::default())),
        Action::Record => {
            app.events.json = match app.events.json {
                None => Some(JsonPane::default()),
                Some(_) => None,
            };
        }
        Action::Mark => narrow::mark(app),
        Action::FoldAll => {
            if let Some(tree) = cursor::json_mut(app).and_then(|json| json.tree.as_mut()) {
                let before = tree.visible();
                tree.unfold_all();
                if tree.visible() == before {
                    tree.fold_to(1);
                }
            }
        }
        Action::Zoom(by) => cursor::zoom(app, by),
        Action::Timeline => cursor::timeline(app),
        Action::NextFinding(by) => cursor::to_finding(app, by),
        Action::NextBookmark(by) => notes::to_bookmark(app, by),
        Action::Bookmark => notes::bookmark(app),
        Action::Note => notes::note(app),
        Action::Story => notes::story(app),
        Action::Shift(by) => notes::shift(app, by),
        Action::Delete => notes::ask_delete(app),
        Action::State => state(app),
        Action::Sql => {
            let sql = view::sql_behind(app);
            app.overlay = Some(Overlay::Text("The SQL behind this view".to_owned(), sql, 0));
        }
        Action::Copy => overlay::copy_menu(app),
        Action::Export => ask::ask_for_file(app),
        Action::Run => ask::run(app, effects),
        Action::Edit => ask::edit_in_sql(app),
        Action::Theme => {
            app.theme = app.theme.next();
            app.message = Some(format!("theme: {}", app.theme.name()));
            let name = serde_json::to_string(app.theme.name()).unwrap_or_default();
            notes::keep(app, |case, _| case.set_view("theme", &name));
        }
        Action::Clock => {
            app.clock = app.clock.next();
            let shown = app.clock.show(app.now);
            app.message = Some(format!("now is {shown}"));
            data::refresh(app);
        }
        Action::Mouse => {
            app.has_mouse = !app.has_mouse;
            effects.push(Effect::Mouse(app.has_mouse));
            app.message = Some(if app.has_mouse {
                "mouse on: the terminal cannot select text now".to_owned()
            } else {
                "mouse off".to_owned()
            });
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Quit => {}
    }
}

/// Returns whether a key of a page, or of a whole list, does something where the cursor is.
pub(in super::super) fn is_of_use(app: &App, action: Action) -> bool {
    if !matches!(app.context(), Context::Page | Context::List) {
        return true;
    }
    match action {
        Action::Include | Action::Exclude => {
            pivots::pivot_at_cursor(app).is_some_and(|pivot| pivot.test().is_some())
        }
        Action::State => matches!(pivots::in_hand(app), Some(Pivot::Finding(_))),
        Action::Note => notes::subject(app).is_some(),
        Action::Open => pivots::pivot_at_cursor(app).is_some(),
        _ => true,
    }
}

fn state(app: &mut App) {
    let Some(Pivot::Finding(id)) = pivots::in_hand(app) else {
        app.message = Some("no finding under the cursor".to_owned());
        return;
    };
    let known = app.case.state(&id);
    app.overlay = Some(Overlay::Menu(Menu {
        title: format!("State of the finding (now {known})"),
        items: State::ALL
            .iter()
            .map(|state| {
                let key = state.letter().to_ascii_lowercase();
                (
                    key,
                    state.as_str().to_owned(),
                    Choice::State(id.clone(), *state),
                )
            })
            .collect(),
        grid: Grid::default(),
    }));
}
