//! What keys do.

use super::super::app::{
    AnswerScreen, App, Choice, Context, FindingOrder, JsonPane, Menu, Overlay, Page, PageScreen,
    Prompt, Purpose, RowsBefore, Screen, Tab, editor, facet_fields,
};
use super::super::aspect::Aspect;
use super::super::cells::Cells;
use super::super::chips::Ask;
use super::super::grid::{Direction, Grid};
use super::super::keymap::Action;
use super::super::pivot::{ListOrder, Object, Pivot};
use super::super::view;
use super::super::work::{Task, Ticket};
use super::{Effect, ask, data, notes, overlay};
use crate::case::State;
use crate::frame::Column;
use crate::store::filter::Rows;
use crate::store::sort::Order;
use crate::store::{Field, Kind};

/// Does what a key asks for.
pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Move(by) => step(app, i64::from(by)),
        Action::Page(by) => {
            let half = i64::try_from(app.body_height() / 2).unwrap_or(1).max(1);
            step(app, i64::from(by) * half);
        }
        Action::Top => step(app, i64::MIN),
        Action::Bottom => step(app, i64::MAX),
        Action::Side(by) => side(app, by),
        Action::Pane(by) => pane(app, by),
        Action::Open => open_at_cursor(app, effects),
        Action::Back => back(app),
        Action::Leave => leave(app, effects),
        Action::Show(tab) => show(app, tab),
        Action::Help => app.overlay = Some(Overlay::Help(0)),
        Action::Palette => overlay::palette(app),
        Action::Search => prompt(app, Purpose::Search, ""),
        Action::Match(by) => to_next_match(app, by),
        Action::FilterText => prompt(app, Purpose::Filter, ""),
        Action::Filters => app.overlay = Some(Overlay::Filters(Grid::default())),
        Action::DropFilter => {
            if app.shown_chips_mut().chips.pop().is_some() {
                data::filtered(app);
            }
        }
        Action::Include => filter_by_value(app, false),
        Action::Exclude => filter_by_value(app, true),
        Action::Facet => facet(app),
        Action::Sort | Action::SortReverse => sort(app, action == Action::SortReverse),
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
        Action::Mark => mark(app),
        Action::FoldAll => {
            if let Some(tree) = json_mut(app).and_then(|json| json.tree.as_mut()) {
                let before = tree.visible();
                tree.unfold_all();
                if tree.visible() == before {
                    tree.fold_to(1);
                }
            }
        }
        Action::Zoom(by) => zoom(app, by),
        Action::Timeline => timeline(app),
        Action::NextFinding(by) => to_finding(app, by),
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
        Action::Export => {
            let name = match app.context() {
                Context::Case => "kubescry-case.md",
                Context::Findings => "kubescry-findings.jsonl",
                Context::Answer => "kubescry-answer.csv",
                _ => "kubescry-events.csv",
            };
            prompt(app, Purpose::Export, name);
        }
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

/// Returns the grid that up and down move in.
fn grid_mut(app: &mut App) -> Option<&mut Grid> {
    if json_mut(app).is_some_and(|json| json.has_focus) {
        return json_mut(app).map(|json| &mut json.grid);
    }
    if app.shown_facets().is_some() {
        return app.shown_facets_mut().map(|facets| {
            if facets.in_values {
                &mut facets.values
            } else {
                &mut facets.fields
            }
        });
    }
    Some(match app.stack.last_mut()? {
        Screen::Tab(Tab::Overview) => &mut app.overview.grid,
        Screen::Tab(Tab::Ingest) => &mut app.ingest.grid,
        Screen::Tab(Tab::Case) => &mut app.case_page.grid,
        Screen::Tab(Tab::Findings) => &mut app.findings.grid,
        Screen::Tab(Tab::Events) => &mut app.events.grid,
        Screen::Tab(Tab::Credentials) => &mut app.credentials,
        Screen::Tab(Tab::Questions) => &mut app.question_list.grid,
        Screen::Tab(Tab::Sql) => &mut app.sql.answer.as_mut()?.grid,
        Screen::Tab(Tab::Timeline | Tab::Facets) | Screen::FindingFacets | Screen::Form(_) => {
            return None;
        }
        Screen::Page(screen) => &mut screen.page.grid,
        Screen::Answer(screen) => &mut screen.grid,
    })
}

fn json_mut(app: &mut App) -> Option<&mut JsonPane> {
    match app.stack.last_mut()? {
        Screen::Tab(Tab::Events) => app.events.json.as_mut(),
        Screen::Page(screen) => screen.json.as_mut(),
        _ => None,
    }
}

fn step(app: &mut App, by: i64) {
    if let Some(grid) = grid_mut(app) {
        grid.step(by);
    } else if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        // Up and down go by ten, to the ends of the log at most.
        side(
            app,
            i32::try_from(by.clamp(-1000, 1000))
                .unwrap_or_default()
                .saturating_mul(10),
        );
    }
}

fn side(app: &mut App, by: i32) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let cursor = &mut app.timeline.cursor;
        *cursor = cursor.saturating_add_signed(by as isize);
    } else if let Some(facets) = app.shown_facets_mut() {
        facets.in_values = by > 0;
    } else if let Some(grid) = grid_mut(app) {
        grid.side(by);
    }
}

fn pane(app: &mut App, by: i32) {
    if let Some(facets) = app.shown_facets_mut() {
        facets.in_values = !facets.in_values;
        return;
    }
    match app.screen() {
        Screen::Tab(Tab::Sql) => app.sql.in_editor = !app.sql.in_editor,
        _ => {
            if let Some(json) = json_mut(app) {
                json.has_focus = !json.has_focus;
            } else {
                to_link(app, by);
            }
        }
    }
}

/// Moves the cursor of a page to the next link.
fn to_link(app: &mut App, by: i32) {
    let Some(page) = app.page() else {
        return side(app, by);
    };
    let Some(document) = &page.document else {
        return;
    };
    let links: Vec<(usize, usize)> = document
        .lines
        .iter()
        .enumerate()
        .flat_map(|(row, line)| {
            let count = line.parts.iter().filter(|part| part.link.is_some()).count();
            (0..count).map(move |column| (row, column))
        })
        .collect();
    let here = (page.grid.row, page.grid.column);
    let next = if by > 0 {
        let has_link = links.contains(&here);
        links.into_iter().find(|place| {
            if has_link {
                *place > here
            } else {
                *place >= here
            }
        })
    } else {
        links.into_iter().rev().find(|place| *place < here)
    };
    if let (Some((row, column)), Some(grid)) = (next, grid_mut(app)) {
        grid.row = row;
        grid.column = column;
    }
}

/// One step back, which never ends the program.
fn back(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) && app.timeline.brush.take().is_some() {
        return;
    }
    let is_asking = |screen: &AnswerScreen| screen.answer.is_none() && screen.error.is_none();
    if matches!(app.screen(), Screen::Tab(Tab::Sql))
        && app.sql.answer.as_ref().is_some_and(is_asking)
    {
        // Its ticket goes with it, and stops the query.
        app.sql.answer = None;
        app.message = Some("stopped".to_owned());
        return;
    }
    if let Some(facets) = app.shown_facets_mut().filter(|facets| facets.in_values) {
        facets.in_values = false;
    } else if app.events.json.is_some() && matches!(app.screen(), Screen::Tab(Tab::Events)) {
        app.events.json = None;
    } else if app.stack.len() > 1 {
        if let Some(Screen::Tab(_)) = app.stack.pop() {
            restore_rows(app);
        }
    } else if app.tab() != Tab::Overview {
        show(app, Tab::Overview);
    }
}

fn leave(app: &mut App, effects: &mut Vec<Effect>) {
    if app.stack.len() > 1 || app.tab() != Tab::Overview {
        return back(app);
    }
    let unsaved = !app.case.is_saved();
    let written = app.case_folder.is_none() && notes::has_any(app);
    if !unsaved && !written {
        return effects.push(Effect::Quit);
    }
    let why = if unsaved {
        "Notes could not be saved. Leave all the same?"
    } else {
        "There is no case folder (--case): notes, states and bookmarks go. Leave?"
    };
    app.overlay = Some(Overlay::Menu(Menu {
        title: why.to_owned(),
        items: vec![
            (
                'n',
                "stay (x in the case writes it to a file)".to_owned(),
                Choice::Nothing,
            ),
            ('y', "leave".to_owned(), Choice::Quit),
        ],
        grid: Grid::default(),
    }));
}

/// Shows a tab; there is no way back from it.
fn show(app: &mut App, tab: Tab) {
    app.stack = vec![Screen::Tab(tab)];
    app.rows_before.clear();
}

/// Shows a tab in the place of the one that is shown; what led there is still on the way back.
fn turn_to(app: &mut App, tab: Tab) {
    match app.stack.last_mut() {
        Some(screen @ Screen::Tab(_)) => *screen = Screen::Tab(tab),
        _ => show(app, tab),
    }
}

/// Shows a tab that leads back to what is shown, and to the rows and filters of now.
pub(super) fn lead_to(app: &mut App, tab: Tab) {
    let App { events, chips, .. } = &*app;
    let shown = events
        .grid
        .visible(events.rows.len(), usize::from(app.size.1));
    let before = RowsBefore {
        chips: chips.clone(),
        order: events.order,
        grid: Grid {
            row: events.grid.row.saturating_sub(shown.start),
            top: 0,
            ..events.grid
        },
        rows: events.rows[shown].into(),
        has_json: events.json.is_some(),
    };
    app.rows_before.push(before);
    app.stack.push(Screen::Tab(tab));
}

/// Brings back the rows and filters that stood before the last tab was led to.
fn restore_rows(app: &mut App) {
    let Some(before) = app.rows_before.pop() else {
        return;
    };
    let events = &mut app.events;
    events.order = before.order;
    events.rows = before.rows;
    events.grid = before.grid;
    events.seek = None;
    events.cells = Cells::default();
    events.json = before.has_json.then(JsonPane::default);
    app.chips = before.chips;
    data::stale(app);
}

/// Opens a page on something.
pub(in super::super) fn open(app: &mut App, pivot: Pivot) {
    match pivot {
        Pivot::Question(name, given) => ask::open(app, &name, &given),
        Pivot::Value(field, value) => {
            let subject = subject(app);
            lead_to(app, Tab::Events);
            if let Some((field, subject)) = subject {
                // Numbers of the page are of all its requests: what else is filtered by waits in the list of filters.
                app.chips.rows = Rows::Requests;
                for chip in &mut app.chips.chips {
                    chip.is_on = false;
                }
                app.chips.add(Ask::Value(field, subject), false);
            }
            app.chips.add(Ask::Value(field, value), false);
            data::stale(app);
        }
        pivot => {
            let has_json = matches!(pivot, Pivot::Event(_) | Pivot::Place(_));
            app.stack.push(Screen::Page(Box::new(PageScreen {
                json: has_json.then(|| JsonPane {
                    has_focus: matches!(pivot, Pivot::Place(_)),
                    ..JsonPane::default()
                }),
                pivot,
                page: Page::default(),
            })));
        }
    }
}

/// Returns the field and the value of the one whom the page is on: a user, a credential or an address.
fn subject(app: &App) -> Option<(Field, String)> {
    match app.screen() {
        Screen::Page(screen) => match &screen.pivot {
            pivot @ (Pivot::Identity(_) | Pivot::Credential(_) | Pivot::Address(_)) => pivot.test(),
            _ => None,
        },
        _ => None,
    }
}

fn open_at_cursor(app: &mut App, effects: &mut Vec<Effect>) {
    match app.context() {
        Context::Json => mark(app),
        Context::Questions => {
            let question = app
                .listed_questions()
                .get(app.question_list.grid.row)
                .map(|q| q.name.clone());
            if let Some(name) = question {
                ask::open(app, &name, &[]);
            }
        }
        Context::Timeline => timeline(app),
        Context::Facets | Context::FindingFacets => match app.shown_facets_mut() {
            Some(facets) if !facets.in_values => facets.in_values = true,
            _ => filter_by_value(app, false),
        },
        _ => {
            let Some(pivot) = pivot_at_cursor(app) else {
                return;
            };
            if let Pivot::Place(place) = &pivot {
                // The row of the place says more than its JSON, if there is one.
                let (ticket, job) = app.tickets.issue(Task::Locate(place.clone()));
                app.locate_ticket = ticket;
                effects.push(Effect::Work(job));
            } else {
                open(app, pivot);
            }
        }
    }
}

/// Returns what the value under the cursor stands for.
pub(in super::super) fn pivot_at_cursor(app: &App) -> Option<Pivot> {
    match app.screen() {
        Screen::Tab(Tab::Findings) => {
            let finding = app.findings.shown.get(app.findings.grid.row)?;
            let id = &app.results.findings.get(*finding)?.finding_id;
            Some(Pivot::Finding(id.clone()))
        }
        Screen::Tab(Tab::Events) => event_pivot(app),
        Screen::Tab(Tab::Credentials) => {
            let row = app.credential_rows.get(app.credentials.row)?;
            Some(view::credentials::pivot(row, app.credentials.column))
        }
        Screen::Tab(Tab::Facets) => {
            let field = *facet_fields().get(app.facets.fields.row)?;
            Some(pivot_of(field, app.facets.value()?, None))
        }
        Screen::FindingFacets => {
            let value = app
                .findings
                .facets
                .value()
                .filter(|value| !value.is_empty())?;
            match Aspect::ALL.get(app.findings.facets.fields.row)? {
                Aspect::Username => Some(Pivot::Identity(value.to_owned())),
                Aspect::Credential => Some(Pivot::Credential(value.to_owned())),
                Aspect::PeerIps => Some(Pivot::Address(value.to_owned())),
                _ => None,
            }
        }
        Screen::Tab(Tab::Sql) | Screen::Answer(_) => answer_pivot(app.answer()?),
        Screen::Tab(_) | Screen::Page(_) => {
            let page = app.page()?;
            let line = page.document.as_ref()?.lines.get(page.grid.row)?;
            let mut links = line.parts.iter().filter_map(|part| part.link.as_ref());
            links.nth(page.grid.column).cloned()
        }
        Screen::Form(_) => None,
    }
}

/// Returns what a page is on; elsewhere, and in a whole list, what the value under the cursor stands for.
pub(super) fn in_hand(app: &App) -> Option<Pivot> {
    match app.screen() {
        Screen::Page(screen) if !matches!(screen.pivot, Pivot::All(..)) => {
            Some(screen.pivot.clone())
        }
        _ => pivot_at_cursor(app),
    }
}

fn event_pivot(app: &App) -> Option<Pivot> {
    let events = &app.events;
    let row = *events.rows.get(events.grid.row)?;
    let here = Some(Pivot::Event(row));
    let Some(cells) = events.row_at_cursor() else {
        return here;
    };
    let column = events.grid.column;
    let (Some(field), Some(value)) = (events.fields.get(column), cells.shown.get(column)) else {
        return here;
    };
    match pivot_of(*field, value, Some(cells.object())) {
        Pivot::Value(..) => here,
        pivot => Some(pivot),
    }
}

/// Returns what a value of a field stands for; of a name, the object that it belongs to.
pub(in super::super) fn pivot_of(field: Field, value: &str, object: Option<Object>) -> Pivot {
    let text = value.to_owned();
    match (field, object) {
        _ if value.is_empty() => Pivot::Value(field, text),
        (Field::Column(Column::Username | Column::ImpUsername | Column::Actor), _) => {
            Pivot::Identity(text)
        }
        (
            Field::Column(Column::Credential | Column::CredentialId | Column::IssuedCredentialId),
            _,
        ) => Pivot::Credential(text),
        (Field::Column(Column::PeerIp | Column::ClientIp), _) => Pivot::Address(text),
        (Field::Column(Column::Name), Some(object)) => Pivot::Object(object),
        _ => Pivot::Value(field, text),
    }
}

/// Returns what a cell of an answer stands for, by the name of its column.
fn answer_pivot(screen: &AnswerScreen) -> Option<Pivot> {
    let answer = screen.answer.as_ref()?;
    if screen.grid.row >= answer.height() {
        return None;
    }
    let row = answer.row(screen.grid.row);
    let columns = answer.columns();
    let name = *columns.get(screen.grid.column)?;
    let value = row.get(screen.grid.column)?.show();
    let cell = |wanted: &str| {
        let at = columns.iter().position(|column| *column == wanted)?;
        Some(row.get(at)?.show()).filter(|text| !text.is_empty())
    };
    if value.is_empty() {
        return None;
    }
    Some(match name {
        "finding_id" => Pivot::Finding(value),
        "incident_id" => Pivot::Incident(value),
        "minted_by" | "ended_by" | "real_user" | "acted_as" => Pivot::Identity(value),
        "minted_with" => Pivot::Credential(value),
        "ip" => Pivot::Address(value),
        _ => {
            let field = Field::by_name(name)?;
            let object = cell("name")
                .zip(cell("resource"))
                .map(|(name, resource)| Object {
                    name,
                    resource,
                    namespace: cell("namespace").unwrap_or_default(),
                });
            pivot_of(field, &value, object)
        }
    })
}

/// Filters findings by the value under the cursor.
fn filter_findings(app: &mut App, is_negated: bool) {
    let facets = &app.findings.facets;
    let aspect = Aspect::ALL.get(facets.fields.row).copied();
    let Some((aspect, value)) = aspect.zip(facets.value().map(str::to_owned)) else {
        app.message = Some("no value under the cursor to filter by".to_owned());
        return;
    };
    let chips = &mut app.findings.chips;
    chips.add(Ask::Aspect(aspect, value), is_negated);
    data::filtered(app);
}

/// Filters rows, or findings, by the value under the cursor.
fn filter_by_value(app: &mut App, is_negated: bool) {
    if matches!(app.screen(), Screen::FindingFacets) {
        return filter_findings(app, is_negated);
    }
    let test = match app.screen() {
        Screen::Tab(Tab::Events) => view::events::cell(app),
        Screen::Tab(Tab::Facets) => {
            let field = facet_fields().get(app.facets.fields.row).copied();
            field.zip(app.facets.value().map(str::to_owned))
        }
        _ => pivot_at_cursor(app).and_then(|pivot| pivot.test()),
    };
    let Some((field, value)) = test else {
        app.message = Some("no value under the cursor to filter by".to_owned());
        return;
    };
    if field.kind() == Kind::Time || field.kind() == Kind::Float {
        app.message =
            Some("filter by time with a stretch of the timeline (3, then Space)".to_owned());
        return;
    }
    let values = match field.kind() {
        // A list is filtered by one of its elements.
        Kind::List if value.starts_with('[') => crate::frame::vocabulary::parse_list(&value)
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .take(1)
            .collect(),
        _ => vec![value],
    };
    let subject = subject(app);
    if !matches!(app.screen(), Screen::Tab(Tab::Events | Tab::Facets)) {
        lead_to(app, Tab::Events);
    }
    if let Some((field, subject)) = subject {
        app.chips.add(Ask::Value(field, subject), false);
    }
    for value in values {
        app.chips.add(Ask::Value(field, value), is_negated);
    }
    data::stale(app);
}

fn facet(app: &mut App) {
    if app.is_on_findings() {
        app.stack.push(Screen::FindingFacets);
        return;
    }
    let field = app.events.fields.get(app.events.grid.column);
    let at = facet_fields().iter().position(|known| Some(known) == field);
    if let Some(at) = at {
        app.facets.fields.row = at;
        app.facets.in_values = true;
        turn_to(app, Tab::Facets);
    } else {
        app.message = Some("this column has no facet: nearly every value is its own".to_owned());
    }
}

fn sort(app: &mut App, is_reversed: bool) {
    match app.screen() {
        Screen::Tab(Tab::Findings) => {
            if is_reversed {
                app.findings.is_reversed = !app.findings.is_reversed;
            } else {
                let at = FindingOrder::ALL
                    .iter()
                    .position(|order| *order == app.findings.order);
                let next = at.map_or(0, |at| at + 1) % FindingOrder::ALL.len();
                app.findings.order = FindingOrder::ALL[next];
                app.findings.is_reversed = false;
            }
            view::findings::sort(app);
            app.message = Some(format!("sorted by {}", app.findings.order.name()));
        }
        Screen::Tab(Tab::Credentials) => {
            app.credential_order = Some((app.credentials.column, is_reversed));
            view::credentials::sort(&mut app.credential_rows, app.credential_order);
        }
        Screen::Page(_) => sort_list(app, is_reversed),
        _ => {
            let Some(&field) = app.events.fields.get(app.events.grid.column) else {
                return;
            };
            app.events.order = Order {
                field,
                is_descending: is_reversed,
            };
            // A place in time is one in the order of time.
            app.events.seek = None;
            app.message = Some(format!(
                "sorted by {}{}",
                field.name(),
                if is_reversed { ", largest first" } else { "" }
            ));
            data::stale(app);
        }
    }
}

/// Sorts a list that a page shows the beginning of, by the next thing or the other way.
fn sort_list(app: &mut App, is_reversed: bool) {
    let Some(Screen::Page(screen)) = app.stack.last_mut() else {
        return;
    };
    let Pivot::All(listing, order) = &mut screen.pivot else {
        return;
    };
    *order = if is_reversed {
        ListOrder {
            is_reversed: !order.is_reversed,
            ..*order
        }
    } else {
        ListOrder {
            by: (order.by + 1) % listing.orders().len(),
            is_reversed: false,
        }
    };
    app.message = Some(format!("sorted {}", view::by(listing, *order)));
    // The page is made anew.
    screen.page.ticket = Ticket::default();
}

/// Folds JSON, or marks the start and the end of a stretch of time.
fn mark(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let timeline = &mut app.timeline;
        let Some(histogram) = &timeline.histogram else {
            return;
        };
        let Some(start) = timeline.brush.take() else {
            timeline.brush = Some(timeline.cursor);
            app.message =
                Some("move to the end of the stretch, then Space; Esc drops it".to_owned());
            return;
        };
        let (from, to) = (start.min(timeline.cursor), start.max(timeline.cursor) + 1);
        let time = |bucket: usize| {
            let bucket = i64::try_from(bucket).unwrap_or(i64::MAX);
            histogram
                .from
                .saturating_add(histogram.bucket_us.saturating_mul(bucket))
        };
        let (from, to) = (time(from), time(to));
        timeline.span = Some((from, to));
        timeline.seek = Some(from);
        app.chips
            .chips
            .retain(|chip| !matches!(chip.ask, Ask::Time(..)));
        app.chips.add(Ask::Time(from, to), false);
        data::stale(app);
    } else if let Some(json) = json_mut(app)
        && let Some(tree) = &mut json.tree
    {
        tree.toggle(json.grid.row);
    }
}

fn zoom(app: &mut App, by: i32) {
    let timeline = &mut app.timeline;
    let Some(histogram) = &timeline.histogram else {
        return;
    };
    let (from, to) = (histogram.from, histogram.to());
    let at = from + histogram.bucket_us * i64::try_from(timeline.cursor).unwrap_or(0);
    let length = to.saturating_sub(from).max(1);
    if by > 0 {
        // A quarter of the time around the cursor, which stays where it is in it.
        let length = (length / 4).max(i64::try_from(histogram.buckets.len()).unwrap_or(1));
        let from = (at - length / 2).max(from).min(to.saturating_sub(length));
        timeline.span = Some((from, from + length));
    } else if timeline.span.take().is_some() {
        let whole = app
            .results
            .summary
            .totals
            .first
            .zip(app.results.summary.totals.last);
        let wide = (at.saturating_sub(length * 2), at.saturating_add(length * 2));
        let is_part = whole.is_some_and(|(first, last)| wide.0 > first.0 || wide.1 < last.0);
        timeline.span = is_part.then_some(wide);
    }
    timeline.seek = Some(at);
    timeline.ticket = Ticket::default();
}

/// To the timeline and back, at the same time.
fn timeline(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        if let Some(time) = app.timeline.time() {
            app.events.seek = Some(time);
            app.events.order = Order::default();
            app.events.ticket = Ticket::default();
        }
        turn_to(app, Tab::Events);
        return;
    }
    if let Some(time) = time_at_cursor(app) {
        let timeline = &mut app.timeline;
        let histogram = timeline.histogram.as_ref();
        if let Some(bucket) = histogram.and_then(|histogram| histogram.bucket_of(time)) {
            timeline.cursor = bucket;
        } else {
            timeline.span = None;
            timeline.seek = Some(time);
            timeline.ticket = Ticket::default();
        }
    }
    turn_to(app, Tab::Timeline);
}

/// Returns when the row under the cursor was, once that is known.
pub(super) fn time_at_cursor(app: &App) -> Option<i64> {
    app.events.row_at_cursor()?.time()
}

/// To the next finding in time.
fn to_finding(app: &mut App, by: i32) {
    let here = match app.screen() {
        Screen::Tab(Tab::Timeline) => app.timeline.time(),
        _ => time_at_cursor(app),
    };
    let Some(here) = here else { return };
    let width = match (app.screen(), &app.timeline.histogram) {
        (Screen::Tab(Tab::Timeline), Some(histogram)) => histogram.bucket_us,
        _ => 1,
    };
    let findings = app.results.findings.iter();
    let times = findings
        .filter(|finding| finding.is_step())
        .map(|finding| (finding.first_seen.0, &finding.summary));
    let next = if by > 0 {
        times
            .filter(|(time, _)| *time >= here.saturating_add(width))
            .min_by_key(|(time, _)| *time)
    } else {
        times
            .filter(|(time, _)| *time < here)
            .max_by_key(|(time, _)| *time)
    };
    let Some((time, summary)) = next else {
        app.message = Some("no further finding in that direction".to_owned());
        return;
    };
    app.message = Some(crate::report::clean::safe(summary).into_owned());
    if matches!(app.screen(), Screen::Tab(Tab::Timeline)) {
        let bucket = app
            .timeline
            .histogram
            .as_ref()
            .and_then(|histogram| histogram.bucket_of(time));
        match bucket {
            Some(bucket) => app.timeline.cursor = bucket,
            None => app.message = Some("the next finding is outside; Z shows more".to_owned()),
        }
    } else {
        app.events.order = Order::default();
        app.events.seek = Some(time);
        app.events.ticket = Ticket::default();
    }
}

fn state(app: &mut App) {
    let Some(Pivot::Finding(id)) = in_hand(app) else {
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

pub(super) fn prompt(app: &mut App, purpose: Purpose, text: &str) {
    app.overlay = Some(Overlay::Prompt(Box::new(Prompt {
        purpose,
        input: editor(text),
        error: None,
    })));
}

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

fn to_next_match(app: &mut App, by: i32) {
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

/// Changes which columns events are shown with.
pub(super) fn toggle_column(app: &mut App, field: Field) {
    let fields = &mut app.events.fields;
    match fields.iter().position(|known| *known == field) {
        Some(at) if fields.len() > 1 => {
            fields.remove(at);
        }
        Some(_) => {}
        None => fields.push(field),
    }
    app.events.cells = Cells::default();
}
