//! Paths to an ordered list of files.
//!
//! Comes in: files, folders and `-` as the user gave them. Goes out: every file once, in lanes. A lane
//! is one log in its rotated pieces, oldest first: files of one folder with the same base name. Two API
//! servers have two folders or two base names, hence two lanes.
//!
//! Rotated names that are understood, each with `.gz`, `.zst` or `.zstd` behind it or not:
//!
//! | Writer | Names, oldest first |
//! | --- | --- |
//! | kube-apiserver (lumberjack) | `audit-2026-11-22T05-10-25.684.log`, `audit.log` |
//! | logrotate | `audit.log.2`, `audit.log.1`, `audit.log` |
//! | logrotate with `dateext` | `audit.log-20261122`, `audit.log`; also `audit-20261122.log` |
//! | kubelet | `0.log.20261122-051025`, `0.log` |
//!
//! Names only set the order of reading. They can be wrong, so nothing that is concluded from events
//! depends on it; an uncompressed file beside its compressed copy is listed too.
//!
//! The order depends on the paths alone, not on the order of the arguments or of a folder. Links to
//! folders inside a folder are not followed, since they can lead in circles.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::{InputFile, SourceError};

const COMPRESSED: [&str; 3] = [".gz", ".zst", ".zstd"];
const LOG_EXTENSIONS: [&str; 5] = ["log", "json", "jsonl", "ndjson", "txt"];

/// Lists the files that `paths` name, and the paths that name none.
///
/// A path given as such is taken whatever its name. Of a folder and the folders in it, hidden ones
/// aside, those files are taken that are named like logs: with the extension `log`, `json`, `jsonl`,
/// `ndjson` or `txt`, or none, apart from what compression and rotation add.
///
/// Shape: lanes by folder and base name, `-` last; within a lane the oldest file first. A file named
/// twice, also through a link, is there once.
pub fn discover(paths: &[PathBuf]) -> (Vec<InputFile>, Vec<SourceError>) {
    let mut found = Found::default();
    for path in paths {
        if path == Path::new("-") {
            found.stdin = true;
            continue;
        }
        match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => found.walk(path),
            Ok(kind) if kind.is_file() => found.add(path),
            Ok(_) => found
                .errors
                .push(SourceError::NotAFile { name: name(path) }),
            Err(cause) => found.fail(path, cause),
        }
    }
    (in_order(found.candidates, found.stdin), found.errors)
}

#[derive(Default)]
struct Found {
    stdin: bool,
    candidates: Vec<Candidate>,
    errors: Vec<SourceError>,
}

struct Candidate {
    path: PathBuf,
    is_link: bool,
    /// The file itself, for telling that two paths are one file.
    identity: PathBuf,
    /// Folder of the path, not of what it links to: the name in it says what the file is.
    folder: PathBuf,
    rotation: Rotation,
}

impl Found {
    fn fail(&mut self, path: &Path, cause: io::Error) {
        self.errors.push(SourceError::Open {
            name: name(path),
            cause,
        });
    }

    fn walk(&mut self, folder: &Path) {
        let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
        for entry in WalkDir::new(folder)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(visible)
        {
            match entry {
                Ok(entry) => self.add_entry(&entry),
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    self.fail(&path, error.into());
                }
            }
        }
    }

    fn add_entry(&mut self, entry: &DirEntry) {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_dir() {
            return;
        }
        let is_log = Rotation::of(entry.file_name()).is_log();
        if kind.is_file() {
            if is_log {
                self.add(path);
            }
        } else if kind.is_symlink() {
            match fs::metadata(path) {
                Ok(kind) if kind.is_dir() => {}
                Ok(kind) if kind.is_file() && is_log => self.add(path),
                Ok(kind) if kind.is_file() => {}
                Ok(_) => self.errors.push(SourceError::NotAFile { name: name(path) }),
                Err(cause) if is_log => self.fail(path, cause),
                Err(_) => {}
            }
        } else {
            self.errors.push(SourceError::NotAFile { name: name(path) });
        }
    }

    fn add(&mut self, path: &Path) {
        match Candidate::new(path) {
            Ok(candidate) => self.candidates.push(candidate),
            Err(cause) => self.fail(path, cause),
        }
    }
}

impl Candidate {
    fn new(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        Ok(Self {
            path: path.to_path_buf(),
            is_link: path.is_symlink(),
            identity: fs::canonicalize(path)?,
            folder: fs::canonicalize(folder)?,
            rotation: Rotation::of(path.file_name().unwrap_or_default()),
        })
    }

    fn is_same_lane(&self, other: &Self) -> bool {
        self.folder == other.folder && self.rotation.base == other.rotation.base
    }
}

fn in_order(mut candidates: Vec<Candidate>, stdin: bool) -> Vec<InputFile> {
    // Of two paths of one file the real one stays, then the shorter, then the first by name.
    candidates.sort_by_cached_key(|it| (it.is_link, it.path.components().count(), it.path.clone()));
    let mut seen = HashSet::new();
    candidates.retain(|candidate| seen.insert(candidate.identity.clone()));
    candidates
        .sort_by(|a, b| (&a.folder, &a.rotation, &a.path).cmp(&(&b.folder, &b.rotation, &b.path)));
    let mut files = Vec::with_capacity(candidates.len());
    let mut lane = 0;
    for (idx, candidate) in candidates.iter().enumerate() {
        if idx > 0 && !candidate.is_same_lane(&candidates[idx - 1]) {
            lane += 1;
        }
        let path = candidate.path.clone();
        files.push(InputFile {
            name: name(&path),
            path: Some(path),
            lane,
        });
    }
    if stdin {
        let lane = if files.is_empty() { 0 } else { lane + 1 };
        files.push(InputFile {
            path: None,
            name: "-".into(),
            lane,
        });
    }
    files
}

fn name(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// What a file name says about rotation. Ordered by base name, then time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rotation {
    /// The name of the file that is still written.
    base: String,
    age: Age,
    /// Last, so that `audit.log` stays behind a compressed copy of itself.
    is_plain: bool,
}

/// When a file was rotated, oldest first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// The digits of a date, and of a time if there is one.
    Stamped(String),
    /// The higher, the older.
    Numbered(Reverse<u32>),
    /// Still written.
    Current,
}

impl Rotation {
    fn of(file_name: &OsStr) -> Self {
        let full = file_name.to_string_lossy();
        let name = COMPRESSED
            .iter()
            .find_map(|suffix| full.strip_suffix(suffix))
            .unwrap_or(&full);
        let is_plain = name.len() == full.len();
        let (base, age) = split_age(name);
        Self {
            base,
            age,
            is_plain,
        }
    }

    fn is_log(&self) -> bool {
        match self.base.rsplit_once('.') {
            Some((_, extension)) => LOG_EXTENSIONS
                .iter()
                .any(|log| extension.eq_ignore_ascii_case(log)),
            None => true,
        }
    }
}

fn split_age(name: &str) -> (String, Age) {
    if let Some((stem, extension)) = name.rsplit_once('.')
        && !extension.is_empty()
        && extension.bytes().all(|byte| byte.is_ascii_alphabetic())
    {
        return match split_stamp(stem) {
            Some((base, stamp)) => (format!("{base}.{extension}"), Age::Stamped(stamp)),
            None => (name.to_owned(), Age::Current),
        };
    }
    if let Some((base, stamp)) = split_stamp(name) {
        return (base.to_owned(), Age::Stamped(stamp));
    }
    match name.rsplit_once('.') {
        Some((base, digits)) if !base.is_empty() && digits.len() <= 6 => match digits.parse() {
            Ok(number) => (base.to_owned(), Age::Numbered(Reverse(number))),
            Err(_) => (name.to_owned(), Age::Current),
        },
        _ => (name.to_owned(), Age::Current),
    }
}

/// Splits a date, with or without a time, off the end of a name; returns its digits.
fn split_stamp(name: &str) -> Option<(&str, String)> {
    name.match_indices(['-', '.'])
        .filter(|&(at, _)| at > 0)
        .find_map(|(at, _)| {
            let stamp = &name[at + 1..];
            let digits: String = stamp.chars().filter(char::is_ascii_digit).collect();
            let is_date = stamp.starts_with(digits.get(..8)?)
                || stamp.starts_with(&format!(
                    "{}-{}-{}",
                    &digits[..4],
                    &digits[4..6],
                    &digits[6..8]
                ));
            let is_time = stamp
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"-_.:T".contains(&byte));
            let fits = ("1970".."2200").contains(&&digits[..4])
                && ("01"..="12").contains(&&digits[4..6])
                && ("01"..="31").contains(&&digits[6..8]);
            (is_date && is_time && fits).then(|| (&name[..at], digits))
        })
}

#[cfg(test)]
mod tests;
