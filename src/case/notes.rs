//! Texts that the investigator attaches to something.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::{Case, CaseError, Part, row_id, rows, unknown};
use crate::finding::Timestamp;

/// What a note is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A finding, by id.
    Finding(String),
    /// A credential, by its best key, such as `JTI=...`.
    Credential(String),
    /// A user name.
    Identity(String),
    /// An address.
    Address(String),
    /// An object, as the caller writes it.
    Object(String),
    /// An event, by its place.
    Event {
        /// The file as given on the command line.
        file: String,
        /// Byte offset of the record in the (decompressed) file.
        offset: u64,
    },
    /// The case as a whole.
    Case,
}

impl Subject {
    /// Returns the kind, the name and the offset, as the database has them.
    fn columns(&self) -> (&'static str, &str, u64) {
        match self {
            Self::Finding(id) => ("finding", id, 0),
            Self::Credential(key) => ("credential", key, 0),
            Self::Identity(name) => ("identity", name, 0),
            Self::Address(ip) => ("address", ip, 0),
            Self::Object(text) => ("object", text, 0),
            Self::Event { file, offset } => ("event", file, *offset),
            Self::Case => ("case", "", 0),
        }
    }

    fn of_columns(kind: &str, name: String, offset: u64) -> Option<Self> {
        Some(match kind {
            "finding" => Self::Finding(name),
            "credential" => Self::Credential(name),
            "identity" => Self::Identity(name),
            "address" => Self::Address(name),
            "object" => Self::Object(name),
            "event" => Self::Event { file: name, offset },
            "case" => Self::Case,
            _ => return None,
        })
    }
}

/// The number of a note in its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteId(pub i64);

/// A text that the investigator attached to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number.
    pub id: NoteId,
    /// What it is about.
    pub subject: Subject,
    /// The text; may have several lines.
    pub text: String,
    /// When it was written.
    pub created: Timestamp,
    /// When it was changed last.
    pub edited: Timestamp,
}

impl Case {
    /// Returns all notes, oldest first.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.contents.notes.values()
    }

    /// Returns the note `id`.
    pub fn note(&self, id: NoteId) -> Option<&Note> {
        self.contents.notes.get(&id)
    }

    /// Returns the notes about `subject`, oldest first.
    pub fn notes_about<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = &'a Note> {
        self.notes().filter(move |note| note.subject == *subject)
    }

    /// Adds a note and returns its number.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn add_note(
        &mut self,
        subject: Subject,
        text: impl Into<String>,
        at: Timestamp,
    ) -> Result<NoteId, CaseError> {
        let last = self.contents.notes.keys().next_back();
        let id = NoteId(last.map_or(1, |id| id.0 + 1));
        let note = Note {
            id,
            subject,
            text: text.into(),
            created: at,
            edited: at,
        };
        self.contents.notes.insert(id, note);
        self.changed([Part::Note(id)]).map(|()| id)
    }

    /// Changes the text of a note; returns whether there is one.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn edit_note(
        &mut self,
        id: NoteId,
        text: impl Into<String>,
        at: Timestamp,
    ) -> Result<bool, CaseError> {
        let Some(note) = self.contents.notes.get_mut(&id) else {
            return Ok(false);
        };
        note.text = text.into();
        note.edited = at;
        self.changed([Part::Note(id)]).map(|()| true)
    }

    /// Deletes a note, and its entry in the story; returns whether there was one.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn delete_note(&mut self, id: NoteId) -> Result<bool, CaseError> {
        if self.contents.notes.remove(&id).is_none() {
            return Ok(false);
        }
        let story = self.contents.drop_dangling().then_some(Part::Story);
        self.changed([Part::Note(id)].into_iter().chain(story))
            .map(|()| true)
    }
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<BTreeMap<NoteId, Note>> {
    let sql = "SELECT id, kind, subject, byte, text, created, edited FROM notes";
    rows(connection, sql, |row| {
        let id = NoteId(row_id(row)?);
        let kind: String = row.get(1)?;
        let offset = row.get::<_, i64>(3)?.cast_unsigned();
        let subject = Subject::of_columns(&kind, row.get(2)?, offset)
            .ok_or_else(|| unknown(1, &format!("notes are not about `{kind}`")))?;
        let note = Note {
            id,
            subject,
            text: row.get(4)?,
            created: Timestamp(row.get(5)?),
            edited: Timestamp(row.get(6)?),
        };
        Ok((id, note))
    })
}

pub(super) fn write(
    id: NoteId,
    note: Option<&Note>,
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    let Some(note) = note else {
        let sql = "DELETE FROM notes WHERE id = ?";
        return transaction.execute(sql, [id.0]).map(drop);
    };
    let (kind, name, offset) = note.subject.columns();
    let sql = "INSERT OR REPLACE INTO notes (id, kind, subject, byte, text, created, edited)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    let (created, edited) = (note.created.0, note.edited.0);
    let offset = offset.cast_signed();
    transaction
        .execute(
            sql,
            params![id.0, kind, name, offset, note.text, created, edited],
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_found_by_what_they_are_about() {
        let mut case = Case::in_memory().unwrap();
        let event = |offset| Subject::Event {
            file: "a.log".to_owned(),
            offset,
        };
        let first = case.add_note(event(7), "one", Timestamp(1)).unwrap();
        case.add_note(event(8), "two", Timestamp(2)).unwrap();
        case.add_note(Subject::Object("a.log".to_owned()), "three", Timestamp(3))
            .unwrap();
        assert!(case.edit_note(first, "edited", Timestamp(9)).unwrap());
        let subject = event(7);
        let about: Vec<&Note> = case.notes_about(&subject).collect();
        assert_eq!(about.len(), 1);
        assert_eq!(about[0].text, "edited");
        assert_eq!(
            (about[0].created, about[0].edited),
            (Timestamp(1), Timestamp(9))
        );
        assert!(case.delete_note(first).unwrap());
        assert!(!case.delete_note(first).unwrap());
        assert!(!case.edit_note(first, "", Timestamp(9)).unwrap());
        assert_eq!(case.notes().count(), 2);
    }

    #[test]
    fn every_subject_survives_the_database() {
        let text = || "a\0b\n'\"%".to_owned();
        let subjects = [
            Subject::Finding(text()),
            Subject::Credential(text()),
            Subject::Identity(text()),
            Subject::Address(text()),
            Subject::Object(text()),
            Subject::Event {
                file: text(),
                offset: u64::MAX,
            },
            Subject::Case,
        ];
        let mut case = Case::in_memory().unwrap();
        for subject in &subjects {
            case.add_note(subject.clone(), text(), Timestamp(i64::MIN))
                .unwrap();
        }
        let loaded = case.database.read(load).unwrap();
        assert_eq!(loaded, case.contents.notes);
        let about: Vec<Subject> = loaded.into_values().map(|note| note.subject).collect();
        assert_eq!(about, subjects);
    }
}
