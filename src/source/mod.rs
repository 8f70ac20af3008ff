//! Sources: from paths to [`Chunk`]s of whole lines.
//!
//! Comes in: paths of files and folders, or standard input. Goes out: chunks in a fixed order, each
//! of whole lines of one file, with the byte offset and line number where it starts. Knows files,
//! compression and rotation; never looks into JSON further than to name the shape of a file it cannot
//! read. Files are opened for reading only and read, not mapped: a log that is truncated under a
//! mapping kills the process.

pub mod chunk;
pub mod discover;
pub mod open;
pub mod shape;

use std::path::PathBuf;
use std::sync::Arc;

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
}

/// Whole lines of one file.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Index of the file among the discovered ones.
    pub file: u32,
    /// Offset of the first byte in the decompressed file, a byte order mark at its start not counted.
    pub offset: u64,
    /// Number of the first line, from 1.
    pub line: u64,
    /// The bytes. Every line but the last of a file ends with `\n`.
    pub data: Vec<u8>,
}

/// A line that was passed over before decoding, because it is longer than the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversize {
    /// Index of the file.
    pub file: u32,
    /// Line number, from 1.
    pub line: u64,
    /// Offset of its first byte in the decompressed file.
    pub offset: u64,
    /// Bytes of the line, without its end.
    pub length: u64,
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
        cause: std::io::Error,
    },
    /// Neither a regular file nor a folder (a socket, a device).
    #[error("`{name}` is not a regular file")]
    NotAFile {
        /// The path as given.
        name: Arc<str>,
    },
    /// Reading stopped at a place; everything before it was delivered.
    #[error("cannot read `{name}` past byte {offset} of its content: {cause}")]
    Read {
        /// The path as given.
        name: Arc<str>,
        /// Decompressed bytes that were read before.
        offset: u64,
        /// What the system or the decompressor said.
        #[source]
        cause: std::io::Error,
    },
    /// The content is something else than lines of audit events.
    #[error("`{name}` holds {shape}, not one audit event a line")]
    Shape {
        /// The path as given.
        name: Arc<str>,
        /// What it is.
        shape: shape::Shape,
    },
}
