//! Reading what is new in one file, and the cursor behind it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::follow::FollowError;
use crate::source::follow::content::{Content, Position, Trace, before};
use crate::source::follow::cursor::{Cursor, HEAD_BYTES, Print};
use crate::source::follow::files::{Files, Kind, Links, Stat, read_full};

/// How many bytes that were added since a file was opened are read in the same run; a writer that is
/// faster than the reader would keep it for ever.
const CHASE_BYTES: u64 = 256 << 20;

/// Something to read.
#[derive(Debug, Clone)]
pub struct Task {
    /// The file, when it was found.
    pub path: PathBuf,
    /// Files of one lane follow each other in time (a rotated set); from 0.
    pub lane: u32,
    /// Where to begin: a record begins there.
    pub start: Position,
    /// The name at the last run of what is continued; `None` is a new file.
    pub continues: Option<String>,
    pub(super) links: Links,
    /// What is behind the last line end is handed out too.
    pub(super) takes_tail: bool,
    pub(super) fresh_us: i64,
    /// The cursor if nothing is done.
    pub(super) carry: Cursor,
}

impl Task {
    /// Returns whether what is behind the last line end is to be handed out too.
    pub fn takes_tail(&self) -> bool {
        self.takes_tail
    }

    /// Returns the last bytes of the file as it is now, up to `n`; none if it is compressed or not there any more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tail<F: Files>(&self, files: &F, n: usize) -> io::Result<Vec<u8>> {
        if self.carry.compressed {
            return Ok(Vec::new());
        }
        let Some((file, stat)) = self.try_open(files, &self.path)? else {
            return Ok(Vec::new());
        };
        let offset = stat.size.saturating_sub(n as u64);
        let mut tail = vec![0; n];
        let n = read_full(files, &file, offset, &mut tail)?;
        tail.truncate(n);
        Ok(tail)
    }

    /// Opens the file at the place to begin, under its new name in the same folder if it has one.
    ///
    /// # Errors
    /// When it is gone, was rewritten, or cannot be read.
    pub fn open<'a, F: Files>(&self, files: &'a F) -> Result<Reader<'a, F>, FollowError> {
        let (path, file, stat) = self.locate(files)?;
        let failed = |cause| FollowError::Io {
            path: path.clone(),
            cause,
        };
        let Position { offset, .. } = self.start;
        let file = Arc::new(file);
        let mut recent = Vec::new();
        if !self.carry.compressed {
            recent = before(files, &file, offset).map_err(failed)?;
            let head = first_line(files, &file).map_err(failed)?;
            if Print::of(&recent) != self.carry.anchor || !self.carry.head.begins(&head) {
                return Err(FollowError::Rewritten { path });
            }
        }
        let mut content =
            Content::open(files, Arc::clone(&file), self.carry.compressed, 0).map_err(failed)?;
        let mut trace = Trace::new(self.start, recent);
        if self.carry.compressed {
            let mut passed = Trace::default();
            content.pass(&mut passed, offset).map_err(failed)?;
            if passed.position.offset != offset || passed.anchor() != self.carry.anchor {
                return Err(FollowError::Rewritten { path });
            }
            trace = passed.at(self.start);
        } else if offset > 0 {
            content = Content::open(files, Arc::clone(&file), false, offset).map_err(failed)?;
        }
        Ok(Reader {
            files,
            file,
            opened: stat,
            path,
            content,
            trace,
            limit: stat.size.saturating_add(CHASE_BYTES),
            end: None,
        })
    }

    fn locate<F: Files>(&self, files: &F) -> Result<(PathBuf, F::File, Stat), FollowError> {
        let moved = || FollowError::Moved {
            path: self.path.clone(),
        };
        let first = self.try_open(files, &self.path);
        match first {
            Ok(Some((file, stat))) => return Ok((self.path.clone(), file, stat)),
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                let path = self.path.clone();
                return Err(FollowError::Io { path, cause });
            }
            _ => {}
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let names = files.list(folder).map_err(|cause| FollowError::Io {
            path: folder.to_path_buf(),
            cause,
        })?;
        for name in names {
            let path = folder.join(name);
            let is_it = files
                .stat(&path, Links::Refuse)
                .is_ok_and(|stat| stat.is_same_file(self.carry.id));
            if is_it && let Ok(Some((file, stat))) = self.try_open(files, &path) {
                return Ok((path, file, stat));
            }
        }
        Err(moved())
    }

    /// Opens `path` if it is the file that was found.
    fn try_open<F: Files>(&self, files: &F, path: &Path) -> io::Result<Option<(F::File, Stat)>> {
        let file = files.open(path, self.links)?;
        let stat = files.stat_open(&file)?;
        let is_it = stat.kind == Kind::File && stat.id == self.carry.id;
        Ok(is_it.then_some((file, stat)))
    }
}

/// The new bytes of a file, decompressed.
///
/// An error of damaged compressed data comes behind all bytes before the damage; the next run does not
/// come to it again unless the file changes.
pub struct Reader<'a, F: Files> {
    files: &'a F,
    file: Arc<F::File>,
    opened: Stat,
    path: PathBuf,
    content: Content<'a>,
    trace: Trace,
    /// Bytes on disk at which reading a file that is not compressed ends.
    limit: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Damaged,
    Failed,
    /// More is there than is read in one run.
    Limit,
}

impl<F: Files> Reader<'_, F> {
    /// Returns where the file was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the bytes end that were read.
    pub fn position(&self) -> Position {
        self.trace.position
    }

    /// Returns where the last line ends that was read whole.
    pub fn whole(&self) -> Position {
        self.trace.whole
    }
}

impl<F: Files> Read for Reader<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.trace.position.offset >= self.limit && !self.content.is_compressed() {
            self.end = Some(End::Limit);
            return Ok(0);
        }
        match self.content.read(buffer) {
            Ok(0) => {
                self.end.get_or_insert(End::Clean);
                Ok(0)
            }
            Ok(n) => {
                self.trace.push(&buffer[..n]);
                Ok(n)
            }
            Err(error) => {
                let failed = self.content.has_failed();
                self.end = Some(if failed { End::Failed } else { End::Damaged });
                Err(error)
            }
        }
    }
}

/// Returns the cursor of a file after `reader` was read, to the end or not.
///
/// `consumed` is where the last record ends that was taken over, between the start of the task and the
/// end of what was read; `None` is the end of the last whole line, and in a finished compressed file, or
/// one whose last line waits for long, the end. What is behind it is handed out again in the next run.
/// `now_us` is microseconds since the Unix epoch.
///
/// # Errors
/// When the file was rewritten meanwhile, or cannot be read; the task counts as not done.
///
/// # Panics
/// When `consumed` is outside of what was read.
pub fn advance<F: Files>(
    task: &Task,
    reader: &Reader<'_, F>,
    consumed: Option<Position>,
    now_us: i64,
) -> Result<Cursor, FollowError> {
    let Reader {
        files, file, trace, ..
    } = reader;
    let failed = |cause| FollowError::Io {
        path: reader.path.clone(),
        cause,
    };
    let compressed = task.carry.compressed;
    let stat = files.stat_open(file).map_err(failed)?;
    let mut cursor = task.carry.clone();
    if !compressed {
        let head = first_line(*files, file).map_err(failed)?;
        if !task.carry.head.begins(&head) || stat.size < trace.position.offset {
            let path = reader.path.clone();
            return Err(FollowError::Rewritten { path });
        }
        cursor.head = Print::of(&head);
    }
    let is_at_end = matches!(reader.end, Some(End::Clean | End::Damaged));
    let is_finished = reader.end == Some(End::Clean) && task.takes_tail;
    let own = if is_finished {
        trace.position
    } else {
        trace.whole
    };
    let position = consumed.unwrap_or(own);
    assert!(
        (task.start.offset..=trace.position.offset).contains(&position.offset),
        "a record that was consumed is one that was read"
    );
    cursor.anchor = if position.offset == trace.whole.offset {
        trace.whole_anchor()
    } else if position.offset == trace.position.offset {
        trace.anchor()
    } else {
        reader
            .anchor_at(position.offset, compressed)
            .map_err(failed)?
    };
    cursor.offset = position.offset;
    cursor.line = position.line;
    let is_same = if compressed {
        stat.size == reader.opened.size && stat.mtime_ns == reader.opened.mtime_ns
    } else {
        stat.size == trace.position.offset
    };
    cursor.complete = is_at_end && is_same && position.offset >= own.offset;
    cursor.name = reader.path.to_string_lossy().into_owned();
    cursor.size = stat.size;
    cursor.last_seen_us = now_us;
    let mtime_ns = trusted(stat.mtime_ns, now_us, task.fresh_us);
    cursor.mtime_ns = mtime_ns.filter(|_| cursor.complete);
    Ok(cursor)
}

impl<F: Files> Reader<'_, F> {
    fn anchor_at(&self, offset: u64, compressed: bool) -> io::Result<Print> {
        if !compressed {
            return Ok(Print::of(&before(self.files, &self.file, offset)?));
        }
        let mut content = Content::open(self.files, Arc::clone(&self.file), true, 0)?;
        let mut trace = Trace::default();
        content.pass(&mut trace, offset)?;
        Ok(trace.anchor())
    }
}

/// Returns the change time, if a further change would show in it.
pub(super) fn trusted(mtime_ns: i64, now_us: i64, fresh_us: i64) -> Option<i64> {
    (now_us.saturating_sub(mtime_ns / 1000) >= fresh_us).then_some(mtime_ns)
}

/// Returns the first line of a file that is not compressed, up to [`HEAD_BYTES`].
fn first_line<F: Files>(files: &F, file: &F::File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let n = read_full(files, file, 0, &mut head)?;
    head.truncate(n);
    if let Some(end) = memchr::memchr(b'\n', &head) {
        head.truncate(end + 1);
    }
    Ok(head)
}
