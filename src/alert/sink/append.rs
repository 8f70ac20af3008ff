//! Lines at the end of a file: whole or not at all, and on the disk before anybody is told.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use thiserror::Error;

use super::json::{line, object_with};
use super::{Alert, clock::Clock};
use crate::private;
use crate::redact::redact;

/// Why a file cannot be appended to.
#[derive(Debug, Error)]
pub enum AppendError {
    /// It is a link, a folder, a device or a pipe.
    #[error("`{}` is not a plain file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The system says no; the file is as it was before.
    #[error("cannot append to `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Appends `lines`, which end in a line feed, to the file `path`, made with mode 0600 if there is none.
///
/// What a crash left of a half line is ended first, so that it takes no whole line along.
///
/// # Errors
/// When the file is not plain, or cannot be written and synced; nothing of `lines` is left in it then.
pub(super) fn append(path: &Path, lines: &str) -> Result<(), AppendError> {
    let failed = |source| AppendError::Io {
        path: path.to_owned(),
        source,
    };
    is_there(path)?;
    let mut file = open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let written = write(&mut file, length, lines);
    if written.is_err() {
        // If this fails, too, the next line begins behind the half one.
        file.set_len(length).ok();
    }
    written.map_err(failed)
}

/// Returns whether there is a file at `path`.
///
/// # Errors
/// When it is not plain, or cannot be looked at.
fn is_there(path: &Path) -> Result<bool, AppendError> {
    let path = path.to_owned();
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(AppendError::NotAFile { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(AppendError::Io { path, source }),
    }
}

/// Looks whether [`append`] could write to `path`, and leaves all as it is.
///
/// # Errors
/// As of [`append`].
pub(super) fn check(path: &Path) -> Result<(), AppendError> {
    let checked = if is_there(path)? {
        OpenOptions::new()
            .append(true)
            .read(true)
            .open(path)
            .map(drop)
    } else {
        private::try_folder(path.parent().unwrap_or(Path::new("")))
    };
    checked.map_err(|source| AppendError::Io {
        path: path.to_owned(),
        source,
    })
}

fn write(file: &mut File, length: u64, lines: &str) -> io::Result<()> {
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).read(true).create(true);
    private::file(&mut options).open(path)
}

/// The file of alerts that will never be delivered.
///
/// Shape: one object per line with `at`, `sink`, `why` and `alert` (as the file sink writes it); where the outbox holds no
/// alert that can be read, `alert` is null, and `key` and `text` are what it holds.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    path: PathBuf,
}

/// What will never be delivered, and why not.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// What the outbox holds; `None` if it is no alert.
    pub alert: Option<&'a Alert>,
    /// Its key there.
    pub key: &'a str,
    /// Its text there.
    pub text: &'a str,
    /// Why not.
    pub why: &'a str,
}

impl DeadLetters {
    /// Returns the dead letters in the file `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Looks whether they could be written.
    ///
    /// # Errors
    /// When they could not.
    pub fn check(&self) -> Result<(), AppendError> {
        check(&self.path)
    }

    /// Adds what `sink` will never deliver.
    ///
    /// # Errors
    /// When the file cannot be written; the alerts must stay in the outbox then.
    pub fn add(
        &self,
        sink: &str,
        letters: &[Letter<'_>],
        clock: &dyn Clock,
    ) -> Result<(), AppendError> {
        let at = clock.wall();
        let lines = letters.iter().map(|letter| {
            let Letter {
                alert,
                key,
                text,
                why,
            } = *letter;
            line(&match alert {
                Some(alert) => {
                    let alert = object_with(alert, usize::MAX, usize::MAX);
                    json!({ "at": at, "sink": sink, "why": why, "alert": alert })
                }
                None => json!({
                    "at": at, "sink": sink, "why": why, "alert": null, "key": key, "text": redact(text),
                }),
            })
        });
        let lines: String = lines.collect();
        if lines.is_empty() {
            return Ok(());
        }
        append(&self.path, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_lines_take_no_whole_line_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        append(&path, "{\"a\":1}\n").unwrap();
        std::fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
        append(&path, "{\"c\":3}\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"a\":1}\n{\"b\"\n{\"c\":3}\n"
        );
    }

    #[cfg(unix)]
    #[test]
    fn only_plain_files_are_written() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        append(&path, "x\n").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        for path in [link.as_path(), folder.path(), Path::new("/dev/full")] {
            assert!(matches!(
                append(path, "x\n"),
                Err(AppendError::NotAFile { .. })
            ));
        }
        assert!(append(&folder.path().join("no/such/folder"), "x\n").is_err());
    }
}
