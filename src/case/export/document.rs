//! What a report says: a list of blocks whose texts are clean.

mod story;

use std::collections::BTreeMap;

use super::Report;
use crate::case::{Bookmark, Note, State, Subject};
use crate::finding::Finding;
use crate::report::document::{Block, Page, Text, sections, time};

/// Returns whether `note` is about `finding`.
pub(super) fn is_about(note: &Note, finding: &Finding) -> bool {
    matches!(&note.subject, Subject::Finding(id) if *id == finding.finding_id)
}

/// Returns the blocks of the report; the first is its title.
pub(super) fn of(report: &Report<'_>) -> Vec<Block> {
    let mut page = Page::default();
    page.heading(1, None, report.title);
    overview(report, &mut page);
    page.heading(2, None, "Story");
    if report.story.is_empty() {
        page.paragraph("Nothing was put into the story.");
    }
    for (idx, chapter) in report.story.iter().enumerate() {
        story::tell(idx + 1, chapter, report, &mut page);
    }
    let all = report.findings.iter().map(|(finding, _)| *finding);
    sections::incidents(report.incidents, all, &mut page);
    findings(report, &mut page);
    if !report.notes.is_empty() {
        page.heading(2, None, "Notes");
        for note in &report.notes {
            page.heading(3, None, format!("About {}", subject(&note.subject, report)));
            tell_note(note, &mut page);
        }
    }
    if !report.bookmarks.is_empty() {
        page.heading(2, None, "Bookmarks");
        let rows = report.bookmarks.iter().map(|bookmark| {
            let label = Text::of(&bookmark.label);
            vec![time(bookmark.ts), label, Text::of(place(bookmark))]
        });
        page.table(&["time", "event", "place"], rows);
    }
    sections::blind(report.summary, &mut page);
    if !report.journal.is_empty() {
        page.heading(2, None, "Journal");
        let rows = report.journal.iter();
        let rows = rows.map(|entry| vec![time(entry.at), Text::of(&entry.text)]);
        page.table(&["time", "what was done"], rows);
    }
    page.finish()
}

/// Says what was read and how much was found.
fn overview(report: &Report<'_>, page: &mut Page) {
    let findings = report.findings.iter().map(|(finding, _)| *finding);
    page.fields([
        ("time span", sections::span(report.summary)),
        ("requests", report.summary.totals.requests.to_string()),
        ("incidents", report.incidents.len().to_string()),
        ("findings", sections::severities(findings)),
        ("states", states(report)),
        ("made by", report.made_by.to_owned()),
    ]);
    sections::files(report.summary, page);
    sources(report, page);
    sections::remarks(report.summary, page);
}

/// Lists what the files can be told by, so that a reader can say whether a file is one of them.
fn sources(report: &Report<'_>, page: &mut Page) {
    if report.sources.is_empty() {
        return;
    }
    page.paragraph(
        "Whether a file is one of these can be checked: its first bytes as it is on disk, so many as were hashed \
         (head -c), have this hash (sha256sum).",
    );
    let rows = report.sources.iter().map(|file| {
        let hash = file.head_sha256();
        vec![
            Text::of(&file.name),
            Text::of(file.size.to_string()),
            Text::of(file.head_bytes().to_string()),
            Text::of(hash),
        ]
    });
    page.table(&["file", "bytes on disk", "bytes hashed", "SHA-256"], rows);
}

/// Lists all findings with their states.
fn findings(report: &Report<'_>, page: &mut Page) {
    page.heading(2, None, "Findings");
    if report.findings.is_empty() {
        page.paragraph("Nothing was found.");
        return;
    }
    let rows = report.findings.iter().map(|(finding, state)| {
        vec![
            Text::of(finding.severity.as_str()),
            Text::of(state.as_str()),
            time(finding.first_seen),
            Text::of(&finding.rule.title),
            Text::of(finding.actor.username.as_deref().unwrap_or_default()),
            Text::of(finding.count.to_string()),
            Text::of(finding.incident_id.as_deref().unwrap_or_default()),
            Text::of(&finding.finding_id),
        ]
    });
    page.table(
        &[
            "severity",
            "state",
            "first seen",
            "finding",
            "who",
            "requests",
            "incident",
            "id",
        ],
        rows,
    );
}

/// Counts findings by state.
fn states(report: &Report<'_>) -> String {
    let mut by_state: BTreeMap<State, usize> = BTreeMap::new();
    for (_, state) in &report.findings {
        *by_state.entry(*state).or_default() += 1;
    }
    sections::counts(by_state.into_iter().map(|(state, n)| (state.as_str(), n)))
}

fn subject(subject: &Subject, report: &Report<'_>) -> String {
    match subject {
        Subject::Finding(id) => {
            let mut findings = report.findings.iter();
            let found = findings.find(|(finding, _)| finding.finding_id == *id);
            found.map_or_else(
                || format!("finding {id}"),
                |(finding, _)| format!("finding {id}: {}", finding.rule.title),
            )
        }
        Subject::Credential(key) => format!("credential {key}"),
        Subject::Identity(name) => format!("identity {name}"),
        Subject::Address(ip) => format!("address {ip}"),
        Subject::Object(text) => format!("object {text}"),
        Subject::Event { file, offset } => format!("the event in {file}, byte {offset}"),
        Subject::Case => "the case".to_owned(),
    }
}

fn place(bookmark: &Bookmark) -> String {
    let Bookmark {
        file, line, offset, ..
    } = bookmark;
    format!("{file}:{line}, byte {offset}")
}

fn tell_note(note: &Note, page: &mut Page) {
    let mut lines = vec![time(note.created)];
    lines.extend(Text::lines(&note.text));
    page.quote(lines);
}
