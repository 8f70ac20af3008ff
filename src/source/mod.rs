//! Sources: from paths to [`Chunk`]s of records.
//!
//! Comes in: paths of files and folders, or standard input. Goes out: chunks in a fixed order, each of
//! one file, with the byte offset and line number where it starts. Knows files, compression, text
//! encodings, rotation and where a record begins and ends; what a record means is not known here, JSON
//! is only followed for its brackets. Files are opened for reading only and read, not mapped: a log
//! that is truncated under a mapping kills the process.
//!
//! Who takes the lines of a chunk apart has three duties, all met by [`trim_record`] and
//! [`split_holes`]: a run of NUL ends a record like a line end does, but counts no line; NULs, blanks,
//! record separators (RFC 7464) and byte order marks around a record are no part of it; an empty
//! record is none.

mod ahead;
pub mod chunk;
pub mod content;
pub mod discover;
mod documents;
pub mod follow;
pub mod format;
pub mod framing;
mod lines;
pub mod open;
pub mod reread;
mod rotation;
mod rows;
mod text;
mod unpack;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use follow::{Disk, Files, Links};
pub use framing::Framing;
pub use text::{bracketed, split_holes, trim_record};
use unpack::Appended;
pub(crate) use unpack::appended;

/// Returns whether two paths lead to one file, as far as the system numbers files; nothing is opened.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let id = |path| Disk.stat(path, Links::Follow).ok()?.id;
    id(one).is_some_and(|found| id(other) == Some(found))
}

/// How much of a line that is passed over is kept, to name its request.
pub const OVERSIZE_HEAD_BYTES: usize = 4 << 10;

/// How files are read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Bytes of a chunk, about. Records do not depend on it.
    pub chunk_bytes: usize,
    /// Bytes of the longest line or document that is read.
    pub max_line_bytes: usize,
    /// Bytes that a compressed file may unpack to; the rest of it is not read. Files that are not
    /// compressed have no limit.
    pub max_decompressed_bytes: u64,
    /// What separates records; `None` is told from the first bytes of each file.
    pub framing: Option<Framing>,
    /// How much of a compressed file may be decompressed ahead, by a thread of its own; 0 is none.
    pub ahead_bytes: usize,
    /// How long records from standard input may wait for those behind them; `None` is until a chunk is full. Records
    /// do not depend on it.
    pub patience: Option<Duration>,
    /// Where the bytes that are read from files are counted, as they stand there.
    pub read_bytes: Arc<AtomicU64>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: 1 << 18,
            max_line_bytes: 64 << 20,
            max_decompressed_bytes: 64 << 30,
            framing: None,
            ahead_bytes: 0,
            patience: None,
            read_bytes: Arc::default(),
        }
    }
}

/// A file to read, in its place among the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is; `None` is standard input.
    pub path: Option<PathBuf>,
    /// The path as given, for people; `-` is standard input.
    pub name: Arc<str>,
    /// Files of one lane follow each other in time (a rotated set); lanes run side by side (one API
    /// server each). Numbered from 0 in the order of their first file.
    pub lane: u32,
    /// Where reading starts; the beginning, unless what stands before is known already.
    pub from: Start,
    /// Whether it is still written: a last line that does not end is left for later then.
    pub is_growing: bool,
    /// Who opens it, if it is not opened by its path.
    pub piece: Option<Piece>,
}

/// Opens what a log was not read of yet: decompressed, from [`InputFile::from`] on.
///
/// A log that is followed may have another name by the time that it is read, so whoever follows it opens it.
#[derive(Clone)]
pub struct Piece(Arc<OpenPiece>);

type OpenPiece = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

impl Piece {
    /// Returns one that `open` opens, each time anew.
    pub fn new(
        open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Piece")
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Piece {}

impl InputFile {
    /// Returns whether it may be written for as long as it is read: it is no file that ends somewhere.
    pub(crate) fn is_pipe(&self) -> bool {
        self.path.is_none()
    }

    /// Names the log that the file is a piece of: what the files of a lane have in common, in any run.
    pub fn log(&self) -> String {
        let Some(path) = &self.path else {
            return self.name.to_string();
        };
        log_of(path)
    }
}

/// Names the log that the file at `path` is a piece of, as [`InputFile::log`] does.
pub fn log_of(path: &std::path::Path) -> String {
    let folder = path.parent().unwrap_or(std::path::Path::new(""));
    let base = rotation::Rotation::of(path.file_name().unwrap_or_default()).base;
    folder.join(base).to_string_lossy().into_owned()
}

/// A place at the beginning of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Bytes of the content before it, decompressed, as of [`Chunk::offset`].
    pub offset: u64,
    /// Lines before it.
    pub lines: u64,
}

/// Whole records of one file.
///
/// May be empty, when a great many lines were passed over in a row.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Index of the file among the discovered ones.
    pub file: u32,
    /// Offset of the first byte in the content: decompressed, in UTF-8, a byte order mark at its start
    /// not counted.
    pub offset: u64,
    /// Number of the line in which it starts, from 1.
    pub line: u64,
    /// The bytes. Without `records`, every line but the last of a file or before a hole ends with `\n`.
    pub data: Vec<u8>,
    /// Where the records are; `None` means that each line is one. In file order, not overlapping;
    /// bytes between them are separators and wrappings.
    pub records: Option<Vec<RecordSpan>>,
    /// The line with the column names, for rows of CSV.
    pub header: Option<Arc<str>>,
}

/// Where a record stands in the data of its chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSpan {
    /// Index of its first byte.
    pub start: usize,
    /// Index behind its last byte.
    pub end: usize,
    /// Number of its first line, from 1.
    pub line: u64,
    /// How far its borders can be trusted.
    pub integrity: Integrity,
    /// For an element of a long document: the text of the document before its first element, cut to
    /// [`OVERSIZE_HEAD_BYTES`]. Not JSON, since it breaks off at the bracket.
    pub parent: Option<Arc<str>>,
}

/// How far the borders of a record can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// Everything before it in the file that it depends on was in order.
    Whole,
    /// In order by itself, but found by looking for a beginning behind damage: it may have been part
    /// of something larger, such as a body that a client chose.
    Recovered,
    /// A piece that is no JSON value. There may be an event in it all the same.
    Damaged,
}

/// A line or document that was passed over before decoding, because it is longer than the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Index of the file.
    pub file: u32,
    /// Line number, from 1.
    pub line: u64,
    /// Offset of its first byte in the content.
    pub offset: u64,
    /// Bytes of it, without the line end.
    pub length: u64,
    /// Its first bytes, up to [`OVERSIZE_HEAD_BYTES`].
    pub head: Vec<u8>,
}

/// Why a path or file could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The path does not exist or cannot be opened.
    #[error("cannot open `{name}`: {cause}")]
    Open {
        /// The path as given.
        name: Arc<str>,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Neither a regular file nor a folder.
    #[error("`{name}` is {kind}, not a regular file")]
    NotAFile {
        /// The path as given.
        name: Arc<str>,
        /// What it is, as a noun phrase.
        kind: &'static str,
    },
    /// Reading stopped at a place; everything before it was delivered.
    #[error("cannot read `{name}` past byte {offset} of its content: {cause}")]
    Read {
        /// The path as given.
        name: Arc<str>,
        /// Bytes of content that were delivered or passed over before.
        offset: u64,
        /// For damaged compressed data: how many bytes of the file were used before the damage showed.
        packed_offset: Option<u64>,
        /// What the system or the decompressor said.
        #[source]
        cause: io::Error,
    },
    /// Compressed data is damaged at a place; everything before it was delivered, and what stands whole behind it.
    #[error("a part of `{name}` is missing: {cause}")]
    Damaged {
        /// The path as given.
        name: Arc<str>,
        /// What the decompressor said, with the places.
        #[source]
        cause: io::Error,
    },
    /// A compressed file unpacks to more than the limit; everything before it was delivered.
    #[error("`{name}` unpacks to more than {limit} bytes; read up to byte {offset} of its content")]
    TooLarge {
        /// The path as given.
        name: Arc<str>,
        /// The limit in bytes.
        limit: u64,
        /// Bytes of content that were delivered or passed over before.
        offset: u64,
    },
    /// The first bytes say that it holds no text that can be read.
    #[error("`{name}` holds {format}, which is not read")]
    Format {
        /// The path as given.
        name: Arc<str>,
        /// What it is.
        format: format::Format,
    },
}

fn is_appended(cause: &io::Error) -> bool {
    let inner = cause.get_ref();
    inner
        .and_then(|inner| inner.downcast_ref::<Appended>())
        .is_some()
}

impl SourceError {
    /// Says that compressed data follows the text at `offset`, and is not read.
    pub(crate) fn appended(name: Arc<str>, offset: u64) -> Self {
        Self::Read {
            name,
            offset,
            packed_offset: None,
            cause: io::Error::new(io::ErrorKind::InvalidData, Appended),
        }
    }

    /// Returns what the user can do now, if there is something to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { name, cause } => open_hint(name, cause.kind()),
            Self::NotAFile { kind, .. } => (*kind == discover::PIPE)
                .then(|| "pipes are read from standard input only; give `-`".to_owned()),
            Self::Read { cause, .. } => match cause.kind() {
                _ if is_appended(cause) => Some(
                    "give each file by its name, or unpack all: zcat -f FILE... | kubescry scan -"
                        .to_owned(),
                ),
                io::ErrorKind::UnexpectedEof => Some(
                    "it may still be being written; leave it out or run again later".to_owned(),
                ),
                io::ErrorKind::InvalidData => {
                    Some("compare it with a copy; what is behind this place is missing".to_owned())
                }
                _ => None,
            },
            Self::Damaged { .. } => Some(
                "compare it with a copy; the data before the place where reading went on is cut or damaged".to_owned(),
            ),
            Self::TooLarge { .. } => Some(
                "--max-decompressed BYTES raises the limit, if the file can be trusted".to_owned(),
            ),
            Self::Format { name, format } => Some(format.hint(name)),
        }
    }
}

/// Says what to try where a path cannot be opened.
fn open_hint(name: &str, kind: io::ErrorKind) -> Option<String> {
    const SCHEMES: [&str; 6] = ["s3://", "gs://", "http://", "https://", "az://", "abfss://"];
    let hint = match kind {
        io::ErrorKind::NotFound if SCHEMES.iter().any(|scheme| name.starts_with(scheme)) => {
            "it is no path; download it first"
        }
        io::ErrorKind::NotFound if name.contains(['*', '?']) => {
            "patterns are expanded by the shell, not here; leave the quotes away"
        }
        io::ErrorKind::PermissionDenied => "run it as a user who may read it, as with sudo",
        _ => return None,
    };
    Some(hint.to_owned())
}
