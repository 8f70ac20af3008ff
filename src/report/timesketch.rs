//! Findings as JSON lines for Timesketch: a timeline wants `message`, `datetime` and `timestamp_desc` in each row
//! (Timesketch documentation, "Import from JSON or CSV").
//!
//! A finding is a span of time, so it has a row where it begins and one where it ends, unless that is the same moment.

use std::io::{self, Write};

use serde::Serialize;

use super::json::write_line;
use crate::finding::{Finding, Timestamp};

#[derive(Serialize)]
struct Row<'a> {
    message: String,
    datetime: String,
    timestamp_desc: &'static str,
    /// Timesketch shows and filters by these.
    tag: [&'a str; 2],
    severity: &'a str,
    confidence: &'a str,
    rule: &'a str,
    title: &'a str,
    count: u64,
    username: Option<&'a str>,
    impersonated: Option<&'a str>,
    credential_id: Option<&'a str>,
    ips: &'a [String],
    user_agents: &'a [String],
    resource: Option<&'a str>,
    subresource: Option<&'a str>,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    attack: &'a [String],
    next_steps: &'a [String],
    audit_ids: Vec<&'a str>,
    finding_id: &'a str,
    incident_id: Option<&'a str>,
}

/// Writes the rows of each finding, in the order given.
pub(super) fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        write_line(&row(finding, finding.first_seen, "Start Time"), out)?;
        if finding.last_seen != finding.first_seen {
            write_line(&row(finding, finding.last_seen, "End Time"), out)?;
        }
    }
    Ok(())
}

fn row<'a>(finding: &'a Finding, time: Timestamp, what: &'static str) -> Row<'a> {
    let (actor, target) = (&finding.actor, &finding.target);
    let severity = finding.severity.as_str();
    let evidence = finding.evidence.iter();
    Row {
        message: format!("{severity}: {}: {}", finding.rule.title, finding.summary),
        datetime: time.to_string(),
        timestamp_desc: what,
        tag: [severity, &finding.family],
        severity,
        confidence: finding.confidence.as_str(),
        rule: &finding.rule.name,
        title: &finding.rule.title,
        count: finding.count,
        username: actor.username.as_deref(),
        impersonated: actor.impersonated.as_deref(),
        credential_id: actor.credential_id.as_deref(),
        ips: &finding.source.ips,
        user_agents: &finding.source.user_agents,
        resource: target.resource.as_deref(),
        subresource: target.subresource.as_deref(),
        namespace: target.namespace.as_deref(),
        name: target.name.as_deref(),
        attack: &finding.attack,
        next_steps: &finding.next_steps,
        audit_ids: evidence.map(|place| &*place.audit_id).collect(),
        finding_id: &finding.finding_id,
        incident_id: finding.incident_id.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::finding::{Finding, Severity};
    use crate::report::tests::{finding, rendered, summary};
    use crate::report::{Format, Options};

    #[test]
    fn a_finding_has_a_row_where_it_begins_and_one_where_it_ends() {
        let span = finding(Severity::High, "x");
        let moment = Finding {
            last_seen: span.first_seen,
            ..finding(Severity::Low, "y")
        };
        let findings = [span, moment];
        let written = rendered(
            Format::Timesketch,
            &findings,
            &summary(""),
            &Options::default(),
        );
        let rows: Vec<Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told = rows.iter().map(|row| {
            ["datetime", "timestamp_desc", "username"].map(|key| row[key].as_str().unwrap())
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ["2026-11-22T05:01:02.123456Z", "Start Time", "x"],
                ["2026-11-22T05:44:10.000000Z", "End Time", "x"],
                ["2026-11-22T05:01:02.123456Z", "Start Time", "y"],
            ]
        );
        assert!(
            rows[0]["message"]
                .as_str()
                .unwrap()
                .starts_with("high: Token used")
        );
    }
}
