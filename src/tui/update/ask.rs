//! Questions and SQL: forms, the editor, answers, and files that rows go to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, TextArea};

use super::super::app::{
    AnswerScreen, App, Context, Form, Overlay, Purpose, Screen, Tab, editor, input as typed,
};
use super::super::grid::Grid;
use super::super::view;
use super::super::work::{Task, Ticket};
use super::super::worker::free;
use super::overlay::prompt;
use super::{Effect, navigate, notes};
use crate::query::{TABLES, Tables};

/// How many completions are offered.
const COMPLETIONS: usize = 8;

/// Opens a question: its form if it must be told something or can be, else its answer.
pub(super) fn open(app: &mut App, name: &str, given: &[(String, String)]) {
    let question = match app.questions.find(name) {
        Ok(question) => question.clone(),
        Err(error) => {
            app.message = Some(error.to_string());
            return;
        }
    };
    let inputs = question.parameters.iter().map(|parameter| {
        let given = given.iter().find(|(name, _)| *name == parameter.name);
        let value = given.map(|(_, value)| value).or(parameter.default.as_ref());
        editor(value.map_or("", String::as_str))
    });
    let form = Form {
        inputs: inputs.collect(),
        question,
        at: 0,
        error: None,
    };
    app.stack.push(Screen::Form(Box::new(form)));
}

/// Takes in a key where a text is edited: the SQL editor or a form.
pub(super) fn edit(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    if matches!(app.screen(), Screen::Form(_)) {
        in_form(app, key, effects);
    } else {
        in_editor(app, key, effects);
    }
}

fn in_form(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(Screen::Form(form)) = app.stack.last_mut() else {
        return;
    };
    let last = form.inputs.len().saturating_sub(1);
    form.error = None;
    match key.code {
        KeyCode::Esc => {
            app.stack.pop();
        }
        KeyCode::Tab | KeyCode::Down => form.at = if form.at >= last { 0 } else { form.at + 1 },
        KeyCode::BackTab | KeyCode::Up => form.at = form.at.checked_sub(1).unwrap_or(last),
        KeyCode::Enter => ask_form(app, effects),
        KeyCode::Char('r') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            ask_form(app, effects);
        }
        _ => {
            if let Some(input) = form.inputs.get_mut(form.at) {
                typed(input, key);
            }
        }
    }
}

/// Asks the question of a form, if what was typed will do.
fn ask_form(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(Screen::Form(form)) = app.stack.last_mut() else {
        return;
    };
    let parameters = form.question.parameters.iter().zip(&form.inputs);
    // What must be told and is empty is told to be missing, and not asked as the empty text.
    let given: Vec<(String, String)> = parameters
        .map(|(parameter, input)| (parameter, input.lines().join(" ")))
        .filter(|(parameter, value)| !(value.is_empty() && parameter.default.is_none()))
        .map(|(parameter, value)| (parameter.name.clone(), value))
        .collect();
    if let Err(error) = form.question.bind(&given, (0, 0)) {
        form.error = Some(error.to_string());
        return;
    }
    let question = form.question.clone();
    app.stack.pop();
    let mut screen = AnswerScreen {
        title: question.title.clone(),
        read: question.read.clone(),
        question: Some((question.name.clone(), given.clone())),
        sql: question.sql.clone(),
        ..empty()
    };
    let (ticket, job) = app.tickets.issue(Task::Question(Box::new(question), given));
    screen.ticket = ticket;
    effects.push(Effect::Work(job));
    notes::journal(app, &format!("asked: {}", screen.title));
    app.stack.push(Screen::Answer(Box::new(screen)));
}

fn empty() -> AnswerScreen {
    AnswerScreen {
        title: String::new(),
        read: String::new(),
        question: None,
        sql: String::new(),
        answer: None,
        measures: Vec::new(),
        lacks: Vec::new(),
        strangers: Vec::new(),
        grid: Grid::default(),
        ticket: Ticket::default(),
        seeks: None,
        seek_ticket: Ticket::default(),
        error: None,
    }
}

fn in_editor(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let sql = &mut app.sql;
    match key.code {
        KeyCode::Esc if sql.completion.take().is_some() => {}
        KeyCode::Esc => {
            // Out of the editor first, so that keys have their meaning again.
            sql.in_editor = false;
            if sql.answer.is_none() {
                app.message = Some("Tab leads back into the editor".to_owned());
            }
        }
        KeyCode::Char('r') if is_control => run(app, effects),
        KeyCode::Char('p') if is_control => history(app, 1),
        KeyCode::Char('n') if is_control => history(app, -1),
        KeyCode::Enter if sql.editor.lines().join("\n").trim_end().ends_with(';') => {
            run(app, effects);
        }
        KeyCode::Tab => complete(app),
        KeyCode::BackTab => sql.in_editor = false,
        _ => {
            sql.completion = None;
            typed(&mut sql.editor, key);
        }
    }
}

/// Types a text that was pasted.
pub(super) fn paste(app: &mut App, text: &str) {
    match app.stack.last_mut() {
        Some(Screen::Form(form)) => {
            if let Some(input) = form.inputs.get_mut(form.at) {
                input.insert_str(text.replace('\n', " "));
            }
        }
        _ => {
            app.sql.editor.insert_str(text);
        }
    }
}

/// Runs what is in the editor.
pub(super) fn run(app: &mut App, effects: &mut Vec<Effect>) {
    let text = app.sql.editor.lines().join("\n");
    let text = text.trim().trim_end_matches(';').trim().to_owned();
    if text.is_empty() {
        app.message = Some("nothing to run".to_owned());
        return;
    }
    app.sql.completion = None;
    app.sql.history = 0;
    let at = crate::finding::Timestamp(app.now);
    notes::keep(app, |case, _| case.add_query(&text, at));
    let (ticket, job) = app.tickets.issue(Task::Sql(text.clone()));
    app.sql.answer = Some(AnswerScreen {
        title: "SQL".to_owned(),
        sql: text,
        ticket,
        ..empty()
    });
    app.sql.in_editor = false;
    effects.push(Effect::Work(job));
}

/// Shows an older or newer query.
fn history(app: &mut App, by: i32) {
    let queries: Vec<String> = app.case.queries().map(|query| query.sql.clone()).collect();
    let sql = &mut app.sql;
    if sql.history == 0 {
        sql.draft = sql.editor.lines().join("\n");
    }
    sql.history = sql
        .history
        .saturating_add_signed(by as isize)
        .min(queries.len());
    let text = match sql.history {
        0 => &sql.draft,
        at => &queries[at - 1],
    };
    sql.editor = editor(text);
}

/// Completes the word at the cursor; again, with the next of the words that fit.
fn complete(app: &mut App) {
    let sql = &mut app.sql;
    if let Some((words, at, length)) = sql.completion.take() {
        let next = (at + 1) % words.len();
        replace(&mut sql.editor, length, &words[next]);
        let length = words[next].chars().count();
        sql.completion = Some((words, next, length));
        return;
    }
    let cursor = sql.editor.cursor();
    let line = sql
        .editor
        .lines()
        .get(cursor.0)
        .cloned()
        .unwrap_or_default();
    let before: String = line.chars().take(cursor.1).collect();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let word: String = before.chars().rev().take_while(is_word).collect();
    let word: String = word.chars().rev().collect();
    if word.is_empty() {
        sql.in_editor = false;
        return;
    }
    let lower = word.to_lowercase();
    let columns = TABLES.iter().flat_map(|(table, _)| {
        let columns = Tables::columns(table).into_iter().map(|column| column.name);
        std::iter::once(*table).chain(columns)
    });
    let mut words: Vec<String> = columns
        .chain(KEYWORDS)
        .filter(|known| known.to_lowercase().starts_with(&lower) && *known != word)
        .map(str::to_owned)
        .collect();
    words.sort();
    words.dedup();
    words.truncate(COMPLETIONS);
    let Some(first) = words.first().cloned() else {
        return;
    };
    replace(&mut sql.editor, word.chars().count(), &first);
    sql.completion = Some((words, 0, first.chars().count()));
}

/// Replaces so many characters before the cursor.
fn replace(editor: &mut TextArea<'_>, length: usize, word: &str) {
    for _ in 0..length {
        editor.delete_char();
    }
    editor.insert_str(word);
}

const KEYWORDS: [&str; 22] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "COUNT(*)",
    "DISTINCT",
    "JOIN",
    "LEFT JOIN",
    "UNION ALL",
    "BETWEEN",
    "LIKE",
    "IS NULL",
    "IS NOT NULL",
    "COALESCE(",
    "SUM(",
    "MIN(",
    "MAX(",
    "CASE WHEN",
    "WITH",
];

/// Takes the SQL of a question or an answer into the editor.
pub(super) fn edit_in_sql(app: &mut App) {
    let text = match app.screen() {
        Screen::Answer(screen) => screen.sql.clone(),
        Screen::Tab(Tab::Questions) => {
            let question = app
                .listed_questions()
                .get(app.question_list.grid.row)
                .copied();
            question.map_or(String::new(), |question| question.sql.clone())
        }
        _ => {
            app.sql.in_editor = true;
            return;
        }
    };
    app.sql.editor = editor(&text);
    app.sql.editor.move_cursor(CursorMove::Bottom);
    app.sql.in_editor = true;
    navigate::lead_to(app, Tab::Sql);
}

/// Asks for the name of the file that what is shown is to be written to.
pub(super) fn ask_for_file(app: &mut App) {
    let name = match app.context() {
        Context::Case => "kubescry-case.md",
        Context::Findings => "kubescry-findings.jsonl",
        Context::Answer => "kubescry-answer.csv",
        Context::Credentials => "kubescry-credentials.csv",
        _ => "kubescry-events.csv",
    };
    let is_written = |path: &Path| app.written.iter().any(|written| written == path);
    let name = Path::new(name);
    let name = if is_written(name) {
        free(name, is_written)
    } else {
        name.to_owned()
    };
    prompt(app, Purpose::Export, &name.to_string_lossy());
}

/// Asks for the name once more, after it could not be written: with one that is free, or with the cause.
pub(super) fn export_again(app: &mut App, free: Result<PathBuf, String>) {
    let Some((context, name)) = app.exporting.take() else {
        return;
    };
    let (name, error) = match free {
        Ok(free) => (
            free.to_string_lossy().into_owned(),
            format!("{name} exists, and stays; Enter takes this name"),
        ),
        Err(cause) => (name, cause),
    };
    // Whoever does something else by now is told, and not interrupted.
    if app.overlay.is_some() || app.context() != context {
        app.message = Some(error);
        return;
    }
    app.message = None;
    prompt(app, Purpose::Export, &name);
    if let Some(Overlay::Prompt(prompt)) = &mut app.overlay {
        prompt.error = Some(error);
    }
}

/// Writes what is shown to a file.
pub(super) fn export(app: &mut App, name: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name of a file is needed".to_owned());
    }
    let path = PathBuf::from(name);
    let end = path
        .extension()
        .and_then(|end| end.to_str())
        .unwrap_or_default();
    let task = match app.screen() {
        Screen::Tab(Tab::Case) => match end {
            "md" | "html" => Task::ExportText(path.clone(), view::case::report(app, end == "html")),
            _ => return Err("a case is written as .md or .html".to_owned()),
        },
        Screen::Tab(Tab::Findings) => {
            if end != "jsonl" {
                return Err(
                    "findings are written as .jsonl; 9 has reports as .md and .html".to_owned(),
                );
            }
            Task::ExportText(path.clone(), view::findings::json_lines(app))
        }
        Screen::Answer(_) | Screen::Tab(Tab::Sql) => {
            let answer = app.answer().and_then(|screen| screen.answer.clone());
            let answer = answer.ok_or("there is no answer yet")?;
            if !matches!(end, "csv" | "jsonl" | "md") {
                return Err("rows are written as .csv, .jsonl or .md".to_owned());
            }
            Task::ExportAnswer(path.clone(), answer)
        }
        Screen::Tab(Tab::Credentials) => {
            if !matches!(end, "csv" | "jsonl" | "md") {
                return Err("rows are written as .csv, .jsonl or .md".to_owned());
            }
            Task::ExportSql(path.clone(), view::sql_behind(app))
        }
        _ => {
            if !matches!(end, "csv" | "jsonl" | "md") {
                return Err("rows are written as .csv, .jsonl or .md".to_owned());
            }
            Task::ExportRows {
                path: path.clone(),
                rows: Arc::clone(&app.events.rows),
                fields: app.events.fields.clone(),
            }
        }
    };
    let (ticket, job) = app.tickets.issue(task);
    app.export_ticket = ticket;
    app.exporting = Some((app.context(), name.to_owned()));
    app.message = Some(format!("writing {}", path.display()));
    effects.push(Effect::Work(job));
    Ok(())
}
