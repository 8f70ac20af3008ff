//! The card of an incident: the story in order of time.

use hashbrown::HashSet;

use super::{Sources, about, link, page};
use crate::finding::Finding;
use crate::tui::document::{Document, Look, Part};

/// Names listed before "+N more".
const NAMES: usize = 12;
/// Findings listed before "+N more".
const STEPS: usize = 200;

pub(super) fn card(id: &str, sources: &Sources<'_>) -> Document {
    let Some(incident) = sources.results.incident(id) else {
        let mut document = Document::new("incident");
        document.line([format!("No incident has the id {id}.")]);
        return document;
    };
    let mut document = Document::new(&incident.title);
    let severity = incident.severity;
    document.line([
        link::letter(severity),
        Part::from(" "),
        Part::new(severity.as_str(), Look::Severity(severity)),
        Part::from("  "),
        Part::new(&incident.title, Look::Bold),
    ]);
    if let Some(raised) = &incident.raised {
        let raised = raised.strip_prefix("raised ").unwrap_or(raised);
        document.field("raised", [raised]);
    }
    let (first, last) = (incident.first_seen.0, incident.last_seen.0);
    document.field("when", [sources.clock.span(first, last)]);
    page::links(
        &mut document,
        "who",
        &incident.actors,
        NAMES,
        link::identity,
    );
    let credentials = &incident.credentials;
    page::links(&mut document, "with", credentials, NAMES, link::credential);
    let addresses = &incident.source_ips;
    page::links(&mut document, "from", addresses, NAMES, link::address);
    if !incident.tactics.is_empty() {
        document.field("tactics", [incident.tactics.join(" > ")]);
    }
    if !incident.attack.is_empty() {
        document.field("ATT&CK", [incident.attack.join(", ")]);
    }
    let timeline = [("incident", id)];
    let ask = link::question("incident-timeline", "incident-timeline", &timeline);
    document.field("ask", [ask]);
    document.field("id", [Part::new(id, Look::Dim)]);
    page::texts(&mut document, "Tied by", &incident.tied_by);
    let ids: HashSet<&str> = incident.findings.iter().map(String::as_str).collect();
    let findings = sources.results.findings.iter();
    let mut findings: Vec<&Finding> = findings
        .filter(|finding| ids.contains(finding.finding_id.as_str()))
        .collect();
    findings.sort_by_key(|finding| (finding.first_seen, finding.finding_id.as_str()));
    let has_several = incident.actors.len() > 1;
    let (steps, rest): (Vec<&Finding>, Vec<&Finding>) = findings
        .iter()
        .copied()
        .partition(|finding| finding.is_step());
    section(&mut document, "Steps", &steps, has_several, sources);
    section(
        &mut document,
        "How things stand",
        &rest,
        has_several,
        sources,
    );
    let mut next: Vec<&str> = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for step in findings.iter().flat_map(|finding| &finding.next_steps) {
        if known.insert(step) {
            next.push(step);
        }
    }
    page::texts(&mut document, "Next", &next);
    document
}

fn section(
    document: &mut Document,
    heading: &str,
    findings: &[&Finding],
    has_several: bool,
    sources: &Sources<'_>,
) {
    if findings.is_empty() {
        return;
    }
    document.heading(&format!("{heading} ({})", findings.len()));
    for finding in findings.iter().take(STEPS) {
        let mut line = about::line(finding, sources);
        if has_several && let Some(name) = &finding.actor.username {
            line.parts.push(Part::from("  "));
            line.parts.push(link::identity(name));
        }
        document.lines.push(line);
    }
    page::more(document, findings.len(), STEPS);
}
