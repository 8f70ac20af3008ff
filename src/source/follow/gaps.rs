//! What vanished, and whether something in it was not read.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::source::follow::Options;
use crate::source::follow::cursor::Cursor;
use crate::source::rotation::Rotation;

/// Something that was, or may have been, deleted before it was read.
///
/// Each is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The file as it was called when it was last seen.
    pub name: String,
    /// When that was, in microseconds since the Unix epoch.
    pub last_seen_us: i64,
    /// Whether records are known to be lost.
    pub certainty: Certainty,
    /// Bytes that were seen and not read, if they could be counted.
    pub unread_bytes: Option<u64>,
    /// The oldest file that is there of the same rotated set: the gap is before it.
    pub oldest: Option<String>,
}

/// Whether records are known to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// There were bytes that were not read.
    Sure,
    /// All that was seen was read, but the file was still being written: more may have followed.
    Possible,
}

/// What the plan knows of where the content of a cursor is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Presence {
    /// In no file.
    Gone,
    /// In files of which the longest has so many bytes.
    Short(u64),
    /// In a file, all of it.
    Whole,
}

/// A rotated set: its folder and base name.
pub(super) type LaneKey = (PathBuf, String);

/// Returns to which rotated set a path belongs.
pub(super) fn lane_key(path: &Path) -> LaneKey {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let rotation = Rotation::of(path.file_name().unwrap_or_default());
    (folder, rotation.base)
}

/// What is the case around a cursor.
pub(super) struct Around<'a> {
    pub(super) presence: Presence,
    /// Files may have been missed, so that nothing is known to be gone.
    pub(super) is_uncertain: bool,
    /// There is a compressed file in the set that was not there before.
    pub(super) has_new_compressed: bool,
    /// The oldest file of the set.
    pub(super) oldest: Option<&'a str>,
}

/// Returns the gap that a cursor shows, and marks it as gone where it is.
pub(super) fn gap(cursor: &mut Cursor, around: &Around<'_>, now_us: i64) -> Option<Gap> {
    let unread = match around.presence {
        Presence::Whole => return None,
        Presence::Short(size) if cursor.compressed || size >= cursor.size => return None,
        Presence::Short(size) => Some(cursor.size - size.max(cursor.offset)),
        Presence::Gone => cursor.unread_bytes(),
    };
    if around.is_uncertain {
        return None;
    }
    if around.presence == Presence::Gone {
        if cursor.gone_since_us.is_some() {
            return None;
        }
        cursor.gone_since_us = Some(now_us);
    }
    // A file of which nothing is known is found by its number; a compressed one has another.
    let may_be_compressed = cursor.is_weak() && around.has_new_compressed;
    let certainty = match unread {
        _ if may_be_compressed => return None,
        Some(0) if cursor.newest => Certainty::Possible,
        Some(0) => return None,
        _ => Certainty::Sure,
    };
    Some(Gap {
        name: cursor.name.clone(),
        last_seen_us: cursor.last_seen_us,
        certainty,
        unread_bytes: unread.filter(|bytes| *bytes > 0),
        oldest: around.oldest.map(ToOwned::to_owned),
    })
}

/// Takes out the cursors of vanished content that are too old or too many, and returns them.
pub(super) fn forget(cursors: &mut Vec<Cursor>, options: &Options, now_us: i64) -> Vec<Cursor> {
    let mut times: Vec<i64> = cursors.iter().filter_map(|it| it.gone_since_us).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    let oldest_kept = match options.gone_max {
        0 => i64::MAX,
        n => times.get(n - 1).copied().unwrap_or(i64::MIN),
    };
    let mut n_kept = 0;
    let is_old = |cursor: &mut Cursor| {
        let Some(since) = cursor.gone_since_us else {
            return false;
        };
        let fits = since >= oldest_kept && n_kept < options.gone_max;
        let is_kept = fits && now_us.saturating_sub(since) <= options.gone_us;
        n_kept += usize::from(is_kept);
        !is_kept
    };
    cursors.extract_if(.., is_old).collect()
}

/// Returns the folders in which files may have been missed.
pub(super) fn folders_of<'a>(errors: impl Iterator<Item = &'a Path>) -> HashSet<PathBuf> {
    let mut folders = HashSet::new();
    for path in errors {
        folders.insert(path.to_path_buf());
        folders.extend(path.parent().map(Path::to_path_buf));
    }
    folders
}
