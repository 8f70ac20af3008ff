//! A file or standard input to one reader of plain bytes.
//!
//! Compression is told by magic bytes, never by name: gzip (RFC 1952) with any number of members,
//! zstd (RFC 8878) with any number of frames, skippable ones included; everything else is taken as it
//! is. A UTF-8 byte order mark at the start of the content is removed, and offsets count from behind
//! it. What can be told to be unreadable from the first bytes (other compression, archives, UTF-16)
//! is refused by its name.
//!
//! Promise on damage: everything that can be decompressed before the damaged place is delivered, and
//! only then the error. The readers of `flate2` and `zstd` drop what a call had written when it
//! fails, hence the two small ones here over their raw decoders.
//!
//! Surprises: a log that is still being compressed ends in the middle of a member; damage inside
//! deflate data may give a little nonsense before it shows. A decompressed size is never believed,
//! only counted, so a bomb costs time here, not memory: the limit is the caller's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::shape::foreign;
use super::{InputFile, SourceError};

/// Bytes looked at for magic numbers; a tar header has its own at 257.
const HEAD_BYTES: usize = 512;
/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 128 * 1024;
/// Largest zstd window, as a power of two: 128 MiB, what the `zstd` tool takes without `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes that every zstd frame header has.
const ZSTD_FRAME_START: usize = 5;
/// Bytes of a zstd block header.
const ZSTD_BLOCK_HEADER: usize = 3;
/// The value on most Linux architectures; elsewhere only the two questions protect.
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
const O_NONBLOCK: i32 = 0o4000;

/// Opens `file` and returns its content, decompressed.
///
/// # Errors
/// When it cannot be opened, is not a regular file, or its first bytes say that it cannot hold lines
/// of text. Later damage is an [`io::Error`] of the reader, after all bytes before it.
pub fn open(file: &InputFile) -> Result<Box<dyn Read + Send>, SourceError> {
    let name = || file.name.clone();
    let failed = |cause| SourceError::Open {
        name: name(),
        cause,
    };
    let reader: Box<dyn Read + Send> = match &file.path {
        None => Box::new(io::stdin()),
        Some(path) => match open_regular(path).map_err(failed)? {
            Some(file) => Box::new(file),
            None => return Err(SourceError::NotAFile { name: name() }),
        },
    };
    let raw = Headed::new(reader);
    let content: Headed<Box<dyn Read + Send>> = match raw.head[..] {
        [0x1f, 0x8b, ..] => Headed::new(Box::new(Gzip::new(raw))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Headed::new(Box::new(Zstd::new(raw).map_err(failed)?))
        }
        _ => raw,
    };
    match foreign(&content.head) {
        Some(shape) => Err(SourceError::Shape {
            name: name(),
            shape,
        }),
        None => Ok(Box::new(content.without_mark())),
    }
}

/// Opens a regular file, or returns `None` when it is something else.
///
/// The kind is asked before, because opening a device can have effects, and after, because the path
/// may have been replaced in between; a pipe put there must not make the program wait for a writer.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, O_NONBLOCK);
    let file = options.open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// A reader whose first bytes have been looked at.
struct Headed<R> {
    head: Vec<u8>,
    at: usize,
    /// What stopped the look ahead; handed out behind the head.
    error: Option<io::Error>,
    rest: R,
}

impl<R: Read> Headed<R> {
    fn new(mut rest: R) -> Self {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        // `read_to_end` keeps what it read before an error, and goes on after an interruption.
        let error = rest
            .by_ref()
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head)
            .err();
        Self {
            head,
            at: 0,
            error,
            rest,
        }
    }

    fn without_mark(mut self) -> Self {
        if self.head.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self
    }
}

impl<R: Read> Read for Headed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ahead = &self.head[self.at..];
        if ahead.is_empty() {
            return match self.error.take() {
                Some(error) => Err(error),
                None => self.rest.read(out),
            };
        }
        let n = ahead.len().min(out.len());
        out[..n].copy_from_slice(&ahead[..n]);
        self.at += n;
        Ok(n)
    }
}

/// Members of gzip, one after the other.
struct Gzip<R> {
    input: BufReader<R>,
    inflate: Decompress,
    /// Whether the last byte used was the last of a member.
    complete: bool,
    error: Option<io::Error>,
}

impl<R: Read> Gzip<R> {
    fn new(input: R) -> Self {
        let input = BufReader::with_capacity(INPUT_BYTES, input);
        Self {
            input,
            inflate: Decompress::new_gzip(15),
            complete: false,
            error: None,
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            if self.complete {
                if at_end {
                    return Ok(0);
                }
                // Any other bytes would give the same error as damage within the data.
                if input[0] != 0x1f {
                    return Err(invalid("bytes that are not gzip follow the gzip data"));
                }
                self.inflate.reset(true);
                self.complete = false;
            }
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, out, FlushDecompress::None);
            let used = self.inflate.total_in() - before.0;
            let written = self.inflate.total_out() - before.1;
            self.input.consume(bounded(used));
            let error = match result {
                Ok(Status::StreamEnd) => {
                    self.complete = true;
                    None
                }
                Ok(_) if at_end && written == 0 => {
                    return Err(cut("unexpected end of gzip data"));
                }
                Ok(_) => None,
                Err(error) => Some(invalid(&format!(
                    "damaged gzip data ({})",
                    error.message().unwrap_or("not deflate")
                ))),
            };
            match (written, error) {
                (0, Some(error)) => return Err(error),
                (0, None) => {}
                (_, error) => {
                    self.error = error;
                    return Ok(bounded(written));
                }
            }
        }
    }
}

/// Frames of zstd, one after the other.
///
/// A call of the decoder gets at most one block, and no further input while it may still hold output:
/// on an error it does not tell what it had written, so nothing else may be at stake in that call.
struct Zstd<R> {
    input: BufReader<R>,
    decoder: Decoder<'static>,
    /// Bytes the decoder would like next; 0 between frames.
    wanted: usize,
    holds_output: bool,
}

impl<R: Read> Zstd<R> {
    fn new(input: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        let input = BufReader::with_capacity(INPUT_BYTES, input);
        Ok(Self {
            input,
            decoder,
            wanted: 0,
            holds_output: false,
        })
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let input = if self.holds_output {
                &[][..]
            } else {
                self.input.fill_buf()?
            };
            if input.is_empty() && !self.holds_output {
                let whole = self.wanted == 0;
                return if whole {
                    Ok(0)
                } else {
                    Err(cut("unexpected end of zstd data"))
                };
            }
            // The wish includes the header of the next block, which must not be read along.
            let step = match self.wanted {
                0 => ZSTD_FRAME_START,
                1..=ZSTD_BLOCK_HEADER => self.wanted,
                wanted => wanted - ZSTD_BLOCK_HEADER,
            };
            let mut input = InBuffer::around(&input[..step.min(input.len())]);
            let mut output = OutBuffer::around(&mut *out);
            self.wanted = self
                .decoder
                .run(&mut input, &mut output)
                .map_err(|error| invalid(&format!("damaged zstd data ({error})")))?;
            let (used, written) = (input.pos(), output.pos());
            self.input.consume(used);
            self.holds_output = written == out.len();
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn cut(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

fn bounded(n: u64) -> usize {
    usize::try_from(n).expect("a call cannot use or write more than its slices hold")
}

#[cfg(test)]
mod tests;
