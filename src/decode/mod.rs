//! Decoding: one [`Chunk`] of lines to events and rejects.
//!
//! Comes in: whole lines. Goes out: a [`Record`] per line that is not blank, in file order. Promised:
//! a line that does not decode hides no other, and is never dropped in silence. Left out on purpose:
//! columns and rules.
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

use xxhash_rust::xxh3::xxh3_64;

use crate::source::Chunk;
pub use event::Event;

/// One line of the log that is not blank.
#[derive(Debug)]
pub struct Record<'a> {
    /// Line number in the file, from 1.
    pub line: u64,
    /// Offset of the first byte in the decompressed file.
    pub offset: u64,
    /// The line without its end.
    pub text: &'a str,
    /// The event, or why there is none.
    pub event: Result<Event<'a>, Cause>,
}

impl Record<'_> {
    /// Returns a hash of the record's content: two records with the same content are duplicates.
    ///
    /// Content, because nothing else identifies a record: clients may reuse an audit ID.
    pub fn content_hash(&self) -> u64 {
        xxh3_64(self.text.as_bytes())
    }
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

/// Decodes the lines of `text`, the content of `chunk`, in file order; blank lines are no records.
pub fn decode<'a>(chunk: &Chunk, text: &'a str) -> impl Iterator<Item = Record<'a>> + use<'a> {
    let (mut line, mut at, start) = (chunk.line, 0, chunk.offset);
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    let rest = (!text.is_empty() && !text.ends_with('\n')).then_some(text.len());
    ends.chain(rest).filter_map(move |end| {
        let (raw, at_line, at_offset) = (&text[at..end], line, start + at as u64);
        line += 1;
        at = end;
        let text = raw.trim_end_matches(['\n', '\r']);
        if text.trim_ascii().is_empty() {
            return None;
        }
        let event = fast::decode(text).map_or_else(|| lenient::decode(text), Ok);
        Some(Record {
            line: at_line,
            offset: at_offset,
            text,
            event,
        })
    })
}

#[cfg(test)]
mod tests;
