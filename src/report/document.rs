//! Documents for readers who have neither the logs nor this program: blocks of text, as Markdown or as one HTML file.
//!
//! Promised: the same bytes for the same input; every text that a log may have chosen passes [`clean`] when it enters the
//! document ([`Text`] has no other way in), and is escaped when it leaves it, so that it stays text. The formats only know
//! headings, lists and tables.

pub(crate) mod html;
pub(crate) mod markdown;
pub(super) mod scan;
pub(crate) mod sections;

use std::borrow::Cow;

use crate::finding::{Severity, Timestamp};
use crate::redact;

use super::clean;

/// A text without secrets and with everything hidden made visible; not yet escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn of(text: impl AsRef<str>) -> Self {
        Self(shortened(&clean::safe(text.as_ref())).into_owned())
    }

    /// Returns each line of `text` by itself: in what the investigator wrote, lines mean something.
    pub(crate) fn lines(text: &str) -> Vec<Self> {
        let text = redact::redact(text);
        let lines = text.trim_end().lines();
        lines.map(Self::of).collect()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest word that stands whole.
const WORD_MAX: usize = 400;
/// What of a longer one stands at its beginning, and at its end.
const WORD_ENDS: [usize; 2] = [200, 60];

/// Returns `text` with the middle of each very long word left out, and how long it is in its place: a name of thousands of
/// characters hides what stands around it.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= WORD_MAX {
        return Cow::Borrowed(text);
    }
    let short = |word: &str| {
        let n_chars = word.chars().count();
        if word.len() <= WORD_MAX || n_chars <= WORD_MAX {
            return word.to_owned();
        }
        let start: String = word.chars().take(WORD_ENDS[0]).collect();
        let end: String = word.chars().skip(n_chars - WORD_ENDS[1]).collect();
        format!("{start}…({n_chars} characters)…{end}")
    };
    if text.split(' ').all(|word| word.len() <= WORD_MAX) {
        return Cow::Borrowed(text);
    }
    let words: Vec<String> = text.split(' ').map(short).collect();
    Cow::Owned(words.join(" "))
}

/// A piece of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading; `severity` colors it.
    Heading {
        level: u8,
        severity: Option<Severity>,
        text: Text,
    },
    /// A sentence or two.
    Paragraph(Text),
    /// Lines that somebody wrote.
    Quote(Vec<Text>),
    /// Labels of ours with their values.
    Fields(Vec<(&'static str, Text)>),
    /// Items under a label of ours.
    List(&'static str, Vec<Text>),
    /// A table; each row has as many cells as there are columns.
    Table(&'static [&'static str], Vec<Vec<Text>>),
}

/// Collects blocks.
#[derive(Default)]
pub(crate) struct Page {
    blocks: Vec<Block>,
}

impl Page {
    /// Returns what was collected.
    pub(crate) fn finish(self) -> Vec<Block> {
        self.blocks
    }

    pub(crate) fn heading(&mut self, level: u8, severity: Option<Severity>, text: impl AsRef<str>) {
        let text = Text::of(text);
        self.blocks.push(Block::Heading {
            level,
            severity,
            text,
        });
    }

    pub(crate) fn paragraph(&mut self, text: impl AsRef<str>) {
        self.blocks.push(Block::Paragraph(Text::of(text)));
    }

    pub(crate) fn quote(&mut self, lines: Vec<Text>) {
        self.blocks.push(Block::Quote(lines));
    }

    /// Adds labels with their values; those without a value are left out.
    pub(crate) fn fields(&mut self, fields: impl IntoIterator<Item = (&'static str, String)>) {
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(label, value)| (label, Text::of(value)));
        self.blocks.push(Block::Fields(fields.collect()));
    }

    /// Adds items under a label; nothing if there are none.
    pub(crate) fn list(&mut self, label: &'static str, items: &[String]) {
        if !items.is_empty() {
            let items = items.iter().map(Text::of).collect();
            self.blocks.push(Block::List(label, items));
        }
    }

    pub(crate) fn table(
        &mut self,
        columns: &'static [&'static str],
        rows: impl Iterator<Item = Vec<Text>>,
    ) {
        self.blocks.push(Block::Table(columns, rows.collect()));
    }
}

/// Returns a time as a text.
pub(crate) fn time(time: Timestamp) -> Text {
    Text::of(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_lose_their_middle() {
        let check = |text: &str, expected: &str| assert_eq!(Text::of(text).as_str(), expected);
        let whole = format!("{} {}", "a".repeat(WORD_MAX), "b".repeat(WORD_MAX));
        check(&whole, &whole);
        let long = format!("user `{}é` did", "a".repeat(3000));
        let short = format!(
            "user `{}…(3003 characters)…{}é` did",
            "a".repeat(199),
            "a".repeat(58)
        );
        check(&long, &short);
        check(&short, &short);
    }
}
