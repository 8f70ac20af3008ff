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
//! | `split -d` | `audit.log.00`, `audit.log.01` |
//!
//! Names only set the order of reading. They can be wrong, so nothing that is concluded from events
//! depends on it; an uncompressed file beside its compressed copy is listed too.
//!
//! The order depends on the paths alone, not on the order of the arguments or of a folder. Links to
//! folders are followed last and only to folders that were not read yet, so they lead in no circle.
//! Nothing is opened here but folders.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::rotation::{Age, Rotation, is_archive};
use super::{InputFile, SourceError, Start};

/// How many skipped paths are named.
pub const SKIPPED_MAX: usize = 1000;

/// A named pipe, as [`SourceError::NotAFile`] calls it.
pub(super) const PIPE: &str = "a pipe";

/// What paths come to.
#[derive(Debug, Default)]
pub struct Discovery {
    /// What to read, in order.
    pub files: Vec<InputFile>,
    /// Paths that cannot be read.
    pub errors: Vec<SourceError>,
    /// What was left out of the folders, the first [`SKIPPED_MAX`].
    pub skipped: Vec<Skipped>,
    /// How many were left out.
    pub n_skipped: u64,
}

impl Discovery {
    /// Returns the size of all files as they are now; standard input has none.
    pub fn total_bytes(&self) -> u64 {
        let sizes = self.files.iter().filter_map(|file| {
            let metadata = std::fs::metadata(file.path.as_ref()?).ok()?;
            Some(metadata.len())
        });
        sizes.sum()
    }
}

/// A path in a folder that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path, below the folder as given.
    pub name: Arc<str>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a path in a folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its name is not one of a log.
    NotALog,
    /// Its name is of what lies beside logs, such as `README.md`.
    Beside,
    /// Its name begins with a dot; a folder stands for all in it.
    Hidden,
    /// A link to nothing, or in a circle.
    DeadLink,
    /// A link to a folder that was read by another path.
    KnownFolder,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotALog => "is not named like a log",
            Self::Beside => "lies beside logs",
            Self::Hidden => "is hidden",
            Self::DeadLink => "is a link that leads nowhere",
            Self::KnownFolder => "leads to a folder that was read already",
        })
    }
}

/// Lists the files that `paths` name, and what of them cannot be read or was left out.
///
/// A path given as such is taken whatever its name. Of a folder and the folders in it, hidden ones
/// aside, those files are taken that are named like logs: with the extension `log`, `json`, `jsonl`,
/// `ndjson`, `txt`, `csv`, `audit` or `out`, or none, apart from what compression and rotation add;
/// but not what is known to lie beside logs (`README.txt`, `LICENSE`, `package.json`). Archives (`.tar.gz`, `.zip`) are
/// taken too: opening refuses them, and so it is known that what is in them is missing.
///
/// Shape: lanes by folder and base name, `-` last; within a lane the oldest file first. A file named
/// twice, also through a link, is there once.
pub fn discover(paths: &[PathBuf]) -> Discovery {
    let mut found = Found::default();
    let mut stdin = false;
    for path in paths {
        if path == Path::new("-") {
            stdin = true;
            continue;
        }
        match fs::metadata(path) {
            Ok(kind) if kind.is_dir() => found.walk(path, false),
            Ok(kind) if kind.is_file() => found.add(path),
            Ok(kind) => found.refuse(path, kind.file_type()),
            Err(cause) => found.fail(path, cause),
        }
    }
    while let Some(link) = found.links.pop_first() {
        match fs::canonicalize(&link) {
            Ok(folder) if found.folders.contains(&folder) => {
                found.skip(&link, SkipReason::KnownFolder);
            }
            Ok(_) => found.walk(&link, true),
            Err(cause) => found.fail(&link, cause),
        }
    }
    found.result.files = in_order(found.candidates, stdin);
    found.result
}

/// Says what a path is that is no regular file, as a noun phrase.
pub(super) fn kind_name(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return PIPE;
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() {
        "a folder"
    } else {
        "something special"
    }
}

#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    /// Folders that were read, by their real paths.
    folders: HashSet<PathBuf>,
    /// Links to folders.
    links: BTreeSet<PathBuf>,
    result: Discovery,
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
        let name = name(path);
        self.result.errors.push(SourceError::Open { name, cause });
    }

    fn refuse(&mut self, path: &Path, kind: fs::FileType) {
        let (name, kind) = (name(path), kind_name(kind));
        self.result
            .errors
            .push(SourceError::NotAFile { name, kind });
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.result.n_skipped += 1;
        if self.result.skipped.len() < SKIPPED_MAX {
            let name = name(path);
            self.result.skipped.push(Skipped { name, reason });
        }
    }

    /// Lists a folder. Behind a link, folders that were read are left out: else links to folders one in
    /// the other would have them read again and again.
    fn walk(&mut self, root: &Path, is_link: bool) {
        let mut entries = WalkDir::new(root).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if entry.depth() > 0 && is_hidden(entry.file_name()) => {
                    self.skip(entry.path(), SkipReason::Hidden);
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) if entry.depth() == 0 || entry.file_type().is_dir() => {
                    // What cannot be resolved cannot be entered either, which is reported.
                    let real = fs::canonicalize(entry.path());
                    let is_new = real.is_ok_and(|real| self.folders.insert(real));
                    if is_link && !is_new {
                        entries.skip_current_dir();
                    }
                }
                Ok(entry) => self.add_entry(&entry),
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_path_buf();
                    // Its own words name the path once more.
                    let code = error.io_error().and_then(io::Error::raw_os_error);
                    let cause = match code {
                        Some(code) => io::Error::from_raw_os_error(code),
                        None => error.into(),
                    };
                    self.fail(&path, cause);
                }
            }
        }
    }

    fn add_entry(&mut self, entry: &DirEntry) {
        let (path, kind) = (entry.path(), entry.file_type());
        let rotation = Rotation::of(entry.file_name());
        let is_log = rotation.is_log();
        let kind = if kind.is_symlink() {
            match fs::metadata(path) {
                Ok(target) => target.file_type(),
                Err(cause) if is_log && entry.path().extension().is_some() => {
                    return self.fail(path, cause);
                }
                Err(_) => return self.skip(path, SkipReason::DeadLink),
            }
        } else {
            kind
        };
        if kind.is_dir() {
            self.links.insert(path.to_path_buf());
        } else if !kind.is_file() {
            self.refuse(path, kind);
        } else if is_log || is_archive(entry.file_name()) {
            self.add(path);
        } else if rotation.is_beside() {
            self.skip(path, SkipReason::Beside);
        } else {
            self.skip(path, SkipReason::NotALog);
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
    let parts = candidates
        .iter()
        .filter(|it| matches!(it.rotation.age, Age::Part(_)));
    let split: HashSet<(PathBuf, String)> = parts
        .map(|it| (it.folder.clone(), it.rotation.base.clone()))
        .collect();
    for it in &mut candidates {
        if split.contains(&(it.folder.clone(), it.rotation.base.clone())) {
            it.rotation.make_part();
        }
    }
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
            from: Start::default(),
            is_growing: false,
            piece: None,
        });
    }
    if stdin {
        let lane = if files.is_empty() { 0 } else { lane + 1 };
        files.push(InputFile {
            path: None,
            name: "-".into(),
            lane,
            from: Start::default(),
            is_growing: false,
            piece: None,
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

#[cfg(test)]
mod tests;
