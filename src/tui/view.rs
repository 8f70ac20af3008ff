//! Views: the state as a screen. They change nothing, and everything of a log passes [`super::text`] or is clean already.

pub mod answer;
pub mod case;
pub mod credentials;
pub mod events;
pub mod facets;
pub mod findings;
pub mod ingest;
mod input;
pub mod json;
pub mod overlay;
pub mod page;
pub mod questions;
pub mod table;
pub mod timeline;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use super::app::{App, Context, Facets, Screen, Tab};
use super::chips::{Chip, Chips};
use super::growth;
use super::keymap::{BINDINGS, Binding, Scope};
use super::pivot::{ListOrder, Listing, Pivot};
use super::text::{Cut, copied, fit, fit_clean};
use super::update::is_of_use;
use crate::finding::words::counted;
use crate::report::clean;
use crate::store::filter::Rows;

/// Draws the state.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let line = |y: u16| Rect::new(area.x, area.y + y, area.width, 1);
    title(app, frame, line(0));
    if area.height > 3 {
        let body = Rect::new(area.x, area.y + 1, area.width, area.height - 3);
        screen(app, frame, body);
    }
    if area.height > 2 {
        status(app, frame, line(area.height - 2));
    }
    if area.height > 1 {
        footer(app, frame, line(area.height - 1));
    }
    overlay::draw(app, frame, area);
    make_room(frame);
    if app.is_ascii {
        to_ascii(frame);
    }
}

fn screen(app: &App, frame: &mut Frame<'_>, area: Rect) {
    match app.screen() {
        Screen::Tab(Tab::Overview) => page::draw(app, &app.overview, frame, area),
        Screen::Tab(Tab::Ingest) => page::draw(app, &app.ingest, frame, area),
        Screen::Tab(Tab::Case) => page::draw(app, &app.case_page, frame, area),
        Screen::Tab(Tab::Findings) => findings::draw(app, frame, area),
        Screen::Tab(Tab::Timeline) => timeline::draw(app, frame, area),
        Screen::Tab(Tab::Events) => events::draw(app, frame, area),
        Screen::Tab(Tab::Facets) => facets::draw(app, &app.facets, frame, area),
        Screen::FindingFacets => facets::draw(app, &app.findings.facets, frame, area),
        Screen::Tab(Tab::Credentials) => credentials::draw(app, frame, area),
        Screen::Tab(Tab::Questions) => questions::draw(app, frame, area),
        Screen::Tab(Tab::Sql) => answer::sql(app, frame, area),
        Screen::Page(screen) => page::screen(app, screen, frame, area),
        Screen::Form(form) => questions::form(app, form, frame, area),
        Screen::Answer(screen) => answer::draw(app, screen, frame, area),
    }
}

/// Writes clean `text` at the left of `area`; returns the columns it took.
pub(super) fn put(frame: &mut Frame<'_>, area: Rect, x: usize, text: &str, style: Style) -> usize {
    let room = usize::from(area.width).saturating_sub(x);
    if room == 0 || area.height == 0 {
        return 0;
    }
    let text = fit_clean(text, room, Cut::End);
    let at = area.x + u16::try_from(x).unwrap_or(u16::MAX);
    frame
        .buffer_mut()
        .set_stringn(at, area.y, &text, room, style);
    clean::columns(&text)
}

/// Returns line `y` of `area`.
pub(super) fn line_of(area: Rect, y: usize) -> Rect {
    let y = u16::try_from(y).unwrap_or(u16::MAX).min(area.height);
    Rect::new(area.x, area.y + y, area.width, u16::from(y < area.height))
}

/// The tabs, or the way back.
fn title(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let bar = app.theme.bar();
    frame.buffer_mut().set_style(area, bar);
    if app.stack.len() > 1 {
        let mut crumbs: Vec<String> = app.stack.iter().map(|screen| crumb(app, screen)).collect();
        // The end of the way tells most.
        while crumbs.len() > 2
            && crumbs
                .iter()
                .map(|crumb| clean::columns(crumb) + 3)
                .sum::<usize>()
                > app.width()
        {
            crumbs.remove(1);
        }
        put(frame, area, 0, &format!(" {}", crumbs.join(" > ")), bar);
        return;
    }
    let is_narrow = app.width() < 96;
    let mut x = 0;
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let is_here = tab == app.tab();
        let key = (at + 1) % 10;
        let text = if is_narrow && !is_here {
            format!(" {key}{}", tab.name().get(..3).unwrap_or_default())
        } else {
            format!(" {key} {} ", tab.name())
        };
        let style = if is_here {
            bar.patch(app.theme.cursor())
        } else {
            bar
        };
        x += put(frame, area, x, &text, style);
    }
}

/// Returns a step of the way back in a few words.
fn crumb(app: &App, screen: &Screen) -> String {
    let text = match screen {
        Screen::Tab(tab) => tab.name().to_owned(),
        Screen::FindingFacets => "facets".to_owned(),
        Screen::Form(form) => form.question.name.clone(),
        Screen::Answer(screen) => match &screen.question {
            Some((name, _)) => format!("answer to {name}"),
            None => screen.title.clone(),
        },
        Screen::Page(screen) => match &screen.pivot {
            Pivot::Finding(id) => match app.results.finding(id) {
                Some(finding) => finding.rule.name.clone(),
                None => "finding".to_owned(),
            },
            Pivot::Incident(_) => "incident".to_owned(),
            Pivot::Identity(name) => name.clone(),
            Pivot::Credential(key) => key.clone(),
            Pivot::Address(address) => address.clone(),
            Pivot::Object(object) => object.to_string(),
            Pivot::Event(row) => format!("event {row}"),
            Pivot::Place(place) => format!("{}:{}", place.file, place.line),
            Pivot::Question(name, _) => name.clone(),
            Pivot::Value(field, value) => format!("{} {value}", field.name()),
            Pivot::All(listing, _) => listing.name().to_owned(),
        },
    };
    fit(&text, 32, Cut::Middle)
}

/// What was said last, or the filters, and how reading goes.
fn status(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let mut right = reading(app);
    let width = usize::from(area.width);
    let mut left = match &app.message {
        Some(message) => fit(message, width, Cut::End),
        None => left_status(app),
    };
    // Growth is told where nothing else has to be.
    if left.is_empty() {
        left = growth::sentence(&app.reading.grown).unwrap_or_default();
    } else if let Some(words) = growth::words(&app.reading.grown) {
        right = format!("{words} {right}");
    }
    let right_columns = clean::columns(&right).min(width);
    let room = width.saturating_sub(right_columns + 1);
    let style = match &app.message {
        Some(_) => app.theme.look(super::document::Look::Bold),
        None => Style::default(),
    };
    put(frame, area, 0, &fit_clean(&left, room, Cut::End), style);
    put(frame, area, width - right_columns, &right, Style::default());
}

fn left_status(app: &App) -> String {
    match app.screen() {
        Screen::Tab(Tab::Events) => {
            let what = what(&app.chips);
            format!(
                "{} {what}{}",
                events::position(app),
                labels(app, &app.chips)
            )
        }
        Screen::Tab(Tab::Timeline | Tab::Facets) => chips(app, &app.chips),
        Screen::Tab(Tab::Findings) => findings::status(app),
        Screen::FindingFacets => findings::how_many(app),
        Screen::Page(screen) => match &screen.pivot {
            Pivot::All(listing, order) => by(listing, *order),
            _ => String::new(),
        },
        Screen::Tab(_) | Screen::Form(_) => String::new(),
        Screen::Answer(_) => String::new(),
    }
}

/// Returns in what order a list is.
pub(super) fn by(listing: &Listing, order: ListOrder) -> String {
    let name = listing.orders().get(order.by).copied().unwrap_or_default();
    let turned = if order.is_reversed { ", reversed" } else { "" };
    format!("by {name}{turned}")
}

/// Returns what rows are.
fn what(chips: &Chips) -> &'static str {
    match chips.rows {
        Rows::Requests => "requests",
        Rows::Events => "events",
    }
}

/// Returns the filters in one line.
fn chips(app: &App, chips: &Chips) -> String {
    let what = what(chips);
    if chips.chips.is_empty() {
        return format!("all {what}");
    }
    format!("{what}{}", labels(app, chips))
}

/// Returns what filters are called, a blank before each.
fn labels(app: &App, chips: &Chips) -> String {
    let (on, off): (Vec<&Chip>, Vec<&Chip>) = chips.chips.iter().partition(|chip| chip.is_on);
    // Those that count come first: there may be no room for the others.
    let shown = on.into_iter().chain(off).map(|chip| {
        let label = fit(&chip.label(app.clock), 40, Cut::Middle);
        if chip.is_on {
            format!(" [{label}]")
        } else {
            format!(" (off: {label})")
        }
    });
    shown.collect()
}

/// How far reading has come, and what it takes.
fn reading(app: &App) -> String {
    let reading = &app.reading;
    let zone = match app.clock {
        super::clock::Clock::Utc => "UTC",
        super::clock::Clock::Local => "local",
    };
    let memory = memory(app);
    let mut problems = match reading.problems.len() {
        0 => String::new(),
        count => format!("{} (0) ", counted(count as u64, "problem")),
    };
    if !app.case.is_saved() {
        problems.insert_str(0, "not saved (9) ");
    }
    let Some(position) = reading.position.filter(|_| !reading.is_done) else {
        let state = if reading.is_done { "" } else { "starting " };
        return format!("{problems}{state}{memory} {zone} ");
    };
    let share = position
        .read_bytes
        .saturating_mul(100)
        .checked_div(position.total_bytes)
        .map_or(String::new(), |percent| format!("{}% ", percent.min(100)));
    let events = position.events;
    format!("{problems}reading {share}{events} events {memory} {zone} ")
}

/// What kept events take.
pub(super) fn memory(app: &App) -> String {
    let usage = app.reading.usage;
    let limit = match usage.limit_bytes {
        0 => String::new(),
        limit => format!("/{}", bytes(limit as u64)),
    };
    let spilled = if usage.spilled_rows > 0 {
        format!(" +{} rows on disk", usage.spilled_rows)
    } else {
        String::new()
    };
    format!("mem {}{limit}{spilled}", bytes(usage.memory_bytes as u64))
}

/// Returns a number of bytes in a word.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} KB", count / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{} GB", count / 1_000_000_000),
    }
}

/// The keys of this view, those that are only its own first.
fn footer(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let bar = app.theme.bar();
    frame.buffer_mut().set_style(area, bar);
    let mut x = 0;
    for (keys, word) in hints(app) {
        let text = format!(" {keys} {word}");
        if x + clean::columns(&text) > usize::from(area.width) {
            break;
        }
        x += put(frame, area, x, &text, bar) + 1;
    }
}

/// Returns keys and words of the footer: of those that do something where the cursor is.
fn hints(app: &App) -> Vec<(String, &'static str)> {
    let context = app.context();
    if context == Context::Editor {
        // The way out stands where it is not cut off.
        let hints: &[(&str, &str)] = match app.screen() {
            Screen::Form(_) => &[("Enter", "ask"), ("Esc", "back"), ("Tab", "next field")],
            _ => &[
                ("Ctrl-r", "run"),
                ("Esc", "leave the editor"),
                ("Tab", "complete"),
                ("Ctrl-p Ctrl-n", "history"),
            ],
        };
        let hints = hints.iter();
        return hints
            .map(|(keys, word)| ((*keys).to_owned(), *word))
            .collect();
    }
    let shown = BINDINGS
        .iter()
        .filter(|binding| binding.is_in(context) && !binding.footer.is_empty())
        .filter(|binding| is_of_use(app, binding.action));
    let (own, all): (Vec<&Binding>, Vec<&Binding>) =
        shown.partition(|binding| binding.scope != Scope::All);
    let help = all.iter().filter(|binding| binding.footer == "help");
    let rest = all.iter().filter(|binding| binding.footer != "help");
    help.chain(own.iter())
        .chain(rest)
        .map(|binding| (binding.keys[0].name(), binding.footer))
        .collect()
}

/// Takes out wide characters whose second half something else was drawn over: they would push the line to the right.
fn make_room(frame: &mut Frame<'_>) {
    let buffer = frame.buffer_mut();
    let width = usize::from(buffer.area.width);
    let has_no_room = |(at, cell): &(usize, &ratatui::buffer::Cell)| {
        let symbol = cell.symbol();
        if symbol.len() == 1 || symbol.width() < 2 {
            return false;
        }
        let mut others = buffer.content[at + 1..].iter().take(symbol.width() - 1);
        at % width + symbol.width() > width || others.any(|cell| cell.symbol() != " ")
    };
    let cells = buffer.content.iter().enumerate();
    let places: Vec<usize> = cells.filter(has_no_room).map(|(at, _)| at).collect();
    for at in places {
        buffer.content[at].set_symbol(" ");
    }
}

/// Replaces what is not ASCII on the whole screen.
fn to_ascii(frame: &mut Frame<'_>) {
    for cell in &mut frame.buffer_mut().content {
        if !cell.symbol().is_ascii() {
            let symbol = match cell.symbol() {
                "│" | "┃" => "|",
                "─" | "━" => "-",
                "┌" | "┐" | "└" | "┘" | "├" | "┤" => "+",
                "█" | "▇" | "▆" | "▅" | "▄" => "#",
                "▃" | "▂" | "▁" => ".",
                "▒" => "%",
                "·" => "|",
                "…" => "~",
                "▾" => "v",
                "▸" => ">",
                "≠" => "!",
                _ => "?",
            };
            cell.set_symbol(symbol);
        }
    }
}

/// Returns the SQL behind what is shown.
pub(super) fn sql_behind(app: &App) -> String {
    match app.screen() {
        Screen::Tab(Tab::Findings) => findings::sql(app),
        Screen::Tab(Tab::Events) => events::sql(app),
        Screen::Tab(Tab::Facets) => facets::sql(app),
        Screen::FindingFacets => facets::sql_of_findings(app),
        Screen::Tab(Tab::Timeline) => timeline::sql(app),
        Screen::Tab(Tab::Credentials) => {
            "SELECT credential, credential_kind, username, first_use, last_use, requests, peers,\n       \
             minted_by, ended_object, ended_at, uses_after_end\nFROM credentials\nORDER BY first_use"
                .to_owned()
        }
        Screen::Tab(Tab::Questions) => {
            let question = app.listed_questions().get(app.question_list.grid.row).copied();
            question.map_or(String::new(), |question| question.sql.clone())
        }
        _ => app.answer().map_or(String::new(), |screen| screen.sql.clone()),
    }
}

/// Returns what may be copied: a key, what it is, the text.
pub(super) fn copies(app: &App) -> Vec<(char, String, String)> {
    let mut copies = Vec::new();
    let mut add = |key: char, what: &str, text: String| {
        if !text.is_empty() {
            copies.push((key, what.to_owned(), copied(&text)));
        }
    };
    let pivot = super::update::pivot_at_cursor(app);
    match app.screen() {
        Screen::Tab(Tab::Events) => {
            add('v', "the value", events::value(app));
            add('r', "the row", events::row_text(app));
        }
        Screen::Tab(Tab::Findings) => {
            add(
                'v',
                "the summary",
                findings::at_cursor(app).map_or(String::new(), |f| f.summary.clone()),
            );
        }
        Screen::Answer(_) | Screen::Tab(Tab::Sql) => {
            add('v', "the value", answer::value(app));
            add('r', "the row", answer::row_text(app));
        }
        Screen::Tab(Tab::Facets) | Screen::FindingFacets => {
            let value = app.shown_facets().and_then(Facets::value);
            add('v', "the value", value.unwrap_or_default().to_owned());
        }
        _ => add('v', "the line", page::line_text(app)),
    }
    if let Some(tree) = app.json().and_then(|json| json.tree.as_ref()) {
        add('j', "the JSON", tree.text().to_owned());
        let row = app.json().map_or(0, |json| json.grid.row);
        add(
            'p',
            "the path in the JSON",
            tree.path(row).unwrap_or_default(),
        );
        add(
            'w',
            "the value in the JSON",
            tree.value_text(row).unwrap_or_default().into_owned(),
        );
    }
    let on = match app.screen() {
        Screen::Page(screen) => Some(&screen.pivot),
        _ => pivot.as_ref(),
    };
    if let Some(id) = on.and_then(|pivot| match pivot {
        Pivot::Finding(id) | Pivot::Incident(id) => Some(id.clone()),
        _ => None,
    }) {
        add('i', "the id", id);
    }
    let commands = [pivot.as_ref(), on].into_iter().flatten().find_map(kubectl);
    add(
        'k',
        "a kubectl command (a suggestion, not run)",
        commands.unwrap_or_default(),
    );
    add('s', "the SQL behind the view", sql_behind(app));
    copies
}

/// Returns the command that would contain what a value stands for.
fn kubectl(pivot: &Pivot) -> Option<String> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let account = |namespace: &str, name: &str| {
        format!(
            "kubectl -n {} delete serviceaccount {}",
            quoted(namespace),
            quoted(name)
        )
    };
    match pivot {
        Pivot::Identity(name) => {
            let (namespace, name) = crate::frame::derived::service_account(name)?;
            Some(account(namespace, name))
        }
        Pivot::Credential(key) => {
            let secret = key.strip_prefix("secret:")?;
            let (namespace, name) = secret.split_once('/')?;
            Some(format!(
                "kubectl -n {} delete secret {}",
                quoted(namespace),
                quoted(name)
            ))
        }
        Pivot::Object(object) if !object.name.is_empty() => {
            let namespace = match &object.namespace[..] {
                "" => String::new(),
                namespace => format!("-n {} ", quoted(namespace)),
            };
            Some(format!(
                "kubectl {namespace}get {} {} -o yaml",
                quoted(&object.resource),
                quoted(&object.name)
            ))
        }
        _ => None,
    }
}

/// Returns the lines that a search looks at where it needs no worker.
pub(super) fn searched_lines(app: &App) -> Vec<String> {
    match app.screen() {
        Screen::Tab(Tab::Findings) => findings::lines(app),
        Screen::Tab(Tab::Credentials) => credentials::lines(app),
        Screen::Tab(Tab::Questions) => {
            let questions = app.listed_questions();
            let lines = questions
                .iter()
                .map(|question| format!("{} {}", question.name, question.title));
            lines.collect()
        }
        Screen::Tab(Tab::Facets) | Screen::FindingFacets => match app.shown_facets() {
            Some(facets) if facets.in_values => {
                let values = facets.facet.iter().flat_map(|facet| &facet.values);
                values.map(|(value, _)| value.clone()).collect()
            }
            _ => app.facet_names().into_iter().map(str::to_owned).collect(),
        },
        _ => page::lines(app),
    }
}
