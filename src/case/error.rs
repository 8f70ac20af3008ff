//! Why a case could not be opened, read or saved, and what to try.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_READONLY_DBMOVED;

/// Why a case could not be opened, read or saved.
///
/// A change that could not be saved is made nonetheless, in memory; see [`Case`](super::Case).
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The system refused something about the folder or a file in it.
    #[error("cannot {doing} `{}`: {cause}", path.display())]
    File {
        /// What was tried, such as `create`.
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Another process has the case open.
    #[error("the case `{}` is open in another kubescry{}", dir.display(), Process(*process))]
    OpenElsewhere {
        /// The case folder.
        dir: PathBuf,
        /// The process that has it open, if it says so.
        process: Option<u32>,
    },
    /// A newer version of the program made the case; it was left untouched.
    #[error("the case `{}` has format {found}; this kubescry knows formats up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest version that can be read.
        known: i32,
    },
    /// The file belongs to something else; it was left untouched.
    #[error("`{}` is {what}, not a case", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is, as a noun phrase.
        what: &'static str,
    },
    /// The database, or a part of it, cannot be read.
    #[error("`{}` is damaged: {cause}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no room to write.
    #[error("cannot save to `{}`: the disk is full", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The database cannot be written any more.
    #[error("cannot save to `{}`: {}", path.display(), if *moved { "the file was moved or deleted" } else { "the file is read-only" })]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// Whether the file is not where it was when it was opened.
        moved: bool,
    },
    /// SQLite failed for another reason.
    #[error("cannot {doing} `{}`: {cause}", path.display())]
    Database {
        /// What was tried, such as `save to`.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
}

impl CaseError {
    /// Returns what the user can do now, if there is something to try.
    pub fn hint(&self) -> Option<&'static str> {
        /// Changes wait in memory, so this holds for every failure to save.
        const KEPT: &str = "your changes are kept while kubescry runs, and are saved with the next one that succeeds";
        match self {
            Self::File { cause, .. } => match cause.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("give a folder that you may write to with `--case`")
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or give a folder on another disk with `--case`")
                }
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    Some("`--case` takes a folder; a file of that name is in the way")
                }
                io::ErrorKind::Unsupported => Some(
                    "its file system has no locks; give a folder on a local disk with `--case`",
                ),
                _ => None,
            },
            Self::OpenElsewhere { .. } => {
                Some("close it there first, or give another folder with `--case`")
            }
            Self::Newer { .. } => {
                Some("use the kubescry that made it, or give another folder with `--case`")
            }
            Self::Foreign { .. } => Some("move it away, or give another folder with `--case`"),
            Self::Damaged { .. } => None,
            Self::Full { .. } | Self::ReadOnly { .. } => Some(KEPT),
            Self::Database { doing, .. } => (*doing == SAVE).then_some(KEPT),
        }
    }

    /// Returns the error for what SQLite said about the database at `path`.
    pub(super) fn of(doing: &'static str, path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match &cause {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => Self::Full { path },
                ErrorCode::ReadOnly => Self::ReadOnly {
                    path,
                    moved: failure.extended_code == SQLITE_READONLY_DBMOVED,
                },
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged {
                    path,
                    cause: cause.to_string(),
                },
                _ => Self::Database { doing, path, cause },
            },
            // The schema fixes the types, so a value of another one was not written by this program.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Damaged {
                path,
                cause: cause.to_string(),
            },
            _ => Self::Database { doing, path, cause },
        }
    }
}

/// What [`CaseError::Database`] was doing when a change could not be saved.
pub(super) const SAVE: &str = "save to";

/// The process in brackets, if it is known.
struct Process(Option<u32>);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |id| write!(f, " (process {id})"))
    }
}

/// A damaged database that was put out of the way when the case was opened.
///
/// Prints as a warning in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is now.
    pub to: PathBuf,
    /// What is wrong with it.
    pub cause: String,
}

impl SetAside {
    /// Returns what the user can try.
    pub fn hint(&self) -> String {
        format!(
            "nothing was deleted; `sqlite3 {} .recover` may bring back what is in it",
            self.to.display()
        )
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is damaged ({}); it is kept as `{}`, and the case starts empty",
            self.from.display(),
            self.cause,
            self.to.display()
        )
    }
}
