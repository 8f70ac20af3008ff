//! Pages of text for people: labels and values, wrapped.
//!
//! Headings begin in column 0 and labels in column 2, and both are our words; log text only stands to the right of
//! a label and wraps there, so a client that chooses a name cannot forge a line. No line is wider than asked for.

use std::io::{self, Write};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::clean::{clean, clip, columns, wrap};
use crate::redact::redact;

/// Narrowest layout; narrower terminals wrap it themselves.
pub(super) const WIDTH_MIN: usize = 60;
/// Column where values begin.
pub(super) const VALUES: usize = 12;
/// Lines a text may fill before it is cut.
const LINES_MAX: usize = 6;

/// Where lines go, and how wide they may be.
pub(super) struct Page<'a> {
    pub(super) out: &'a mut dyn Write,
    /// Columns that no line exceeds.
    pub(super) width: usize,
    /// Blanks before every line, which leaves so much less of the width.
    pub(super) indent: usize,
    /// Whether anything is colored.
    pub(super) color: bool,
}

impl Page<'_> {
    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Writes `text` after `lead`, wrapped, with `indent` blanks before every further line.
    pub(super) fn text(&mut self, lead: &str, text: &str, indent: usize) -> io::Result<()> {
        let lines = self.lines(text, columns(lead), indent);
        self.print(lead, &lines, indent)
    }

    /// Returns `text` without secrets, clean, cut and wrapped to what fits after `first` columns,
    /// then after `rest`. Runs of blanks are counted instead: they would move text under our words.
    pub(super) fn lines(&self, text: &str, first: usize, rest: usize) -> Vec<String> {
        static BLANKS: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(" {3,}").expect("the pattern is constant"));
        let width = self.width - self.indent;
        let room = width - rest;
        let text = redact(text);
        let text = BLANKS.replace_all(&text, |run: &Captures<'_>| {
            format!("[{} blanks]", run[0].len())
        });
        wrap(&clip(&text, room * LINES_MAX), width - first, room)
    }

    pub(super) fn print(&mut self, lead: &str, lines: &[String], indent: usize) -> io::Result<()> {
        for (idx, line) in lines.iter().enumerate() {
            let (lead, indent) = if idx == 0 { (lead, 0) } else { ("", indent) };
            let margin = self.indent;
            let text = format!("{:margin$}{lead}{:indent$}{line}", "", "");
            writeln!(self.out, "{}", text.trim_end_matches(' '))?;
        }
        Ok(())
    }

    /// Writes `label` and `value`; a value without text is left out.
    pub(super) fn field(&mut self, label: &str, value: &str) -> io::Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        self.text(&lead(label), value, VALUES)
    }

    /// Writes `label` and the first `shown` of `items`, one below the other; `total` counts all.
    pub(super) fn list<T: AsRef<str>>(
        &mut self,
        label: &str,
        items: &[T],
        shown: usize,
        total: u64,
    ) -> io::Result<()> {
        let mut label = lead(label);
        let items = &items[..items.len().min(shown)];
        for item in items {
            self.text(&label, item.as_ref(), VALUES + 2)?;
            label = lead("");
        }
        let n_more = total.saturating_sub(items.len() as u64);
        if n_more > 0 {
            self.text(&label, &format!("+{n_more} more"), VALUES)?;
        }
        Ok(())
    }

    /// Writes `text` at the beginning of a line.
    pub(super) fn top(&mut self, text: &str) -> io::Result<()> {
        let lines = wrap(&clean(text), self.width, self.width - 2);
        self.print("", &lines, 2)
    }

    /// Writes `label` and a text of our own or of a rule file: in full, since it is no secret.
    pub(super) fn own(&mut self, label: &str, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.own_at(&lead(label), text, VALUES + 2)
    }

    /// Writes a text of our own after `lead`, with `indent` blanks before every further line.
    pub(super) fn own_at(&mut self, lead: &str, text: &str, indent: usize) -> io::Result<()> {
        let lines = wrap(
            &clean(text),
            self.width - columns(lead),
            self.width - indent,
        );
        self.print(lead, &lines, indent)
    }

    /// Writes `label` and lines of a file as they stand there.
    pub(super) fn block(&mut self, label: &str, text: &str) -> io::Result<()> {
        let lines: Vec<String> = text.lines().map(|line| clean(line).into_owned()).collect();
        self.print(&lead(label), &lines, VALUES)
    }

    pub(super) fn all<T: AsRef<str>>(&mut self, label: &str, items: &[T]) -> io::Result<()> {
        self.list(label, items, items.len(), items.len() as u64)
    }
}

/// Returns what stands before the value of `label`.
pub(super) fn lead(label: &str) -> String {
    format!("  {label:<0$}", VALUES - 2)
}
