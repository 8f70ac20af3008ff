//! Findings as one SARIF 2.1.0 log (OASIS standard, 27 March 2020), for pages that show the results of scanners.
//!
//! A result points at the lines of the audit log that it rests on. Its fingerprint is the id of the finding, so that a page
//! knows it again on the next run. What could not be read is a notification of the run.

use std::collections::HashMap;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::Summary;
use super::json::write_line;
use crate::finding::{Evidence, Finding, Severity};
use crate::redact::redact;

/// What a path of a URI may not hold as it is (RFC 3986 section 3.3); a colon only in the first part, but nowhere does no harm.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Writes one run with all findings, in the order given, on one line.
pub(super) fn write(
    findings: &[Finding],
    summary: &Summary,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rules: Vec<&Finding> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let at = *index.entry(&finding.rule.id).or_insert_with(|| {
                rules.push(finding);
                rules.len() - 1
            });
            result(finding, at)
        })
        .collect();
    let notifications = summary.problems.iter();
    let notifications = notifications
        .map(|problem| json!({"level": "warning", "message": {"text": redact(problem)}}));
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubescry",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": summary.problems.is_empty(),
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    });
    write_line(&log, out)
}

/// Describes the rule of a finding, which is the worst of those that it has.
fn rule(finding: &Finding) -> Value {
    json!({
        "id": finding.rule.name,
        "name": finding.rule.name,
        "guid": finding.rule.id,
        "shortDescription": {"text": finding.rule.title},
        "defaultConfiguration": {"level": level(finding.severity)},
        "properties": {
            "security-severity": score(finding.severity),
            "tags": ["security", finding.family],
        },
    })
}

fn result(finding: &Finding, rule_index: usize) -> Value {
    let object = finding.target.path();
    let mut locations: Vec<Value> = finding.evidence.iter().map(location).collect();
    if let (Some(first), false) = (locations.first_mut(), object.is_empty()) {
        first["logicalLocations"] = json!([{"fullyQualifiedName": object, "kind": "resource"}]);
    }
    // Pages show the first location with a result, and the others on demand.
    let related = locations.split_off(locations.len().min(1));
    json!({
        "ruleId": finding.rule.name,
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "message": {"text": finding.summary},
        "locations": locations,
        "relatedLocations": related,
        "occurrenceCount": finding.count.max(1),
        "partialFingerprints": {"findingId/v1": finding.finding_id},
        "properties": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "first_seen": finding.first_seen,
            "last_seen": finding.last_seen,
            "actor": finding.actor,
            "source": finding.source,
            "attack": finding.attack,
            "why": finding.why,
            "next_steps": finding.next_steps,
            "blind_spots": finding.blind_spots,
            "evidence_total": finding.evidence_total,
            "incident_id": finding.incident_id,
        },
    })
}

fn location(evidence: &Evidence) -> Value {
    // Standard input has no address.
    let uri: String = utf8_percent_encode(&evidence.file, PATH).collect();
    let region = json!({
        "startLine": evidence.line.max(1),
        "byteOffset": evidence.offset,
        "byteLength": evidence.length,
    });
    json!({"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}})
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}

/// Returns the middle of the range that a word has where scores go to 10 (CVSS 3.1, section 5).
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Informational => "0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{HOSTILE, finding, rendered, summary};
    use crate::report::{Format, Options};

    fn log(findings: &[Finding], text: &str) -> Value {
        let written = rendered(Format::Sarif, findings, &summary(text), &Options::default());
        assert_eq!(written.lines().count(), 1);
        serde_json::from_str(&written).unwrap()
    }

    #[test]
    fn results_point_at_lines_and_keep_their_id() {
        let mut other = finding(Severity::Low, "y");
        other.rule.id = "1".to_owned();
        other.rule.name = "other".to_owned();
        other.evidence[0].file = "a b/\u{e4}#1.log".into();
        let findings = [
            finding(Severity::High, "x"),
            finding(Severity::Medium, "x"),
            other,
        ];
        let log = log(&findings, "x");
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        let told: Vec<_> = results
            .iter()
            .map(|result| {
                let rule = result["ruleIndex"].as_u64().unwrap();
                assert_eq!(
                    run["tool"]["driver"]["rules"][usize::try_from(rule).unwrap()]["id"],
                    result["ruleId"]
                );
                (rule, result["level"].as_str().unwrap())
            })
            .collect();
        assert_eq!(told, [(0, "error"), (0, "warning"), (1, "note")]);
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "logs/audit.log");
        assert_eq!(place["region"]["startLine"], 17);
        assert_eq!(results[0]["relatedLocations"].as_array().unwrap().len(), 4);
        let place = &results[2]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%20b/%C3%A4%231.log");
        for (result, finding) in results.iter().zip(&findings) {
            assert_eq!(
                result["partialFingerprints"]["findingId/v1"],
                finding.finding_id.as_str()
            );
        }
        let notes = &run["invocations"][0]["toolExecutionNotifications"];
        assert_eq!(notes[0]["message"]["text"], "x");
    }

    #[test]
    fn hostile_text_is_text() {
        for text in HOSTILE {
            log(&[finding(Severity::High, text)], text);
        }
        assert_eq!(log(&[], "")["runs"][0]["results"], json!([]));
    }
}
