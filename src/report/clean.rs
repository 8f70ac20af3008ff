//! The boundary where log text becomes output: nothing hidden, nothing acting.
//!
//! Comes in: text as it stood in a log, most of which a client may choose. Goes out: text that a
//! terminal prints as it is. [`clean`] makes visible whatever would act on a terminal or hide from the
//! eye, [`clip`] bounds the length, [`safe`] takes secrets out first ([`redact`]).
//! Promised: linear time, and a second pass changes nothing.
//!
//! What counts as hidden follows the general categories and properties of the Unicode standard
//! ([UAX #44](https://www.unicode.org/reports/tr44/)) as the `regex` crate knows them: `C`
//! (controls, format, private use, unassigned), `Z` except the space,
//! `Default_Ignorable_Code_Point`, `Bidi_Control`, and two that only look like nothing or like
//! damage, U+2800 and U+FFFD.
//!
//! Left out on purpose: a backslash stays single, so text that spells `\n` and a line feed look the
//! same here (JSON tells them apart); and letters that resemble others, which are printable.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::LazyLock;

use regex::Regex;
use unicode_width::UnicodeWidthChar;

use crate::redact::redact;

/// Marks that may sit on one base character; living scripts need fewer, stacks of them hide lines.
pub const MAX_MARKS: usize = 8;

/// Returns `text` without secrets and with everything hidden made visible.
pub fn safe(text: &str) -> Cow<'_, str> {
    match redact(text) {
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Cow::Owned(clean(&text).into_owned()),
    }
}

/// Returns `text` with everything that acts on a terminal, or hides in it, made visible.
///
/// Tab, line feed and carriage return become `\t`, `\n` and `\r`, other hidden characters `\u{..}`,
/// and combining marks past [`MAX_MARKS`] on one base become `[+N marks]`.
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    for piece in pieces(text) {
        changed |= !matches!(piece, Piece::Plain(_));
        piece.push_to(&mut out);
    }
    if changed {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns the clean form of `text`, cut to at most `columns` on a terminal; `…` marks the cut.
///
/// Never cuts inside a visible escape, nor between a base and its marks; reads no further than it
/// shows, but for a run of marks.
pub fn clip(text: &str, columns: usize) -> String {
    if text.len() <= columns && is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::new();
    let (mut used, mut fits) = (0, 0);
    for piece in pieces(text) {
        used += piece.push_to(&mut out);
        if used > columns {
            out.truncate(fits);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        if used < columns {
            fits = out.len();
        }
    }
    out
}

/// Returns whether `c` acts on a terminal, or cannot be seen on one.
pub fn is_hidden(c: char) -> bool {
    static CLASS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\x{2800}\x{FFFD}]--\x20]",
        )
        .expect("the pattern is constant")
    });
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    CLASS.is_match(c.encode_utf8(&mut [0; 4]))
}

/// Returns how many terminal columns clean `text` takes, character by character as terminals count.
pub fn columns(text: &str) -> usize {
    if is_plain(text) {
        return text.len();
    }
    text.chars().map(char_columns).sum()
}

/// Returns whether `text` is nothing but printable ASCII, as most is: a column each.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Breaks clean `text` at spaces into lines of at most `first` columns, then at most `rest`.
///
/// A word longer than a line is broken where the line ends; blanks at a break are dropped.
///
/// Shape: at least one line.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    if text.len() <= first && is_plain(text) {
        return vec![text.trim_end_matches(' ').to_owned()];
    }
    let mut lines = Vec::new();
    let (mut line, mut used, mut room) = (String::new(), 0, first);
    for token in text.split_inclusive(' ') {
        let word = token.trim_end_matches(' ');
        let n_columns = columns(word);
        if used > 0 && used + n_columns > room {
            line.truncate(line.trim_end_matches(' ').len());
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                room = rest;
            }
            used = 0;
        }
        if used == 0 && word.is_empty() && !lines.is_empty() {
            continue;
        }
        if n_columns <= room {
            line.push_str(word);
            used += n_columns;
        } else {
            for c in word.chars() {
                let n_columns = char_columns(c);
                if used > 0 && used + n_columns > room {
                    lines.push(std::mem::take(&mut line));
                    (used, room) = (0, rest);
                }
                line.push(c);
                used += n_columns;
            }
        }
        if token.len() > word.len() {
            line.push(' ');
            used += 1;
        }
    }
    line.truncate(line.trim_end_matches(' ').len());
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// What the reader sees for a stretch of text.
enum Piece {
    /// The character itself.
    Plain(char),
    /// The character spelled out.
    Escape(char),
    /// So many more marks on one base.
    Marks(usize),
}

impl Piece {
    /// Appends what the reader sees to `out`; returns its columns.
    fn push_to(&self, out: &mut String) -> usize {
        let before = out.len();
        match *self {
            Self::Plain(c) => {
                out.push(c);
                return char_columns(c);
            }
            Self::Escape('\t') => out.push_str("\\t"),
            Self::Escape('\n') => out.push_str("\\n"),
            Self::Escape('\r') => out.push_str("\\r"),
            Self::Escape(c) => out.extend(c.escape_unicode()),
            Self::Marks(n) => out.extend(["[+", &n.to_string(), " marks]"]),
        }
        out.len() - before
    }
}

/// Splits `text` into what the reader sees.
fn pieces(text: &str) -> Pieces<'_> {
    Pieces {
        chars: text.chars().peekable(),
        n_marks: 0,
        has_base: false,
    }
}

struct Pieces<'a> {
    chars: Peekable<Chars<'a>>,
    n_marks: usize,
    has_base: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let c = self.chars.next()?;
        if !is_mark(c) {
            (self.n_marks, self.has_base) = (0, true);
            return Some(if is_hidden(c) {
                Piece::Escape(c)
            } else {
                Piece::Plain(c)
            });
        }
        if !self.has_base {
            // It would sit on whatever the program printed before this text.
            self.has_base = true;
            return Some(Piece::Escape(c));
        }
        self.n_marks += 1;
        if self.n_marks <= MAX_MARKS {
            return Some(Piece::Plain(c));
        }
        let mut n_more = 1;
        while self.chars.next_if(|&c| is_mark(c)).is_some() {
            n_more += 1;
        }
        Some(Piece::Marks(n_more))
    }
}

/// Returns whether `c` is visible but takes no column of its own: combining marks, and the vowels
/// and finals of conjoining Hangul.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && char_columns(c) == 0 && !is_hidden(c)
}

fn char_columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

#[cfg(test)]
mod tests;
