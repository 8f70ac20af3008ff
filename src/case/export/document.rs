//! What a report says: a list of blocks whose texts are clean.

mod story;

use std::collections::{BTreeMap, HashMap};

use super::Report;
use crate::case::{Bookmark, Note, State, Subject};
use crate::finding::{Finding, Severity, Timestamp};
use crate::redact;
use crate::report::clean;
use crate::report::{Counters, Summary};

/// A text without secrets and with everything hidden made visible; not yet escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn of(text: impl AsRef<str>) -> Self {
        Self(clean::safe(text.as_ref()).into_owned())
    }

    /// Returns each line of `text` by itself: in what the investigator wrote, lines mean something.
    fn lines(text: &str) -> Vec<Self> {
        let text = redact::redact(text);
        let lines = text.trim_end().lines();
        lines.map(Self::of).collect()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A piece of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
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
    incidents(report, &mut page);
    findings(report, &mut page);
    if !report.notes.is_empty() {
        page.heading(2, None, "Notes");
        for note in &report.notes {
            page.heading(3, None, format!("About {}", subject(&note.subject, report)));
            page.note(note);
        }
    }
    if !report.bookmarks.is_empty() {
        page.heading(2, None, "Bookmarks");
        let rows = report.bookmarks.iter().map(|bookmark| {
            let label = Text::of(&bookmark.label);
            vec![time(bookmark.ts), label, place(bookmark)]
        });
        page.table(&["time", "event", "place"], rows);
    }
    page.heading(2, None, "What this log cannot show");
    if report.summary.blind.is_empty() {
        page.paragraph("Nothing is known to be missing.");
    }
    page.list("", &report.summary.blind);
    if !report.journal.is_empty() {
        page.heading(2, None, "Journal");
        let rows = report.journal.iter();
        let rows = rows.map(|entry| vec![time(entry.at), Text::of(&entry.text)]);
        page.table(&["time", "what was done"], rows);
    }
    page.blocks
}

/// Says what was read and how much was found.
fn overview(report: &Report<'_>, page: &mut Page) {
    let Summary {
        files,
        totals,
        problems,
        rejects,
        notes,
        ..
    } = report.summary;
    let span = match (totals.first, totals.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no events".to_owned(),
    };
    let mut fields = vec![
        ("time span", Text::of(span)),
        ("requests", Text::of(totals.requests.to_string())),
        ("incidents", Text::of(report.incidents.len().to_string())),
        ("findings", Text::of(severities(report))),
        ("states", Text::of(states(report))),
    ];
    if !report.made_by.is_empty() {
        fields.push(("made by", Text::of(report.made_by)));
    }
    page.blocks.push(Block::Fields(fields));

    page.heading(2, None, "What was read");
    let row = |name: &str, counters: &Counters| {
        let mut row = vec![Text::of(name)];
        let Counters {
            records,
            events,
            duplicates,
            bad,
            oversize,
            other,
            bytes,
            ..
        } = *counters;
        let counts = [records, events, duplicates, bad, oversize, other, bytes];
        row.extend(counts.map(|count| Text::of(count.to_string())));
        row.extend([counters.first, counters.last].map(|ts| ts.map_or(Text::of(""), time)));
        row
    };
    let rows = files.iter().map(|file| row(&file.path, &file.counters));
    let all = (files.len() > 1).then(|| row("all files", totals));
    page.table(
        &[
            "file",
            "records",
            "events",
            "duplicates",
            "bad",
            "oversize",
            "other",
            "bytes",
            "first event",
            "last event",
        ],
        rows.chain(all),
    );
    sources(report, page);
    page.list("What is missing", problems);
    if !rejects.is_empty() {
        let rows = rejects.iter().map(|reject| {
            let place = format!("{}:{}", reject.file, reject.line);
            vec![Text::of(place), Text::of(&reject.cause)]
        });
        page.table(&["first records that are no events", "cause"], rows);
    }
    page.list("Worth knowing", notes);
}

/// Lists what the files can be told by, so that a reader can say whether a file is one of them.
fn sources(report: &Report<'_>, page: &mut Page) {
    if report.sources.is_empty() {
        return;
    }
    page.paragraph(
        "Whether a file is one of these can be checked: what head -c 65536 gives of it, as it is on disk, has the hash \
         that is below; sha256sum prints it.",
    );
    let rows = report.sources.iter().map(|file| {
        let hash = file.head_sha256();
        vec![
            Text::of(&file.name),
            Text::of(file.size.to_string()),
            Text::of(hash),
        ]
    });
    page.table(
        &["file", "bytes on disk", "SHA-256 of the first 65536 bytes"],
        rows,
    );
}

/// Lists the incidents, each with its findings by reference.
fn incidents(report: &Report<'_>, page: &mut Page) {
    if report.incidents.is_empty() {
        return;
    }
    let by_id: HashMap<&str, &Finding> = report
        .findings
        .iter()
        .map(|(finding, _)| (finding.finding_id.as_str(), *finding))
        .collect();
    page.heading(2, None, "Incidents");
    for incident in report.incidents {
        let severity = incident.severity;
        page.heading(3, Some(severity), format!("{severity}: {}", incident.title));
        let fields = [
            ("first seen", incident.first_seen.to_string()),
            ("last seen", incident.last_seen.to_string()),
            ("who", incident.actors.join(", ")),
            ("from", incident.source_ips.join(", ")),
            ("tactics", incident.tactics.join(" > ")),
            ("attack", incident.attack.join(", ")),
            ("severity", incident.raised.clone().unwrap_or_default()),
            ("id", incident.incident_id.clone()),
        ];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(label, value)| (label, Text::of(value)));
        page.blocks.push(Block::Fields(fields.collect()));
        let findings = incident.findings.iter().map(|id| {
            let found = by_id.get(id.as_str());
            let title = found.map_or("", |finding| finding.rule.title.as_str());
            let severity = found.map_or("", |finding| finding.severity.as_str());
            let first = found.map_or(Text::of(""), |finding| time(finding.first_seen));
            vec![Text::of(severity), first, Text::of(title), Text::of(id)]
        });
        page.table(&["severity", "first seen", "finding", "id"], findings);
    }
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

/// Counts findings by severity, worst first.
fn severities(report: &Report<'_>) -> String {
    let severities = Severity::ALL.into_iter().rev();
    counts(severities.map(|severity| {
        let findings = report.findings.iter();
        let n = findings.filter(|(finding, _)| finding.severity == severity);
        (severity.as_str(), n.count())
    }))
}

/// Counts findings by state.
fn states(report: &Report<'_>) -> String {
    let mut by_state: BTreeMap<State, usize> = BTreeMap::new();
    for (_, state) in &report.findings {
        *by_state.entry(*state).or_default() += 1;
    }
    counts(by_state.into_iter().map(|(state, n)| (state.as_str(), n)))
}

fn counts<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> String {
    let counts = counts.filter(|(_, n)| *n > 0);
    let counts: Vec<String> = counts.map(|(word, n)| format!("{n} {word}")).collect();
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.join(", ")
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

fn place(bookmark: &Bookmark) -> Text {
    let Bookmark {
        file, line, offset, ..
    } = bookmark;
    Text::of(format!("{file}:{line}, byte {offset}"))
}

fn time(time: Timestamp) -> Text {
    Text::of(time.to_string())
}

/// Collects blocks.
#[derive(Default)]
struct Page {
    blocks: Vec<Block>,
}

impl Page {
    fn heading(&mut self, level: u8, severity: Option<Severity>, text: impl AsRef<str>) {
        let text = Text::of(text);
        self.blocks.push(Block::Heading {
            level,
            severity,
            text,
        });
    }

    fn paragraph(&mut self, text: impl AsRef<str>) {
        self.blocks.push(Block::Paragraph(Text::of(text)));
    }

    /// Adds items under a label; nothing if there are none.
    fn list(&mut self, label: &'static str, items: &[String]) {
        if !items.is_empty() {
            let items = items.iter().map(Text::of).collect();
            self.blocks.push(Block::List(label, items));
        }
    }

    fn table(&mut self, columns: &'static [&'static str], rows: impl Iterator<Item = Vec<Text>>) {
        self.blocks.push(Block::Table(columns, rows.collect()));
    }

    fn note(&mut self, note: &Note) {
        let mut lines = vec![time(note.created)];
        lines.extend(Text::lines(&note.text));
        self.blocks.push(Block::Quote(lines));
    }
}
