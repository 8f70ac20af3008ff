//! What happened, as the investigator tells it: an ordered list of entries.

use rusqlite::{Connection, Transaction, params};

use super::{BookmarkId, Case, CaseError, Contents, NoteId, Part, row_id, rows, unknown};
use crate::finding::Timestamp;

/// What an entry of the story shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoryEntry {
    /// A finding, by id; the case does not know which findings there are.
    Finding(String),
    /// A bookmarked event.
    Bookmark(BookmarkId),
    /// A note.
    Note(NoteId),
    /// A text of its own.
    Text(String),
}

/// The number of an entry of the story; stays when the entry moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoryId(pub i64);

/// An entry of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryItem {
    /// Its number.
    pub id: StoryId,
    /// What it shows.
    pub entry: StoryEntry,
    /// When it was added.
    pub added: Timestamp,
}

/// Where an entry moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the beginning.
    Up,
    /// Towards the end.
    Down,
}

impl Case {
    /// Returns the story in its order.
    pub fn story(&self) -> &[StoryItem] {
        &self.contents.story
    }

    /// Adds an entry at the end and returns its number.
    ///
    /// What is in the story already stays where it is, but for texts, which may repeat. `None` if the
    /// case has no such bookmark or note.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn add_to_story(
        &mut self,
        entry: StoryEntry,
        at: Timestamp,
    ) -> Result<Option<StoryId>, CaseError> {
        if !self.contents.has(&entry) {
            return Ok(None);
        }
        let story = &mut self.contents.story;
        let is_text = matches!(entry, StoryEntry::Text(_));
        if let Some(same) = story.iter().find(|item| !is_text && item.entry == entry) {
            return Ok(Some(same.id));
        }
        let last = story.iter().map(|item| item.id.0).max();
        let id = StoryId(last.unwrap_or(0) + 1);
        story.push(StoryItem {
            id,
            entry,
            added: at,
        });
        self.changed([Part::Story]).map(|()| Some(id))
    }

    /// Changes a text of the story; returns whether the entry is one.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn edit_story_text(
        &mut self,
        id: StoryId,
        text: impl Into<String>,
    ) -> Result<bool, CaseError> {
        let mut story = self.contents.story.iter_mut();
        let Some(StoryItem {
            entry: StoryEntry::Text(old),
            ..
        }) = story.find(|item| item.id == id)
        else {
            return Ok(false);
        };
        *old = text.into();
        self.changed([Part::Story]).map(|()| true)
    }

    /// Moves an entry by one place; returns whether it moved.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn move_in_story(&mut self, id: StoryId, direction: Direction) -> Result<bool, CaseError> {
        let story = &mut self.contents.story;
        let Some(from) = story.iter().position(|item| item.id == id) else {
            return Ok(false);
        };
        let to = match direction {
            Direction::Up => from.checked_sub(1),
            Direction::Down => Some(from + 1).filter(|to| *to < story.len()),
        };
        let Some(to) = to else {
            return Ok(false);
        };
        story.swap(from, to);
        self.changed([Part::Story]).map(|()| true)
    }

    /// Removes an entry, not what it shows; returns whether there was one.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn remove_from_story(&mut self, id: StoryId) -> Result<bool, CaseError> {
        let before = self.contents.story.len();
        self.contents.story.retain(|item| item.id != id);
        if self.contents.story.len() == before {
            return Ok(false);
        }
        self.changed([Part::Story]).map(|()| true)
    }
}

impl Contents {
    /// Returns whether there is what `entry` shows.
    fn has(&self, entry: &StoryEntry) -> bool {
        match entry {
            StoryEntry::Finding(_) | StoryEntry::Text(_) => true,
            StoryEntry::Bookmark(id) => self.bookmarks.iter().any(|mark| mark.id == *id),
            StoryEntry::Note(id) => self.notes.contains_key(id),
        }
    }

    /// Drops entries of the story that show what is not there; returns whether there were any.
    pub(super) fn drop_dangling(&mut self) -> bool {
        let mut story = std::mem::take(&mut self.story);
        let before = story.len();
        story.retain(|item| self.has(&item.entry));
        self.story = story;
        self.story.len() < before
    }
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<StoryItem>> {
    let sql = "SELECT id, kind, content, added FROM story ORDER BY position, id";
    rows(connection, sql, |row| {
        let (kind, content): (String, String) = (row.get(1)?, row.get(2)?);
        let number = || {
            let number = content.parse();
            number
                .ok()
                .ok_or_else(|| unknown(2, &format!("`{content}` is no number of a {kind}")))
        };
        let entry = match kind.as_str() {
            "finding" => StoryEntry::Finding(content),
            "bookmark" => StoryEntry::Bookmark(BookmarkId(number()?)),
            "note" => StoryEntry::Note(NoteId(number()?)),
            "text" => StoryEntry::Text(content),
            _ => return Err(unknown(1, &format!("a story has no `{kind}`"))),
        };
        Ok(StoryItem {
            id: StoryId(row_id(row)?),
            entry,
            added: Timestamp(row.get(3)?),
        })
    })
}

/// Writes the story anew: it is short, and moving one entry changes the place of another.
pub(super) fn write(story: &[StoryItem], transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM story", [])?;
    let sql = "INSERT INTO story (id, position, kind, content, added) VALUES (?, ?, ?, ?, ?)";
    let mut insert = transaction.prepare(sql)?;
    for (position, item) in (0_i64..).zip(story) {
        let (kind, content) = match &item.entry {
            StoryEntry::Finding(id) => ("finding", id.clone()),
            StoryEntry::Bookmark(id) => ("bookmark", id.0.to_string()),
            StoryEntry::Note(id) => ("note", id.0.to_string()),
            StoryEntry::Text(text) => ("text", text.clone()),
        };
        insert.execute(params![item.id.0, position, kind, content, item.added.0])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::bookmarks::tests::bookmark;
    use crate::case::{Subject, Toggled};

    fn told(case: &Case) -> Vec<StoryEntry> {
        case.story().iter().map(|item| item.entry.clone()).collect()
    }

    #[test]
    fn entries_move_by_one_place_and_stop_at_the_ends() {
        let mut case = Case::in_memory().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|id| StoryEntry::Finding(id.to_owned()));
        let ids: Vec<StoryId> = [&a, &b, &c]
            .map(|entry| case.add_to_story(entry.clone(), Timestamp(1)).unwrap())
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(
            case.add_to_story(b.clone(), Timestamp(2)).unwrap(),
            Some(ids[1]),
            "a finding is told once"
        );
        assert!(case.move_in_story(ids[2], Direction::Up).unwrap());
        assert_eq!(told(&case), [a.clone(), c.clone(), b.clone()]);
        assert!(!case.move_in_story(ids[0], Direction::Up).unwrap());
        assert!(!case.move_in_story(ids[1], Direction::Down).unwrap());
        assert!(case.move_in_story(ids[0], Direction::Down).unwrap());
        assert_eq!(told(&case), [c.clone(), a, b.clone()]);
        assert!(case.remove_from_story(ids[0]).unwrap());
        assert!(!case.remove_from_story(ids[0]).unwrap());
        assert_eq!(told(&case), [c, b]);
    }

    #[test]
    fn what_is_deleted_leaves_the_story() {
        let mut case = Case::in_memory().unwrap();
        let note = case.add_note(Subject::Case, "why", Timestamp(1)).unwrap();
        let bookmark = bookmark("a.log", 7, 1, "get secrets");
        let Toggled::Set(mark) = case.toggle_bookmark(bookmark.clone()).unwrap() else {
            panic!("there was none");
        };
        let text = StoryEntry::Text("first".to_owned());
        for entry in [StoryEntry::Note(note), text, StoryEntry::Bookmark(mark)] {
            assert!(case.add_to_story(entry, Timestamp(2)).unwrap().is_some());
        }
        let missing = StoryEntry::Note(NoteId(99));
        assert_eq!(case.add_to_story(missing, Timestamp(2)).unwrap(), None);
        let id = case.story()[1].id;
        assert!(case.edit_story_text(id, "second").unwrap());
        assert!(!case.edit_story_text(case.story()[0].id, "").unwrap());
        case.delete_note(note).unwrap();
        let gone = case.toggle_bookmark(bookmark).unwrap();
        assert_eq!(gone, Toggled::Removed { from_story: true });
        assert_eq!(told(&case), [StoryEntry::Text("second".to_owned())]);
        assert_eq!(case.database.read(load).unwrap(), case.contents.story);
    }
}
