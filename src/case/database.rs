//! The SQLite file of a case: its format, and how it is opened, checked, read and written.
//!
//! The journal is a rollback journal and not a write-ahead log: a change is a few rows, the folder
//! holds one file that can be copied between changes, and SQLite notices at the next change if that
//! file was moved or deleted.
//!
//! A case may come from somebody else, so its schema must be the one written here to the letter, and
//! triggers and views are off.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::{CaseError, SAVE};
use crate::private::beside;

/// `PRAGMA application_id` of a case: `kscy`.
const APPLICATION: i32 = 0x6b73_6379;
/// `PRAGMA user_version`: the newest format that this program knows.
const VERSION: i32 = 1;
/// How long another program, such as the SQLite shell, may keep a change waiting.
const BUSY: Duration = Duration::from_millis(500);

const SCHEMA: &str = include_str!("schema.sql");

/// The open database of a case.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens the database at `path`, which is there and may be empty.
    pub(super) fn open(path: &Path) -> Result<Self, CaseError> {
        // Neither CREATE, which would not make it private, nor URI, which reads `?` in names.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)
            .map_err(|cause| CaseError::of("open", path, cause))?;
        prepare(&mut connection, path)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// Opens a database that lives as long as the value.
    pub(super) fn in_memory() -> Result<Self, CaseError> {
        let path = PathBuf::from(":memory:");
        let mut connection =
            Connection::open_in_memory().map_err(|cause| CaseError::of("open", &path, cause))?;
        prepare(&mut connection, &path)?;
        Ok(Self { connection, path })
    }

    /// Does `work` in one transaction: all of it is saved, or nothing.
    pub(super) fn save(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), CaseError> {
        transact(&mut self.connection, work).map_err(|cause| CaseError::of(SAVE, &self.path, cause))
    }

    /// Reads with `work`.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CaseError> {
        work(&self.connection).map_err(|cause| CaseError::of("read", &self.path, cause))
    }

    /// Returns the error for a part of the database that cannot be read.
    pub(super) fn damaged(&self, cause: String) -> CaseError {
        CaseError::Damaged {
            path: self.path.clone(),
            cause,
        }
    }
}

fn transact(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    work(&transaction)?;
    transaction.commit()
}

/// Sets the connection up, writes the schema into an empty database, and checks any other.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), CaseError> {
    let failed = |cause| CaseError::of("open", path, cause);
    let damaged = |cause: &str| CaseError::Damaged {
        path: path.to_owned(),
        cause: cause.to_owned(),
    };
    connection.busy_timeout(BUSY).map_err(failed)?;
    for (option, value) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(option, value).map_err(failed)?;
    }
    let number = |connection: &Connection, name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
    };
    if number(connection, "page_count").map_err(failed)? == 0 {
        let create = |transaction: &Transaction<'_>| {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)
        };
        return transact(connection, create).map_err(failed);
    }
    let answer: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if answer != "ok" {
        return Err(damaged(&answer));
    }
    if schema_of(connection).map_err(failed)? != expected_schema().map_err(failed)? {
        return Err(damaged("its tables are not those of a case"));
    }
    Ok(())
}

/// Returns what the database says it consists of, in a fixed order.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name, sql",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn expected_schema() -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let empty = Connection::open_in_memory()?;
    empty.execute_batch(SCHEMA)?;
    schema_of(&empty)
}

/// What the first bytes of a file say, read without SQLite, which may write on opening.
///
/// Layout: "Database File Format", section 1.3 (<https://www.sqlite.org/fileformat2.html>).
pub(super) enum Header {
    Sqlite { application: i32, version: i32 },
    Other(&'static str),
}

impl Header {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(100).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(Self::Other("it is empty"));
        }
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Ok(Self::Other("it is not a database"));
        }
        let Ok(bytes) = <[u8; 100]>::try_from(bytes) else {
            return Ok(Self::Other("it breaks off"));
        };
        let number = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            i32::from_be_bytes(four)
        };
        // SQLite reads a last page that is too short as if zeros followed. While a change is being
        // written it may be, and then there is a journal that says what was there before.
        let page_bytes = match u16::from_be_bytes([bytes[16], bytes[17]]) {
            0 | 1 => 65_536,
            n => u64::from(n),
        };
        if length % page_bytes > 0 && !beside(path, "-journal").exists() {
            return Ok(Self::Other("it breaks off"));
        }
        Ok(Self::Sqlite {
            application: number(68),
            version: number(60),
        })
    }

    /// Returns the error for what cannot be opened as a case.
    pub(super) fn check(&self, path: &Path) -> Result<(), CaseError> {
        let path = path.to_owned();
        match *self {
            Self::Sqlite { application, .. } if application != APPLICATION => {
                Err(CaseError::Foreign {
                    path,
                    what: "a database of another program",
                })
            }
            Self::Sqlite { version, .. } if version > VERSION => Err(CaseError::Newer {
                path,
                found: version,
                known: VERSION,
            }),
            Self::Sqlite { version, .. } if version < 1 => Err(CaseError::Damaged {
                path,
                cause: format!("it has format {version}"),
            }),
            Self::Sqlite { .. } => Ok(()),
            Self::Other(cause) => Err(CaseError::Damaged {
                path,
                cause: cause.to_owned(),
            }),
        }
    }
}
