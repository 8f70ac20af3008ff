//! The folder of a case: who may open it, and where a damaged database goes.
//!
//! The lock is on a file of its own, so that a damaged database can be renamed while it is held. It
//! dies with the process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::database::{Database, Header};
use super::error::{CaseError, SetAside};
use crate::private;

/// Name of the database in the case folder.
pub const DATABASE: &str = "case.sqlite";
/// Name of the lock in the case folder; it holds the id of the process that has it.
pub const LOCK: &str = "case.lock";

/// A case folder that nobody else can open while this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    database: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder `dir` if it is not there, and locks it.
    pub(super) fn open(dir: &Path) -> Result<Self, CaseError> {
        private::create_folder(dir).map_err(|cause| CaseError::File {
            doing: "create the case folder",
            path: dir.to_owned(),
            cause,
        })?;
        let lock = lock(dir)?;
        Ok(Self {
            database: dir.join(DATABASE),
            _lock: lock,
        })
    }

    /// Opens the database, a fresh one if there is none.
    ///
    /// Touches nothing that is not a case of a known version.
    pub(super) fn connect(&self) -> Result<Database, CaseError> {
        let path = &self.database;
        let file = |doing, cause| CaseError::File {
            doing,
            path: path.clone(),
            cause,
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let header = Header::read(path).map_err(|cause| file("read", cause))?;
                header.check(path)?;
            }
            Ok(_) => return Err(not_plain(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut options = OpenOptions::new();
                options.write(true).create_new(true);
                private::file(&mut options)
                    .open(path)
                    .map_err(|cause| file("create", cause))?;
            }
            Err(cause) => return Err(file("open", cause)),
        }
        Database::open(path)
    }

    /// Renames the database, and what SQLite keeps beside it, to the first free name.
    pub(super) fn set_aside(&self, cause: String) -> Result<SetAside, CaseError> {
        let from = &self.database;
        let to = private::set_aside(from).map_err(|cause| CaseError::File {
            doing: "set aside",
            path: from.clone(),
            cause,
        })?;
        Ok(SetAside {
            from: from.clone(),
            to,
            cause,
        })
    }
}

/// Takes the lock of `dir`, and says in it who has it.
fn lock(dir: &Path) -> Result<File, CaseError> {
    let path = dir.join(LOCK);
    let failed = |doing, cause| CaseError::File {
        doing,
        path: path.clone(),
        cause,
    };
    if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(not_plain(&path));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = private::file(&mut options)
        .open(&path)
        .map_err(|cause| failed("open", cause))?;
    match file.try_lock() {
        Ok(()) => {
            // The number only helps to find the other window; the lock holds without it.
            let _ = file
                .set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(16).read_to_string(&mut text);
            Err(CaseError::OpenElsewhere {
                dir: dir.to_owned(),
                process: read.ok().and_then(|_| text.trim().parse().ok()),
            })
        }
        Err(TryLockError::Error(cause)) => Err(failed("lock", cause)),
    }
}

fn not_plain(path: &Path) -> CaseError {
    CaseError::Foreign {
        path: path.to_owned(),
        what: "not a plain file",
    }
}
