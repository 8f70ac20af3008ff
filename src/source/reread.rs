//! One record of a log again, by its place.
//!
//! Comes in: a file and the place that a frame or a finding names (columns `offset` and `length`). Goes
//! out: the bytes of the record as the scan saw them. Offsets count bytes of the content, as everywhere
//! in `source`: decompressed, in UTF-8, a byte order mark at the start not counted. A plain file is read
//! at the place; a compressed one, and one in UTF-16, is read through up to there, on the thread that
//! calls. The last few stay open, so that records further on cost only the way to them; only a step far
//! back starts over.
//!
//! Promised: what is returned stands between the borders of a record; a file that was rotated, truncated
//! or written anew gives an error, not a piece of another record. A file that is open is read on
//! even if another one took its path. Left out on purpose: what the record says. Who needs to be sure
//! that it is the same one compares its audit ID.
//!
//! Surprise: a container runtime cuts long lines into parts, and an event in several of them has the place
//! of the last. It is returned with the lines from its first part on; those of the other stream may be
//! among them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memrchr;

use super::chunk::header_of;
use super::content::{Content, end_lines};
use super::documents::Documents;
use super::lines::{RuntimeLine, runtime_line};
use super::open::{open_file, unpack_here};
use super::{Framing, InputFile, ReadOptions, SourceError};

/// Files that stay open.
const FILES_MAX: usize = 4;
/// Records that are kept.
const RECORDS_MAX: usize = 256;
/// Bytes of records that are kept; a longer one is not.
const RECORDS_BYTES: usize = 16 << 20;
/// Bytes read at a time; whoever waits may stop the reading after as many.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes that stay in hand behind the place of reading, so that a small step back costs nothing.
const BEHIND_BYTES: usize = 1 << 20;
/// Bytes looked through at first for the parts of a line.
const PARTS_BYTES: u64 = 64 << 10;

/// Why a record cannot be read again.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// It came through a pipe.
    #[error("cannot read a record of standard input again")]
    Stdin,
    /// There is nothing at the path.
    #[error("cannot read the record at byte {offset} of `{name}` again: the file is gone")]
    Gone {
        /// The path as given.
        name: Arc<str>,
        /// Where the record was.
        offset: u64,
    },
    /// The file cannot be opened, or not as a log.
    #[error(transparent)]
    Open(#[from] SourceError),
    /// The content ends before the record does.
    #[error(
        "cannot read the record at byte {offset} of `{name}` again: the content ends at byte {end} now"
    )]
    Shorter {
        /// The path as given.
        name: Arc<str>,
        /// Where the record was.
        offset: u64,
        /// Where the content ends.
        end: u64,
    },
    /// Other bytes are there.
    #[error(
        "cannot read the record at byte {offset} of `{name}` again: no record of {length} bytes stands there now"
    )]
    Changed {
        /// The path as given.
        name: Arc<str>,
        /// Where the record was.
        offset: u64,
        /// How long it was.
        length: u32,
    },
    /// The system or the decompressor failed on the way.
    #[error("cannot read the record at byte {offset} of `{name}` again: {cause}")]
    Read {
        /// The path as given.
        name: Arc<str>,
        /// Where the record was.
        offset: u64,
        /// What it said.
        #[source]
        cause: io::Error,
    },
    /// Whoever waited has had enough.
    #[error("reading `{name}` up to byte {offset} was stopped")]
    Stopped {
        /// The path as given.
        name: Arc<str>,
        /// Where the record is.
        offset: u64,
    },
}

impl RereadError {
    /// Returns what the user can do now, if there is something to try.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Stdin => "write the log to a file, and scan that",
            Self::Gone { .. } => "it may have been rotated away; scan the folder again",
            Self::Shorter { .. } | Self::Changed { .. } => {
                "it was rotated, truncated or written anew since the scan; scan again"
            }
            Self::Open(cause) => return cause.hint(),
            Self::Read { .. } => "the file was changed or damaged since the scan; scan again",
            Self::Stopped { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Reads records again.
pub struct Reread {
    options: ReadOptions,
    /// The last one used comes first.
    files: VecDeque<Log>,
    /// Likewise.
    records: VecDeque<Known>,
    records_bytes: usize,
}

/// A record that was read.
struct Known {
    path: PathBuf,
    offset: u64,
    length: u32,
    bytes: Vec<u8>,
}

impl Reread {
    /// Returns one that reads as a scan with `options` did; nothing is counted, nothing read ahead.
    pub fn new(options: &ReadOptions) -> Self {
        let options = ReadOptions {
            ahead_bytes: 0,
            read_bytes: Arc::default(),
            ..options.clone()
        };
        Self {
            options,
            files: VecDeque::new(),
            records: VecDeque::new(),
            records_bytes: 0,
        }
    }

    /// Returns the bytes of the record of `length` bytes that starts at `offset` of the content.
    ///
    /// They may be no UTF-8, as in the file. `stop` is looked at about every megabyte.
    ///
    /// # Errors
    /// When the record is not there any more, the file cannot be read, or `stop` was set.
    pub fn record(
        &mut self,
        file: &InputFile,
        offset: u64,
        length: u32,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, RereadError> {
        let path = file.path.as_ref().ok_or(RereadError::Stdin)?;
        let known =
            |known: &Known| (known.offset, known.length) == (offset, length) && known.path == *path;
        if let Some(at) = self.records.iter().position(known)
            && let Some(known) = self.records.remove(at)
        {
            let bytes = known.bytes.clone();
            self.records.push_front(known);
            return Ok(bytes);
        }
        let name = || file.name.clone();
        let log = self.log(file, offset)?;
        let read = log.record(offset, length, stop);
        let bytes = read.map_err(|fault| {
            if !matches!(fault, Fault::Stopped) {
                // What failed once may be another file by now.
                self.files.pop_front();
            }
            match fault {
                Fault::Stopped => RereadError::Stopped {
                    name: name(),
                    offset,
                },
                Fault::Shorter { end } => RereadError::Shorter {
                    name: name(),
                    offset,
                    end,
                },
                Fault::Changed => RereadError::Changed {
                    name: name(),
                    offset,
                    length,
                },
                Fault::Read(cause) => RereadError::Read {
                    name: name(),
                    offset,
                    cause,
                },
                Fault::Open(error) => RereadError::Open(error),
            }
        })?;
        self.keep(Known {
            path: path.clone(),
            offset,
            length,
            bytes: bytes.clone(),
        });
        Ok(bytes)
    }

    /// Returns the line with the column names if `file` is CSV; the rows mean nothing without it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn header(&mut self, file: &InputFile) -> Result<Option<Arc<str>>, RereadError> {
        Ok(self.log(file, 0)?.header.clone())
    }

    /// Returns the open file, opened if it is not; it is the first one then.
    fn log(&mut self, file: &InputFile, offset: u64) -> Result<&mut Log, RereadError> {
        let path = file.path.as_ref().ok_or(RereadError::Stdin)?;
        let at = self.files.iter().position(|log| log.path == *path);
        let log = match at.and_then(|at| self.files.remove(at)) {
            Some(log) => log,
            None => {
                Log::open(path.clone(), &file.name, &self.options).map_err(|error| match error {
                    SourceError::Open { name, cause }
                        if cause.kind() == io::ErrorKind::NotFound =>
                    {
                        RereadError::Gone { name, offset }
                    }
                    error => RereadError::Open(error),
                })?
            }
        };
        self.files.truncate(FILES_MAX - 1);
        self.files.push_front(log);
        Ok(&mut self.files[0])
    }

    fn keep(&mut self, record: Known) {
        if record.bytes.len() > RECORDS_BYTES {
            return;
        }
        self.records_bytes += record.bytes.len();
        self.records.push_front(record);
        while self.records.len() > RECORDS_MAX || self.records_bytes > RECORDS_BYTES {
            let oldest = self.records.pop_back();
            self.records_bytes -= oldest.map_or(0, |oldest| oldest.bytes.len());
        }
    }
}

/// Why a place cannot be read.
enum Fault {
    Stopped,
    Shorter { end: u64 },
    Changed,
    Read(io::Error),
    Open(SourceError),
}

/// A file that is open for reading at places.
struct Log {
    path: PathBuf,
    name: Arc<str>,
    options: ReadOptions,
    file: File,
    framing: Framing,
    header: Option<Arc<str>>,
    text: Text,
}

/// How places of the content are reached.
enum Text {
    /// It stands in the file as it is, behind `mark` bytes.
    Plain { mark: u64, is_cr: bool },
    /// It is read through.
    Stream(Window),
}

/// Content in hand.
struct Window {
    content: Content,
    bytes: Vec<u8>,
    /// Place of the first byte.
    start: u64,
    ended: bool,
    error: Option<io::Error>,
}

impl Log {
    fn open(path: PathBuf, name: &Arc<str>, options: &ReadOptions) -> Result<Self, SourceError> {
        let file = open_file(&path, name)?;
        let (content, is_plain) = content(&file, name, options)?;
        let (head, is_all) = (content.head(), content.is_all_head());
        let framing = options.framing;
        let framing = framing.unwrap_or_else(|| Framing::detect(head, is_all));
        let header = (framing == Framing::Csv).then(|| header_of(head)).flatten();
        let header = header.map(|(names, ..)| names);
        Ok(Self {
            path,
            name: name.clone(),
            options: options.clone(),
            file,
            framing,
            header,
            text: if is_plain {
                Text::Plain {
                    mark: content.mark() as u64,
                    is_cr: content.is_cr(),
                }
            } else {
                Text::Stream(Window::new(content))
            },
        })
    }

    fn record(&mut self, offset: u64, length: u32, stop: &AtomicBool) -> Result<Vec<u8>, Fault> {
        let end = offset.saturating_add(length.into());
        // One byte more on both sides, to see the borders.
        let from = offset.saturating_sub(1);
        let around = self.read(from, end.saturating_add(1), stop)?;
        let seen = from + around.len() as u64;
        if seen < end {
            return Err(Fault::Shorter { end: seen });
        }
        let (start, behind) = (index(offset - from), index(end - from));
        let record = &around[start..behind];
        let before = around[..start].last().copied();
        if !is_record(record, before, around.get(behind).copied()) {
            return Err(Fault::Changed);
        }
        let line = runtime_line(record).filter(|_| self.framing == Framing::Partial);
        let Some(line) = line else {
            return Ok(record.to_vec());
        };
        let first = self.first_part(line, offset, stop)?;
        if first == offset {
            return Ok(record.to_vec());
        }
        self.read(first, end, stop)
    }

    /// Returns where the first part of `line` starts, whose last one is at `offset`.
    fn first_part(
        &mut self,
        line: RuntimeLine,
        offset: u64,
        stop: &AtomicBool,
    ) -> Result<u64, Fault> {
        let most = self.options.max_line_bytes as u64;
        let mut reach = PARTS_BYTES;
        loop {
            let from = offset.saturating_sub(reach);
            let bytes = self.read(from, offset, stop)?;
            let (first, is_sure) = first_part(&bytes, line);
            if is_sure || from == 0 || reach >= most {
                return Ok(from + first as u64);
            }
            reach = reach.saturating_mul(4);
        }
    }

    /// Returns the content from `from` to `to`, or to its end if that comes first.
    fn read(&mut self, from: u64, to: u64, stop: &AtomicBool) -> Result<Vec<u8>, Fault> {
        if stop.load(Ordering::Relaxed) {
            return Err(Fault::Stopped);
        }
        match &mut self.text {
            Text::Plain { mark, is_cr } => {
                let mut bytes =
                    read_plain(&mut self.file, *mark + from, *mark + to).map_err(Fault::Read)?;
                if bytes.is_empty() && to > from {
                    let length = self.file.metadata().map_err(Fault::Read)?.len();
                    let end = length.saturating_sub(*mark);
                    return Err(Fault::Shorter { end });
                }
                if *is_cr {
                    end_lines(&mut bytes);
                }
                Ok(bytes)
            }
            Text::Stream(window) => {
                if from < window.start {
                    let (content, _) =
                        content(&self.file, &self.name, &self.options).map_err(Fault::Open)?;
                    *window = Window::new(content);
                }
                window.read(from, to, stop)
            }
        }
    }
}

/// Returns the content of `file` from its beginning on, and whether it stands there as it is.
fn content(
    file: &File,
    name: &Arc<str>,
    options: &ReadOptions,
) -> Result<(Content, bool), SourceError> {
    let failed = |cause| SourceError::Open {
        name: name.clone(),
        cause,
    };
    // The two share their place, so nobody reads `file` while the content is in use.
    let mut reader = file.try_clone().map_err(failed)?;
    reader.rewind().map_err(failed)?;
    unpack_here(Box::new(reader), name, options)
}

fn read_plain(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Window {
    fn new(content: Content) -> Self {
        Self {
            content,
            bytes: Vec::new(),
            start: 0,
            ended: false,
            error: None,
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Returns the content from `from`, which is in hand or ahead, to `to` or to its end.
    fn read(&mut self, from: u64, to: u64, stop: &AtomicBool) -> Result<Vec<u8>, Fault> {
        while self.end() < to && !self.ended {
            if stop.load(Ordering::Relaxed) {
                return Err(Fault::Stopped);
            }
            self.drop_before(from);
            self.fill();
        }
        if self.end() < to
            && let Some(cause) = self.error.take()
        {
            return Err(Fault::Read(cause));
        }
        if self.end() <= from && to > from {
            return Err(Fault::Shorter { end: self.end() });
        }
        let within = |place: u64| index(place.min(self.end()) - self.start);
        Ok(self.bytes[within(from)..within(to)].to_vec())
    }

    /// Lets go of what is far behind.
    fn drop_before(&mut self, from: u64) {
        let spare = self.bytes.len().saturating_sub(BEHIND_BYTES) as u64;
        let spare = spare.min(from.saturating_sub(self.start));
        if spare >= BLOCK_BYTES as u64 {
            self.bytes.drain(..index(spare));
            self.start += spare;
        }
    }

    /// Reads a block; an error comes up once what was read before it has been looked at.
    fn fill(&mut self) {
        let limit = BLOCK_BYTES as u64;
        let wanted = self.bytes.len() + BLOCK_BYTES;
        let read = (&mut self.content).take(limit).read_to_end(&mut self.bytes);
        self.ended = read.is_err() || self.bytes.len() < wanted;
        self.error = read.err();
    }
}

fn index(length: u64) -> usize {
    usize::try_from(length).expect("a place within a buffer")
}

/// Whether `record` can be one, between the bytes around it.
///
/// JSON that is whole needs no borders, since events are found behind damage, too. Everything else is a
/// line or a piece of a document.
fn is_record(record: &[u8], before: Option<u8>, behind: Option<u8>) -> bool {
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e);
    let (Some(&first), Some(&last)) = (record.first(), record.last()) else {
        return false;
    };
    if is_blank(first) || is_blank(last) {
        return false;
    }
    if Documents::is_whole(record) {
        return true;
    }
    let is_piece = matches!(first, b'{' | b'[' | b'"');
    // A byte order mark may stand on either side.
    let starts = before.is_none_or(|byte| {
        is_blank(byte) || byte == 0xbf || (is_piece && matches!(byte, b',' | b'[' | b'}' | b']'))
    });
    let ends = behind.is_none_or(|byte| {
        is_blank(byte) || byte == 0xef || (is_piece && matches!(byte, b',' | b'{' | b'}' | b']'))
    });
    starts && ends
}

/// Returns where in `bytes`, which ends before the last part of `line`, its first part starts, and whether
/// none can be further ahead.
fn first_part(bytes: &[u8], line: RuntimeLine) -> (usize, bool) {
    let (mut first, mut end) = (bytes.len(), bytes.len());
    while let Some(line_end) = end.checked_sub(1) {
        let start = memrchr(b'\n', &bytes[..line_end]).map_or(0, |before| before + 1);
        match runtime_line(&bytes[start..line_end]) {
            Some(found) if found.is_stderr != line.is_stderr => {}
            Some(found) if found.is_part => first = start,
            // The first of all may be cut by the beginning of `bytes`.
            _ => return (first, start > 0),
        }
        end = start;
    }
    (first, false)
}

#[cfg(test)]
mod tests;
