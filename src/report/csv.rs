//! Findings as CSV (RFC 4180), one row each: for spreadsheets, and timelines such as Timeline Explorer.

use std::io::{self, Write};

use super::rows::{RowFormat, RowWriter};
use crate::finding::Finding;
use crate::query::Cell;

/// Stands between the values of one cell.
const BETWEEN: &str = "; ";

const COLUMNS: [&str; 26] = [
    "severity",
    "first_seen",
    "last_seen",
    "title",
    "summary",
    "username",
    "kind",
    "impersonated",
    "credential_id",
    "ips",
    "user_agents",
    "resource",
    "subresource",
    "namespace",
    "name",
    "count",
    "family",
    "rule",
    "confidence",
    "attack",
    "why",
    "next_steps",
    "evidence_total",
    "evidence",
    "incident_id",
    "finding_id",
];

/// Writes a head and one row per finding, in the order given; `evidence` is file and line of each reference.
pub(super) fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let rows = RowWriter::new(RowFormat::Csv, &COLUMNS);
    rows.head(out)?;
    findings
        .iter()
        .try_for_each(|finding| rows.row(&cells(finding), out))
}

fn cells(finding: &Finding) -> [Cell; COLUMNS.len()] {
    let text = |text: &str| Cell::Text(text.to_owned());
    let option = |option: &Option<String>| option.as_deref().map_or(Cell::Null, text);
    let list = |list: &[String]| Cell::Text(list.join(BETWEEN));
    let evidence = finding.evidence.iter();
    let evidence = evidence.map(|place| format!("{}:{}", place.file, place.line));
    let Finding {
        actor,
        source,
        target,
        ..
    } = finding;
    [
        text(finding.severity.as_str()),
        Cell::Time(finding.first_seen.to_string()),
        Cell::Time(finding.last_seen.to_string()),
        text(&finding.rule.title),
        text(&finding.summary),
        option(&actor.username),
        option(&actor.kind),
        option(&actor.impersonated),
        option(&actor.credential_id),
        list(&source.ips),
        list(&source.user_agents),
        option(&target.resource),
        option(&target.subresource),
        option(&target.namespace),
        option(&target.name),
        Cell::Integer(finding.count.into()),
        text(&finding.family),
        text(&finding.rule.name),
        text(finding.confidence.as_str()),
        list(&finding.attack),
        list(&finding.why),
        list(&finding.next_steps),
        Cell::Integer(finding.evidence_total.into()),
        list(&evidence.collect::<Vec<_>>()),
        option(&finding.incident_id),
        text(&finding.finding_id),
    ]
}

#[cfg(test)]
mod tests {
    use crate::finding::Severity;
    use crate::report::tests::{HOSTILE, finding, rendered, summary};
    use crate::report::{Format, Options};

    /// Reads RFC 4180 as strictly as it is written.
    fn records(text: &str) -> Vec<Vec<String>> {
        let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
        let mut signs = text.chars().peekable();
        let mut is_quoted = false;
        while let Some(sign) = signs.next() {
            match (sign, is_quoted) {
                ('"', true) if signs.peek() == Some(&'"') => cell.extend(signs.next()),
                ('"', _) => is_quoted = !is_quoted,
                (',', false) => record.push(std::mem::take(&mut cell)),
                ('\r', false) => {
                    assert_eq!(signs.next(), Some('\n'));
                    record.push(std::mem::take(&mut cell));
                    records.push(std::mem::take(&mut record));
                }
                _ => cell.push(sign),
            }
        }
        assert!(!is_quoted && cell.is_empty() && record.is_empty());
        records
    }

    #[test]
    fn a_finding_is_a_row_whatever_stands_in_it() {
        let hostile = HOSTILE.into_iter();
        let formulas = [
            "=1+1",
            "@x",
            "-2",
            "+3",
            "\u{ff1d}1+1",
            "a,\"b\"",
            "\t=1",
            "",
        ];
        for text in hostile.chain(formulas) {
            let findings = [finding(Severity::High, text), finding(Severity::Low, text)];
            let written = rendered(Format::Csv, &findings, &summary(text), &Options::default());
            let records = records(&written);
            assert_eq!(records.len(), 3, "{written}");
            for record in &records {
                assert_eq!(record.len(), super::COLUMNS.len(), "{written}");
                for cell in record {
                    let is_run = cell.starts_with(['=', '+', '-', '@', '\t', '\u{ff1d}']);
                    assert!(!is_run && !cell.contains(['\n', '\u{1b}']), "{cell}");
                }
            }
        }
        let written = rendered(
            Format::Csv,
            &[finding(Severity::High, "x")],
            &summary("x"),
            &Options::default(),
        );
        let records = records(&written);
        let of = |name: &str| {
            let at = super::COLUMNS.iter().position(|column| *column == name);
            records[1][at.unwrap()].as_str()
        };
        assert_eq!(of("severity"), "high");
        assert_eq!(of("first_seen"), "2026-11-22T05:01:02.123456Z");
        assert_eq!(of("ips"), "x; x; x; x; x");
        assert_eq!(of("count"), "12");
        assert!(of("evidence").starts_with("logs/audit.log:17; logs/audit.log:18"));
    }
}
