//! Paths, folders and patterns to regular files.
//!
//! A path that exists is taken as it stands, also when it has characters of a pattern in it. A file that
//! is named or matched, and has no name of a rotated one, brings its rotated set along: what was written
//! to it yesterday is in a file with another name today. A folder stands for the files in it and below
//! that are named like logs, hidden ones aside. In a pattern, `*` and `?` match within one name, `[a-z]`
//! and `{a,b}` as usual, `**` any number of folders; a name that begins with a dot is matched by a pattern
//! that does so. A folder that a pattern matches is taken like one that is named.
//!
//! Each entry costs one stat (a link two), and nothing is opened. `globset` matches the names of each
//! level, the walking is done here: the `glob` crate reads the disk itself, so its errors and order
//! could not be tested.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::source::follow::FollowError;
use crate::source::follow::files::{FileId, Files, Kind, Links, Stat};
use crate::source::rotation::{Age, Rotation};

/// How deep folders are entered; a loop of links ends here if not before.
pub(super) const DEPTH_MAX: usize = 32;
/// How many skipped paths are named.
const SKIPPED_MAX: usize = 1000;

/// A path to follow, as configured.
#[derive(Debug, Clone)]
pub struct Source {
    /// File, folder or pattern.
    pub path: PathBuf,
    /// What to do about links.
    pub links: Links,
}

/// What sources come to.
#[derive(Debug, Default)]
pub struct Expansion {
    /// Regular files, each once, by path.
    pub files: Vec<Found>,
    /// What could not be listed or asked.
    pub errors: Vec<FollowError>,
    /// What was left out, the first 1000.
    pub skipped: Vec<Skipped>,
    /// How many were left out.
    pub n_skipped: u64,
    /// Whether something vanished between being listed and being asked.
    pub moved: bool,
}

/// A regular file.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What the system says of it.
    pub stat: Stat,
    /// Whether it may be opened through a link.
    pub links: Links,
}

/// A path that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a path was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Neither a file nor a folder; what it is, as a noun phrase.
    Special(&'static str),
    /// A link, and links are refused.
    Link,
    /// A link to nothing, or in a circle.
    DeadLink,
    /// A folder that was read by another path.
    KnownFolder,
    /// Its name, in a folder, is not one of a log.
    NotALog,
    /// Its name, in a folder, begins with a dot.
    Hidden,
    /// Deeper than folders are entered.
    Deep,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Special(what) => return write!(f, "is {what}"),
            Self::Link => "is a link, and links are refused",
            Self::DeadLink => "is a link that leads nowhere",
            Self::KnownFolder => "leads to a folder that is read already",
            Self::NotALog => "is not named like a log",
            Self::Hidden => "is hidden",
            Self::Deep => "is deeper than folders are entered",
        })
    }
}

/// Lists the regular files that `sources` name.
///
/// Shape: by path. A file with several names is there once: by a name that is no link, then by the
/// shorter path, then by the first.
pub fn expand<F: Files>(files: &F, sources: &[Source]) -> Expansion {
    let mut walk = Walk {
        files,
        links: Links::Follow,
        folders: HashSet::new(),
        sets: BTreeMap::new(),
        candidates: Vec::new(),
        result: Expansion::default(),
    };
    for source in sources {
        walk.links = source.links;
        walk.source(&source.path);
    }
    walk.rotated_sets();
    let Walk {
        mut candidates,
        mut result,
        ..
    } = walk;
    candidates.sort_by_cached_key(|(is_link, found)| {
        let length = found.path.components().count();
        (*is_link, length, found.path.clone())
    });
    let (mut ids, mut paths) = (HashSet::new(), HashSet::new());
    candidates.retain(|(_, found)| {
        paths.insert(found.path.clone()) && found.stat.id.is_none_or(|id| ids.insert(id))
    });
    result.files = candidates.into_iter().map(|(_, found)| found).collect();
    result.files.sort_by(|a, b| a.path.cmp(&b.path));
    result
}

pub(super) struct Walk<'a, F> {
    pub(super) files: &'a F,
    pub(super) links: Links,
    /// Folders that were read whole.
    folders: HashSet<FileId>,
    /// Base names of rotated sets that were asked for by one of their files, by folder.
    sets: BTreeMap<PathBuf, (Links, HashSet<String>)>,
    /// Files, and whether the path is a link.
    candidates: Vec<(bool, Found)>,
    pub(super) result: Expansion,
}

impl<F: Files> Walk<'_, F> {
    fn source(&mut self, path: &Path) {
        match self.files.stat(path, Links::Refuse) {
            Ok(stat) => self.enter(path, stat, 0, true),
            Err(cause) if is_pattern(path) => {
                if cause.kind() != io::ErrorKind::NotFound {
                    self.fail(path, cause);
                }
                self.pattern(path);
            }
            Err(cause) => {
                if cause.kind() == io::ErrorKind::NotFound {
                    self.want_set(path);
                }
                self.fail(path, cause);
            }
        }
    }

    fn want_set(&mut self, path: &Path) {
        let rotation = Rotation::of(path.file_name().unwrap_or_default());
        if rotation.age == Age::Current && rotation.is_plain {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let set = self.sets.entry(folder.to_path_buf()).or_default();
            set.0 = self.links;
            set.1.insert(rotation.base);
        }
    }

    fn rotated_sets(&mut self) {
        for (folder, (links, bases)) in std::mem::take(&mut self.sets) {
            if matches!(self.files.stat(&folder, Links::Follow), Ok(stat) if stat.kind == Kind::Folder
                && stat.id.is_some_and(|id| self.folders.contains(&id)))
            {
                continue;
            }
            self.links = links;
            let known: HashSet<PathBuf> = self
                .candidates
                .iter()
                .map(|(_, found)| found.path.clone())
                .collect();
            let is_wanted = |name: &OsStr| {
                let rotation = Rotation::of(name);
                let is_it = rotation.age == Age::Current && rotation.is_plain;
                !is_it && bases.contains(&rotation.base) && !known.contains(&folder.join(name))
            };
            for (path, stat) in self.entries(&folder, is_wanted) {
                if stat.kind != Kind::Folder {
                    self.enter(&path, stat, 1, false);
                }
            }
        }
    }

    pub(super) fn fail(&mut self, path: &Path, cause: io::Error) {
        let path = path.to_path_buf();
        self.result.errors.push(FollowError::Io { path, cause });
    }

    pub(super) fn skip(&mut self, path: PathBuf, reason: SkipReason) {
        self.result.n_skipped += 1;
        if self.result.skipped.len() < SKIPPED_MAX {
            self.result.skipped.push(Skipped { path, reason });
        }
    }

    /// Takes what is at a path, of which `stat` is the stat without following.
    pub(super) fn enter(&mut self, path: &Path, stat: Stat, depth: usize, any_name: bool) {
        let owned = || path.to_path_buf();
        let is_link = stat.kind == Kind::Link;
        let stat = match (is_link, self.links) {
            (false, _) => stat,
            (true, Links::Refuse) => return self.skip(owned(), SkipReason::Link),
            (true, Links::Follow) => match self.files.stat(path, Links::Follow) {
                Ok(stat) => stat,
                Err(cause) if is_dead_link(&cause) => {
                    return self.skip(owned(), SkipReason::DeadLink);
                }
                Err(cause) => return self.fail(path, cause),
            },
        };
        match stat.kind {
            Kind::File if any_name || is_log(path) => {
                if any_name {
                    self.want_set(path);
                }
                let (path, links) = (owned(), self.links);
                self.candidates.push((is_link, Found { path, stat, links }));
            }
            Kind::File => self.skip(owned(), SkipReason::NotALog),
            Kind::Folder => match stat.id {
                _ if depth >= DEPTH_MAX => self.skip(owned(), SkipReason::Deep),
                None if is_link => self.skip(owned(), SkipReason::Link),
                Some(id) if !self.folders.insert(id) => {
                    self.skip(owned(), SkipReason::KnownFolder);
                }
                _ => self.folder(path, depth),
            },
            Kind::Link => self.skip(owned(), SkipReason::DeadLink),
            Kind::Other(what) => self.skip(owned(), SkipReason::Special(what)),
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        for (path, stat) in self.entries(folder, |name| !is_hidden(name)) {
            self.enter(&path, stat, depth + 1, false);
        }
    }

    /// Returns what is in a folder, by name; of links the links.
    pub(super) fn entries(
        &mut self,
        folder: &Path,
        is_wanted: impl Fn(&OsStr) -> bool,
    ) -> Vec<(PathBuf, Stat)> {
        let mut names = match self.files.list(folder) {
            Ok(names) => names,
            Err(cause) => {
                self.fail(folder, cause);
                return Vec::new();
            }
        };
        names.sort();
        let mut entries = Vec::new();
        for name in names {
            let path = folder.join(&name);
            if !is_wanted(&name) {
                if is_hidden(&name) {
                    self.skip(path, SkipReason::Hidden);
                }
                continue;
            }
            match self.files.stat(&path, Links::Refuse) {
                Ok(stat) => entries.push((path, stat)),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.result.moved = true,
                Err(cause) => self.fail(&path, cause),
            }
        }
        entries
    }
}

/// Returns whether a path that is not there is one of a pattern.
pub fn is_pattern(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().any(|byte| b"*?[{".contains(byte))
}

fn is_dead_link(cause: &io::Error) -> bool {
    /// `ELOOP` on Linux; the kind of it is not stable.
    const TOO_MANY_LINKS: i32 = 40;
    cause.kind() == io::ErrorKind::NotFound || cause.raw_os_error() == Some(TOO_MANY_LINKS)
}

/// Returns whether a file in a folder is taken by its name.
pub fn is_log(path: &Path) -> bool {
    Rotation::of(path.file_name().unwrap_or_default()).is_log()
}

pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}
