//! Keys: one table for what they do, the footer, the help page and the user guide.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{Context, Tab};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Up or down by so many lines.
    Move(i32),
    /// Up or down by so many halves of a screen.
    Page(i32),
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// To the column or link at the left or right.
    Side(i32),
    /// To the next or previous pane, or link.
    Pane(i32),
    /// Opens what is under the cursor.
    Open,
    /// One step back.
    Back,
    /// Leaves the view; at the root, the program.
    Leave,
    /// Leaves the program, when asked twice.
    Quit,
    /// Stops the program until the shell continues it.
    Suspend,
    /// Draws everything anew.
    Redraw,
    /// Shows a tab.
    Show(Tab),
    /// Help.
    Help,
    /// The command palette.
    Palette,
    /// Searches.
    Search,
    /// To the next or previous match.
    Match(i32),
    /// Filters by a text.
    FilterText,
    /// Lists the filters.
    Filters,
    /// Takes the last filter away.
    DropFilter,
    /// Filters by the value under the cursor.
    Include,
    /// Filters what has that value out.
    Exclude,
    /// Counts the values of the column.
    Facet,
    /// Sorts by the column, or by the next thing.
    Sort,
    /// Sorts the other way.
    SortReverse,
    /// Requests or events.
    Rows,
    /// Chooses columns.
    Columns,
    /// Shows or hides the JSON of the row.
    Record,
    /// Marks: folds JSON, starts and ends a brush.
    Mark,
    /// Folds or unfolds everything.
    FoldAll,
    /// Zooms in or out.
    Zoom(i32),
    /// To the timeline and back.
    Timeline,
    /// To the next or previous finding in time.
    NextFinding(i32),
    /// To the next or previous bookmark.
    NextBookmark(i32),
    /// Sets or removes a bookmark.
    Bookmark,
    /// Writes a note.
    Note,
    /// Sets the state of a finding.
    State,
    /// Shows the SQL behind the view.
    Sql,
    /// Opens the copy menu.
    Copy,
    /// Writes the view to a file.
    Export,
    /// Runs the query.
    Run,
    /// Edits the query, or the parameters.
    Edit,
    /// Adds to the story of the case.
    Story,
    /// Moves an entry of the story up or down.
    Shift(i32),
    /// Deletes an entry.
    Delete,
    /// Next theme.
    Theme,
    /// UTC or local time.
    Clock,
    /// Mouse on or off.
    Mouse,
}

/// Where a key has its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    All,
    /// In some views.
    In(&'static [Context]),
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// Keys, any of which will do.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// Where.
    pub scope: Scope,
    /// What they do, in words for the help page.
    pub help: &'static str,
    /// The same in a word for the footer; empty is not shown there.
    pub footer: &'static str,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub KeyCode, pub KeyModifiers);

const fn ch(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::NONE)
}

const fn ctrl(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::CONTROL)
}

const fn key(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}

const LISTS: &[Context] = &[
    Context::Findings,
    Context::Timeline,
    Context::Events,
    Context::Facets,
    Context::FindingFacets,
    Context::Credentials,
    Context::Questions,
    Context::Answer,
];
const ROWS: &[Context] = &[Context::Events, Context::Timeline, Context::Facets];
const FILTERED: &[Context] = &[
    Context::Events,
    Context::Timeline,
    Context::Facets,
    Context::Findings,
    Context::FindingFacets,
    Context::Questions,
];
const CHIPS: &[Context] = &[
    Context::Events,
    Context::Timeline,
    Context::Facets,
    Context::Findings,
    Context::FindingFacets,
];
const CHIPS_IN_FOOTER: &[Context] = &[
    Context::Events,
    Context::Timeline,
    Context::Facets,
    Context::FindingFacets,
];
const VALUES: &[Context] = &[
    Context::Events,
    Context::Facets,
    Context::FindingFacets,
    Context::Page,
    Context::List,
];
const EVENTS: &[Context] = &[Context::Events];
const JSON: &[Context] = &[Context::Json];
const TIMELINE: &[Context] = &[Context::Timeline];
const IN_TIME: &[Context] = &[Context::Timeline, Context::Events];
const SORTED: &[Context] = &[
    Context::Findings,
    Context::Events,
    Context::Credentials,
    Context::List,
];
const FINDINGS: &[Context] = &[Context::Findings, Context::Page, Context::List];
const NOTED: &[Context] = &[
    Context::Findings,
    Context::Page,
    Context::List,
    Context::Events,
    Context::Credentials,
    Context::Case,
];
const CASE: &[Context] = &[Context::Case];
const ASKED: &[Context] = &[Context::Questions, Context::Answer];
const EXPORTED: &[Context] = &[
    Context::Events,
    Context::Findings,
    Context::Answer,
    Context::Credentials,
    Context::Case,
];

const FILTERS: &str = "list the filters, to switch them off or drop them";

/// The table, in the order of the help page.
pub const BINDINGS: &[Binding] = &[
    bind(
        &[ch('j'), key(KeyCode::Down)],
        Action::Move(1),
        Scope::All,
        "one line down",
        "",
    ),
    bind(
        &[ch('k'), key(KeyCode::Up)],
        Action::Move(-1),
        Scope::All,
        "one line up",
        "",
    ),
    bind(
        &[ctrl('d'), key(KeyCode::PageDown)],
        Action::Page(1),
        Scope::All,
        "half a screen down",
        "",
    ),
    bind(
        &[ctrl('u'), key(KeyCode::PageUp)],
        Action::Page(-1),
        Scope::All,
        "half a screen up",
        "",
    ),
    bind(
        &[ch('g'), key(KeyCode::Home)],
        Action::Top,
        Scope::All,
        "to the first line",
        "",
    ),
    bind(
        &[ch('G'), key(KeyCode::End)],
        Action::Bottom,
        Scope::All,
        "to the last line",
        "",
    ),
    bind(
        &[ch('h'), key(KeyCode::Left)],
        Action::Side(-1),
        Scope::All,
        "column, link or bucket at the left",
        "",
    ),
    bind(
        &[ch('l'), key(KeyCode::Right)],
        Action::Side(1),
        Scope::All,
        "column, link or bucket at the right",
        "",
    ),
    bind(
        &[key(KeyCode::Tab)],
        Action::Pane(1),
        Scope::All,
        "next pane, or next link",
        "",
    ),
    bind(
        &[key(KeyCode::BackTab)],
        Action::Pane(-1),
        Scope::All,
        "previous pane, or previous link",
        "",
    ),
    bind(
        &[key(KeyCode::Enter)],
        Action::Open,
        Scope::All,
        "open what is under the cursor: a card, a finding, an event",
        "open",
    ),
    bind(
        &[key(KeyCode::Esc)],
        Action::Back,
        Scope::All,
        "one step back; never quits",
        "back",
    ),
    bind(
        &[ch('/')],
        Action::Search,
        Scope::All,
        "search (regular expression)",
        "search",
    ),
    bind(&[ch('n')], Action::Match(1), Scope::All, "next match", ""),
    bind(
        &[ch('N')],
        Action::Match(-1),
        Scope::All,
        "previous match",
        "",
    ),
    bind(
        &[ch('+')],
        Action::Include,
        Scope::In(VALUES),
        "only what has the value under the cursor",
        "only",
    ),
    bind(
        &[ch('-')],
        Action::Exclude,
        Scope::In(VALUES),
        "only what has it not",
        "without",
    ),
    bind(
        &[ch('&')],
        Action::FilterText,
        Scope::In(FILTERED),
        "only what matches a text; ! in front: only the others",
        "filter",
    ),
    bind(
        &[ch('f')],
        Action::Filters,
        Scope::In(CHIPS_IN_FOOTER),
        FILTERS,
        "filters",
    ),
    // The footer has no room for it beside what findings are there for.
    bind(
        &[ch('f')],
        Action::Filters,
        Scope::In(&[Context::Findings]),
        FILTERS,
        "",
    ),
    bind(
        &[key(KeyCode::Backspace)],
        Action::DropFilter,
        Scope::In(CHIPS),
        "drop the last filter",
        "",
    ),
    bind(
        &[ch('F')],
        Action::Facet,
        Scope::In(EVENTS),
        "count the values of this column",
        "facet",
    ),
    bind(
        &[ch('F')],
        Action::Facet,
        Scope::In(&[Context::Findings]),
        "count findings by severity, state, family, rule, user, tactic",
        "facet",
    ),
    bind(
        &[ch('o')],
        Action::Sort,
        Scope::In(SORTED),
        "sort by this column, or by the next criterion",
        "sort",
    ),
    bind(
        &[ch('O')],
        Action::SortReverse,
        Scope::In(SORTED),
        "sort the other way",
        "",
    ),
    bind(
        &[ch('r')],
        Action::Rows,
        Scope::In(ROWS),
        "rows are requests, or events",
        "rows",
    ),
    bind(
        &[ch('C')],
        Action::Columns,
        Scope::In(EVENTS),
        "choose the columns",
        "",
    ),
    bind(
        &[ch('v')],
        Action::Record,
        Scope::In(&[Context::Events, Context::Json]),
        "show or hide the JSON of the row",
        "json",
    ),
    bind(
        &[ch(' ')],
        Action::Mark,
        Scope::In(JSON),
        "fold or unfold",
        "fold",
    ),
    bind(
        &[ch('*')],
        Action::FoldAll,
        Scope::In(JSON),
        "fold or unfold everything",
        "",
    ),
    bind(
        &[ch(' ')],
        Action::Mark,
        Scope::In(TIMELINE),
        "start a stretch of time; again: filter by it",
        "brush",
    ),
    bind(
        &[ch('z')],
        Action::Zoom(1),
        Scope::In(TIMELINE),
        "zoom in",
        "zoom",
    ),
    bind(
        &[ch('Z')],
        Action::Zoom(-1),
        Scope::In(TIMELINE),
        "zoom out",
        "",
    ),
    bind(
        &[ch('i')],
        Action::Timeline,
        Scope::In(IN_TIME),
        "to the timeline, and back to the events of that time",
        "timeline",
    ),
    bind(
        &[ch('e')],
        Action::NextFinding(1),
        Scope::In(IN_TIME),
        "to the next finding in time",
        "",
    ),
    bind(
        &[ch('E')],
        Action::NextFinding(-1),
        Scope::In(IN_TIME),
        "to the previous finding in time",
        "",
    ),
    bind(
        &[ch('m')],
        Action::Bookmark,
        Scope::In(EVENTS),
        "set or remove a bookmark",
        "",
    ),
    bind(
        &[ch('u')],
        Action::NextBookmark(1),
        Scope::In(EVENTS),
        "to the next bookmark",
        "",
    ),
    bind(
        &[ch('U')],
        Action::NextBookmark(-1),
        Scope::In(EVENTS),
        "to the previous bookmark",
        "",
    ),
    bind(
        &[ch('s')],
        Action::State,
        Scope::In(FINDINGS),
        "state of the finding: new, acknowledged, benign, escalated",
        "state",
    ),
    bind(
        &[ch('c')],
        Action::Note,
        Scope::In(NOTED),
        "write a note on it",
        "note",
    ),
    bind(
        &[ch('a')],
        Action::Story,
        Scope::In(NOTED),
        "add it to the story of the case",
        "",
    ),
    bind(
        &[ch('J')],
        Action::Shift(1),
        Scope::In(CASE),
        "move the entry of the story down",
        "",
    ),
    bind(
        &[ch('K')],
        Action::Shift(-1),
        Scope::In(CASE),
        "move it up",
        "",
    ),
    bind(
        &[ch('d')],
        Action::Delete,
        Scope::In(CASE),
        "delete the entry, the note or the bookmark",
        "delete",
    ),
    bind(
        &[ctrl('r')],
        Action::Run,
        Scope::In(&[Context::Editor]),
        "run the query; so does Enter behind a semicolon",
        "run",
    ),
    bind(
        &[ch('p')],
        Action::Edit,
        Scope::In(ASKED),
        "edit the query in SQL",
        "edit",
    ),
    bind(
        &[ch('x')],
        Action::Export,
        Scope::In(EXPORTED),
        "to a file: csv, jsonl, md; findings jsonl; case md, html",
        "export",
    ),
    bind(
        &[ch('y')],
        Action::Copy,
        Scope::All,
        "copy: the value, the row, the JSON, the query, a kubectl command",
        "copy",
    ),
    bind(
        &[ch('=')],
        Action::Sql,
        Scope::In(LISTS),
        "show the SQL behind the view",
        "sql",
    ),
    bind(
        &[ch('1')],
        Action::Show(Tab::Overview),
        Scope::All,
        "overview",
        "",
    ),
    bind(
        &[ch('2')],
        Action::Show(Tab::Findings),
        Scope::All,
        "findings",
        "",
    ),
    bind(
        &[ch('3')],
        Action::Show(Tab::Timeline),
        Scope::All,
        "timeline",
        "",
    ),
    bind(
        &[ch('4')],
        Action::Show(Tab::Events),
        Scope::All,
        "events",
        "",
    ),
    bind(
        &[ch('5')],
        Action::Show(Tab::Facets),
        Scope::All,
        "facets",
        "",
    ),
    bind(
        &[ch('6')],
        Action::Show(Tab::Credentials),
        Scope::All,
        "credentials",
        "",
    ),
    bind(
        &[ch('7')],
        Action::Show(Tab::Questions),
        Scope::All,
        "questions",
        "",
    ),
    bind(
        &[ch('8'), ch(';')],
        Action::Show(Tab::Sql),
        Scope::All,
        "SQL",
        "",
    ),
    bind(&[ch('9')], Action::Show(Tab::Case), Scope::All, "case", ""),
    bind(
        &[ch('0')],
        Action::Show(Tab::Ingest),
        Scope::All,
        "what is read",
        "",
    ),
    bind(
        &[ch(':')],
        Action::Palette,
        Scope::All,
        "command palette",
        "commands",
    ),
    bind(
        &[ch('?'), key(KeyCode::F(1))],
        Action::Help,
        Scope::All,
        "help",
        "help",
    ),
    bind(
        &[ch('t')],
        Action::Clock,
        Scope::All,
        "times in UTC, or local",
        "",
    ),
    bind(
        &[ch('T')],
        Action::Theme,
        Scope::All,
        "next theme: dark, light, high contrast",
        "",
    ),
    bind(
        &[ch('M')],
        Action::Mouse,
        Scope::All,
        "mouse on or off; on, the terminal cannot select text",
        "",
    ),
    bind(
        &[ctrl('l')],
        Action::Redraw,
        Scope::All,
        "draw the screen anew",
        "",
    ),
    bind(&[ctrl('z')], Action::Suspend, Scope::All, "suspend", ""),
    bind(
        &[ch('q')],
        Action::Leave,
        Scope::All,
        "leave the view; at the root, the program",
        "quit",
    ),
    bind(
        &[ctrl('c')],
        Action::Quit,
        Scope::All,
        "twice: leave the program",
        "",
    ),
];

const fn bind(
    keys: &'static [Key],
    action: Action,
    scope: Scope,
    help: &'static str,
    footer: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        scope,
        help,
        footer,
    }
}

impl Binding {
    /// Returns whether it has its meaning in `context`.
    pub fn is_in(&self, context: Context) -> bool {
        match self.scope {
            Scope::All => true,
            Scope::In(contexts) => contexts.contains(&context),
        }
    }

    /// Returns its keys in words.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|key| key.name()).collect();
        names.join(" ")
    }
}

impl Key {
    /// Returns the key in a word.
    pub fn name(self) -> String {
        let name = match self.0 {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::F(number) => format!("F{number}"),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            other => format!("{other:?}"),
        };
        if self.1.contains(KeyModifiers::CONTROL) {
            format!("Ctrl-{name}")
        } else {
            name
        }
    }
}

/// Returns what a key asks for in `context`; what is told for it alone goes before what is told for all.
pub fn action(event: &KeyEvent, context: Context) -> Option<Action> {
    // Shift is in the character already.
    let modifiers = event.modifiers - KeyModifiers::SHIFT;
    let code = event.code;
    let matching = |binding: &&Binding| {
        let Binding { keys, .. } = binding;
        keys.iter().any(|key| key.0 == code && key.1 == modifiers) && binding.is_in(context)
    };
    let mut found = BINDINGS.iter().filter(matching);
    let first = found.next()?;
    let special = std::iter::once(first)
        .chain(found)
        .find(|binding| binding.scope != Scope::All);
    Some(special.unwrap_or(first).action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_one_place() {
        for context in Context::ALL {
            let mut seen: Vec<(Key, Scope)> = Vec::new();
            for binding in BINDINGS.iter().filter(|binding| binding.is_in(context)) {
                for key in binding.keys {
                    let twice = seen.iter().any(|(other, _)| other == key);
                    assert!(!twice, "{} in {context:?}", key.name());
                    seen.push((*key, binding.scope));
                }
            }
        }
    }

    #[test]
    fn keys_that_terminals_keep_are_not_used() {
        for binding in BINDINGS {
            for key in binding.keys {
                assert!(!key.1.contains(KeyModifiers::ALT));
                assert!(
                    !["Ctrl-s", "Ctrl-q", "Ctrl-b", "Ctrl-j"].contains(&&*key.name()),
                    "{}",
                    key.name()
                );
            }
        }
    }
}
