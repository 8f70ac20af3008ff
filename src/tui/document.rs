//! Documents: pages of lines with links, as cards, findings and overviews are shown.
//!
//! Comes in: texts as they stand in the log. They are cleaned and redacted here, when a part is made, so that whoever
//! draws a document cannot forget to.

use super::pivot::Pivot;
use super::text::{Cut, fit_clean};
use crate::finding::Severity;
use crate::redact;
use crate::report::clean;

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// What it is about, in a few words; clean.
    pub title: String,
    /// Its lines, from the top.
    pub lines: Vec<Line>,
}

/// A line, which is wrapped where the screen ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// Columns from the left where it starts, and where what is wrapped goes on.
    pub indent: u16,
    /// What stands in it.
    pub parts: Vec<Part>,
}

/// A stretch of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What is shown; clean.
    pub text: String,
    /// How.
    pub look: Look,
    /// Where it leads, if it is a link.
    pub link: Option<Pivot>,
}

/// How a stretch looks; each look differs from others by more than its color.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Look {
    /// As text.
    #[default]
    Plain,
    /// Of less interest: labels, rulers.
    Dim,
    /// Of more.
    Bold,
    /// Heading of a section.
    Heading,
    /// By severity.
    Severity(Severity),
    /// What is wrong: refused, dead, missing.
    Bad,
    /// What was served.
    Good,
}

/// Bytes of a text that a page shows: a line is wrapped at each key, and the JSON has all of it.
const BYTES: usize = 8 << 10;

/// Bytes of a name, or of a sentence on it: a longer one would push what is below it off the screen.
const BRIEF: usize = 600;

/// What stands before the number of bytes that were left out.
const LEFT_OUT: &str = " … (";
/// What stands behind it.
const MORE: &str = " more bytes)";

/// Columns of a name in a list.
const NAME: usize = 60;

/// Columns of all that one part of a list says.
const LISTED: usize = 400;

/// Returns `text` without secrets, clean, and bounded.
fn shown(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return clean::safe(text).into_owned();
    }
    // Secrets first: half of one is not known as such.
    let text = redact::redact(text);
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let rest = text.len() - end;
    format!("{}{LEFT_OUT}{rest}{MORE}", clean::clean(&text[..end]))
}

impl Part {
    /// Returns a stretch of log text or of the program's.
    pub fn new(text: &str, look: Look) -> Self {
        Self {
            text: shown(text, BYTES),
            look,
            link: None,
        }
    }

    /// Returns a link.
    pub fn link(text: &str, to: Pivot) -> Self {
        Self {
            link: Some(to),
            ..Self::new(text, Look::Plain)
        }
    }

    /// Returns it with its beginning only, if it is a name, or a sentence with one, that a client has made very long.
    #[must_use]
    pub fn brief(mut self) -> Self {
        if self.text.len() <= BRIEF {
            return self;
        }
        let left_out = |(_, rest): (&str, &str)| rest.strip_suffix(MORE)?.parse::<usize>().ok();
        let before = self.text.rsplit_once(LEFT_OUT).and_then(left_out);
        let mut end = BRIEF;
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let rest = self.text.len() - end + before.unwrap_or_default();
        self.text.truncate(end);
        self.text.extend([LEFT_OUT, &rest.to_string(), MORE]);
        self
    }

    /// Returns it as it stands in a list: of what leads to a page, long names are cut in the middle, as the page has all.
    #[must_use]
    pub fn listed(mut self) -> Self {
        let words = match &self.link {
            None => return self,
            // Nothing else has these.
            Some(Pivot::Value(..) | Pivot::Place(_)) => LISTED,
            Some(_) => NAME,
        };
        if clean::columns(&self.text) > words {
            let cut = self
                .text
                .split_inclusive(' ')
                .map(|word| fit_clean(word, words, Cut::Middle));
            let text: String = cut.collect();
            self.text = fit_clean(&text, LISTED, Cut::Middle).into_owned();
        }
        self
    }

    /// Returns it with another look.
    #[must_use]
    pub fn look(mut self, look: Look) -> Self {
        self.look = look;
        self
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::new(text, Look::Plain)
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::new(&text, Look::Plain)
    }
}

impl Line {
    /// Returns a line of `parts`.
    pub fn new<P: Into<Part>>(parts: impl IntoIterator<Item = P>) -> Self {
        Self {
            indent: 0,
            parts: parts.into_iter().map(Into::into).collect(),
        }
    }

    /// Returns it further right.
    #[must_use]
    pub fn indented(mut self, indent: u16) -> Self {
        self.indent = indent;
        self
    }
}

impl Document {
    /// Returns an empty page.
    pub fn new(title: &str) -> Self {
        Self {
            title: clean::safe(title).into_owned(),
            lines: Vec::new(),
        }
    }

    /// Appends a line of `parts`.
    pub fn line<P: Into<Part>>(&mut self, parts: impl IntoIterator<Item = P>) {
        self.lines.push(Line::new(parts));
    }

    /// Appends an empty line and a heading.
    pub fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.line([Part::new(text, Look::Heading)]);
    }

    /// Appends a labelled line: the label in a column of its own.
    pub fn field<P: Into<Part>>(&mut self, label: &str, parts: impl IntoIterator<Item = P>) {
        /// Columns of labels.
        const LABEL: usize = 12;
        let mut line = Line::new([Part::new(&format!("{label:LABEL$}"), Look::Dim)]);
        let parts = parts.into_iter().map(|part| part.into().brief());
        line.parts.extend(parts);
        self.lines.push(line);
    }
}
