//! About: which findings are about something, and the list of them.

use std::cmp::Reverse;

use super::{Sources, link, page};
use crate::finding::Finding;
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::Object;

/// Findings listed before "+N more".
const FINDINGS: usize = 20;

/// Returns whether `finding` is about a user name: as the one who acts, is impersonated, or is acted upon.
pub(super) fn identity(finding: &Finding, name: &str) -> bool {
    let is = |other: &Option<String>| other.as_deref() == Some(name);
    is(&finding.actor.username)
        || is(&finding.actor.impersonated)
        || finding.ties.usernames.iter().any(|other| other == name)
        || link::object_of(name).is_some_and(|object| self::object(finding, &object))
}

pub(super) fn credential(finding: &Finding, key: &str) -> bool {
    finding.actor.credential_id.as_deref() == Some(key)
        || finding.ties.credentials.iter().any(|other| other == key)
}

pub(super) fn address(finding: &Finding, address: &str) -> bool {
    finding.source.ips.iter().any(|ip| ip == address)
}

pub(super) fn object(finding: &Finding, object: &Object) -> bool {
    let is_target = link::target(&finding.target).is_some_and(|target| target == *object);
    let mut rests_on = finding.ties.rests_on.iter();
    is_target || rests_on.any(|name| link::named_object(name).is_some_and(|named| named == *object))
}

pub(super) fn place(finding: &Finding, file: &str, offset: u64) -> bool {
    let mut evidence = finding.evidence.iter();
    evidence.any(|place| &*place.file == file && place.offset == offset)
}

/// Appends the findings that `is_about` holds for, worst first.
pub(super) fn section(
    document: &mut Document,
    sources: &Sources<'_>,
    is_about: impl Fn(&Finding) -> bool,
) {
    let findings = sources.results.findings.iter();
    let mut found: Vec<&Finding> = findings.filter(|finding| is_about(finding)).collect();
    found.sort_by_key(|finding| {
        let id = finding.finding_id.as_str();
        (Reverse(finding.severity), finding.first_seen, id)
    });
    document.heading(&format!("Findings about it ({})", found.len()));
    if found.is_empty() {
        document.line([Part::new("none", Look::Dim)]);
    }
    for finding in found.iter().take(FINDINGS) {
        document.lines.push(line(finding, sources));
    }
    page::more(document, found.len(), FINDINGS);
}

/// Returns a finding on one line.
pub(super) fn line(finding: &Finding, sources: &Sources<'_>) -> Line {
    let time = sources.clock.show(finding.first_seen.0);
    let mut line = Line::new([
        link::letter(finding.severity),
        Part::new(&format!(" {time}  "), Look::Dim),
        link::finding(finding),
    ]);
    if finding.count > 1 {
        let times = format!("  {} requests", finding.count);
        line.parts.push(Part::new(&times, Look::Dim));
    }
    line.indented(2)
}
