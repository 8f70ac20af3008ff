//! What the investigator adds: states, notes, bookmarks, the story.

use super::super::app::{App, CaseLine, Choice, Menu, Overlay, Prompt, Purpose, Screen, Tab};
use super::super::cells::{LABEL, label};
use super::super::grid::Grid;
use super::super::pivot::{Pivot, Place};
use super::super::work::Ticket;
use super::data::place_at_cursor;
use super::overlay::prompt;
use super::pivots::in_hand;
use crate::case::{
    Bookmark, BookmarkId, Case, CaseError, Direction, NoteId, State, StoryEntry, Subject, Toggled,
};
use crate::finding::Timestamp;
use crate::store::sort::Order;

/// Changes the case; says so if that could not be saved. The change is there nonetheless.
pub(super) fn keep<T>(
    app: &mut App,
    change: impl FnOnce(&mut Case, Timestamp) -> Result<T, CaseError>,
) -> Option<T> {
    let now = Timestamp(app.now);
    app.case_lines.clear();
    match change(&mut app.case, now) {
        Ok(value) => Some(value),
        Err(error) => {
            app.message = Some(format!("not saved: {error}"));
            None
        }
    }
}

/// Notes what was done.
pub(super) fn journal(app: &mut App, text: &str) {
    keep(app, |case, now| case.log(now, text));
}

/// Returns whether the investigator added anything.
pub(super) fn has_any(app: &App) -> bool {
    app.case.notes().next().is_some()
        || app.case.states().next().is_some()
        || !app.case.bookmarks().is_empty()
        || !app.case.story().is_empty()
}

/// Sets the state of a finding.
pub(super) fn set_state(app: &mut App, id: &str, state: State) {
    keep(app, |case, now| {
        case.together(|case| {
            case.set_state(id, state, now)?;
            case.log(now, format!("finding {id}: {state}"))
        })
    });
    app.message = Some(format!("the finding is {state} now"));
    super::super::view::findings::sort(app);
}

/// Returns what a note on a page, or on what leads to one, is about.
pub(in super::super) fn of_pivot(pivot: &Pivot) -> Option<Subject> {
    Some(match pivot {
        Pivot::Finding(id) => Subject::Finding(id.clone()),
        Pivot::Credential(key) => Subject::Credential(key.clone()),
        Pivot::Identity(name) => Subject::Identity(name.clone()),
        Pivot::Address(address) => Subject::Address(address.clone()),
        Pivot::Object(object) => Subject::Object(object.to_string()),
        Pivot::Place(place) => Subject::Event {
            file: place.file.clone(),
            offset: place.offset,
        },
        _ => return None,
    })
}

/// Returns what a note would be about.
pub(super) fn subject(app: &App) -> Option<Subject> {
    match app.screen() {
        Screen::Tab(Tab::Case) => Some(Subject::Case),
        Screen::Tab(Tab::Events) => {
            let place = place_at_cursor(app)?;
            of_pivot(&Pivot::Place(place))
        }
        Screen::Tab(_) | Screen::Page(_) => of_pivot(&in_hand(app)?),
        _ => None,
    }
}

/// Opens the prompt for a note.
pub(super) fn note(app: &mut App) {
    if let Some(CaseLine::Note(id)) = case_line(app)
        && let Some(note) = app.case.note(id)
    {
        let text = note.text.clone();
        return prompt(app, Purpose::EditNote(id), &text);
    }
    match subject(app) {
        Some(subject) => prompt(app, Purpose::Note(subject), ""),
        None => app.message = Some("nothing here to write a note on".to_owned()),
    }
}

/// Adds a note.
pub(super) fn add(app: &mut App, subject: Subject, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the note is empty".to_owned());
    }
    keep(app, |case, now| case.add_note(subject, text, now));
    app.label_ticket = Ticket::default();
    app.message = Some("noted".to_owned());
    Ok(())
}

/// Changes a note; an empty text deletes it.
pub(super) fn edit(app: &mut App, id: NoteId, text: &str) {
    if text.trim().is_empty() {
        keep(app, |case, _| case.delete_note(id));
    } else {
        keep(app, |case, now| case.edit_note(id, text, now));
    }
}

/// Adds a text of its own to the story.
pub(super) fn add_text(app: &mut App, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the text is empty".to_owned());
    }
    keep(app, |case, now| {
        case.add_to_story(StoryEntry::Text(text.to_owned()), now)
    });
    Ok(())
}

/// Returns the event under the cursor as a bookmark.
fn bookmark_here(app: &App) -> Option<Bookmark> {
    let cells = app.events.row_at_cursor()?;
    let place = cells.place()?;
    Some(Bookmark {
        id: BookmarkId(0),
        file: place.file,
        line: place.line,
        offset: place.offset,
        length: place.length,
        ts: Timestamp(cells.time().unwrap_or(0)),
        label: label(LABEL.map(|column| cells.get(column))),
    })
}

/// Sets or removes the bookmark of the event under the cursor; one that is in the story goes only when that is
/// confirmed, since its place there would be gone, too.
pub(super) fn bookmark(app: &mut App) {
    let Some(bookmark) = bookmark_here(app) else {
        return;
    };
    let place = place(&bookmark);
    if is_in_story(app, &place) {
        return confirm(app, CaseLine::Bookmark(place));
    }
    toggle(app, bookmark);
}

/// Returns whether the bookmark of that place is in the story.
fn is_in_story(app: &App, place: &Place) -> bool {
    let bookmark = app.case.bookmark_at(&place.file, place.offset);
    bookmark.is_some_and(|bookmark| {
        let entry = StoryEntry::Bookmark(bookmark.id);
        app.case.story().iter().any(|item| item.entry == entry)
    })
}

fn toggle(app: &mut App, bookmark: Bookmark) {
    let toggled = keep(app, |case, _| case.toggle_bookmark(bookmark));
    if let Some(toggled) = toggled {
        app.message = Some(match toggled {
            Toggled::Set(_) => "bookmark set".to_owned(),
            Toggled::Removed { from_story: true } => {
                "bookmark removed, also from the story".to_owned()
            }
            Toggled::Removed { from_story: false } => "bookmark removed".to_owned(),
        });
    }
}

/// To the next bookmark in time.
pub(super) fn to_bookmark(app: &mut App, by: i32) {
    let here = place_at_cursor(app);
    let time = super::cursor::time_at_cursor(app);
    let bookmarks = app.case.bookmarks();
    if bookmarks.is_empty() {
        app.message = Some("there are no bookmarks: m sets one".to_owned());
        return;
    }
    let at = here.and_then(|here| {
        let mut places = bookmarks.iter();
        places.position(|known| known.file == here.file && known.offset == here.offset)
    });
    let count = bookmarks.len();
    let next = match (at, by > 0) {
        (Some(at), true) => (at + 1) % count,
        (Some(at), false) => (at + count - 1) % count,
        // Filters may hide the row of a bookmark: what follows in time is next, not the same one again.
        (None, true) => bookmarks
            .iter()
            .position(|known| time.is_some_and(|time| known.ts.0 > time))
            .unwrap_or(0),
        (None, false) => bookmarks
            .iter()
            .rposition(|known| time.is_some_and(|time| known.ts.0 < time))
            .unwrap_or(count - 1),
    };
    let time = bookmarks[next].ts.0;
    app.message = Some(format!(
        "bookmark {} of {count}: {}",
        next + 1,
        crate::report::clean::safe(&bookmarks[next].label)
    ));
    app.events.order = Order::default();
    app.events.seek = Some(time);
    app.events.ticket = Ticket::default();
}

/// Adds what is under the cursor to the story.
pub(super) fn story(app: &mut App) {
    if matches!(app.screen(), Screen::Tab(Tab::Case)) {
        let entry = match case_line(app) {
            Some(CaseLine::Note(id)) => Some(StoryEntry::Note(id)),
            Some(CaseLine::Bookmark(place)) => {
                let known = app.case.bookmark_at(&place.file, place.offset);
                known.map(|bookmark| StoryEntry::Bookmark(bookmark.id))
            }
            _ => None,
        };
        match entry {
            Some(entry) => {
                keep(app, |case, now| case.add_to_story(entry, now));
            }
            None => prompt(app, Purpose::Story, ""),
        }
        return;
    }
    if let Some(Pivot::Finding(id)) = in_hand(app) {
        keep(app, |case, now| {
            case.add_to_story(StoryEntry::Finding(id), now)
        });
        app.message = Some("the finding is in the story (9)".to_owned());
        return;
    }
    if let Some(Pivot::Incident(id)) = in_hand(app)
        && let Some(incident) = app.results.incident(&id)
    {
        // The case knows findings by id, and no incidents: what this one is called and when it was is kept as a text.
        let (first, last) = (incident.first_seen, incident.last_seen);
        let text = format!("{} ({first} to {last})", incident.title);
        keep(app, |case, now| {
            case.add_to_story(StoryEntry::Text(text), now)
        });
        app.message = Some("the incident is in the story (9)".to_owned());
        return;
    }
    let Some(bookmark) =
        bookmark_here(app).filter(|_| matches!(app.screen(), Screen::Tab(Tab::Events)))
    else {
        app.message = Some(
            "findings, incidents and events can be in the story, and notes and bookmarks from 9"
                .to_owned(),
        );
        return;
    };
    let known = app
        .case
        .bookmark_at(&bookmark.file, bookmark.offset)
        .map(|known| known.id);
    keep(app, |case, now| {
        case.together(|case| {
            let id = match known {
                Some(id) => id,
                None => match case.toggle_bookmark(bookmark)? {
                    Toggled::Set(id) => id,
                    Toggled::Removed { .. } => return Ok(None),
                },
            };
            case.add_to_story(StoryEntry::Bookmark(id), now)
        })
    });
    app.message = Some("the event is in the story (9)".to_owned());
}

fn case_line(app: &App) -> Option<CaseLine> {
    if !matches!(app.screen(), Screen::Tab(Tab::Case)) {
        return None;
    }
    app.case_lines.get(app.case_page.grid.row).cloned()
}

/// Moves an entry of the story.
pub(super) fn shift(app: &mut App, by: i32) {
    let Some(CaseLine::Story(id)) = case_line(app) else {
        app.message = Some("no entry of the story under the cursor".to_owned());
        return;
    };
    let direction = if by > 0 {
        Direction::Down
    } else {
        Direction::Up
    };
    if keep(app, |case, _| case.move_in_story(id, direction)) == Some(true) {
        app.case_page.grid.step(i64::from(by));
    }
}

/// Deletes what is under the cursor when that is confirmed.
pub(super) fn ask_delete(app: &mut App) {
    if let Some(line) = case_line(app) {
        confirm(app, line);
    }
}

/// Asks whether a line of the case is to go.
fn confirm(app: &mut App, line: CaseLine) {
    let title = match &line {
        CaseLine::Note(_) => "Delete the note?",
        CaseLine::Story(_) => "Take it out of the story?",
        CaseLine::Bookmark(place) if is_in_story(app, place) => {
            "Delete the bookmark, and take it out of the story?"
        }
        CaseLine::Bookmark(_) => "Delete the bookmark?",
        CaseLine::None => return delete(app, line),
    };
    let items = [
        ('n', "keep it", Choice::Nothing),
        ('y', "delete", Choice::Delete(line)),
    ];
    app.overlay = Some(Overlay::Menu(Menu {
        title: title.to_owned(),
        items: items
            .map(|(key, words, choice)| (key, words.to_owned(), choice))
            .into(),
        grid: Grid::default(),
    }));
}

/// Deletes what a line of the case is.
pub(super) fn delete(app: &mut App, line: CaseLine) {
    match line {
        CaseLine::Story(id) => {
            let is_text = app
                .case
                .story()
                .iter()
                .any(|item| item.id == id && matches!(item.entry, StoryEntry::Text(_)));
            keep(app, |case, _| case.remove_from_story(id));
            app.message = Some(if is_text {
                "out of the story".to_owned()
            } else {
                "out of the story; it is still there".to_owned()
            });
        }
        CaseLine::Note(id) => {
            keep(app, |case, _| case.delete_note(id));
            app.message = Some("note deleted".to_owned());
        }
        CaseLine::Bookmark(place) => {
            if let Some(bookmark) = app.case.bookmark_at(&place.file, place.offset).cloned() {
                toggle(app, bookmark);
            }
        }
        CaseLine::None => app.message = Some("nothing to delete under the cursor".to_owned()),
    }
}

/// Returns where a bookmark stands.
pub(in super::super) fn place(bookmark: &Bookmark) -> Place {
    Place {
        file: bookmark.file.clone(),
        line: bookmark.line,
        offset: bookmark.offset,
        length: bookmark.length,
        audit_id: String::new(),
    }
}

/// Says what a prompt is for.
pub(in super::super) fn purpose(prompt: &Prompt) -> &'static str {
    match prompt.purpose {
        Purpose::Search => "Search (regular expression)",
        Purpose::Filter => "Only what matches (! in front: only the others)",
        Purpose::Note(_) => "Note",
        Purpose::EditNote(_) => "Note (empty deletes it)",
        Purpose::Story => "Text for the story",
        Purpose::Export => "Write to the file",
    }
}
