//! What was done: the journal, which only grows, and the queries, of which the newest are kept.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, params};

use super::{Case, CaseError, Part, row_id, rows};
use crate::finding::Timestamp;

/// How many queries are kept; the oldest go first.
pub const QUERIES_MAX: usize = 500;

/// Something that was done, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// What, so that another person can do it again.
    pub text: String,
}

/// A query that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its text, without blanks around it.
    pub sql: String,
    /// When it was run last.
    pub at: Timestamp,
}

impl Case {
    /// Adds `text` to the journal.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn log(&mut self, at: Timestamp, text: impl Into<String>) -> Result<(), CaseError> {
        let text = text.into();
        self.unsaved_journal.push(JournalEntry { at, text });
        self.changed([])
    }

    /// Returns the last `n` entries of the journal, oldest first.
    ///
    /// Reads them from the database: a journal may be long, and is not kept in memory.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn journal(&self, n: usize) -> Result<Vec<JournalEntry>, CaseError> {
        let unsaved = &self.unsaved_journal[self.unsaved_journal.len().saturating_sub(n)..];
        let saved = i64::try_from(n - unsaved.len()).unwrap_or(i64::MAX);
        let mut entries: Vec<JournalEntry> = self.database.read(|connection| {
            let mut newest =
                connection.prepare("SELECT at, text FROM journal ORDER BY id DESC LIMIT ?")?;
            let entries = newest.query_map([saved], |row| {
                Ok(JournalEntry {
                    at: Timestamp(row.get(0)?),
                    text: row.get(1)?,
                })
            })?;
            entries.collect()
        })?;
        entries.reverse();
        entries.extend_from_slice(unsaved);
        Ok(entries)
    }

    /// Returns the queries, newest first.
    pub fn queries(&self) -> impl DoubleEndedIterator<Item = &Query> {
        self.contents.queries.values().rev()
    }

    /// Makes `sql` the newest query; one with the same text is replaced, an empty one is not kept.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn add_query(&mut self, sql: &str, at: Timestamp) -> Result<(), CaseError> {
        let sql = sql.trim();
        if sql.is_empty() {
            return Ok(());
        }
        let queries = &mut self.contents.queries;
        let id = queries.keys().next_back().map_or(1, |last| last + 1);
        let mut changed: Vec<i64> = queries
            .iter()
            .filter(|(_, query)| query.sql == sql)
            .map(|(id, _)| *id)
            .collect();
        let n_others = queries.len() - changed.len();
        let n_over = (n_others + 1).saturating_sub(QUERIES_MAX);
        changed.extend(queries.keys().take(n_over));
        queries.retain(|id, _| !changed.contains(id));
        let sql = sql.to_owned();
        queries.insert(id, Query { sql, at });
        changed.push(id);
        self.changed(changed.into_iter().map(Part::Query))
    }
}

pub(super) fn load_queries(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, Query>> {
    rows(connection, "SELECT id, sql, at FROM queries", |row| {
        let query = Query {
            sql: row.get(1)?,
            at: Timestamp(row.get(2)?),
        };
        Ok((row_id(row)?, query))
    })
}

pub(super) fn write_query(
    id: i64,
    query: Option<&Query>,
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    let Some(query) = query else {
        let sql = "DELETE FROM queries WHERE id = ?";
        return transaction.execute(sql, [id]).map(drop);
    };
    let sql = "INSERT OR REPLACE INTO queries (id, sql, at) VALUES (?, ?, ?)";
    transaction
        .execute(sql, params![id, query.sql, query.at.0])
        .map(drop)
}

/// Adds `entries` to the journal in the database.
pub(super) fn append(
    entries: &[JournalEntry],
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT INTO journal (at, text) VALUES (?, ?)")?;
    for entry in entries {
        insert.execute(params![entry.at.0, entry.text])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_gives_its_end_in_order() {
        let mut case = Case::in_memory().unwrap();
        for n in 0..5 {
            case.log(Timestamp(9 - n), n.to_string()).unwrap();
        }
        let texts = |case: &Case, n| -> Vec<String> {
            let entries = case.journal(n).unwrap().into_iter();
            entries.map(|entry| entry.text).collect()
        };
        assert_eq!(texts(&case, 2), ["3", "4"]);
        assert_eq!(texts(&case, 0), [""; 0]);
        assert_eq!(texts(&case, usize::MAX).len(), 5);
        // Entries that wait to be saved are the newest.
        let both = case.together(|case| {
            case.log(Timestamp(1), "5")?;
            Ok(texts(case, 3))
        });
        assert_eq!(both.unwrap(), ["3", "4", "5"]);
    }

    #[test]
    fn queries_are_kept_once_newest_first_and_bounded() {
        let mut case = Case::in_memory().unwrap();
        case.together(|case| {
            (0..QUERIES_MAX + 3).try_for_each(|n| case.add_query(&format!("q{n}"), Timestamp(1)))
        })
        .unwrap();
        case.add_query("  q7\n", Timestamp(0)).unwrap();
        case.add_query(" ", Timestamp(0)).unwrap();
        let queries: Vec<&str> = case.queries().map(|query| query.sql.as_str()).collect();
        assert_eq!(queries.len(), QUERIES_MAX);
        assert_eq!(queries[..2], ["q7", &format!("q{}", QUERIES_MAX + 2)]);
        assert_eq!(queries.iter().filter(|query| **query == "q7").count(), 1);
        assert_eq!(queries.last(), Some(&"q3"));
        assert_eq!(
            case.database.read(load_queries).unwrap(),
            case.contents.queries
        );
    }
}
