//! A report of a case: one document, as Markdown or as one HTML file.
//!
//! Comes in: a [`Report`], plain borrowed data. Goes out: text for a reader who has neither the logs nor this program, as
//! [`crate::report::document`] promises it. What the report says is in `document`, once.

mod document;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Bookmark, Case, JournalEntry, Note, SourceFile, State, StoryEntry};
use crate::finding::Finding;
use crate::finding::incident::Incident;
use crate::report::Summary;
use crate::report::document::{html, markdown};

/// Evidence of a finding that the story shows; more is counted.
pub const EVIDENCE_MAX: usize = 20;

/// What a report is made from.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What made the findings, such as `kubescry 0.1.0`; empty to leave it out.
    pub made_by: &'a str,
    /// What was read.
    pub summary: &'a Summary,
    /// What tells the files that were read from others; none if one of them cannot be read again.
    pub sources: &'a [SourceFile],
    /// All findings with their states, in the order of the table.
    pub findings: Vec<(&'a Finding, State)>,
    /// All incidents, worst first.
    pub incidents: &'a [Incident],
    /// The story in its order.
    pub story: Vec<Chapter<'a>>,
    /// All notes, oldest first.
    pub notes: Vec<&'a Note>,
    /// All bookmarks in the order of time.
    pub bookmarks: &'a [Bookmark],
    /// What was done, oldest first.
    pub journal: &'a [JournalEntry],
}

/// An entry of the story with what it shows.
#[derive(Debug, Clone)]
pub enum Chapter<'a> {
    /// A finding, and the notes about it.
    Finding {
        /// The finding.
        finding: &'a Finding,
        /// What the investigator thinks of it.
        state: State,
        /// The notes about it, oldest first.
        notes: Vec<&'a Note>,
    },
    /// A finding that the current rules and logs do not give, by id.
    Missing(&'a str),
    /// An event.
    Bookmark(&'a Bookmark),
    /// A note.
    Note(&'a Note),
    /// A text.
    Text(&'a str),
}

impl<'a> Report<'a> {
    /// Gathers the report of `case`; `findings` and `incidents` are all there are, the findings in any order. Its
    /// [`sources`](Self::sources) are left to the caller: a case that is not kept in a folder does not know them.
    pub fn of(
        case: &'a Case,
        title: &'a str,
        findings: &'a [Finding],
        incidents: &'a [Incident],
        summary: &'a Summary,
        journal: &'a [JournalEntry],
    ) -> Self {
        let by_id: HashMap<&str, &Finding> = findings
            .iter()
            .map(|finding| (finding.finding_id.as_str(), finding))
            .collect();
        let chapter = |entry: &'a StoryEntry| match entry {
            StoryEntry::Finding(id) => Some(by_id.get(id.as_str()).map_or(
                Chapter::Missing(id),
                |finding| {
                    Chapter::Finding {
                        finding,
                        state: case.state(id),
                        notes: case
                            .notes()
                            .filter(|note| document::is_about(note, finding))
                            .collect(),
                    }
                },
            )),
            StoryEntry::Bookmark(id) => {
                let mut bookmarks = case.bookmarks().iter();
                bookmarks
                    .find(|bookmark| bookmark.id == *id)
                    .map(Chapter::Bookmark)
            }
            StoryEntry::Note(id) => case.note(*id).map(Chapter::Note),
            StoryEntry::Text(text) => Some(Chapter::Text(text)),
        };
        let mut sorted: Vec<(&Finding, State)> = findings
            .iter()
            .map(|finding| (finding, case.state(&finding.finding_id)))
            .collect();
        sorted.sort_by_key(|(finding, _)| {
            (
                Reverse(finding.severity),
                finding.first_seen,
                finding.finding_id.as_str(),
            )
        });
        Self {
            title,
            made_by: concat!("kubescry ", env!("CARGO_PKG_VERSION")),
            summary,
            sources: &[],
            findings: sorted,
            incidents,
            story: case
                .story()
                .iter()
                .filter_map(|item| chapter(&item.entry))
                .collect(),
            notes: case.notes().collect(),
            bookmarks: case.bookmarks(),
            journal,
        }
    }
}

/// Returns the report as Markdown (CommonMark 0.31 with the tables of GitHub Flavored Markdown).
pub fn markdown(report: &Report<'_>) -> String {
    markdown::render(&document::of(report))
}

/// Returns the report as one HTML file without scripts and without anything from elsewhere.
pub fn html(report: &Report<'_>) -> String {
    html::render(&document::of(report))
}
