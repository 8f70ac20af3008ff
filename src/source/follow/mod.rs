//! What is new in growing and rotated logs.
//!
//! Comes in: cursors of the last run, and paths, folders and patterns. Goes out: a [`Plan`] of what to
//! read from where, what vanished unread, and, after the reading, the cursors for the next run. Knows
//! files and compression, no JSON. Nothing is written, and no clock is read: the caller gives the time.
//!
//! A run is [`look`], then [`Task::open`], reading and [`advance`] for each task, then [`Plan::finish`].
//! The caller stores the cursors together with what it made of the records, or neither: a run that is
//! cut short is repeated.
//!
//! Promise: a record that ends with a line end, and is in a file at the time of a run, is handed out in
//! that run or was before. It is handed out once, but for these cases, to be told by record hash:
//!
//! - a file was truncated or rewritten between its plan and the end of its reading, and a copy of it
//!   exists: what was handed out in this run is repeated from the copy ([`FollowError::Rewritten`]);
//! - a copy is shorter than what was read, cut in the middle, and the original is gone: the cut `.gz` of
//!   a deleted log, or a restored older backup;
//! - a backup is restored whose cursor was forgotten ([`Options::gone_us`], [`Options::gone_max`]);
//! - the writer lost bytes that had been read (power loss), so that the offset is past the end;
//! - a cursor is damaged, so that its file is an unknown one;
//! - a file is nothing but a part of a line, shorter than 160 bytes: all events begin alike up to there;
//! - a file fails twice in a row while it is compared with one that begins alike.
//!
//! What cannot be seen: a file that was created and deleted between two runs, while older ones remain;
//! records that copytruncate drops between copy and cut; the deletion of a log that held less than a
//! line at the last run.
//!
//! Surprises: an offset is one in decompressed bytes, so it stays valid when a log is compressed. Two
//! files count as the same content up to a place when the first line and the 4 KiB before the place are
//! equal: records have unique ids and times. Content that two files share is handed out once. What is
//! behind the last line end of a file waits; it is handed out at the end of a whole compressed file, and of
//! another when it was there in an earlier run and a newer file has taken its place, or after
//! [`Options::quiet_us`]. UTF-16 is not followed: its bytes are not searched for line ends.

mod content;
mod cursor;
mod examine;
mod expand;
mod files;
mod gaps;
mod pattern;
mod plan;
mod planner;
mod read;
mod tasks;
mod twins;

#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use content::Position;
pub use cursor::{ANCHOR_BYTES, Cursor, HEAD_BYTES, Hash, NotAHash, Print};
pub use expand::{Expansion, Found, SkipReason, Skipped, Source, expand, is_log, is_pattern};
pub use files::{Disk, FileId, Files, Kind, Links, Stat};
pub use gaps::{Certainty, Gap};
pub use plan::{Plan, Twin, plan};
pub use read::{Reader, Task, advance};

/// How often [`look`] looks when files move under it.
const LOOKS_MAX: usize = 4;

/// Returns the time of the first record from the beginning of a file: up to 64 KiB, decompressed.
pub type FirstTime = fn(&[u8]) -> Option<i64>;

/// How files are told apart and remembered.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tells the time of the first record, in any unit. Files of a rotated set are read by name, but where all
    /// have a time and those say otherwise by more than [`slack`](Self::slack), in their order.
    pub first_time: Option<FirstTime>,
    /// How far times may be from the order of names without a doubt in that, in the unit of the times: requests
    /// that last longer are logged behind later ones.
    pub slack: i64,
    /// A file that was changed so short a time ago may change again without showing it in its change
    /// time, so it is looked into; in microseconds.
    pub fresh_us: i64,
    /// After so much time without a change, the last file of a set is taken as finished, and what is
    /// behind its last line end is handed out; in microseconds. Older files of a set need no wait.
    pub quiet_us: i64,
    /// How long the cursor of vanished content is kept, in microseconds.
    pub gone_us: i64,
    /// How many cursors of vanished content are kept, the latest.
    pub gone_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            first_time: None,
            slack: 0,
            fresh_us: 2_000_000,
            quiet_us: 600_000_000,
            gone_us: 30 * 86_400_000_000,
            gone_max: 1000,
        }
    }
}

/// What was found, and what is new in it.
#[derive(Debug)]
pub struct Look {
    /// The files.
    pub expansion: Expansion,
    /// What to do with them.
    pub plan: Plan,
}

/// Lists `sources` and plans what to read; `now_us` is microseconds since the Unix epoch.
///
/// Looks again when files moved meanwhile, and reports a gap when it was seen twice in a row: a folder
/// that is listed while a file in it is renamed may show neither name. Where files move on and on, gaps
/// are left to the next run.
pub fn look<F: Files>(
    files: &F,
    sources: &[Source],
    cursors: &[Cursor],
    options: &Options,
    now_us: i64,
) -> Look {
    let mut before = None;
    let mut n_looks = 0;
    loop {
        n_looks += 1;
        let expansion = expand(files, sources);
        let mut plan = plan(files, cursors, &expansion, options, now_us);
        // A named file is absent for a moment when it is rotated.
        let absent = expansion.errors.iter().filter(|error| error.is_absence());
        let absent = absent.filter_map(|error| error.path().map(Path::to_path_buf));
        let missing: (Vec<PathBuf>, Vec<Gap>) = (absent.collect(), plan.gaps.clone());
        let is_moving = plan.moved || expansion.moved;
        let is_nothing = missing.0.is_empty() && missing.1.is_empty();
        let is_sure = !is_moving && (is_nothing || before.as_ref() == Some(&missing));
        if is_sure {
            return Look { expansion, plan };
        }
        if n_looks == LOOKS_MAX {
            plan.withhold_gaps(now_us);
            return Look { expansion, plan };
        }
        before = Some(missing);
    }
}

/// Why a path could not be looked at or read. Other paths are not affected.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// A path or folder could not be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system or the decompressor said.
        #[source]
        cause: io::Error,
    },
    /// A pattern that is not understood.
    #[error("`{pattern}` is not a pattern: {cause}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong.
        #[source]
        cause: globset::Error,
    },
    /// It was renamed or deleted since it was listed; the next run finds out which.
    #[error("`{}` moved while it was looked at", path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// It was truncated or rewritten while it was read. It is an unknown file to the next run, and the
    /// cursor of what it held stays where it was.
    #[error("`{}` was rewritten while it was read", path.display())]
    Rewritten {
        /// The path.
        path: PathBuf,
    },
}

impl FollowError {
    /// Whether it says that nothing is there, which is certain.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    /// Returns the path that is concerned, if one is.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::Moved { path } | Self::Rewritten { path } => Some(path),
            Self::Pattern { .. } => None,
        }
    }
}
