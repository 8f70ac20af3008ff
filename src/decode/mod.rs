//! Decoding: one [`Chunk`] of lines to events and rejects.
//!
//! Comes in: whole lines. Goes out: for each that is not blank an event, its repeating texts coded by a
//! [`Coder`] on the way, or the cause why it is none. Promised: a line that does not decode hides no
//! other, and is never dropped in silence. Left out on purpose: columns and rules.
//!
//! Surprises of the format (kubernetes/apiserver `pkg/apis/audit/v1`): one request logs up to three
//! stages; a failed authentication only one, `ResponseStarted`, with an empty `user`; the client may
//! choose `auditID` and all of `sourceIPs` but the last.

pub mod event;
mod fast;
mod lenient;
mod skip;
mod time;

use std::fmt;

use crate::frame::coder::{CodedEvent, Coder};
use crate::source::Chunk;
pub use event::Event;

/// One line of a chunk that is not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Line number in the file, from 1.
    pub line: u64,
    /// Offset of the first byte in the decompressed file.
    pub offset: u64,
    /// The same within the chunk.
    pub start: u32,
    /// The line without its end.
    pub text: &'a str,
}

/// Why a line is not an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Not a JSON object, or cut; with what the parser said.
    Json(String),
    /// A JSON object of another kind, such as a core `Event`; counted apart from damage.
    OtherKind {
        /// Its `kind`, cut to 64 bytes; empty if it has none.
        kind: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(cause) => write!(f, "not a JSON object: {cause}"),
            Self::OtherKind { kind } if kind.is_empty() => {
                f.write_str("a JSON object that is no audit event")
            }
            Self::OtherKind { kind } => write!(f, "a JSON object of kind `{kind}`, no audit event"),
        }
    }
}

/// Returns `data` as text, after [`repair_utf8`] if it has to be.
pub fn text_of(data: &mut [u8]) -> &str {
    if simdutf8::basic::from_utf8(data).is_err() {
        repair_utf8(data);
    }
    simdutf8::basic::from_utf8(data).expect("UTF-8 or just repaired")
}

/// Replaces the bytes of `data` that are not UTF-8 by `?`, in place, so that offsets stay true.
///
/// Returns how many bytes were replaced. The API server writes UTF-8 only; other bytes are damage.
pub fn repair_utf8(data: &mut [u8]) -> usize {
    let mut replaced = 0;
    let mut start = 0;
    while let Err(error) = std::str::from_utf8(&data[start..]) {
        let from = start + error.valid_up_to();
        let to = error.error_len().map_or(data.len(), |length| from + length);
        data[from..to].fill(b'?');
        replaced += to - from;
        start = to;
    }
    replaced
}

/// Returns the first stage timestamp in `data`, without decoding it, in microseconds UTC.
///
/// A look ahead, to choose between files; the text may stand in a body, so nothing else rests on it.
pub fn peek_time(data: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"\"stageTimestamp\":\"";
    memchr::memmem::find_iter(data, KEY).find_map(|at| {
        let text = data.get(at + KEY.len()..)?;
        let end = memchr::memchr(b'"', text)?;
        time::parse(std::str::from_utf8(&text[..end]).ok()?)
    })
}

/// Returns the lines of `text`, the content of `chunk`, in file order; blank ones are left out.
pub fn lines<'a>(chunk: &Chunk, text: &'a str) -> impl Iterator<Item = Line<'a>> + use<'a> {
    let (mut line, mut at, start) = (chunk.line, 0, chunk.offset);
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    let rest = (!text.is_empty() && !text.ends_with('\n')).then_some(text.len());
    ends.chain(rest).filter_map(move |end| {
        let found = Line {
            line,
            offset: start + at as u64,
            start: u32::try_from(at).expect("a chunk is shorter than 4 GiB"),
            text: text[at..end].trim_end_matches(['\n', '\r']),
        };
        line += 1;
        at = end;
        (!found.text.trim_ascii().is_empty()).then_some(found)
    })
}

/// Decodes the text of one event into `event`.
///
/// # Errors
/// When it is no JSON object, or no audit event; `event` means nothing then.
pub fn decode<'a>(
    text: &'a str,
    coder: &mut Coder,
    event: &mut CodedEvent<'a>,
) -> Result<(), Cause> {
    *event = CodedEvent::default();
    if fast::decode(text, coder, event).is_some() {
        return Ok(());
    }
    let decoded = lenient::decode(text)?;
    *event = CodedEvent::default();
    coder.event(decoded, event);
    Ok(())
}

#[cfg(test)]
mod tests;
