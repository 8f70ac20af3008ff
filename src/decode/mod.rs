//! Decoding: the records of one chunk to events and rejects.
//!
//! Comes in: whole records ([`record::records`]). Goes out: for each an event, its repeating texts coded by a
//! [`Coder`] on the way, or, if it is written in any other way, what [`record::Opener`] finds in it: events in
//! their envelopes, records of another kind, damage. Promised: a record that does not decode hides no other,
//! and is never dropped in silence. Left out on purpose: columns and rules.
//!
//! Surprises of the format (kubernetes/apiserver `pkg/apis/audit/v1`): one request logs up to three
//! stages; a failed authentication only one, `ResponseStarted`, with an empty `user`; the client may
//! choose `auditID` and all of `sourceIPs` but the last.

pub(crate) mod bodies;
pub mod envelope;
pub mod event;
mod fast;
mod lenient;
mod odd;
pub mod record;
pub(crate) mod skip;
pub(crate) mod time;
mod wanted;

use std::ops::Range;

use crate::frame::coder::{CodedEvent, Coder};
pub use event::Event;
pub use odd::{Oddities, Oddity};
pub use wanted::{Wanted, unwrap};

/// Returns `data` as text, after [`repair_utf8`] if it has to be, and what was replaced.
pub fn text_of(data: Vec<u8>) -> (String, Vec<Range<usize>>) {
    String::from_utf8(data).map_or_else(
        |error| {
            let mut data = error.into_bytes();
            let replaced = repair_utf8(&mut data);
            let text = String::from_utf8(data).expect("just repaired");
            (text, replaced)
        },
        |text| (text, Vec::new()),
    )
}

/// Replaces the bytes of `data` that are not UTF-8 by `?`, in place, so that offsets stay true.
///
/// Returns where, in order. The API server writes UTF-8 only; other bytes are damage.
pub fn repair_utf8(data: &mut [u8]) -> Vec<Range<usize>> {
    let mut replaced: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while let Err(error) = std::str::from_utf8(&data[start..]) {
        let from = start + error.valid_up_to();
        let to = error.error_len().map_or(data.len(), |length| from + length);
        data[from..to].fill(b'?');
        match replaced.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => replaced.push(from..to),
        }
        start = to;
    }
    replaced
}

/// Returns the first stage timestamp in `data`, without decoding it, in microseconds UTC.
///
/// A look ahead, to choose between files; the text may stand in a body, so nothing else rests on it.
pub fn peek_time(data: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"stageTimestamp";
    memchr::memmem::find_iter(data, KEY).find_map(|at| {
        // Within an envelope, quotes may be escaped.
        let rest = data[at + KEY.len()..].trim_ascii_start();
        let start = rest
            .iter()
            .position(u8::is_ascii_digit)
            .filter(|&at| at < 8)?;
        let rest = &rest[start..];
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        time::parse(std::str::from_utf8(&rest[..end]).ok()?)
    })
}

/// Decodes the text of an event, if it is written as the API server writes it, into `event`.
///
/// `false` says nothing of the text; `event` means nothing then.
pub fn decode_native<'a>(text: &'a str, coder: &mut Coder, event: &mut CodedEvent<'a>) -> bool {
    *event = CodedEvent::default();
    fast::decode(text, coder, event).is_some()
}

/// Decodes the text of an event, however it is written, into `event`; says what is odd about that.
///
/// # Errors
/// With the cause, if it is not one JSON object; `event` means nothing then.
pub fn decode<'a>(
    text: &'a str,
    coder: &mut Coder,
    event: &mut CodedEvent<'a>,
) -> Result<Oddities, String> {
    if decode_native(text, coder, event) {
        return Ok(Oddities::default());
    }
    let (decoded, odd) = lenient::decode(text)?;
    *event = CodedEvent::default();
    coder.event(decoded, event);
    Ok(odd)
}

#[cfg(test)]
mod tests;
