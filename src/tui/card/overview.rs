//! The overview: what was read, what was found, and what the log cannot show.

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;

use super::lineage::Lineage;
use super::rows::Reader;
use super::{Built, Sources, about, ended, link, page, reading};
use crate::finding::credential::Credential;
use crate::finding::incident::Incident;
use crate::finding::words::counted;
use crate::finding::{Excluded, Finding, Severity};
use crate::store::StoreError;
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::{ListOrder, Listing, Pivot, Place};

/// Incidents listed before "+N more".
const INCIDENTS: usize = 12;
/// Findings in no incident listed before "+N more".
const FINDINGS: usize = 12;
/// Credentials listed before "+N more".
const CREDENTIALS: usize = 8;
/// Exclusions listed before "+N more".
const EXCLUDED: usize = 8;
/// Rejects listed before "+N more".
const REJECTS: usize = 20;
/// Columns of the longest bar.
const BAR: u64 = 24;

/// How far reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read, as they stand in the files.
    pub read_bytes: u64,
    /// Bytes of all files; 0 is unknown.
    pub total_bytes: u64,
    /// Whether reading has come to its end.
    pub is_done: bool,
    /// Whether it was stopped before.
    pub was_stopped: bool,
}

/// Returns the overview; nothing if it was stopped.
///
/// # Errors
/// When a file cannot be read.
pub fn overview(
    sources: &Sources<'_>,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Option<Document>, StoreError> {
    ended(build(
        sources,
        progress,
        Reader::new(sources.snapshot, stop),
    ))
}

/// Returns all of a list of which a page has the beginning.
pub(super) fn all(
    listing: &Listing,
    order: ListOrder,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<Document> {
    let mut document = Document::new(listing.name());
    match listing {
        Listing::Incidents => incidents(&mut document, sources, order, usize::MAX),
        Listing::Loose => loose(&mut document, sources, order, usize::MAX),
        Listing::HeldBack => held_back(&mut document, sources, order, usize::MAX),
        Listing::MintedWith(key) => {
            Lineage::new(sources, reader)?.children(&mut document, key, order, sources);
        }
    }
    Ok(document)
}

fn build(sources: &Sources<'_>, progress: &Progress, reader: Reader<'_>) -> Built<Document> {
    let mut document = Document::new("overview");
    reading::section(&mut document, sources, progress, reader)?;
    incidents(&mut document, sources, ListOrder::default(), INCIDENTS);
    undead(&mut document, sources);
    loose(&mut document, sources, ListOrder::default(), FINDINGS);
    findings(&mut document, sources);
    let summary = &sources.results.summary;
    let reach = &summary.reach;
    page::texts(&mut document, "What the log is blind to", &summary.blind);
    let lacking = [
        (reach.no_bodies, "lack bodies"),
        (reach.no_columns, "lack columns"),
        (reach.no_stage, "lack a stage"),
        (reach.no_fields, "lack fields"),
        (reach.no_events, "have no events to look at"),
    ];
    let lacking: Vec<String> = lacking
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if reach.can_fire > 0 || !lacking.is_empty() {
        document.heading("Rules");
        let mut texts = vec![format!("{} can fire", reach.can_fire)];
        texts.extend(lacking);
        page::item(&mut document, [texts.join(", ")]);
    }
    held_back(&mut document, sources, ListOrder::default(), EXCLUDED);
    page::texts(&mut document, "Notes", &summary.notes);
    page::texts(&mut document, "What is missing", &summary.problems);
    rejects(&mut document, sources);
    Ok(document)
}

fn incidents(document: &mut Document, sources: &Sources<'_>, order: ListOrder, shown: usize) {
    let incidents = &sources.results.incidents;
    document.heading(&format!("Incidents ({})", incidents.len()));
    if incidents.is_empty() {
        page::item(document, [Part::new("none", Look::Dim)]);
    }
    let mut incidents: Vec<&Incident> = incidents.iter().collect();
    order.put(&mut incidents, |incidents, by| match by {
        1 => incidents.sort_by_key(|incident| incident.first_seen),
        _ => incidents.sort_by_key(|incident| &incident.title),
    });
    for incident in incidents.iter().take(shown) {
        let (first, last) = (incident.first_seen.0, incident.last_seen.0);
        let to = Pivot::Incident(incident.incident_id.clone());
        let span = format!("  {}", sources.clock.span(first, last));
        page::item(
            document,
            [
                link::letter(incident.severity),
                Part::from(" "),
                Part::link(&incident.title, to),
                Part::new(&span, Look::Dim),
            ],
        );
    }
    page::more_in(document, incidents.len(), shown, Listing::Incidents);
}

/// Appends the credentials that were used after their end.
fn undead(document: &mut Document, sources: &Sources<'_>) {
    let all = sources.results.credentials.iter();
    let mut undead: Vec<&Credential> = all.filter(|one| one.uses_after_end > 0).collect();
    if undead.is_empty() {
        return;
    }
    undead.sort_by_key(|one| (Reverse(one.uses_after_end), one.credential.as_str()));
    document.heading(&format!(
        "Credentials used after their end ({} of {})",
        undead.len(),
        sources.results.credentials.len()
    ));
    for credential in undead.iter().take(CREDENTIALS) {
        let uses = counted(credential.uses_after_end, "request");
        page::item(
            document,
            [
                Part::new(&format!("{uses} after  "), Look::Bad),
                link::credential(&credential.credential),
                Part::from(" of "),
                link::identity(&credential.username),
            ],
        );
    }
    page::more(document, undead.len(), CREDENTIALS);
}

/// Appends what lists of exclusions held back.
fn held_back(document: &mut Document, sources: &Sources<'_>, order: ListOrder, shown: usize) {
    let excluded = &sources.results.summary.excluded;
    if excluded.is_empty() {
        return;
    }
    document.heading(&format!(
        "Held back by lists of exclusions ({})",
        excluded.len()
    ));
    let mut excluded: Vec<&Excluded> = excluded.iter().collect();
    order.put(&mut excluded, |excluded, by| match by {
        1 => excluded.sort_by_key(|one| &one.rule),
        _ => excluded.sort_by_key(|one| &one.list),
    });
    for one in excluded.iter().take(shown) {
        let bound = if one.at_most { "at most " } else { "" };
        let requests = counted(one.requests, "request");
        let text = format!("{bound}{requests} of {}, by list {}", one.rule, one.list);
        page::item(document, [text]);
    }
    page::more_in(document, excluded.len(), shown, Listing::HeldBack);
}

/// Appends the findings in no incident, worst first.
fn loose(document: &mut Document, sources: &Sources<'_>, order: ListOrder, shown: usize) {
    let all = sources.results.findings.iter();
    let mut others: Vec<&Finding> = all
        .filter(|finding| finding.incident_id.is_none())
        .collect();
    if others.is_empty() {
        return;
    }
    others.sort_by_key(|finding| {
        let id = finding.finding_id.as_str();
        (Reverse(finding.severity), finding.first_seen, id)
    });
    order.put(&mut others, |others, by| match by {
        1 => others.sort_by_key(|finding| finding.first_seen),
        _ => others.sort_by_key(|finding| &finding.rule.title),
    });
    document.heading(&format!("Findings in no incident ({})", others.len()));
    for finding in others.iter().take(shown) {
        document.lines.push(about::line(finding, sources));
    }
    page::more_in(document, others.len(), shown, Listing::Loose);
}

fn findings(document: &mut Document, sources: &Sources<'_>) {
    let all = &sources.results.findings;
    if all.is_empty() {
        return;
    }
    document.heading(&format!("Findings by severity ({})", all.len()));
    let by_severity = Severity::ALL.iter().rev().map(|&severity| {
        let count = all.iter().filter(|one| one.severity == severity).count();
        (severity.as_str(), count as u64, Look::Severity(severity))
    });
    bars(document, &by_severity.collect::<Vec<_>>());
    let mut by_family: HashMap<&str, (u64, Severity)> = HashMap::new();
    for finding in all.iter() {
        let (count, worst) = by_family
            .entry(&finding.family)
            .or_insert((0, finding.severity));
        *count += 1;
        *worst = (*worst).max(finding.severity);
    }
    let mut families: Vec<(&str, u64, Look)> = by_family
        .into_iter()
        .map(|(family, (count, worst))| (family, count, Look::Severity(worst)))
        .collect();
    families.sort_by_key(|&(family, count, _)| (Reverse(count), family));
    document.heading("Findings by family, in the color of the worst");
    bars(document, &families);
}

/// Appends a bar for each number, the longest for the largest.
fn bars(document: &mut Document, rows: &[(&str, u64, Look)]) {
    let most = rows
        .iter()
        .map(|row| row.1)
        .max()
        .unwrap_or_default()
        .max(1);
    let width = page::number_width(rows.iter().map(|row| row.1));
    for &(name, count, look) in rows.iter().filter(|row| row.1 > 0) {
        let length = usize::try_from((count * BAR).div_ceil(most)).unwrap_or_default();
        page::item(
            document,
            [
                Part::new(&page::cell(name, 26), look),
                Part::from(format!(" {count:>width$} ")),
                Part::new(&"#".repeat(length), look),
            ],
        );
    }
}

fn rejects(document: &mut Document, sources: &Sources<'_>) {
    let summary = &sources.results.summary;
    let total = summary.totals.bad + summary.totals.oversize;
    if summary.rejects.is_empty() {
        return;
    }
    document.heading(&format!("Records that are not audit events ({total})"));
    for reject in summary.rejects.iter().take(REJECTS) {
        let place = Place {
            file: reject.file.to_string(),
            line: reject.line,
            offset: reject.offset,
            ..Place::default()
        };
        let text = format!("{}:{}", reject.file, reject.line);
        page::item(
            document,
            [
                Part::link(&text, Pivot::Place(place)),
                Part::new(&format!("  {}", reject.cause), Look::Bad),
            ],
        );
    }
    let shown = summary.rejects.len().min(REJECTS);
    page::more(
        document,
        usize::try_from(total).unwrap_or(usize::MAX),
        shown,
    );
}
