//! Keys while something is over the view.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use regex::{Regex, RegexBuilder};

use super::super::app::{
    App, Choice, Command, Context, Menu, Overlay, Palette, Prompt, Purpose, Screen, Tab, editor,
    input as typed,
};
use super::super::chips::{Ask, ignores_case};
use super::super::grid::Grid;
use super::super::keymap::BINDINGS;
use super::super::pivot::Pivot;
use super::super::text::copied;
use super::super::view;
use super::{Effect, act, ask, data, narrow, navigate, notes, search};
use crate::store::Field;

/// Asks for a line of text, which begins as `text`.
pub(super) fn prompt(app: &mut App, purpose: Purpose, text: &str) {
    app.overlay = Some(Overlay::Prompt(Box::new(Prompt {
        purpose,
        input: editor(text),
        error: None,
    })));
}

/// How large a compiled pattern may be.
const PATTERN_BYTES: usize = 1 << 20;

/// Takes in a key.
pub(super) fn key(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(overlay) = app.overlay.take() else {
        return;
    };
    if key.code == KeyCode::Esc {
        return;
    }
    app.overlay = match overlay {
        Overlay::Help(top) => scroll(key, top).map(Overlay::Help),
        Overlay::Text(title, text, top) => {
            if key.code == KeyCode::Char('y') {
                effects.push(Effect::Copy(copied(&text)));
                app.message = Some("copied by OSC 52, if the terminal allows it".to_owned());
            }
            scroll(key, top).map(|top| Overlay::Text(title, text, top))
        }
        Overlay::Palette(palette) => in_palette(app, key, palette, effects),
        Overlay::Prompt(prompt) => in_prompt(app, key, prompt, effects),
        Overlay::Filters(grid) => in_filters(app, key, grid),
        Overlay::Columns(grid) => in_columns(app, key, grid),
        Overlay::Menu(menu) => in_menu(app, key, menu, effects),
    };
}

/// Brings cursors back to where something is.
pub(super) fn settle(app: &mut App) {
    let last_top = view::overlay::last_top(app);
    let chips = app.shown_chips().chips.len();
    let clamp = |grid: &mut Grid, rows: usize| grid.row = grid.row.min(rows.saturating_sub(1));
    match &mut app.overlay {
        Some(Overlay::Help(top) | Overlay::Text(_, _, top)) => *top = (*top).min(last_top),
        Some(Overlay::Palette(palette)) => clamp(&mut palette.grid, palette.entries.len()),
        Some(Overlay::Filters(grid)) => clamp(grid, chips),
        Some(Overlay::Columns(grid)) => clamp(grid, Field::all().count()),
        Some(Overlay::Menu(menu)) => clamp(&mut menu.grid, menu.items.len()),
        Some(Overlay::Prompt(_)) | None => {}
    }
}

/// Returns the first line after a key; any other key closes.
fn scroll(key: KeyEvent, top: usize) -> Option<usize> {
    match key.code {
        KeyCode::Char('j') | KeyCode::Down => Some(top.saturating_add(1)),
        KeyCode::Char('k') | KeyCode::Up => Some(top.saturating_sub(1)),
        KeyCode::Char('d' | ' ') | KeyCode::PageDown => Some(top.saturating_add(10)),
        KeyCode::Char('u') | KeyCode::PageUp => Some(top.saturating_sub(10)),
        KeyCode::Char('g') | KeyCode::Home => Some(0),
        KeyCode::Char('y') => Some(top),
        _ => None,
    }
}

/// Moves in a list; returns whether the key was for that.
fn moves(key: KeyEvent, grid: &mut Grid, rows: usize) -> bool {
    let by = match (key.code, key.modifiers) {
        (KeyCode::Down, _) | (KeyCode::Char('n'), KeyModifiers::CONTROL) => 1,
        (KeyCode::Up, _) | (KeyCode::Char('p'), KeyModifiers::CONTROL) => -1,
        (KeyCode::PageDown, _) => 10,
        (KeyCode::PageUp, _) => -10,
        _ => return false,
    };
    grid.step(by);
    grid.row = grid.row.min(rows.saturating_sub(1));
    true
}

/// As [`moves`], with letters, too.
fn moves_by_letter(key: KeyEvent, grid: &mut Grid, rows: usize) -> bool {
    let code = match key.code {
        KeyCode::Char('j') => KeyCode::Down,
        KeyCode::Char('k') => KeyCode::Up,
        code => code,
    };
    moves(KeyEvent::new(code, KeyModifiers::NONE), grid, rows)
}

/// Opens the palette.
pub(super) fn palette(app: &mut App) {
    let mut palette = Palette {
        input: editor(""),
        entries: Vec::new(),
        grid: Grid::default(),
    };
    rank(app, &mut palette);
    app.overlay = Some(Overlay::Palette(Box::new(palette)));
}

/// Finds the commands that match what is typed.
fn rank(app: &App, palette: &mut Palette) {
    let context = app.context();
    let keys = BINDINGS.iter().filter(|binding| binding.is_in(context));
    let keys = keys.map(|binding| {
        let words = format!("{}  ({})", binding.help, binding.names());
        (words, Command::Key(binding.action))
    });
    let questions = app.questions.all().iter().map(|question| {
        let words = format!("ask: {}  ({})", question.title, question.name);
        (words, Command::Question(question.name.clone()))
    });
    let mut entries: Vec<(String, Command)> = keys.chain(questions).collect();
    let typed = palette.input.lines().join(" ");
    let typed = typed.trim();
    // What is typed may be a thing of the log.
    if let Some(pivot) = named(app, typed) {
        entries.insert(0, (format!("open: {typed}"), Command::Page(pivot)));
        palette.entries = entries;
        return;
    }
    if !typed.is_empty() {
        let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut buffer = Vec::new();
        let mut scored: Vec<(u32, usize)> = entries
            .iter()
            .enumerate()
            .filter_map(|(at, (words, _))| {
                let words = nucleo_matcher::Utf32Str::new(words, &mut buffer);
                Some((pattern.score(words, &mut matcher)?, at))
            })
            .collect();
        scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        entries = scored
            .into_iter()
            .map(|(_, at)| entries[at].clone())
            .collect();
    }
    palette.entries = entries;
}

/// Returns the page of a user, an address, a credential or a finding of exactly that name.
fn named(app: &App, name: &str) -> Option<Pivot> {
    if name.is_empty() {
        return None;
    }
    if app.results.finding(name).is_some() {
        return Some(Pivot::Finding(name.to_owned()));
    }
    let credentials = &app.results.credentials;
    if credentials
        .iter()
        .any(|credential| credential.credential == name)
    {
        return Some(Pivot::Credential(name.to_owned()));
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some(Pivot::Address(name.to_owned()));
    }
    let is_user = credentials
        .iter()
        .any(|credential| credential.username == name)
        || app
            .results
            .findings
            .iter()
            .any(|finding| finding.actor.username.as_deref() == Some(name));
    is_user.then(|| Pivot::Identity(name.to_owned()))
}

fn in_palette(
    app: &mut App,
    key: KeyEvent,
    mut palette: Box<Palette>,
    effects: &mut Vec<Effect>,
) -> Option<Overlay> {
    if key.code == KeyCode::Enter {
        let chosen = palette
            .entries
            .get(palette.grid.row)
            .map(|(_, command)| command.clone());
        match chosen {
            Some(Command::Key(action)) => act::act(app, action, effects),
            Some(Command::Question(name)) => ask::open(app, &name, &[]),
            Some(Command::Page(pivot)) => navigate::open(app, pivot),
            None => return Some(Overlay::Palette(palette)),
        }
        // What was chosen may have opened something over the view.
        return app.overlay.take();
    }
    if !moves(key, &mut palette.grid, palette.entries.len()) && typed(&mut palette.input, key) {
        palette.grid = Grid::default();
        rank(app, &mut palette);
    }
    Some(Overlay::Palette(palette))
}

/// Compiles a pattern that was typed; small letters match large ones, too.
fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .case_insensitive(ignores_case(text))
        .size_limit(PATTERN_BYTES)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
        error => error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned(),
    })
}

fn in_prompt(
    app: &mut App,
    key: KeyEvent,
    mut prompt: Box<Prompt>,
    effects: &mut Vec<Effect>,
) -> Option<Overlay> {
    if key.code != KeyCode::Enter {
        typed(&mut prompt.input, key);
        prompt.error = None;
        return Some(Overlay::Prompt(prompt));
    }
    let text = prompt.input.lines().join("\n");
    let result = match prompt.purpose.clone() {
        Purpose::Search => search(app, &text),
        Purpose::Filter => filter(app, &text),
        Purpose::Note(subject) => notes::add(app, subject, &text),
        Purpose::EditNote(id) => {
            notes::edit(app, id, &text);
            Ok(())
        }
        Purpose::Story => notes::add_text(app, &text),
        Purpose::Export => ask::export(app, text.trim(), effects),
    };
    match result {
        Ok(()) => app.overlay.take(),
        Err(cause) => {
            prompt.error = Some(cause);
            Some(Overlay::Prompt(prompt))
        }
    }
}

fn search(app: &mut App, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    app.search = Some(pattern(text)?);
    search::search(app);
    Ok(())
}

fn filter(app: &mut App, text: &str) -> Result<(), String> {
    let (text, is_negated) = match text.strip_prefix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let typed = if text.is_empty() {
        None
    } else {
        Some(pattern(text)?)
    };
    if matches!(app.screen(), Screen::Tab(Tab::Questions)) {
        if is_negated {
            return Err("! is for events and findings; here, type what is to be shown".to_owned());
        }
        app.question_list.pattern = typed;
    } else if let Some(pattern) = typed {
        app.shown_chips_mut().add(Ask::Text(pattern), is_negated);
        data::filtered(app);
    }
    Ok(())
}

fn in_filters(app: &mut App, key: KeyEvent, mut grid: Grid) -> Option<Overlay> {
    let chips = &mut app.shown_chips_mut().chips;
    let count = chips.len();
    if moves_by_letter(key, &mut grid, count) {
        return Some(Overlay::Filters(grid));
    }
    match key.code {
        KeyCode::Char(' ') => {
            if let Some(chip) = chips.get_mut(grid.row) {
                chip.is_on = !chip.is_on;
            }
        }
        KeyCode::Char('!') => {
            if let Some(chip) = chips.get_mut(grid.row)
                && matches!(chip.ask, Ask::Value(..) | Ask::Aspect(..) | Ask::Text(_))
            {
                chip.is_negated = !chip.is_negated;
            }
        }
        KeyCode::Char('d') | KeyCode::Delete | KeyCode::Backspace => {
            if grid.row < count {
                chips.remove(grid.row);
            }
        }
        KeyCode::Char('D') => chips.clear(),
        _ => return None,
    }
    data::filtered(app);
    Some(Overlay::Filters(grid))
}

fn in_columns(app: &mut App, key: KeyEvent, mut grid: Grid) -> Option<Overlay> {
    let fields: Vec<Field> = Field::all().collect();
    if moves_by_letter(key, &mut grid, fields.len()) {
        return Some(Overlay::Columns(grid));
    }
    match key.code {
        KeyCode::Char(' ') => {
            if let Some(field) = fields.get(grid.row) {
                narrow::toggle_column(app, *field);
            }
            Some(Overlay::Columns(grid))
        }
        _ => None,
    }
}

fn in_menu(
    app: &mut App,
    key: KeyEvent,
    mut menu: Menu,
    effects: &mut Vec<Effect>,
) -> Option<Overlay> {
    let chosen = match key.code {
        KeyCode::Enter => menu.items.get(menu.grid.row),
        KeyCode::Char(c) => menu.items.iter().find(|(key, ..)| *key == c),
        _ => None,
    };
    let Some((_, _, choice)) = chosen else {
        return moves_by_letter(key, &mut menu.grid, menu.items.len())
            .then_some(Overlay::Menu(menu));
    };
    match choice.clone() {
        Choice::Copy(text) => {
            app.message = Some(format!(
                "copied {} characters by OSC 52, if the terminal allows it",
                text.chars().count()
            ));
            effects.push(Effect::Copy(text));
        }
        Choice::State(id, state) => notes::set_state(app, &id, state),
        Choice::Delete(line) => notes::delete(app, line),
        Choice::Quit => effects.push(Effect::Quit),
        Choice::Nothing => {}
    }
    None
}

/// Opens the choice of what to copy.
pub(super) fn copy_menu(app: &mut App) {
    let items = view::copies(app);
    if items.is_empty() {
        app.message = Some("nothing here to copy".to_owned());
        return;
    }
    app.overlay = Some(Overlay::Menu(Menu {
        title: "Copy".to_owned(),
        items: items
            .into_iter()
            .map(|(key, words, text)| (key, words, Choice::Copy(text)))
            .collect(),
        grid: Grid::default(),
    }));
}

/// Takes in a text that was pasted: it is typed where text is, and never runs anything.
pub(super) fn paste(app: &mut App, text: &str) {
    let is_editor = app.overlay.is_none() && app.context() == Context::Editor;
    // What is invisible may not get into a query by way of the clipboard.
    let text: String = text
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .chars()
        .filter(|&c| c == '\n' || !crate::report::clean::is_hidden(c))
        .collect();
    let line = || text.replace('\n', " ");
    match &mut app.overlay {
        Some(Overlay::Prompt(prompt)) => {
            prompt.input.insert_str(line());
        }
        Some(Overlay::Palette(palette)) => {
            palette.input.insert_str(line());
            let Some(Overlay::Palette(mut palette)) = app.overlay.take() else {
                return;
            };
            palette.grid = Grid::default();
            rank(app, &mut palette);
            app.overlay = Some(Overlay::Palette(palette));
        }
        Some(_) => {}
        None if is_editor => ask::paste(app, &text),
        None => app.message = Some("pasted text goes into a prompt or the SQL editor".to_owned()),
    }
}
