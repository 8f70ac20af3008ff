//! How records are separated, told from the first bytes of a file.
//!
//! JSON lines stay lines, whatever a line holds: an event, a list of events, an array. Documents are
//! JSON whose values go over line ends (pretty-printed, an array with an element a line), share a line
//! (written one after the other without a line end) or are so long that the first does not end within
//! the bytes looked at. Documents framing reads all of these, JSON lines included; lines are faster
//! and lose less to damage, so they come first where both would do.

use memchr::{memchr, memchr_iter, memrchr};

use super::documents::{Documents, Shape};
use super::lines::{counted, runtime_line};
use super::text::bracketed;

/// Lines looked at, for a first one that begins like JSON or like a container log.
const LINES_MAX: usize = 20;
/// Longest text before a document that goes over lines.
pub(super) const WORDS_MAX: usize = 512;
/// Longest line that can be the header of a table.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// What separates records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Line ends.
    Lines,
    /// Lines of a container runtime (CRI, Docker's json-file), which cut a long line into parts: a
    /// chunk ends behind a last part only.
    Partial,
    /// Line ends; the first line names the columns and is no record. Lines are one row where a cell in quotes goes over
    /// them and they have all columns together: exports exist whose quotes do not pair.
    Csv,
    /// The brackets of JSON.
    Documents,
}

impl Framing {
    /// Tells the framing of a file from its first bytes; `is_all` says that they are all there is.
    ///
    /// What is not known for anything else is lines.
    pub fn detect(head: &[u8], is_all: bool) -> Self {
        Self::guess(head, is_all).0
    }

    /// Says whether the first bytes of a file tell its framing, whatever follows them.
    pub(super) fn is_sure(head: &[u8]) -> bool {
        let lines = memrchr(b'\n', head).map_or(0, |last| last + 1);
        Self::guess(&head[..lines], false).1
    }

    /// Returns the framing, and whether more bytes could not tell another one.
    fn guess(head: &[u8], is_all: bool) -> (Self, bool) {
        let lines = || lines(head).filter(|(_, line)| !trim(line).is_empty());
        if lines().next().is_some_and(|(_, line)| is_header(line)) {
            return (Self::Csv, true);
        }
        for (start, line) in lines().take(LINES_MAX) {
            if runtime_line(trim(line)).is_some() {
                return (Self::Partial, true);
            }
            if is_counted(&head[start..]) {
                return (Self::Documents, true);
            }
            let opened = opening(line);
            if opened.is_none() && !matches!(trim(line), [b'{' | b'[', ..]) {
                continue;
            }
            // Words in brackets before a document are none themselves.
            let words = bracketed(trim(line)).and_then(|_| memchr(b'{', line));
            let words = opened.or(words);
            let document = &head[start + words.unwrap_or(0)..];
            match Documents::shape(document, is_all) {
                Shape::Line => return (Self::Lines, true),
                Shape::Unfinished if words.is_some() && memchr(b'\n', document).is_none() => {
                    return (Self::Lines, false);
                }
                Shape::Document => return (Self::Documents, true),
                Shape::Unfinished => return (Self::Documents, false),
                Shape::Damaged => {}
            }
        }
        (Self::Lines, lines().count() >= LINES_MAX)
    }
}

/// Returns whether `text` begins with a message and its length, and the next one follows on the same line.
fn is_counted(text: &[u8]) -> bool {
    let next = counted(text).and_then(|(length, message)| Some((message, message.get(length..)?)));
    next.is_some_and(|(message, next)| {
        let message = &message[..message.len() - next.len()];
        !message.ends_with(b"\n") && counted(next).is_some()
    })
}

/// Returns where a document begins that is opened behind words at the end of a line, as `aws logs tail --format json` writes
/// them.
pub(super) fn opening(line: &[u8]) -> Option<usize> {
    let words = line.trim_ascii_end().strip_suffix(b"{")?;
    let is_words = words.ends_with(b" ") && !trim(words).is_empty() && words.len() <= WORDS_MAX;
    let is_text = !words.iter().any(|byte| matches!(byte, b'"' | b'{' | b'}'));
    (is_words && is_text).then_some(words.len())
}

/// Lines with their place, without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    memchr_iter(b'\n', text)
        .chain(std::iter::once(text.len()))
        .map(move |end| {
            let line = (start, &text[start..end]);
            start = end + 1;
            line
        })
}

/// Strips what may stand around a record; see [`super::trim_record`].
fn trim(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e, rest @ ..]
            | [rest @ .., b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e]
            | [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            _ => return text,
        }
    }
}

/// Columns that say that the table is a log export, in lower case.
const COLUMNS: [&str; 25] = [
    "@message",
    "@timestamp",
    "@logstream",
    "@log",
    "@ptr",
    "log_s",
    "properties_log_s",
    "_raw",
    "_time",
    "auditid",
    "requesturi",
    "requestreceivedtime",
    "timegenerated",
    "timegenerated [utc]",
    "textpayload",
    "jsonpayload",
    "insertid",
    "user.username",
    "objectref.resource",
    "event.original",
    "_source",
    "kubernetes.audit.verb",
    "kubernetes.audit.auditid",
    "protopayload",
    "protopayload_auditlog",
];

/// Columns whose names are everyday words: these count among others only.
const WEAK_COLUMNS: [&str; 7] = [
    "message",
    "log",
    "line",
    "event",
    "properties",
    "verb",
    "timestamp",
];

/// Whether `line` holds the names of columns, one of them known.
fn is_header(line: &[u8]) -> bool {
    if line.len() > HEADER_BYTES_MAX {
        return false;
    }
    let Ok(line) = std::str::from_utf8(trim(line)) else {
        return false;
    };
    let separator = [',', ';', '\t'].into_iter().find(|&it| line.contains(it));
    let names: Vec<String> = line
        .split(|char| Some(char) == separator)
        .map(|name| name.trim().trim_matches('"').to_ascii_lowercase())
        .collect();
    let is_name = |name: &String| {
        name.len() <= 128 && !name.contains(|char: char| "{}\"".contains(char) || char.is_control())
    };
    let is_known = |name: &String| {
        COLUMNS.contains(&name.as_str())
            || (names.len() > 1 && WEAK_COLUMNS.contains(&name.as_str()))
    };
    names.iter().all(is_name) && names.iter().any(is_known)
}

#[cfg(test)]
mod tests;
