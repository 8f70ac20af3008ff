//! What stands over a screen: menus, prompts, the palette; and editing a line.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::TextArea;

use super::super::grid::Grid;
use super::super::keymap::Action;
use super::super::pivot::{Pivot, Place};
use crate::case::{NoteId, State, StoryId, Subject};

/// What is over the view.
#[derive(Debug)]
pub enum Overlay {
    /// Keys, with the first line on the screen.
    Help(usize),
    /// Commands that match what is typed.
    Palette(Box<Palette>),
    /// A line to type.
    Prompt(Box<Prompt>),
    /// The filters.
    Filters(Grid),
    /// The columns of events.
    Columns(Grid),
    /// A choice.
    Menu(Menu),
    /// A text to read, such as SQL.
    Text(String, String, usize),
}

/// A choice.
#[derive(Debug)]
pub struct Menu {
    /// What is chosen.
    pub title: String,
    /// Key, words, and what comes of it.
    pub items: Vec<(char, String, Choice)>,
    /// The cursor.
    pub grid: Grid,
}

/// What comes of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A text is copied.
    Copy(String),
    /// A finding gets a state.
    State(String, State),
    /// A note or an entry of the story goes.
    Delete(CaseLine),
    /// The program ends.
    Quit,
    /// Nothing.
    Nothing,
}

/// A line to type.
#[derive(Debug)]
pub struct Prompt {
    /// What for.
    pub purpose: Purpose,
    /// What is typed.
    pub input: TextArea<'static>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What a line is typed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// A search.
    Search,
    /// A filter.
    Filter,
    /// A note.
    Note(Subject),
    /// A note that is there.
    EditNote(NoteId),
    /// A text of the story.
    Story,
    /// The name of a file.
    Export,
}

/// Commands that match.
#[derive(Debug)]
pub struct Palette {
    /// What is typed.
    pub input: TextArea<'static>,
    /// Those that match, best first: words and what they do.
    pub entries: Vec<(String, Command)>,
    /// The cursor.
    pub grid: Grid,
}

/// What a command of the palette does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What a key does.
    Key(Action),
    /// A question is asked.
    Question(String),
    /// A page is opened.
    Page(Pivot),
}

/// What a line of the case is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseLine {
    /// A heading or nothing.
    None,
    /// An entry of the story.
    Story(StoryId),
    /// A note.
    Note(NoteId),
    /// A bookmark: its place.
    Bookmark(Place),
}

/// Types a key into an editor; returns whether its text is another one now.
///
/// Ctrl-u clears the line to its beginning, as in a shell, and undoes nothing.
pub fn input(editor: &mut TextArea<'_>, key: KeyEvent) -> bool {
    if key.code == KeyCode::Char('u') && key.modifiers == KeyModifiers::CONTROL {
        return editor.cursor().1 > 0 && editor.delete_line_by_head();
    }
    editor.input(key)
}

/// Returns an editor with `text`, the cursor at its end.
pub fn editor(text: &str) -> TextArea<'static> {
    let mut editor = TextArea::new(text.lines().map(str::to_owned).collect());
    editor.set_cursor_line_style(ratatui::style::Style::default());
    editor.move_cursor(ratatui_textarea::CursorMove::Bottom);
    editor.move_cursor(ratatui_textarea::CursorMove::End);
    editor
}
