//! What is to be sent, and what became of it: the table of the outbox.

use rusqlite::{Transaction, params};

use super::{State, StateError, database_error};

/// How many alerts that were given up are kept; [`State::revive`] finds these.
const DEAD_KEPT: i64 = 1000;

/// Something to be sent to one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Stable key of the alert.
    pub key: String,
    /// Name of the sink.
    pub sink: String,
    /// The alert as JSON.
    pub alert: String,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It has arrived.
    Delivered,
    /// It is tried again.
    Later {
        /// Not before this time, in microseconds.
        not_before: i64,
        /// What went wrong.
        why: String,
    },
    /// It is given up, and shown until somebody looks.
    Dead(String),
}

impl State {
    /// Returns what is to be sent to `sink` now, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn due(&self, sink: &str, now: i64) -> Result<Vec<Entry>, StateError> {
        let sql = "SELECT key, sink, alert FROM outbox
                   WHERE sink = ?1 AND next_at <= ?2 AND dead IS NULL ORDER BY rowid";
        self.entries(sql, params![sink, now])
    }

    /// Returns what was given up, and why.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn dead(&self) -> Result<Vec<(Entry, String)>, StateError> {
        let wrong = |cause| self.error(cause);
        let sql = "SELECT key, sink, alert, dead FROM outbox
                   WHERE dead IS NOT NULL ORDER BY rowid";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let rows = statement.query_map([], |row| {
            let entry = Entry {
                key: row.get(0)?,
                sink: row.get(1)?,
                alert: row.get(2)?,
            };
            Ok((entry, row.get(3)?))
        });
        rows.map_err(wrong)?
            .collect::<Result<_, _>>()
            .map_err(wrong)
    }

    /// Lets what was given up for `sinks` wait again, as if it had not been tried; returns how much that is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revive(&mut self, sinks: &[&str]) -> Result<usize, StateError> {
        let path = self.path();
        let wrong = |cause| database_error(&path, cause);
        let transaction = self.connection.transaction().map_err(wrong)?;
        let sql = "UPDATE outbox SET attempts = 0, next_at = 0, why = NULL, dead = NULL
                   WHERE dead IS NOT NULL AND sink = ?1";
        let mut n_revived = 0;
        for sink in sinks {
            n_revived += transaction.execute(sql, [sink]).map_err(wrong)?;
        }
        transaction.commit().map_err(wrong)?;
        Ok(n_revived)
    }

    /// Returns the names of all sinks for which something waits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn waiting_sinks(&self) -> Result<Vec<String>, StateError> {
        let wrong = |cause| self.error(cause);
        let sql = "SELECT DISTINCT sink FROM outbox WHERE dead IS NULL ORDER BY sink";
        let mut statement = self.connection.prepare(sql).map_err(wrong)?;
        let names = statement.query_map([], |row| row.get(0)).map_err(wrong)?;
        names.collect::<Result<_, _>>().map_err(wrong)
    }

    /// Returns how many alerts wait.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn waiting(&self) -> Result<u64, StateError> {
        let sql = "SELECT COUNT(*) FROM outbox WHERE dead IS NULL";
        let count: i64 = self
            .connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|cause| self.error(cause))?;
        Ok(count.unsigned_abs())
    }

    fn entries(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Entry>, StateError> {
        let mut statement = self
            .connection
            .prepare(sql)
            .map_err(|cause| self.error(cause))?;
        let rows = statement.query_map(values, |row| {
            Ok(Entry {
                key: row.get(0)?,
                sink: row.get(1)?,
                alert: row.get(2)?,
            })
        });
        let rows = rows.map_err(|cause| self.error(cause))?;
        rows.collect::<Result<_, _>>()
            .map_err(|cause| self.error(cause))
    }

    /// Writes down what became of entries.
    ///
    /// # Errors
    /// When it cannot be written; they are sent again then, with the same keys.
    pub fn settle(&mut self, settled: &[(Entry, Settled)]) -> Result<(), StateError> {
        let path = self.path();
        let wrong = |cause| database_error(&path, cause);
        let transaction = self.connection.transaction().map_err(wrong)?;
        for (entry, settled) in settled {
            let key = params![entry.key, entry.sink];
            match settled {
                Settled::Delivered => {
                    transaction.execute("DELETE FROM outbox WHERE key = ?1 AND sink = ?2", key)
                }
                Settled::Later { not_before, why } => transaction.execute(
                    "UPDATE outbox SET attempts = attempts + 1, next_at = ?3, why = ?4 WHERE key = ?1 AND sink = ?2",
                    params![entry.key, entry.sink, not_before, why],
                ),
                Settled::Dead(why) => transaction.execute(
                    "UPDATE outbox SET attempts = attempts + 1, dead = ?3 WHERE key = ?1 AND sink = ?2",
                    params![entry.key, entry.sink, why],
                ),
            }
            .map_err(wrong)?;
        }
        transaction.commit().map_err(wrong)
    }
}

/// Adds entries, and forgets the oldest that were given up; those that are there stay as they are.
pub(super) fn put(transaction: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
    // What was given up is in the file of dead letters, too, so the latest are enough here.
    transaction.execute(
        "DELETE FROM outbox WHERE dead IS NOT NULL AND rowid NOT IN
         (SELECT rowid FROM outbox WHERE dead IS NOT NULL ORDER BY rowid DESC LIMIT ?1)",
        [DEAD_KEPT],
    )?;
    for entry in entries {
        transaction.execute(
            "INSERT OR IGNORE INTO outbox (key, sink, alert, attempts, next_at) VALUES (?1, ?2, ?3, 0, 0)",
            params![entry.key, entry.sink, entry.alert],
        )?;
    }
    Ok(())
}
