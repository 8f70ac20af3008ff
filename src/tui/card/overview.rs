//! The overview: what was read, what was found, and what the log cannot show.

use std::cmp::Reverse;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;

use super::rows::Reader;
use super::{Built, Sources, about, ended, link, page};
use crate::finding::words::counted;
use crate::finding::{Finding, Severity};
use crate::report::{ApiServer, Guess};
use crate::store::StoreError;
use crate::store::filter::Rows;
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::{Pivot, Place};

/// Incidents listed before "+N more".
const INCIDENTS: usize = 12;
/// Findings in no incident listed before "+N more".
const FINDINGS: usize = 12;
/// Files and API servers listed before "+N more".
const FILES: usize = 12;
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

fn build(sources: &Sources<'_>, progress: &Progress, reader: Reader<'_>) -> Built<Document> {
    let mut document = Document::new("overview");
    read(&mut document, sources, progress, reader)?;
    incidents(&mut document, sources);
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
    page::texts(&mut document, "Notes", &summary.notes);
    page::texts(&mut document, "What is missing", &summary.problems);
    rejects(&mut document, sources);
    Ok(document)
}

fn read(
    document: &mut Document,
    sources: &Sources<'_>,
    progress: &Progress,
    reader: Reader<'_>,
) -> Built<()> {
    let summary = &sources.results.summary;
    let totals = &summary.totals;
    document.heading("What was read");
    if !progress.is_done {
        let share = match progress.total_bytes {
            0 => String::new(),
            total => format!(
                ", {}%",
                (progress.read_bytes.saturating_mul(100) / total).min(100)
            ),
        };
        let state = if progress.was_stopped {
            "stopped before the end"
        } else {
            "reading"
        };
        let text = format!(
            "{state}: {} bytes{share}; what follows grows",
            progress.read_bytes
        );
        document.field("state", [Part::new(&text, Look::Bold)]);
    } else if progress.was_stopped {
        let text = "reading was stopped before the end";
        document.field("state", [Part::new(text, Look::Bad)]);
    }
    if totals.records == 0 {
        let snapshot = sources.snapshot;
        let events = counted(snapshot.count(Rows::Events), "event");
        let requests = counted(snapshot.count(Rows::Requests), "request");
        document.field("events", [format!("{events} in {requests}")]);
        if let Some((first, last)) = reader.snapshot.span()? {
            document.field("span", [sources.clock.span(first, last)]);
        }
        return Ok(());
    }
    let events = counted(totals.events, "event");
    document.field(
        "events",
        [format!(
            "{events} in {}",
            counted(totals.requests, "request")
        )],
    );
    let bad = totals.bad + totals.oversize;
    let look = |count: u64| if count > 0 { Look::Bad } else { Look::Plain };
    document.field(
        "records",
        [
            Part::from(format!(
                "{} with {} duplicates, ",
                totals.records, totals.duplicates
            )),
            Part::new(&format!("{bad} bad"), look(bad)),
            Part::from(format!(", {} of another kind", totals.other)),
        ],
    );
    if let (Some(first), Some(last)) = (totals.first, totals.last) {
        document.field("span", [sources.clock.span(first.0, last.0)]);
    }
    let ingest = &summary.ingest;
    for Guess { name, evidence } in [&ingest.distribution, &ingest.version]
        .into_iter()
        .flatten()
    {
        let evidence = Part::new(&format!("  by {evidence}"), Look::Dim);
        document.field("cluster", [Part::from(name.as_str()), evidence]);
    }
    for server in ingest.api_servers.iter().take(FILES) {
        document.field("API server", server_parts(server, sources));
    }
    let n_servers = ingest.api_servers.len();
    page::more(document, n_servers, FILES);
    for file in summary.files.iter().take(FILES) {
        let counters = &file.counters;
        let events = format!("  {}", counted(counters.events, "event"));
        let mut parts = vec![Part::from(&*file.path), Part::new(&events, Look::Dim)];
        let bad = counters.bad + counters.oversize;
        if bad > 0 {
            parts.push(Part::new(&format!("  {bad} bad"), Look::Bad));
        }
        document.field("file", parts);
    }
    page::more(document, summary.files.len(), FILES);
    Ok(())
}

fn server_parts(server: &ApiServer, sources: &Sources<'_>) -> Vec<Part> {
    let events = format!("  {}", counted(server.events, "event"));
    let mut parts = vec![
        Part::from(server.name.as_str()),
        Part::new(&events, Look::Dim),
    ];
    let longest = server.gaps.iter().max_by_key(|gap| gap.to.0 - gap.from.0);
    if let Some(gap) = longest {
        let silences = counted(server.n_gaps, "silence");
        let longest = sources.clock.span(gap.from.0, gap.to.0);
        let text = format!("  {silences}, the longest {longest}");
        parts.push(Part::new(&text, Look::Bad));
    }
    parts
}

fn incidents(document: &mut Document, sources: &Sources<'_>) {
    let incidents = &sources.results.incidents;
    document.heading(&format!("Incidents ({})", incidents.len()));
    if incidents.is_empty() {
        page::item(document, [Part::new("none", Look::Dim)]);
    }
    for incident in incidents.iter().take(INCIDENTS) {
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
    page::more(document, incidents.len(), INCIDENTS);
}

fn findings(document: &mut Document, sources: &Sources<'_>) {
    let all = &sources.results.findings;
    let mut others: Vec<&Finding> = all
        .iter()
        .filter(|finding| finding.incident_id.is_none())
        .collect();
    others.sort_by_key(|finding| {
        let id = finding.finding_id.as_str();
        (Reverse(finding.severity), finding.first_seen, id)
    });
    if !others.is_empty() {
        document.heading(&format!("Findings in no incident ({})", others.len()));
        for finding in others.iter().take(FINDINGS) {
            document.lines.push(about::line(finding, sources));
        }
        page::more(document, others.len(), FINDINGS);
    }
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
