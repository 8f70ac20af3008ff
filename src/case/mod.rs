//! A case: what an investigator adds to findings, kept in a folder or in memory.
//!
//! Comes in: states of findings, notes, bookmarks, a story, queries, what the screen looked like, and
//! the results of a scan as JSON text; all times come from the caller. Goes out: the same when the
//! case is opened again, and a report of it ([`export`]). Promised:
//!
//! - Every change is saved at once, in one transaction with what belongs to it ([`Case::together`]).
//! - A change that cannot be saved (disk full, file read-only) is made in memory all the same, the
//!   error says so, and it is saved with the next change that can be. What the user sees is the truth.
//! - One process has a case open at a time; a second is told so.
//! - A damaged database is renamed, never deleted, and a fresh one made; one of a newer format, or of
//!   another program, is left untouched.
//! - A case belongs to the content of its files and not to their paths ([`SourceFile`]).
//!
//! Left out on purpose: reading the clock, drawing, what a finding or an event is, and repairing a
//! damaged database, for which SQLite has a tool.
//!
//! Texts are kept as they came, hostile ones included: whoever prints them cleans them.

mod bookmarks;
mod database;
mod error;
pub mod export;
mod folder;
mod history;
mod notes;
mod results;
mod sources;
mod states;
mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, Transaction, params};

pub use bookmarks::{Bookmark, BookmarkId, Toggled};
use database::Database;
pub use error::{CaseError, SetAside};
use folder::Folder;
pub use folder::{DATABASE, LOCK};
pub use history::{JournalEntry, QUERIES_MAX, Query};
pub use notes::{Note, NoteId, Subject};
pub use results::{RESULT_MAX_BYTES, ResultName, Results};
pub use sources::{Change, Growth, HEAD_BYTES, Moved, SourceFile, compare, moved};
pub use states::{State, StateChange};
pub use story::{Direction, StoryEntry, StoryId, StoryItem};

/// What an investigator adds to findings; see the [module](self).
///
/// Methods that change something return an error if the change could not be saved. It is made
/// nonetheless, [`is_saved`](Self::is_saved) says that something waits, and the next change or
/// [`save`](Self::save) writes all of it.
#[derive(Debug)]
pub struct Case {
    contents: Contents,
    database: Database,
    /// What differs from the database; written from `contents`, so the order does not matter.
    unsaved: BTreeSet<Part>,
    /// Entries of the journal that the database lacks; the others are not kept in memory.
    unsaved_journal: Vec<JournalEntry>,
    in_batch: bool,
    set_aside: Option<SetAside>,
    /// Behind `database`, so that the lock goes last.
    _folder: Option<Folder>,
}

/// What is kept in memory.
#[derive(Debug, Default)]
struct Contents {
    states: BTreeMap<String, StateChange>,
    notes: BTreeMap<NoteId, Note>,
    /// In the order of [`Bookmark::order`].
    bookmarks: Vec<Bookmark>,
    story: Vec<StoryItem>,
    /// By age: the newest has the largest number.
    queries: BTreeMap<i64, Query>,
    view: BTreeMap<String, String>,
    sources: Vec<SourceFile>,
}

/// A part of the contents that is written by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    State(String),
    Note(NoteId),
    Bookmark(BookmarkId),
    Story,
    Query(i64),
    View(String),
    Sources,
}

impl Case {
    /// Opens the case in the folder `dir`, which is made if it is not there.
    ///
    /// A damaged database is renamed and a fresh one made; [`set_aside`](Self::set_aside) tells.
    ///
    /// # Errors
    /// When the folder cannot be written, another process has the case open, or the database is of a
    /// newer format or another program.
    pub fn open(dir: &Path) -> Result<Self, CaseError> {
        let folder = Folder::open(dir)?;
        let read = || {
            let database = folder.connect()?;
            let contents = database.read(Contents::load)?;
            Ok((database, contents))
        };
        let (set_aside, (database, contents)) = match read() {
            Err(CaseError::Damaged { cause, .. }) => {
                let set_aside = folder.set_aside(cause)?;
                (Some(set_aside), read()?)
            }
            other => (None, other?),
        };
        Ok(Self::new(database, contents, set_aside, Some(folder)))
    }

    /// Returns an empty case that lives as long as the value.
    ///
    /// # Errors
    /// When SQLite has no memory for it.
    pub fn in_memory() -> Result<Self, CaseError> {
        let database = Database::in_memory()?;
        Ok(Self::new(database, Contents::default(), None, None))
    }

    fn new(
        database: Database,
        contents: Contents,
        set_aside: Option<SetAside>,
        folder: Option<Folder>,
    ) -> Self {
        Self {
            contents,
            database,
            unsaved: BTreeSet::new(),
            unsaved_journal: Vec::new(),
            in_batch: false,
            set_aside,
            _folder: folder,
        }
    }

    /// Returns the damaged database that opening put out of the way, if there was one.
    pub fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// Returns whether everything is in the database.
    pub fn is_saved(&self) -> bool {
        self.unsaved.is_empty() && self.unsaved_journal.is_empty()
    }

    /// Writes what could not be saved before, in one transaction.
    ///
    /// # Errors
    /// When it still cannot be saved; it is kept for the next time.
    pub fn save(&mut self) -> Result<(), CaseError> {
        if self.is_saved() {
            return Ok(());
        }
        let (contents, parts, journal) = (&self.contents, &self.unsaved, &self.unsaved_journal);
        self.database.save(|transaction| {
            for part in parts {
                contents.write(part, transaction)?;
            }
            history::append(journal, transaction)
        })?;
        self.unsaved.clear();
        self.unsaved_journal.clear();
        Ok(())
    }

    /// Makes several changes and saves them in one transaction.
    ///
    /// ```
    /// use kubescry::case::{Case, State};
    /// use kubescry::finding::Timestamp;
    ///
    /// let mut case = Case::in_memory()?;
    /// case.together(|case| {
    ///     case.set_state("9b2c", State::Benign, Timestamp(1))?;
    ///     case.log(Timestamp(1), "finding 9b2c is benign")
    /// })?;
    /// assert_eq!(case.state("9b2c"), State::Benign);
    /// # Ok::<(), kubescry::case::CaseError>(())
    /// ```
    ///
    /// # Errors
    /// When `changes` fails, or what it did cannot be saved.
    pub fn together<T>(
        &mut self,
        changes: impl FnOnce(&mut Self) -> Result<T, CaseError>,
    ) -> Result<T, CaseError> {
        let outer = std::mem::replace(&mut self.in_batch, true);
        let result = changes(self);
        self.in_batch = outer;
        if !outer {
            self.save()?;
        }
        result
    }

    /// Notes that `parts` changed, and saves them unless a batch is open.
    fn changed(&mut self, parts: impl IntoIterator<Item = Part>) -> Result<(), CaseError> {
        self.unsaved.extend(parts);
        if self.in_batch {
            return Ok(());
        }
        self.save()
    }

    /// Returns the JSON text kept under `key`: the last view, filters, the theme.
    pub fn view(&self, key: &str) -> Option<&str> {
        self.contents.view.get(key).map(String::as_str)
    }

    /// Keeps `json` under `key`; not checked.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn set_view(&mut self, key: &str, json: &str) -> Result<(), CaseError> {
        if self.view(key) == Some(json) {
            return Ok(());
        }
        self.contents.view.insert(key.to_owned(), json.to_owned());
        self.changed([Part::View(key.to_owned())])
    }
}

impl Drop for Case {
    /// Tries once more to save what could not be saved; whoever cares for the outcome calls
    /// [`Case::save`] before.
    fn drop(&mut self) {
        let _ = self.save();
    }
}

impl Contents {
    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut contents = Self {
            states: states::load(connection)?,
            notes: notes::load(connection)?,
            bookmarks: bookmarks::load(connection)?,
            story: story::load(connection)?,
            queries: history::load_queries(connection)?,
            view: rows(connection, "SELECT key, json FROM view", |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?,
            sources: sources::load(connection)?,
        };
        contents.drop_dangling();
        Ok(contents)
    }

    /// Makes the database agree with what is in memory about `part`.
    fn write(&self, part: &Part, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        match part {
            Part::State(finding) => states::write(finding, self.states.get(finding), transaction),
            Part::Note(id) => notes::write(*id, self.notes.get(id), transaction),
            Part::Bookmark(id) => {
                let bookmark = self.bookmarks.iter().find(|bookmark| bookmark.id == *id);
                bookmarks::write(*id, bookmark, transaction)
            }
            Part::Story => story::write(&self.story, transaction),
            Part::Query(id) => history::write_query(*id, self.queries.get(id), transaction),
            Part::View(key) => transaction
                .execute(
                    "INSERT OR REPLACE INTO view (key, json) VALUES (?, ?)",
                    params![key, self.view.get(key)],
                )
                .map(drop),
            Part::Sources => sources::write(&self.sources, transaction),
        }
    }
}

/// Collects what `read` makes of each row of `sql`.
fn rows<T, C: FromIterator<T>>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<C> {
    connection.prepare(sql)?.query_map([], read)?.collect()
}

/// Returns the number of a row, its first column; of a size that leaves room to count on.
fn row_id(row: &rusqlite::Row<'_>) -> rusqlite::Result<i64> {
    let id = row.get(0)?;
    if !(1..=i64::MAX / 2).contains(&id) {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, id));
    }
    Ok(id)
}

/// Returns the error for a value that this program did not write, in the column `column`.
fn unknown(column: usize, what: &str) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, what.to_owned().into())
}
