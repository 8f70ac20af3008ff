//! Which files a case is about, told by their content.
//!
//! A file is known by its size and the hash of its first 64 KiB as they are on disk: audit events have
//! unique ids and times, so two logs that begin alike are one. Paths do not count, so a file set that
//! was moved or rotated is the same case. A file that grew is recognised by what it began with, be it
//! shorter than 64 KiB at the time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest, Sha256};

use super::{Case, CaseError, Part, Subject, rows};

/// How much of a file tells it from others.
pub const HEAD_BYTES: u64 = 64 * 1024;

type Hash = [u8; 32];

/// A file as it is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file as given on the command line.
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
    /// SHA-256 of its first [`HEAD_BYTES`], or of all if it is shorter.
    head: Hash,
    /// The same of so many bytes, for the lengths that were asked for. Not kept in the database.
    shorter: BTreeMap<u64, Hash>,
}

impl SourceFile {
    /// Reads what tells the regular file at `path` from others; `name` is what findings call it.
    ///
    /// `lengths` are those of [`Case::short_sizes`], so that a short file is recognised when it grew.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(name: &str, path: &Path, lengths: &[u64]) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(HEAD_BYTES.min(size)).read_to_end(&mut head)?;
        // It may have been cut in between.
        let size = if (head.len() as u64) < HEAD_BYTES {
            head.len() as u64
        } else {
            size
        };
        Ok(Self::of(name, size, &head, lengths))
    }

    /// Returns a file of `size` bytes whose first [`HEAD_BYTES`] are `head`.
    pub(super) fn of(name: &str, size: u64, head: &[u8], lengths: &[u64]) -> Self {
        let hash = |bytes: &[u8]| Hash::from(Sha256::digest(bytes));
        let shorter = lengths.iter().filter_map(|length| {
            let part = head.get(..usize::try_from(*length).ok()?)?;
            Some((*length, hash(part)))
        });
        Self {
            name: name.to_owned(),
            size,
            head: hash(head),
            shorter: shorter.collect(),
        }
    }

    /// Returns how much of its beginning tells it from others: [`HEAD_BYTES`], or all of it if it is shorter.
    pub fn head_bytes(&self) -> u64 {
        self.size.min(HEAD_BYTES)
    }

    /// Returns the SHA-256 of that much, in hexadecimal.
    pub fn head_sha256(&self) -> String {
        use std::fmt::Write as _;
        self.head.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Returns under what length and hash a file of this beginning is found.
    fn beginning(&self) -> (u64, Hash) {
        (self.head_bytes(), self.head)
    }
}

/// How a set of files differs from that of the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The same content, wherever it is now.
    Same,
    /// All that was there, and more.
    Grown {
        /// What is new, in the order of the files.
        files: Vec<Growth>,
    },
    /// Something is missing or different, or the case has no files yet.
    Different,
}

/// What is new about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The file as given now.
    pub name: String,
    /// Bytes that were added; all of them if the file is new.
    pub bytes: u64,
    /// Whether the case did not have the file.
    pub is_new: bool,
}

/// A file that has another name than in the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name in the case, and in the results kept in it.
    pub from: String,
    /// Its name now.
    pub to: String,
}

/// Compares `files` with `known` ones; empty files count for nothing.
pub fn compare(known: &[SourceFile], files: &[SourceFile]) -> Change {
    let Some(pairs) = pair(known, files) else {
        return Change::Different;
    };
    let growth = files.iter().enumerate().filter_map(|(idx, file)| {
        let old = pairs.get(&idx).map(|old| &known[*old]);
        let growth = Growth {
            name: file.name.clone(),
            bytes: file.size - old.map_or(0, |old| old.size),
            is_new: old.is_none(),
        };
        (growth.bytes > 0).then_some(growth)
    });
    let files: Vec<Growth> = growth.collect();
    if files.is_empty() {
        Change::Same
    } else if pairs.is_empty() {
        Change::Different
    } else {
        Change::Grown { files }
    }
}

/// Returns which of the `known` files have another name among `files`, by the old name.
pub fn moved(known: &[SourceFile], files: &[SourceFile]) -> Vec<Moved> {
    let pairs = pair(known, files).unwrap_or_default();
    let pairs = pairs
        .into_iter()
        .map(|(new, old)| (&known[old].name, &files[new].name));
    let mut moved: Vec<Moved> = pairs
        .filter(|(from, to)| from != to)
        .map(|(from, to)| Moved {
            from: from.clone(),
            to: to.clone(),
        })
        .collect();
    moved.sort_by(|a, b| a.from.cmp(&b.from));
    moved
}

impl Case {
    /// Returns the files that the results are from.
    pub fn sources(&self) -> &[SourceFile] {
        &self.contents.sources
    }

    /// Returns the sizes of the files that are shorter than what tells a file; see [`SourceFile::read`].
    pub fn short_sizes(&self) -> Vec<u64> {
        let sizes = self.contents.sources.iter().map(|file| file.size);
        let mut sizes: Vec<u64> = sizes.filter(|size| *size < HEAD_BYTES).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// Compares `files` with those of the case; see [`compare`].
    pub fn compare(&self, files: &[SourceFile]) -> Change {
        compare(&self.contents.sources, files)
    }

    /// Returns which files of the case have another name among `files`; see [`moved`].
    pub fn moved(&self, files: &[SourceFile]) -> Vec<Moved> {
        moved(&self.contents.sources, files)
    }

    /// Gives bookmarks, notes about events, and sources the names that their files have among
    /// `files`; returns what moved. Results keep the old names.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn follow(&mut self, files: &[SourceFile]) -> Result<Vec<Moved>, CaseError> {
        let moved = self.moved(files);
        // All at once: in a rotated set, the new name of one file is the old name of another.
        let names: HashMap<&str, &str> = moved
            .iter()
            .map(|moved| (moved.from.as_str(), moved.to.as_str()))
            .collect();
        let mut changed = Vec::new();
        let rename = |name: &mut String| {
            let Some(new) = names.get(name.as_str()) else {
                return false;
            };
            (*new).clone_into(name);
            true
        };
        for note in self.contents.notes.values_mut() {
            if let Subject::Event { file, .. } = &mut note.subject
                && rename(file)
            {
                changed.push(Part::Note(note.id));
            }
        }
        for bookmark in &mut self.contents.bookmarks {
            if rename(&mut bookmark.file) {
                changed.push(Part::Bookmark(bookmark.id));
            }
        }
        for file in &mut self.contents.sources {
            if rename(&mut file.name) {
                changed.push(Part::Sources);
            }
        }
        self.contents
            .bookmarks
            .sort_by(|a, b| a.order().cmp(&b.order()));
        self.changed(changed)?;
        Ok(moved)
    }
}

/// Finds each file of `old` among `new`; returns the index in `old` by that in `new`.
///
/// `None` if one is missing. The same size goes first, then the same name, then the order of `new`.
fn pair(old: &[SourceFile], new: &[SourceFile]) -> Option<BTreeMap<usize, usize>> {
    let mut by_beginning: HashMap<(u64, Hash), Vec<usize>> = HashMap::new();
    for (idx, file) in new.iter().enumerate().rev() {
        let shorter = file.shorter.iter().map(|(length, hash)| (*length, *hash));
        let shorter = shorter.filter(|beginning| *beginning != file.beginning());
        for beginning in shorter.chain([file.beginning()]) {
            by_beginning.entry(beginning).or_default().push(idx);
        }
    }
    let mut pairs = BTreeMap::new();
    let mut take = |old_idx: usize, fits: &dyn Fn(&SourceFile) -> bool| {
        let candidates = by_beginning.get_mut(&old[old_idx].beginning())?;
        candidates.retain(|idx| !pairs.contains_key(idx));
        let at = candidates.iter().rposition(|idx| fits(&new[*idx]))?;
        pairs.insert(candidates.remove(at), old_idx);
        Some(())
    };
    // The largest go first: what is shorter fits more files.
    let mut left: Vec<usize> = (0..old.len()).filter(|idx| old[*idx].size > 0).collect();
    left.sort_by_key(|idx| std::cmp::Reverse(old[*idx].size));
    let same = |a: &SourceFile, b: &SourceFile| a.size == b.size;
    left.retain(|idx| {
        let file = &old[*idx];
        take(*idx, &|new| same(file, new) && new.name == file.name).is_none()
    });
    left.retain(|idx| take(*idx, &|new| same(&old[*idx], new)).is_none());
    left.retain(|idx| {
        let file = &old[*idx];
        take(*idx, &|new| new.size > file.size && new.name == file.name).is_none()
    });
    left.retain(|idx| take(*idx, &|new| new.size > old[*idx].size).is_none());
    left.is_empty().then_some(pairs)
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<SourceFile>> {
    let sql = "SELECT name, size, head FROM sources ORDER BY id";
    rows(connection, sql, |row| {
        Ok(SourceFile {
            name: row.get(0)?,
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            head: row.get(2)?,
            shorter: BTreeMap::new(),
        })
    })
}

pub(super) fn write(files: &[SourceFile], transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM sources", [])?;
    let sql = "INSERT INTO sources (name, size, head) VALUES (?, ?, ?)";
    let mut insert = transaction.prepare(sql)?;
    for file in files {
        insert.execute(params![file.name, file.size.cast_signed(), file.head])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
