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
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        // Small blocks, as a writer that flushes now and then makes them.
        for part in data.chunks(5000) {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    fn noise(n: u32) -> Vec<u8> {
        let mut seed = 1_u32;
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"abcdefghijklmnop\n"[(seed >> 24) as usize % 17]
            })
            .collect()
    }

    fn open_bytes(bytes: &[u8]) -> Result<Box<dyn Read + Send>, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, bytes).unwrap();
        open(&InputFile {
            path: Some(path),
            name: "x".into(),
            lane: 0,
        })
    }

    /// The content that is delivered, and the kind of error behind it.
    fn read(bytes: &[u8], step: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut reader = open_bytes(bytes).unwrap();
        let (mut content, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (content, None),
                Ok(n) => content.extend_from_slice(&buffer[..n]),
                Err(error) => return (content, Some(error.kind())),
            }
        }
    }

    fn check(bytes: &[u8], content: &[u8], error: Option<io::ErrorKind>) {
        for step in [1, 7, 4096, 1 << 20] {
            let found = read(bytes, step);
            assert_eq!(found.1, error, "step {step}");
            assert!(
                found.0 == content,
                "step {step}: {} of {}",
                found.0.len(),
                content.len()
            );
        }
    }

    #[test]
    fn content_is_the_same_however_it_is_packed() {
        let data = noise(100_000);
        let (a, b) = data.split_at(33_333);
        let skippable = b"\x51\x2a\x4d\x18\x03\0\0\0abc";
        check(&data, &data, None);
        check(&gzip(&data), &data, None);
        check(&zstd(&data), &data, None);
        check(&zstd::encode_all(&data[..], 19).unwrap(), &data, None);
        check(&[gzip(a), gzip(b""), gzip(b)].concat(), &data, None);
        check(
            &[&skippable[..], &zstd(a), skippable, &zstd(b""), &zstd(b)].concat(),
            &data,
            None,
        );
        check(b"", b"", None);
        check(&gzip(b""), b"", None);
        check(&zstd(b""), b"", None);
    }

    #[test]
    fn byte_order_mark_is_removed_once() {
        check(b"\xef\xbb\xbf{}\n", b"{}\n", None);
        check(&gzip(b"\xef\xbb\xbf{}\n"), b"{}\n", None);
        check(b"\xef\xbb\xbf\xef\xbb\xbf{}", b"\xef\xbb\xbf{}", None);
        check(b"\xef\xbb", b"\xef\xbb", None);
        check(b"\xef\xbb\xbf", b"", None);
    }

    #[test]
    fn trailing_garbage_is_an_error_behind_the_data() {
        let data = noise(70_000);
        check(
            &[&gzip(&data)[..], b"garbage"].concat(),
            &data,
            Some(io::ErrorKind::InvalidData),
        );
        check(
            &[&gzip(&data)[..], b"\x1fgarbage"].concat(),
            &data,
            Some(io::ErrorKind::InvalidData),
        );
        check(
            &[&zstd(&data)[..], b"garbage"].concat(),
            &data,
            Some(io::ErrorKind::InvalidData),
        );
        check(
            &[&gzip(&data)[..], b"\x1f\x8b"].concat(),
            &data,
            Some(io::ErrorKind::UnexpectedEof),
        );
        check(
            &[&zstd(&data)[..], b"\x28"].concat(),
            &data,
            Some(io::ErrorKind::UnexpectedEof),
        );
    }

    #[test]
    fn cut_gives_all_before_it_and_an_error() {
        let data = noise(40_000);
        for packed in [gzip(&data), zstd(&data)] {
            let mut before = 0;
            for cut in (4..packed.len()).step_by(61) {
                let (content, error) = read(&packed[..cut], 1 << 20);
                assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "cut at {cut}");
                assert!(
                    data.starts_with(&content) && content.len() >= before,
                    "cut at {cut}"
                );
                before = content.len();
            }
            assert!(before > 34_000, "{before}");
            check(
                &packed[..packed.len() - 1],
                &data,
                Some(io::ErrorKind::UnexpectedEof),
            );
        }
    }

    #[test]
    fn damage_gives_the_same_bytes_whatever_the_read_size() {
        let data = noise(60_000);
        for packed in [gzip(&data), zstd(&data)] {
            for at in (20..packed.len()).step_by(997) {
                let mut damaged = packed.clone();
                damaged[at] ^= 0x10;
                let (content, error) = read(&damaged, 1 << 20);
                assert!(error.is_some(), "flip at {at}");
                assert_eq!(read(&damaged, 13), (content.clone(), error), "flip at {at}");
                // What comes from before the flip is there, but for one block of the encoder.
                let whole = content
                    .iter()
                    .zip(&data)
                    .take_while(|(a, b)| a == b)
                    .count();
                let (intact, _) = read(&packed[..at], 1 << 20);
                assert!(
                    whole + 5_000 >= intact.len(),
                    "flip at {at}: {whole}, {}",
                    intact.len()
                );
            }
        }
    }

    #[test]
    fn wrong_checksum_is_an_error_behind_the_data() {
        let data = noise(1000);
        let mut packed = gzip(&data);
        let at = packed.len() - 6;
        packed[at] ^= 1;
        check(&packed, &data, Some(io::ErrorKind::InvalidData));
        let mut packed = zstd(&data);
        let at = packed.len() - 1;
        packed[at] ^= 1;
        check(&packed, &data, Some(io::ErrorKind::InvalidData));
    }

    #[test]
    fn window_over_the_limit_is_refused() {
        // Frame header that asks for a window of 2 GiB, and an empty last block.
        let frame = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
        check(frame, b"", Some(io::ErrorKind::InvalidData));
    }

    fn check_refused(bytes: &[u8], shape: &str) {
        match open_bytes(bytes) {
            Err(SourceError::Shape { shape: found, .. }) => assert_eq!(found.to_string(), shape),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("`{shape}` is not refused"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        check_refused(b"BZh91AY&SY...", "bzip2 data");
        check_refused(b"\xfd7zXZ\0...", "xz data");
        check_refused(b"PK\x03\x04...", "a zip archive");
        check_refused(&tar, "a tar archive");
        check_refused(&gzip(&tar), "a tar archive");
        check_refused(&gzip(&gzip(b"x")), "gzip data inside other compression");
        check_refused(&gzip(&zstd(b"x")), "zstd data inside other compression");
        check_refused(b"\xff\xfe{\0}\0", "UTF-16 text");
        check_refused(b"\xfe\xff\0{\0}", "UTF-16 text");
        check_refused(&zstd(b"{\0\"\0k\0"), "UTF-16 text");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [socket, folder.path().into(), "/dev/zero".into()] {
            let file = InputFile {
                path: Some(path),
                name: "x".into(),
                lane: 0,
            };
            assert!(
                matches!(open(&file), Err(SourceError::NotAFile { .. })),
                "{file:?}"
            );
        }
        let file = InputFile {
            path: Some(folder.path().join("no")),
            name: "x".into(),
            lane: 0,
        };
        assert!(matches!(open(&file), Err(SourceError::Open { .. })));
    }
}
