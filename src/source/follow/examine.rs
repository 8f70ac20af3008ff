//! One file against the cursors: whose content is in it, and up to where.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::source::follow::content::{Content, Position, Trace, before, is_compressed};
use crate::source::follow::cursor::{Cursor, HEAD_BYTES, Print};
use crate::source::follow::expand::Found;
use crate::source::follow::files::{Files, Kind, Stat};
use crate::source::follow::{FollowError, Options};

/// How much of a file is looked at for the time of its first record.
const TIME_BYTES: usize = 64 << 10;

/// What is in a file that changed or is new.
#[derive(Debug)]
pub(super) struct Examined {
    /// Of the file as it was opened.
    pub(super) stat: Stat,
    pub(super) compressed: bool,
    /// The first line, up to [`HEAD_BYTES`].
    pub(super) head: Vec<u8>,
    pub(super) first_time: Option<i64>,
    /// The cursor that was read farthest of those whose content is in it.
    pub(super) base: Option<usize>,
    /// All cursors whose content is in it.
    pub(super) claims: Vec<usize>,
}

impl Examined {
    /// Opens and reads as little as tells: the first bytes, and the anchors of cursors that begin alike;
    /// a compressed file up to the last of these.
    ///
    /// # Errors
    /// When it moved or cannot be read.
    pub(super) fn of<F: Files>(
        files: &F,
        found: &Found,
        cursors: &[Cursor],
        options: &Options,
    ) -> Result<Self, FollowError> {
        let path = &found.path;
        let examined = Self::read(files, found, cursors, options);
        examined.map_err(|cause| {
            let path = path.clone();
            match cause.kind() {
                io::ErrorKind::NotFound => FollowError::Moved { path },
                _ => FollowError::Io { path, cause },
            }
        })
    }

    fn read<F: Files>(
        files: &F,
        found: &Found,
        cursors: &[Cursor],
        options: &Options,
    ) -> io::Result<Self> {
        let file = Arc::new(files.open(&found.path, found.links)?);
        let stat = files.stat_open(&file)?;
        if stat.kind != Kind::File {
            return Err(io::Error::other("it is no regular file any more"));
        }
        let compressed = is_compressed(files, &file)?;
        let n = match options.first_time {
            Some(_) => TIME_BYTES,
            None => HEAD_BYTES,
        };
        let mut content = Content::open(files, Arc::clone(&file), compressed, 0)?;
        let bytes = content.head(n)?;
        let head = first_line(&bytes);
        // Many cursors have a first line of the same length, which is hashed once.
        let mut hashes = HashMap::new();
        let mut begins = |print: &Print| {
            head.get(..print.length as usize).is_some_and(|bytes| {
                let hash = hashes
                    .entry(bytes.len())
                    .or_insert_with(|| Print::of(bytes).hash);
                *hash == print.hash
            })
        };
        let mut candidates: Vec<usize> = Vec::new();
        let mut claims = Vec::new();
        for (idx, cursor) in cursors.iter().enumerate() {
            if cursor.is_weak() && !is_untouched(cursor, &stat) {
                let is_it = cursor.head.length > 0 || stat.is_same_file(cursor.id);
                if is_it && begins(&cursor.head) {
                    claims.push(idx);
                }
            } else if begins(&cursor.head) {
                candidates.push(idx);
            }
        }
        candidates.sort_by_key(|idx| cursors[*idx].offset);
        let prints = if compressed {
            let offsets: Vec<u64> = candidates.iter().map(|idx| cursors[*idx].offset).collect();
            prints_at(files, &file, &offsets)?
        } else {
            let offsets = candidates.iter().map(|idx| cursors[*idx].offset);
            offsets
                .map(|offset| Ok(Print::of(&before(files, &file, offset)?)))
                .collect::<io::Result<_>>()?
        };
        let mut base = None;
        for (idx, print) in candidates.iter().zip(prints) {
            let cursor = &cursors[*idx];
            if (compressed || cursor.offset <= stat.size) && cursor.anchor == print {
                claims.push(*idx);
                base = Some(*idx);
            }
        }
        Ok(Self {
            stat,
            compressed,
            head: head.to_vec(),
            first_time: options.first_time.and_then(|time| time(&bytes)),
            base,
            claims,
        })
    }

    /// Returns where what is unknown begins.
    pub(super) fn start(&self, cursors: &[Cursor]) -> Position {
        self.base.map_or_else(Position::default, |idx| Position {
            offset: cursors[idx].offset,
            line: cursors[idx].line,
        })
    }
}

/// Returns the prints before ascending `offsets` of a compressed file, as far as it goes.
pub(super) fn prints_at<F: Files>(
    files: &F,
    file: &Arc<F::File>,
    offsets: &[u64],
) -> io::Result<Vec<Print>> {
    let mut prints = Vec::new();
    if offsets.is_empty() {
        return Ok(prints);
    }
    let mut content = Content::open(files, Arc::clone(file), true, 0)?;
    let mut trace = Trace::default();
    for offset in offsets {
        content.pass(&mut trace, *offset)?;
        if trace.position.offset < *offset {
            break;
        }
        prints.push(trace.anchor());
    }
    Ok(prints)
}

/// Whether nothing speaks against it that the file is the one of the cursor, as it was.
fn is_untouched(cursor: &Cursor, stat: &Stat) -> bool {
    stat.is_same_file(cursor.id) && stat.size == cursor.size
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
    match memchr::memchr(b'\n', bytes) {
        Some(end) => &bytes[..=end],
        None => bytes,
    }
}
