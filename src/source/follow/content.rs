//! The decompressed content of a file, and prints of places in it.
//!
//! Compression is told by magic bytes. Up to two layers of gzip and zstd are taken off. Offsets count
//! decompressed bytes as they stand: a byte order mark counts, and UTF-16 is not converted.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::source::content::Headed;
use crate::source::follow::cursor::{ANCHOR_BYTES, Print};
use crate::source::follow::files::{Files, read_full};
use crate::source::unpack::{Gzip, LAYERS_MAX, Packing, Zstd};

/// Bytes of the longest magic number.
const MAGIC_BYTES: usize = 4;
/// Bytes read at a time when content is passed over.
const BUFFER_BYTES: usize = 1 << 16;

/// A place in content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Decompressed bytes before it.
    pub offset: u64,
    /// Lines that end before it.
    pub line: u64,
}

/// Returns whether the file begins like a compressed one.
pub(super) fn is_compressed<F: Files>(files: &F, file: &F::File) -> io::Result<bool> {
    let mut magic = [0; MAGIC_BYTES];
    let n = read_full(files, file, 0, &mut magic)?;
    let magic = &magic[..n];
    Ok(Packing::of(magic).is_some() || Packing::may_become(magic))
}

/// The content of a file from its beginning, decompressed.
pub(super) struct Content<'a> {
    reader: Box<dyn Read + Send + 'a>,
    compressed: bool,
    failed: Arc<AtomicBool>,
}

impl<'a> Content<'a> {
    /// `offset` is where to begin in a file that is not compressed.
    pub(super) fn open<F: Files>(
        files: &'a F,
        file: Arc<F::File>,
        compressed: bool,
        offset: u64,
    ) -> io::Result<Self> {
        let failed = Arc::new(AtomicBool::new(false));
        let raw = Raw {
            files,
            file,
            at: if compressed { 0 } else { offset },
            failed: Arc::clone(&failed),
        };
        let mut content = Self {
            reader: Box::new(raw),
            compressed,
            failed,
        };
        if !compressed {
            return Ok(content);
        }
        for layer in 0..LAYERS_MAX {
            let peeked = Headed::new(content.reader, MAGIC_BYTES);
            content.reader = match Packing::of(peeked.head()) {
                Some(Packing::Gzip) => Box::new(Gzip::new(peeked, layer)),
                Some(Packing::Zstd) => Box::new(Zstd::new(peeked, layer)?),
                // It was cut in its magic number.
                None if layer == 0 => Box::new(Cut),
                None => {
                    content.reader = Box::new(peeked);
                    break;
                }
            };
        }
        Ok(content)
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Whether the last error was one of the file system, not of what stands in the file.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Reads up to `n` bytes; damage ends them, only a failing file system is an error.
    pub(super) fn head(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        match self.by_ref().take(n as u64).read_to_end(&mut head) {
            Err(error) if self.has_failed() => Err(error),
            _ => Ok(head),
        }
    }

    /// Reads on to `offset`, or to the end or a damage before it; `trace` is what was read so far.
    ///
    /// Returns whether the content ended well before the offset.
    pub(super) fn pass(&mut self, trace: &mut Trace, offset: u64) -> io::Result<bool> {
        let mut buffer = vec![0; BUFFER_BYTES];
        while trace.position.offset < offset {
            let left = usize::try_from(offset - trace.position.offset).unwrap_or(usize::MAX);
            let most = left.min(buffer.len());
            match self.read(&mut buffer[..most]) {
                Ok(0) => return Ok(true),
                Ok(n) => trace.push(&buffer[..n]),
                Err(error) if self.has_failed() => return Err(error),
                Err(_) => return Ok(false),
            }
        }
        Ok(false)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Follows bytes as they are read, and knows the last ones and where the last line ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    /// Where the bytes end.
    pub(super) position: Position,
    recent: Vec<u8>,
    /// Where the last whole line ends.
    pub(super) whole: Position,
    before_whole: Vec<u8>,
}

impl Trace {
    /// `recent` are the bytes before `start`, up to [`ANCHOR_BYTES`]; a record ends there.
    pub(super) fn new(start: Position, recent: Vec<u8>) -> Self {
        Self {
            position: start,
            whole: start,
            before_whole: recent.clone(),
            recent,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let start = self.position.offset;
        if let Some(last) = memchr::memrchr(b'\n', bytes) {
            self.position.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
            self.before_whole.clone_from(&self.recent);
            append(&mut self.before_whole, &bytes[..=last]);
            self.whole = Position {
                offset: start + last as u64 + 1,
                line: self.position.line,
            };
        }
        append(&mut self.recent, bytes);
        self.position.offset = start + bytes.len() as u64;
    }

    /// Goes on from the same place with the line number, and the record border, that `start` says.
    pub(super) fn at(self, start: Position) -> Self {
        Self::new(start, self.recent)
    }

    /// Print of the bytes before the end.
    pub(super) fn anchor(&self) -> Print {
        Print::of(&self.recent)
    }

    /// Print of the bytes before the end of the last whole line.
    pub(super) fn whole_anchor(&self) -> Print {
        Print::of(&self.before_whole)
    }
}

/// Returns the bytes before `offset` of a file that is not compressed, up to [`ANCHOR_BYTES`]; fewer when
/// the file is shorter.
pub(super) fn before<F: Files>(files: &F, file: &F::File, offset: u64) -> io::Result<Vec<u8>> {
    let length = offset.min(ANCHOR_BYTES as u64);
    let mut bytes = vec![0; ANCHOR_BYTES.min(usize::try_from(length).unwrap_or(ANCHOR_BYTES))];
    let n = read_full(files, file, offset - length, &mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Appends, and keeps the last [`ANCHOR_BYTES`].
fn append(recent: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(ANCHOR_BYTES)..];
    let excess = (recent.len() + bytes.len()).saturating_sub(ANCHOR_BYTES);
    recent.drain(..excess);
    recent.extend_from_slice(bytes);
}

/// Ends too early at once.
struct Cut;

impl Read for Cut {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let what = "compressed data ends in its first bytes";
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }
}

/// Bytes of a file as on disk. The end is believed when it is met twice in a row: a writer may be at it.
struct Raw<'a, F: Files> {
    files: &'a F,
    file: Arc<F::File>,
    at: u64,
    failed: Arc<AtomicBool>,
}

impl<F: Files> Read for Raw<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n_ends = 0;
        while n_ends < 2 {
            match self.files.read_at(&self.file, self.at, buffer) {
                Ok(0) => n_ends += 1,
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}
