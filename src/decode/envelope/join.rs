//! Container log lines that the runtime has cut: 16 KiB in Docker and containerd, 8 KiB in CRI-O.

use std::borrow::Cow;

use super::json;
use super::recognise::NATIVE_START;

/// Longest line that is joined, in bytes; a longer one is reported and dropped.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// The unfinished lines of one file, one of `stderr` and one of everything else.
#[derive(Debug, Default)]
pub(super) struct Joins {
    open: [Option<Open>; 2],
}

#[derive(Debug, Default)]
struct Open {
    text: String,
    is_too_long: bool,
}

/// What a part makes of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<'a> {
    /// The line goes on.
    Open,
    /// The line is whole.
    Whole(Cow<'a, str>),
    /// The parts before this one lack their end, and it is a line of its own.
    Lost {
        /// The parts before.
        before: String,
        /// The line.
        whole: &'a str,
    },
    /// The line ends, too long to be kept.
    TooLong,
}

impl Joins {
    /// Takes a part of a line of `stream`.
    pub(super) fn push<'a>(&mut self, stream: &str, part: &'a str, is_last: bool) -> Joined<'a> {
        let place = &mut self.open[usize::from(stream == "stderr")];
        if !is_last {
            let open = place.get_or_insert_default();
            if open.text.len() + part.len() > MAX_LINE_BYTES {
                open.is_too_long = true;
            } else if !open.is_too_long {
                open.text.push_str(part);
            }
            return Joined::Open;
        }
        let Some(open) = place.take() else {
            return Joined::Whole(Cow::Borrowed(part));
        };
        // Only the last part is looked at: its end is the end of the event, which no body reaches.
        if part.starts_with(NATIVE_START) && json::is_valid(part) {
            return Joined::Lost {
                before: open.text,
                whole: part,
            };
        }
        if open.is_too_long || open.text.len() + part.len() > MAX_LINE_BYTES {
            return Joined::TooLong;
        }
        Joined::Whole(Cow::Owned(open.text + part))
    }

    /// Returns whether a line of `stream` is unfinished.
    pub(super) fn is_open(&self, stream: &str) -> bool {
        self.open[usize::from(stream == "stderr")].is_some()
    }

    /// Takes the unfinished lines.
    pub(super) fn take(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(&mut self.open)
            .into_iter()
            .flatten()
            .map(|open| open.text)
    }
}
