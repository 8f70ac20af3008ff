//! What was read, as the overview says it: files, API servers, span, and how many of what.

use super::overview::Progress;
use super::rows::Reader;
use super::{Built, Sources, page};
use crate::finding::words::counted;
use crate::report::{ApiServer, Guess};
use crate::store::filter::Rows;
use crate::tui::document::{Document, Look, Part};

/// Files and API servers listed before "+N more".
const FILES: usize = 12;

/// Appends what was read so far.
pub(super) fn section(
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
