//! What every document about a log has: what was read, the incidents, the findings, and what the log cannot show.

use std::collections::HashMap;

use super::{Page, Text, time};
use crate::finding::incident::Incident;
use crate::finding::{Finding, Severity};
use crate::report::{Counters, Summary};

/// Says from when to when a log is.
pub(crate) fn span(summary: &Summary) -> String {
    match (summary.totals.first, summary.totals.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "no events".to_owned(),
    }
}

/// Lists the files that were read.
pub(crate) fn files(summary: &Summary, page: &mut Page) {
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
    let Summary { files, totals, .. } = summary;
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
}

/// Says what could not be read, and what else a reader should know of it.
pub(crate) fn remarks(summary: &Summary, page: &mut Page) {
    page.list("What is missing", &summary.problems);
    if !summary.rejects.is_empty() {
        let rows = summary.rejects.iter().map(|reject| {
            let place = format!("{}:{}", reject.file, reject.line);
            vec![Text::of(place), Text::of(&reject.cause)]
        });
        page.table(&["first records that are no events", "cause"], rows);
    }
    page.list("Worth knowing", &summary.notes);
}

/// Lists the incidents, each with its findings by reference; `findings` are all there are.
pub(crate) fn incidents<'f>(
    incidents: &[Incident],
    findings: impl Iterator<Item = &'f Finding>,
    page: &mut Page,
) {
    if incidents.is_empty() {
        return;
    }
    let by_id: HashMap<&str, &Finding> = findings
        .map(|finding| (finding.finding_id.as_str(), finding))
        .collect();
    page.heading(2, None, "Incidents");
    for incident in incidents {
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
        page.fields(fields);
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

/// Gives all that a finding says, with at most `n_evidence` references into the log; `state` is what somebody thinks of it.
pub(crate) fn finding(finding: &Finding, state: Option<&str>, n_evidence: usize, page: &mut Page) {
    let Finding {
        actor,
        source,
        target,
        ..
    } = finding;
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let fields = [
        ("state", state.unwrap_or_default().to_owned()),
        ("confidence", finding.confidence.as_str().to_owned()),
        ("first seen", finding.first_seen.to_string()),
        ("last seen", finding.last_seen.to_string()),
        ("requests", finding.count.to_string()),
        ("who", or_empty(&actor.username)),
        ("as", or_empty(&actor.impersonated)),
        ("credential", or_empty(&actor.credential_id)),
        ("from", source.ips.join(", ")),
        ("agents", source.user_agents.join(", ")),
        ("object", target.path()),
        ("attack", finding.attack.join(", ")),
        ("rule", finding.rule.name.clone()),
        ("incident", or_empty(&finding.incident_id)),
        ("id", finding.finding_id.clone()),
    ];
    page.fields(fields);
    page.list("Why", &finding.why);
    page.list("Next steps", &finding.next_steps);
    page.list("What it cannot see", &finding.blind_spots);
    let shown = finding.evidence.iter().take(n_evidence);
    let n_more = finding.evidence_total.saturating_sub(shown.len() as u64);
    let rows = shown.map(|evidence| {
        vec![
            time(evidence.ts),
            Text::of(&evidence.stage),
            Text::of(&evidence.audit_id),
            Text::of(format!("{}:{}", evidence.file, evidence.line)),
            Text::of(evidence.offset.to_string()),
            Text::of(evidence.length.to_string()),
        ]
    });
    if rows.len() > 0 {
        let columns = &["time", "stage", "audit id", "evidence", "byte", "length"];
        page.table(columns, rows);
    }
    if n_more > 0 {
        page.paragraph(format!("{n_more} more are not shown."));
    }
}

/// Says what the log cannot show.
pub(crate) fn blind(summary: &Summary, page: &mut Page) {
    page.heading(2, None, "What this log cannot show");
    if summary.totals.events == 0 {
        page.paragraph("No audit event was read, so nothing can be said.");
    } else if summary.blind.is_empty() {
        page.paragraph("Nothing is known to be missing.");
    }
    page.list("", &summary.blind);
}

/// Counts findings by severity, worst first.
pub(crate) fn severities<'f>(findings: impl Iterator<Item = &'f Finding>) -> String {
    let found: Vec<Severity> = findings.map(|finding| finding.severity).collect();
    let severities = Severity::ALL.into_iter().rev();
    counts(severities.map(|severity| {
        let n = found.iter().filter(|other| **other == severity);
        (severity.as_str(), n.count())
    }))
}

/// Says how many there are of each, of those that there are.
pub(crate) fn counts<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> String {
    let counts = counts.filter(|(_, n)| *n > 0);
    let counts: Vec<String> = counts.map(|(word, n)| format!("{n} {word}")).collect();
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.join(", ")
}
