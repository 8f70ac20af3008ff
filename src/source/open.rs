//! A file or standard input to one [`Content`].
//!
//! Compression is told by magic bytes, never by name: gzip (RFC 1952) with any number of members,
//! zstd (RFC 8878) with any number of frames, skippable ones included, up to two layers of them, as a
//! collector makes that compresses what is compressed; everything else is taken as it is. Text in
//! UTF-16 is turned into UTF-8, and offsets count bytes of that. What the first bytes show to be no
//! text (other compression, archives, databases) is refused by its name.
//!
//! Promise on damage: everything that can be decompressed before the damaged place is delivered, and
//! only then the error, with the place in the compressed file.
//!
//! Surprises: a log that is still being compressed ends in the middle of a member; damage inside
//! deflate data may give a little nonsense before it shows. A decompressed size is never believed,
//! only counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead::Ahead;
use super::content::{Content, Headed};
use super::discover::kind_name;
use super::format::Format;
use super::text::utf16::{self, Utf16};
use super::unpack::{Gzip, LAYERS_MAX, Limited, Packing, Zstd};
use super::{InputFile, ReadOptions, SourceError};

/// Bytes looked at for magic numbers; a tar header has its own at 257.
const MAGIC_BYTES: usize = 512;

type Layer = Headed<Box<dyn Read + Send>>;

/// Opens `file` and returns its content, decompressed.
///
/// # Errors
/// When it cannot be opened, is not a regular file, or its first bytes say that it cannot hold text.
/// Later damage is an [`io::Error`] of the reader, after all bytes before it.
pub fn open(file: &InputFile, options: &ReadOptions) -> Result<Content, SourceError> {
    let reader: Box<dyn Read + Send> = match (&file.piece, &file.path) {
        (Some(piece), _) => (piece.0)().map_err(|cause| {
            let name = file.name.clone();
            SourceError::Open { name, cause }
        })?,
        (None, None) => Box::new(io::stdin()),
        (None, Some(path)) => Box::new(open_file(path, &file.name)?),
    };
    match options.patience.filter(|_| file.is_pipe()) {
        None => unpack(reader, &file.name, options),
        Some(patience) => {
            let (layer, _) = layers(reader, &file.name, options)?;
            let ahead = Ahead::of_pipe(in_utf8(layer).0, patience);
            content_of(ahead, &file.name)
        }
    }
}

/// Returns the content of `reader`, decompressed; `name` is the path as given.
///
/// # Errors
/// When the first bytes say that it cannot hold text, as of [`open`].
pub fn unpack(
    reader: Box<dyn Read + Send>,
    name: &Arc<str>,
    options: &ReadOptions,
) -> Result<Content, SourceError> {
    let (layer, is_packed) = layers(reader, name, options)?;
    let (reader, _) = in_utf8(layer);
    if is_packed && options.ahead_bytes > 0 {
        return content_of(Ahead::start(reader, options.ahead_bytes), name);
    }
    Ok(Content::new(reader))
}

fn content_of(ahead: io::Result<Ahead>, name: &Arc<str>) -> Result<Content, SourceError> {
    let ahead = ahead.map_err(|cause| {
        let name = name.clone();
        SourceError::Open { name, cause }
    })?;
    Ok(Content::new(Box::new(ahead)))
}

/// Opens a regular file to be read at places, whatever may be at its path later.
///
/// # Errors
/// As of [`open`].
pub(super) fn open_file(path: &Path, name: &Arc<str>) -> Result<File, SourceError> {
    let name = || name.clone();
    match open_regular(path) {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(kind)) => Err(SourceError::NotAFile { name: name(), kind }),
        Err(cause) => Err(SourceError::Open {
            name: name(),
            cause,
        }),
    }
}

/// Returns the content of `reader` as [`unpack`] does, on the thread that calls, and whether it stands
/// in the file as it is, so that places in one are places in the other.
///
/// # Errors
/// As of [`unpack`].
pub(super) fn unpack_here(
    reader: Box<dyn Read + Send>,
    name: &Arc<str>,
    options: &ReadOptions,
) -> Result<(Content, bool), SourceError> {
    let (layer, is_packed) = layers(reader, name, options)?;
    let (reader, is_converted) = in_utf8(layer);
    Ok((Content::new(reader), !is_packed && !is_converted))
}

/// Takes the compressions off; the second part says whether there were any.
fn layers(
    reader: Box<dyn Read + Send>,
    name: &Arc<str>,
    options: &ReadOptions,
) -> Result<(Layer, bool), SourceError> {
    let failed = |cause| SourceError::Open {
        name: name.clone(),
        cause,
    };
    let counted: Box<dyn Read + Send> = Box::new(Counted {
        reader,
        count: Arc::clone(&options.read_bytes),
    });
    let mut layer = Headed::new(counted, MAGIC_BYTES);
    let mut is_packed = false;
    for depth in 0..LAYERS_MAX {
        let limit = options.max_decompressed_bytes;
        let unpacked: Box<dyn Read + Send> = match Packing::of(layer.head()) {
            Some(Packing::Gzip) => Box::new(Limited::new(Gzip::new(layer, depth), limit)),
            Some(Packing::Zstd) => {
                let zstd = Zstd::new(layer, depth).map_err(failed)?;
                Box::new(Limited::new(zstd, limit))
            }
            None => break,
        };
        layer = Headed::new(unpacked, MAGIC_BYTES);
        is_packed = true;
    }
    if let Some(format) = Format::of(layer.head()) {
        return Err(SourceError::Format {
            name: name.clone(),
            format,
        });
    }
    Ok((layer, is_packed))
}

/// Counts what is read.
struct Counted {
    reader: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.reader.read(buffer)?;
        self.count.fetch_add(n_read as u64, Ordering::Relaxed);
        Ok(n_read)
    }
}

/// Returns the text in UTF-8, and whether it was in another encoding.
fn in_utf8(mut layer: Layer) -> (Box<dyn Read + Send>, bool) {
    match utf16::detect(layer.head()) {
        Some((endian, mark)) => {
            layer.skip(mark);
            (Box::new(Utf16::new(layer, endian)), true)
        }
        None => (Box::new(layer), false),
    }
}

/// Opens a regular file, or says what else it is.
///
/// The kind is asked before, because opening a device can have effects, and after, because the path
/// may have been replaced in between; a pipe put there must not make the program wait for a writer.
fn open_regular(path: &Path) -> io::Result<Result<File, &'static str>> {
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        return Ok(Err(kind_name(kind)));
    }
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nix::libc::O_NONBLOCK);
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    Ok(if kind.is_file() {
        Ok(file)
    } else {
        Err(kind_name(kind))
    })
}

#[cfg(test)]
mod tests;
