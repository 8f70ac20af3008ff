//! The card of a finding: what, who, why, where it stands, and what to do.

use super::rows::Reader;
use super::{Built, Sources, about, link, page};
use crate::finding::{Evidence, Finding};
use crate::frame::Column;
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::{Pivot, Place};

/// Places listed before "+N more".
const EVIDENCE: usize = 50;
/// Addresses and programs listed before "+N more".
const SOURCES: usize = 8;
/// Other findings of the incident listed before "+N more".
const OTHERS: usize = 20;

pub(super) fn card(id: &str, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let Some(finding) = sources.results.finding(id) else {
        let mut document = Document::new("finding");
        document.line([format!("No finding has the id {id}.")]);
        return Ok(document);
    };
    let mut document = Document::new(&finding.rule.title);
    let severity = finding.severity;
    document.line([
        link::letter(severity),
        Part::from(" "),
        Part::new(severity.as_str(), Look::Severity(severity)),
        Part::new(&format!("  {}  ", finding.family), Look::Dim),
        Part::new(&finding.rule.title, Look::Bold),
    ]);
    document.line([Part::from(finding.summary.as_str()).brief()]);
    document.line([""]);
    facts(&mut document, finding, sources);
    page::texts(&mut document, "Why", &finding.why);
    evidence(&mut document, finding, sources, reader)?;
    page::texts(&mut document, "Next", &finding.next_steps);
    page::texts(&mut document, "What it cannot see", &finding.blind_spots);
    others(&mut document, finding, sources);
    Ok(document)
}

fn facts(document: &mut Document, finding: &Finding, sources: &Sources<'_>) {
    let (first, last) = (finding.first_seen.0, finding.last_seen.0);
    document.field("when", [sources.clock.span(first, last)]);
    document.field("requests", [finding.count.to_string()]);
    let actor = &finding.actor;
    let name = actor.username.as_deref().unwrap_or_default();
    let ties = &finding.ties;
    let mut who = match name {
        "" if !ties.usernames.is_empty() => vec![Part::new("several, none in common", Look::Dim)],
        "" if ties.refused > 0 => {
            let text = "no name in common; refused logins (401) carry none";
            vec![Part::new(text, Look::Dim)]
        }
        name => vec![link::identity(name)],
    };
    if let Some(kind) = &actor.kind {
        who.push(Part::new(&format!("  {kind}"), Look::Dim));
    }
    document.field("who", who);
    if let Some(other) = &actor.impersonated {
        document.field("acting as", [link::identity(other)]);
    }
    if let Some(key) = &actor.credential_id {
        document.field("with", [link::credential(key)]);
    }
    if name.is_empty() {
        page::links(document, "among", &ties.usernames, SOURCES, link::identity);
    }
    if actor.credential_id.is_none() {
        page::links(
            document,
            "with",
            &ties.credentials,
            SOURCES,
            link::credential,
        );
    }
    page::links(
        document,
        "from",
        &finding.source.ips,
        SOURCES,
        link::address,
    );
    let agents = &finding.source.user_agents;
    let agent = |agent: &str| link::value(Column::UserAgent, agent);
    page::links(document, "program", agents, SOURCES, agent);
    target(document, finding);
    let rule = &finding.rule;
    document.field(
        "rule",
        [
            Part::from(rule.name.as_str()),
            Part::new(&format!("  {}  {}", rule.kind.as_str(), rule.id), Look::Dim),
        ],
    );
    document.field("confidence", [finding.confidence.as_str()]);
    if !finding.attack.is_empty() {
        document.field("ATT&CK", [finding.attack.join(", ")]);
    }
    if let Some(id) = &finding.incident_id {
        let title = sources.results.incident(id).map(|incident| &incident.title);
        let text = title.map_or(id.as_str(), String::as_str);
        document.field("incident", [Part::link(text, Pivot::Incident(id.clone()))]);
    }
    document.field("id", [Part::new(&finding.finding_id, Look::Dim)]);
}

fn target(document: &mut Document, finding: &Finding) {
    let target = &finding.target;
    let mut parts = Vec::new();
    if let Some(object) = link::target(target) {
        parts.push(link::object(&object));
        if let Some(subresource) = &target.subresource {
            parts.push(Part::from(format!("  subresource {subresource}")));
        }
    } else {
        let values = [
            (Column::Resource, &target.resource),
            (Column::Subresource, &target.subresource),
            (Column::Namespace, &target.namespace),
        ];
        for (column, value) in values {
            if let Some(value) = value {
                parts.push(Part::new(&format!("{} ", column.name()), Look::Dim));
                parts.push(link::value(column, value));
                parts.push(Part::from("  "));
            }
        }
        if let Some(name) = &target.name {
            parts.push(Part::from(name.as_str()));
        }
    }
    if !parts.is_empty() {
        document.field("on", parts);
    }
}

fn evidence(
    document: &mut Document,
    finding: &Finding,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    document.heading(&format!("Evidence ({})", finding.evidence_total));
    let shown = &finding.evidence[..finding.evidence.len().min(EVIDENCE)];
    let places: Vec<(&str, u64, &str)> = shown
        .iter()
        .map(|evidence| (&*evidence.file, evidence.offset, &*evidence.audit_id))
        .collect();
    for (evidence, row) in shown.iter().zip(reader.find(&places)?) {
        let text = format!("{}:{}", evidence.file, evidence.line);
        let to = row.map_or_else(|| Pivot::Place(place(evidence)), Pivot::Event);
        let time = sources.clock.show(evidence.ts.0);
        let stage = format!("  {}  {}", evidence.stage, evidence.audit_id);
        page::item(
            document,
            [
                Part::new(&format!("{time}  "), Look::Dim),
                Part::link(&text, to),
                Part::new(&stage, Look::Dim),
            ],
        );
    }
    let total = usize::try_from(finding.evidence_total).unwrap_or(usize::MAX);
    page::more(document, total, shown.len());
    Ok(())
}

fn place(evidence: &Evidence) -> Place {
    Place {
        file: evidence.file.to_string(),
        line: evidence.line,
        offset: evidence.offset,
        length: evidence.length,
        audit_id: evidence.audit_id.to_string(),
    }
}

fn others(document: &mut Document, finding: &Finding, sources: &Sources<'_>) {
    let Some(id) = &finding.incident_id else {
        return;
    };
    let findings = sources.results.findings.iter();
    let mut others: Vec<&Finding> = findings
        .filter(|other| other.incident_id.as_ref() == Some(id))
        .filter(|other| other.finding_id != finding.finding_id)
        .collect();
    if others.is_empty() {
        return;
    }
    others.sort_by_key(|other| (other.first_seen, other.finding_id.as_str()));
    document.heading(&format!("Others of the same incident ({})", others.len()));
    for other in others.iter().take(OTHERS) {
        document.lines.push(about::line(other, sources));
    }
    page::more(document, others.len(), OTHERS);
}
