//! What is wrong with a configuration: every place of it at once, each with a hint.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong; holds keys and short words of the file, never the value of a text.
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

/// All that is wrong with a configuration, in the order of the file; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The file as given.
    pub path: PathBuf,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    /// Writes a line per problem, and its hint on the next.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, problem) in self.problems.iter().enumerate() {
            let Problem {
                line,
                column,
                what,
                hint,
            } = problem;
            let end = if idx == 0 { "" } else { "\n" };
            write!(
                f,
                "{end}{what}\n  --> {}:{line}:{column}",
                self.path.display()
            )?;
            if let Some(hint) = hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

/// Collects problems while a file is read, and the keys that were looked for.
pub(super) struct Problems<'a> {
    text: &'a str,
    found: RefCell<Vec<Problem>>,
    asked: RefCell<BTreeSet<(String, String)>>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            found: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Adds a problem at a place of the text.
    pub(super) fn add(&self, place: &Range<usize>, what: impl Into<String>, hint: Option<String>) {
        let (line, column) = self.position(place.start);
        self.found.borrow_mut().push(Problem {
            line,
            column,
            what: what.into(),
            hint,
        });
    }

    /// Returns line and column of a byte of the text, both from 1.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |idx| idx + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// Notes that `key` was looked for in the table of this name.
    pub(super) fn ask(&self, table: &str, key: &str) {
        self.asked
            .borrow_mut()
            .insert((table.to_owned(), key.to_owned()));
    }

    /// Returns the names of tables and the keys that were looked for in them.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<(String, String)> {
        self.asked.borrow().clone()
    }

    /// Returns `value` if nothing is wrong; `None` is wrong by itself, and somebody has said why.
    pub(super) fn finish<T>(self, path: &Path, value: Option<T>) -> Result<T, ConfigErrors> {
        let mut problems = self.found.into_inner();
        if let (Some(value), true) = (value, problems.is_empty()) {
            return Ok(value);
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(ConfigErrors {
            path: path.to_owned(),
            problems,
        })
    }
}
