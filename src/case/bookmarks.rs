//! Events that the investigator wants to find again.

use rusqlite::{Connection, Transaction, params};

use super::{Case, CaseError, Part, row_id, rows};
use crate::finding::Timestamp;

/// The number of a bookmark in its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookmarkId(pub i64);

/// An event that the investigator wants to find again; file and offset say which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// Its number, given by the case.
    pub id: BookmarkId,
    /// The file as given on the command line.
    pub file: String,
    /// Line in the file, from 1.
    pub line: u64,
    /// Byte offset of the record in the (decompressed) file.
    pub offset: u64,
    /// Bytes of the record without its line end.
    pub length: u32,
    /// `stageTimestamp`.
    pub ts: Timestamp,
    /// What it is, in one line.
    pub label: String,
}

impl Bookmark {
    /// Returns what bookmarks are ordered by: time, then place.
    pub(super) fn order(&self) -> (Timestamp, &str, u64) {
        (self.ts, &self.file, self.offset)
    }
}

/// What became of a bookmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toggled {
    /// It is set now.
    Set(BookmarkId),
    /// It is gone now.
    Removed {
        /// Whether the story had an entry of it, which is gone, too.
        from_story: bool,
    },
}

impl Case {
    /// Returns all bookmarks in the order of time.
    pub fn bookmarks(&self) -> &[Bookmark] {
        &self.contents.bookmarks
    }

    /// Returns the bookmark of the event at `offset` of `file`.
    pub fn bookmark_at(&self, file: &str, offset: u64) -> Option<&Bookmark> {
        let mut bookmarks = self.contents.bookmarks.iter();
        bookmarks.find(|bookmark| bookmark.offset == offset && bookmark.file == file)
    }

    /// Sets `bookmark`, or removes the one of the same event; its `id` is not looked at.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn toggle_bookmark(&mut self, bookmark: Bookmark) -> Result<Toggled, CaseError> {
        let same = self
            .bookmark_at(&bookmark.file, bookmark.offset)
            .map(|bookmark| bookmark.id);
        let bookmarks = &mut self.contents.bookmarks;
        if let Some(id) = same {
            bookmarks.retain(|bookmark| bookmark.id != id);
            let from_story = self.contents.drop_dangling();
            let story = from_story.then_some(Part::Story);
            self.changed([Part::Bookmark(id)].into_iter().chain(story))?;
            return Ok(Toggled::Removed { from_story });
        }
        let last = bookmarks.iter().map(|bookmark| bookmark.id.0).max();
        let id = BookmarkId(last.unwrap_or(0) + 1);
        let bookmark = Bookmark { id, ..bookmark };
        let place = bookmarks.partition_point(|other| other.order() <= bookmark.order());
        bookmarks.insert(place, bookmark);
        self.changed([Part::Bookmark(id)])?;
        Ok(Toggled::Set(id))
    }
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<Bookmark>> {
    let sql = "SELECT id, file, line, byte, length, ts, label FROM bookmarks";
    let mut bookmarks: Vec<Bookmark> = rows(connection, sql, |row| {
        Ok(Bookmark {
            id: BookmarkId(row_id(row)?),
            file: row.get(1)?,
            line: row.get::<_, i64>(2)?.cast_unsigned(),
            offset: row.get::<_, i64>(3)?.cast_unsigned(),
            length: row.get(4)?,
            ts: Timestamp(row.get(5)?),
            label: row.get(6)?,
        })
    })?;
    bookmarks.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(bookmarks)
}

pub(super) fn write(
    id: BookmarkId,
    bookmark: Option<&Bookmark>,
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    let Some(bookmark) = bookmark else {
        let sql = "DELETE FROM bookmarks WHERE id = ?";
        return transaction.execute(sql, [id.0]).map(drop);
    };
    let (line, offset) = (bookmark.line.cast_signed(), bookmark.offset.cast_signed());
    let Bookmark {
        file,
        length,
        ts,
        label,
        ..
    } = bookmark;
    let sql = "INSERT OR REPLACE INTO bookmarks (id, file, line, byte, length, ts, label)
        VALUES (?, ?, ?, ?, ?, ?, ?)";
    transaction
        .execute(sql, params![id.0, file, line, offset, length, ts.0, label])
        .map(drop)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a bookmark of the event at `offset` of `file`.
    pub(crate) fn bookmark(file: &str, offset: u64, ts: i64, label: &str) -> Bookmark {
        Bookmark {
            id: BookmarkId(0),
            file: file.to_owned(),
            line: offset / 7 + 1,
            offset,
            length: 812,
            ts: Timestamp(ts),
            label: label.to_owned(),
        }
    }

    #[test]
    fn bookmarks_are_toggled_by_place_and_ordered_by_time() {
        let mut case = Case::in_memory().unwrap();
        let at = |offset, ts| bookmark("a.log", offset, ts, "get secrets");
        for (offset, ts) in [(30, 2), (10, 5), (20, 2)] {
            let toggled = case.toggle_bookmark(at(offset, ts)).unwrap();
            assert!(matches!(toggled, Toggled::Set(_)));
        }
        let offsets =
            |case: &Case| -> Vec<u64> { case.bookmarks().iter().map(|mark| mark.offset).collect() };
        assert_eq!(offsets(&case), [20, 30, 10]);
        assert!(case.bookmark_at("a.log", 10).is_some());
        assert!(case.bookmark_at("b.log", 10).is_none());
        let gone = case.toggle_bookmark(at(30, 99)).unwrap();
        assert_eq!(gone, Toggled::Removed { from_story: false });
        assert_eq!(offsets(&case), [20, 10]);
    }
}
