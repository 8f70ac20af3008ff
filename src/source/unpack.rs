//! gzip and zstd as readers that give out all data before a damage, and what stands whole behind it.
//!
//! The readers of `flate2` and `zstd` drop what a call had written when it fails, hence the two small
//! ones here over their raw decoders. Nothing is allocated by what a header says.
//!
//! Behind damage, reading goes on at the next member or frame, on a line of its own. Data that breaks off takes what
//! follows for its own until that cannot be, so the search begins in what was used already; a header counts only if data
//! comes out behind it. The damage is an error behind all data, with both places. Where nothing is damaged, nobody
//! searches.

mod input;

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use input::Input;

/// Largest zstd window, as a power of two: 128 MiB, what the `zstd` tool takes without `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Bytes that every zstd frame header has.
const ZSTD_FRAME_START: usize = 5;
/// Bytes of a zstd block header.
const ZSTD_BLOCK_HEADER: usize = 3;
/// How a zstd frame begins.
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
/// How a gzip member begins; there is one method.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b\x08";
/// Data that must come out behind a header that is found behind damage. Deflate data that is none fails sooner, for it
/// refers to what is not there.
const TRIAL_BYTES: usize = 1 << 10;

/// Compressed data is damaged, or ends too early.
#[derive(Debug, thiserror::Error)]
pub(super) struct Damage {
    what: String,
    kind: io::ErrorKind,
    /// Bytes used before it showed.
    pub(super) at: u64,
    /// 0 for the file itself, 1 for compressed data in it.
    pub(super) layer: u8,
    /// Where reading went on.
    pub(super) resumed: Option<u64>,
    /// Further places that are damaged.
    n_more: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self.layer {
            0 => "compressed file",
            _ => "compressed data inside",
        };
        write!(f, "{}, at byte {} of the {data}", self.what, self.at)?;
        if let Some(resumed) = self.resumed {
            write!(f, "; reading went on at byte {resumed}")?;
        }
        match self.n_more {
            0 => Ok(()),
            1 => f.write_str("; another place is damaged, too"),
            n_more => write!(f, "; {n_more} other places are damaged, too"),
        }
    }
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(damage.kind, damage)
    }
}

/// What was damaged so far.
#[derive(Default)]
struct Damages {
    first: Option<Damage>,
    n_more: u64,
    is_over: bool,
}

impl Damages {
    /// Takes in a damage behind which reading went on.
    fn note(&mut self, damage: Damage) {
        match self.first {
            Some(_) => self.n_more += 1,
            None => self.first = Some(damage),
        }
    }

    /// Ends with a damage behind which nothing is read.
    fn fail(&mut self, damage: Damage) -> io::Error {
        self.is_over = true;
        let n_more = self.n_more + u64::from(self.first.is_some());
        Damage { n_more, ..damage }.into()
    }

    /// Ends where the data ends.
    fn end(&mut self) -> io::Result<usize> {
        self.is_over = true;
        match self.first.take() {
            Some(damage) => Err(Damage {
                n_more: self.n_more,
                ..damage
            }
            .into()),
            None => Ok(0),
        }
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
    input: Input<R>,
    inflate: Decompress,
    layer: u8,
    /// Where the member in hand starts.
    start: u64,
    /// Whether the last byte used was the last of a member, or padding.
    complete: bool,
    /// Shows behind what was handed out last.
    damage: Option<Damage>,
    damages: Damages,
}

impl<R: Read> Gzip<R> {
    pub(super) fn new(input: R, layer: u8) -> Self {
        Self {
            input: Input::new(input),
            inflate: Decompress::new_gzip(15),
            layer,
            start: 0,
            complete: false,
            damage: None,
            damages: Damages::default(),
        }
    }

    fn damaged(&self, kind: io::ErrorKind, what: impl Into<String>) -> Damage {
        Damage {
            what: what.into(),
            kind,
            at: self.input.place(),
            layer: self.layer,
            resumed: None,
            n_more: 0,
        }
    }

    /// Goes on at the next member that is one.
    fn resume(&mut self, damage: Damage, out: &mut [u8]) -> io::Result<usize> {
        let from = if self.complete {
            self.input.place()
        } else {
            self.start + 1
        };
        let Some(place) = self.input.seek(GZIP_MAGIC, from, is_member) else {
            return Err(self.damages.fail(damage));
        };
        self.inflate.reset(true);
        (self.start, self.complete) = (place, false);
        let resumed = Some(place);
        self.damages.note(Damage { resumed, ..damage });
        out[0] = b'\n';
        Ok(1)
    }
}

/// Returns whether data comes out of what begins with `bytes`.
fn is_member(bytes: &[u8]) -> bool {
    let (mut inflate, mut out) = (Decompress::new_gzip(15), [0; TRIAL_BYTES]);
    loop {
        let used = bounded(inflate.total_in());
        let written = bounded(inflate.total_out());
        if written == TRIAL_BYTES {
            return true;
        }
        match inflate.decompress(&bytes[used..], &mut out[written..], FlushDecompress::None) {
            Ok(Status::StreamEnd) => return true,
            // It breaks off, too.
            Ok(_)
                if bounded(inflate.total_in()) == used
                    && bounded(inflate.total_out()) == written =>
            {
                return written > 0;
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.damages.is_over {
            return Ok(0);
        }
        if let Some(damage) = self.damage.take() {
            return self.resume(damage, out);
        }
        loop {
            if self.complete {
                self.input.skip_zeros()?;
            }
            let input = self.input.fill()?;
            let at_end = input.is_empty();
            if self.complete {
                if at_end {
                    return self.damages.end();
                }
                // Any other bytes would give the same error as damage within the data.
                if input[0] != 0x1f {
                    let what = "bytes that are not gzip follow the gzip data";
                    let damage = self.damaged(io::ErrorKind::InvalidData, what);
                    return self.resume(damage, out);
                }
                self.inflate.reset(true);
                self.start = self.input.place();
                self.complete = false;
                continue;
            }
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, out, FlushDecompress::None);
            let used = self.inflate.total_in() - before.0;
            let written = self.inflate.total_out() - before.1;
            self.input.consume(bounded(used));
            let damage = match result {
                Ok(Status::StreamEnd) => {
                    self.complete = true;
                    None
                }
                Ok(_) if at_end && written == 0 => {
                    let what = "unexpected end of gzip data";
                    Some(self.damaged(io::ErrorKind::UnexpectedEof, what))
                }
                Ok(_) => None,
                Err(error) => {
                    let cause = error.message().unwrap_or("not deflate");
                    let what = format!("damaged gzip data ({cause})");
                    Some(self.damaged(io::ErrorKind::InvalidData, what))
                }
            };
            match (written, damage) {
                (0, Some(damage)) => return self.resume(damage, out),
                (0, None) => {}
                (_, damage) => {
                    self.damage = damage;
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
    input: Input<R>,
    decoder: Decoder<'static>,
    layer: u8,
    /// Where the frame in hand starts.
    start: u64,
    /// Bytes the decoder would like next; 0 between frames.
    wanted: usize,
    holds_output: bool,
    damages: Damages,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(input: R, layer: u8) -> io::Result<Self> {
        Ok(Self {
            input: Input::new(input),
            decoder: decoder()?,
            layer,
            start: 0,
            wanted: 0,
            holds_output: false,
            damages: Damages::default(),
        })
    }

    fn damaged(&self, kind: io::ErrorKind, what: String) -> Damage {
        Damage {
            what,
            kind,
            at: self.input.place(),
            layer: self.layer,
            resumed: None,
            n_more: 0,
        }
    }

    fn invalid(&self, cause: &io::Error) -> Damage {
        // The texts are those of `ZSTD_getErrorName`; there is no access to the codes.
        let what = match cause.to_string().as_str() {
            "Dictionary mismatch" => "the zstd data was made with a dictionary".to_owned(),
            "Frame requires too much memory for decoding" => format!(
                "the zstd data asks for a window of more than {} MiB",
                1 << (ZSTD_WINDOW_LOG_MAX - 20)
            ),
            "Unknown frame descriptor" if self.input.place() > 0 => {
                "bytes that are not zstd follow the zstd data".to_owned()
            }
            cause => format!("damaged zstd data ({cause})"),
        };
        self.damaged(io::ErrorKind::InvalidData, what)
    }

    /// Goes on at the next frame that is one.
    fn resume(&mut self, damage: Damage, out: &mut [u8]) -> io::Result<usize> {
        let Some(place) = self.input.seek(ZSTD_MAGIC, self.start + 1, is_frame) else {
            return Err(self.damages.fail(damage));
        };
        self.decoder = decoder()?;
        (self.start, self.wanted, self.holds_output) = (place, 0, false);
        let resumed = Some(place);
        self.damages.note(Damage { resumed, ..damage });
        out[0] = b'\n';
        Ok(1)
    }
}

fn decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    Ok(decoder)
}

/// Returns whether data comes out of what begins with `bytes`.
fn is_frame(bytes: &[u8]) -> bool {
    let Ok(mut decoder) = decoder() else {
        return false;
    };
    let (mut used, mut written, mut out) = (0, 0, [0; TRIAL_BYTES]);
    while written < TRIAL_BYTES {
        let mut input = InBuffer::around(&bytes[used..]);
        let mut output = OutBuffer::around(&mut out[written..]);
        let wanted = decoder.run(&mut input, &mut output);
        let (more_used, more_written) = (input.pos(), output.pos());
        match wanted {
            Err(_) => return false,
            Ok(0) => return true,
            // It breaks off, too.
            Ok(_) if (more_used, more_written) == (0, 0) => return written > 0,
            Ok(_) => (used, written) = (used + more_used, written + more_written),
        }
    }
    true
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.damages.is_over {
            return Ok(0);
        }
        loop {
            if self.wanted == 0 && !self.holds_output {
                self.input.skip_zeros()?;
                self.start = self.input.place();
            }
            let input = if self.holds_output {
                &[][..]
            } else {
                self.input.fill()?
            };
            if input.is_empty() && !self.holds_output {
                if self.wanted == 0 {
                    return self.damages.end();
                }
                let what = "unexpected end of zstd data".to_owned();
                let damage = self.damaged(io::ErrorKind::UnexpectedEof, what);
                return self.resume(damage, out);
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
            match result {
                Ok(wanted) => self.wanted = wanted,
                Err(cause) => {
                    let damage = self.invalid(&cause);
                    return self.resume(damage, out);
                }
            }
            self.input.consume(used);
            self.holds_output = written == out.len();
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

fn bounded(n: u64) -> usize {
    usize::try_from(n).expect("a call cannot use or write more than its slices hold")
}
