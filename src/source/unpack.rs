//! gzip and zstd as readers that give out all data before a damage.
//!
//! The readers of `flate2` and `zstd` drop what a call had written when it fails, hence the two small
//! ones here over their raw decoders. Nothing is allocated by what a header says.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 128 * 1024;
/// Largest zstd window, as a power of two: 128 MiB, what the `zstd` tool takes without `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes that every zstd frame header has.
const ZSTD_FRAME_START: usize = 5;
/// Bytes of a zstd block header.
const ZSTD_BLOCK_HEADER: usize = 3;

/// Compressed data is damaged, or ends too early.
#[derive(Debug, thiserror::Error)]
#[error("{what}, at byte {at} of the {}", if *.layer == 0 { "compressed file" } else { "compressed data inside" })]
pub(super) struct Damage {
    what: String,
    /// Bytes used before it showed.
    pub(super) at: u64,
    /// 0 for the file itself, 1 for compressed data in it.
    pub(super) layer: u8,
}

impl Damage {
    fn error(kind: io::ErrorKind, what: impl Into<String>, at: u64, layer: u8) -> io::Error {
        let what = what.into();
        io::Error::new(kind, Self { what, at, layer })
    }
}

/// How content is compressed, told by the magic bytes of gzip (RFC 1952) and zstd (RFC 8878, skippable frames too).
#[derive(Debug)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Whether a file of these bytes may be compressed once more of it is written.
    pub(super) fn may_become(bytes: &[u8]) -> bool {
        let magics: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];
        !bytes.is_empty() && magics.iter().any(|magic| magic.starts_with(bytes))
    }
}

/// Compressed data stands where the text should go on.
#[derive(Debug, thiserror::Error)]
#[error("compressed data follows the text")]
pub(super) struct Appended;

/// Returns where compressed data follows text, as `cat audit.log audit.log.1.gz` makes it; in `text`, `not_utf8` were replaced.
///
/// A line or value ends before it. Neither magic is UTF-8 (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1), so that no log
/// holds it, and nobody looks for it in what is text.
pub(crate) fn appended(text: &str, not_utf8: &[Range<usize>]) -> Option<usize> {
    let text = text.as_bytes();
    not_utf8.iter().enumerate().find_map(|(number, range)| {
        let at = range.start.checked_sub(1)?;
        let is_gzip = text[at] == 0x1f && text.get(range.end) == Some(&8);
        // Its second and its fourth byte are none.
        let next = not_utf8.get(number + 1);
        let is_zstd =
            text[at..].starts_with(b"(?/?") && next.is_some_and(|next| next.start == range.end + 1);
        let follows = at == 0 || matches!(text[at - 1], b'\n' | b'}' | b']');
        (range.len() == 1 && (is_gzip || is_zstd) && follows).then_some(at)
    })
}

/// How many compressions may be around the text.
pub(super) const LAYERS_MAX: u8 = 2;

/// The decompressed content is longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("more than {limit} bytes when unpacked")]
pub(super) struct LimitReached {
    pub(super) limit: u64,
}

/// Hands out `limit` bytes, and an error if there are more.
pub(super) struct Limited<R> {
    inner: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Limited<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            limit,
            left: limit,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !out.is_empty() {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(LimitReached { limit: self.limit })),
            };
        }
        let most = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        let n = self.inner.read(&mut out[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Members of gzip (RFC 1952), one after the other, with zeros between or behind them.
pub(super) struct Gzip<R> {
    input: BufReader<R>,
    inflate: Decompress,
    /// Bytes used.
    at: u64,
    layer: u8,
    /// Whether the last byte used was the last of a member, or padding.
    complete: bool,
    error: Option<io::Error>,
}

impl<R: Read> Gzip<R> {
    pub(super) fn new(input: R, layer: u8) -> Self {
        Self {
            input: BufReader::with_capacity(INPUT_BYTES, input),
            inflate: Decompress::new_gzip(15),
            at: 0,
            layer,
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
        let invalid =
            |what: &str, at| Damage::error(io::ErrorKind::InvalidData, what, at, self.layer);
        loop {
            if self.complete {
                self.at += skip_zeros(&mut self.input)?;
            }
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            if self.complete {
                if at_end {
                    return Ok(0);
                }
                // Any other bytes would give the same error as damage within the data.
                if input[0] != 0x1f {
                    let what = "bytes that are not gzip follow the gzip data";
                    return Err(invalid(what, self.at));
                }
                self.inflate.reset(true);
                self.complete = false;
            }
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, out, FlushDecompress::None);
            let used = self.inflate.total_in() - before.0;
            let written = self.inflate.total_out() - before.1;
            self.input.consume(bounded(used));
            self.at += used;
            let error = match result {
                Ok(Status::StreamEnd) => {
                    self.complete = true;
                    None
                }
                Ok(_) if at_end && written == 0 => {
                    return Err(Damage::error(
                        io::ErrorKind::UnexpectedEof,
                        "unexpected end of gzip data",
                        self.at,
                        self.layer,
                    ));
                }
                Ok(_) => None,
                Err(error) => {
                    let cause = error.message().unwrap_or("not deflate");
                    Some(invalid(&format!("damaged gzip data ({cause})"), self.at))
                }
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

/// Frames of zstd (RFC 8878), one after the other, with zeros between or behind them.
///
/// A call of the decoder gets at most one block, and no further input while it may still hold output:
/// on an error it does not tell what it had written, so nothing else may be at stake in that call.
pub(super) struct Zstd<R> {
    input: BufReader<R>,
    decoder: Decoder<'static>,
    /// Bytes used.
    at: u64,
    layer: u8,
    /// Bytes the decoder would like next; 0 between frames.
    wanted: usize,
    holds_output: bool,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(input: R, layer: u8) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Self {
            input: BufReader::with_capacity(INPUT_BYTES, input),
            decoder,
            at: 0,
            layer,
            wanted: 0,
            holds_output: false,
        })
    }

    fn damaged(&self, cause: &io::Error) -> io::Error {
        // The texts are those of `ZSTD_getErrorName`; there is no access to the codes.
        let what = match cause.to_string().as_str() {
            "Dictionary mismatch" => "the zstd data was made with a dictionary".to_owned(),
            "Frame requires too much memory for decoding" => format!(
                "the zstd data asks for a window of more than {} MiB",
                1 << (ZSTD_WINDOW_LOG_MAX - 20)
            ),
            "Unknown frame descriptor" if self.at > 0 => {
                "bytes that are not zstd follow the zstd data".to_owned()
            }
            cause => format!("damaged zstd data ({cause})"),
        };
        Damage::error(io::ErrorKind::InvalidData, what, self.at, self.layer)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.wanted == 0 && !self.holds_output {
                self.at += skip_zeros(&mut self.input)?;
            }
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
                    Err(Damage::error(
                        io::ErrorKind::UnexpectedEof,
                        "unexpected end of zstd data",
                        self.at,
                        self.layer,
                    ))
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
            let result = self.decoder.run(&mut input, &mut output);
            let (used, written) = (input.pos(), output.pos());
            self.wanted = result.map_err(|error| self.damaged(&error))?;
            self.input.consume(used);
            self.at += used as u64;
            self.holds_output = written == out.len();
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// Uses up zeros, and returns how many: what fills the last block of a tape or a disk is no damage.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let zeros = super::text::hole_length(buffer);
        let is_end = zeros < buffer.len() || zeros == 0;
        input.consume(zeros);
        skipped += zeros as u64;
        if is_end {
            return Ok(skipped);
        }
    }
}

fn bounded(n: u64) -> usize {
    usize::try_from(n).expect("a call cannot use or write more than its slices hold")
}
