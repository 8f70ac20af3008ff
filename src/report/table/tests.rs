//! What the table shows.

use super::*;
use crate::report::clean::{columns, is_hidden};
use crate::report::page::lead;
use crate::report::tests::{HOSTILE, finding, rendered, summary};
use crate::report::{Counters, Format};

fn table(findings: &[Finding], summary: &Summary, options: &Options) -> String {
    rendered(Format::Table, findings, summary, options)
}

#[test]
fn report_reads_well() {
    let mut high = finding(Severity::High, "x");
    high.summary = "The token of system:serviceaccount:ci:builder was used 12 times from an \
                        address it never came from before, 7 minutes after its deletion."
        .to_owned();
    high.actor.username = Some("system:serviceaccount:ci:builder".to_owned());
    high.actor.kind = Some("serviceaccount".to_owned());
    high.actor.credential_id = Some("JTI=0c1f2a3b-6d5e-4f60-8a7b-9c0d1e2f3a4b".to_owned());
    high.actor.impersonated = None;
    high.source.ips = ["198.51.100.7", "203.0.113.9"].map(str::to_owned).to_vec();
    high.source.user_agents.truncate(1);
    high.target.subresource = None;
    high.why = vec!["stageTimestamp → 2026-11-22T05:01:02Z, after the deletion".to_owned()];
    high.next_steps.truncate(1);
    high.blind_spots.clear();
    let low = finding(Severity::Low, "curl/8.5.0");
    let mut summary = summary("audit.log");
    summary.rejects.truncate(1);
    let census = |counts: &[(&str, u64)]| {
        let mut census = Census::default();
        for (name, count) in counts {
            census.add_n(name, *count);
        }
        census
    };
    summary.ingest.levels = census(&[("Metadata", 18_000), ("Request", 190)]);
    summary.ingest.stages = census(&[("ResponseComplete", 18_190)]);
    summary.ingest.verbs = census(&[("get", 9_000), ("watch", 8_000), ("create", 1_190)]);
    summary.ingest.envelopes = census(&[("docker > AKS kube-audit", 18_190)]);
    summary.ingest.other_kinds = census(&[("a klog line", 4)]);
    summary.ingest.oddities = census(&[("with a repeated key", 1)]);
    summary.ingest.version = None;
    let distribution = summary.ingest.distribution.as_mut().unwrap();
    distribution.name = "AKS".to_owned();
    distribution.evidence = "envelope `docker > AKS kube-audit`".to_owned();
    assert_eq!(
        table(
            &[low, high],
            &summary,
            &Options {
                width: 80,
                ..Options::default()
            }
        ),
        "\
What was read
  files     audit.log
  size      31.3 MiB, 18190 events in 6101 requests
  records   18204 = 18190 events + 10 duplicates + 3 bad + 1 oversize + 0 other
  span      2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m)
  cluster   AKS (by envelope `docker > AKS kube-audit`)
  servers   audit.log: 7 events, 2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m); 1
              silence, the longest 2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m)
  holds     18000 Metadata, 190 Request
            18190 ResponseComplete
            9000 get, 8000 watch, 1190 create
  wrapped   18190 docker > AKS kube-audit
  other     4 a klog line
  odd       1 with a repeated key
  left out  4 files in the folders, whose names are not those of logs
  incidents 1 high
  findings  1 high, 1 low
  missing   audit.log
  skipped   4 records; the first is audit.log:512: audit.log
  held back at most 7 requests of secret-read, by list kubelet-secrets
  rules     20 can fire, 2 lack bodies, 1 lacks events to look at (`kubescry
            rules coverage`)
  blind to  audit.log
  note      audit.log

HIGH  token-reuse: Token used after its service account was deleted
  what      The token of system:serviceaccount:ci:builder was used 12 times from
            an address it never came from before, 7 minutes after its deletion.
  when      2026-11-22 05:01:02 .. 05:44:10 UTC (43m 7s), 12 requests
  who       system:serviceaccount:ci:builder (serviceaccount), credential
            JTI=0c1f2a3b-6d5e-4f60-8a7b-9c0d1e2f3a4b
  from      198.51.100.7
            203.0.113.9
  agent     x
  on        x x in namespace x
  why       stageTimestamp → 2026-11-22T05:01:02Z, after the deletion
  evidence  logs/audit.log:17 x
            logs/audit.log:18 x
            logs/audit.log:19 x
            +9 more
  next      x
  rule      token-reused-after-deletion, confidence high, T1550.001
  id        9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e

Findings in no incident

LOW  token-reuse: Token used after its service account was deleted
  what      curl/8.5.0 was used 12 times after its deletion, by curl/8.5.0.
  evidence  logs/audit.log:17 curl/8.5.0
            +11 more

More: --format jsonl prints every field, --evidence all every reference,
  --no-exclusions also what is held back, --min-severity LEVEL only what is at
  least as bad.
"
    );
}

/// Findings of one actor, a minute apart, with tactics.
fn story(tactics: &[&str], text: &str) -> Vec<Finding> {
    let step = |(at, tactic): (usize, &&str)| {
        let mut step = finding(Severity::High, text);
        step.finding_id = format!("{at:032x}");
        step.rule.id = at.to_string();
        step.rule.title = format!("Step {at}");
        step.family = (*tactic).to_owned();
        step.first_seen.0 += 60_000_000 * i64::try_from(at).unwrap();
        step.evidence.truncate(1);
        step.evidence_total = 1;
        step.ties.tactics = vec![(*tactic).to_owned()];
        for list in [&mut step.why, &mut step.next_steps, &mut step.blind_spots] {
            list.clear();
        }
        step
    };
    tactics.iter().enumerate().map(step).collect()
}

#[test]
fn steps_that_come_again_are_one_line() {
    let mut findings = story(&["discovery", "persistence"].repeat(3), "eve");
    for finding in &mut findings {
        let at = finding.rule.id.parse::<usize>().unwrap() % 2;
        finding.rule.id = at.to_string();
        finding.rule.title = format!("Step {at}");
    }
    let report = table(&findings, &summary("x"), &Options::default());
    let steps = report.split_once("  steps     ").unwrap().1;
    let steps = steps.split_once("\n  id ").unwrap().0;
    assert_eq!(
        steps,
        "05:01:02 high: Step 0, 2 times more until 2026-11-22 05:05:02
            05:02:02 high: Step 1, 2 times more until 2026-11-22 05:06:02"
    );
}

#[test]
fn findings_stand_under_their_incident() {
    let mut findings = story(&["discovery", "credential-access", "persistence"], "eve");
    findings[2].severity = Severity::Low;
    let report = table(&findings, &summary("x"), &Options::default());
    let incident = report.split_once("\n\nHIGH").unwrap().1;
    let (first, rest) = incident
        .split_once("\n  HIGH  credential-access: Step 1\n")
        .unwrap();
    assert_eq!(
        first,
        "  incident of 3 findings
  what      eve (eve) from eve: discovery, then credential access, then persistence; 3 findings
            within 43 min
  when      2026-11-22 05:01:02 .. 05:44:10 UTC (43m 7s)
  who       eve
  with      eve
  from      eve
  tactics   Discovery > Credential Access > Persistence
  tied by   credential eve: 2 findings
  steps     05:01:02 high: Step 0
            05:02:02 high: Step 1
            05:03:02 low: Step 2
  id        1b1ebc8d62e744866f898d07db62c36d

  HIGH  discovery: Step 0
    what      eve was used 12 times after its deletion, by eve.
    when      2026-11-22 05:01:02 .. 05:44:10 UTC (43m 7s), 12 requests
    who       eve (eve), credential eve, impersonating eve
    from      eve
              eve
              eve
              +2 more
    agent     eve
              eve
              eve
              +2 more
    on        eve/eve eve in namespace eve
    evidence  logs/audit.log:17 eve
    rule      token-reused-after-deletion, confidence high, T1550.001
    id        00000000000000000000000000000000
"
    );
    let low = "\n\n  LOW  persistence: Step 2\n    what      eve was used 12 times after its deletion, by eve.\n";
    assert!(rest.contains(low), "{rest}");
    let mild = Options {
        min_severity: Severity::Critical,
        ..Options::default()
    };
    findings[2].severity = Severity::High;
    let report = table(&findings, &summary("x"), &mild);
    assert!(
        report.contains("\nCRITICAL  incident of 3 findings\n"),
        "{report}"
    );
    assert!(
        report.contains("raised from high to critical: it spans 3 tactics"),
        "{report}"
    );
    assert!(report.contains("\n  +3 more of this incident"), "{report}");
    assert!(!report.contains("No findings"), "{report}");
}

#[test]
fn a_long_incident_shows_its_worst() {
    let report = table(
        &story(&["impact"; 30], "eve"),
        &summary("x"),
        &Options::default(),
    );
    assert_eq!(report.matches("\n  HIGH  impact: Step").count(), N_FINDINGS);
    assert_eq!(report.matches("\n    rule ").count(), N_WHOLE);
    assert!(report.contains("\n            +10 more\n"), "{report}");
    assert!(
        report.contains("\n  +20 more of this incident: --format json prints them\n"),
        "{report}"
    );
    assert!(!report.contains("Findings in no incident"));
}

#[test]
fn hostile_text_neither_widens_nor_acts_nor_forges() {
    /// What stands where only our words may: the heading, or the label.
    fn ours(report: &str) -> Vec<String> {
        let starts = report.lines().filter(|line| !line.starts_with(&lead("")));
        starts
            .map(|line| line.chars().take(VALUES).collect())
            .collect()
    }
    let long = "wide 監査 \u{1b}[31m".repeat(10_000);
    for text in HOSTILE.into_iter().chain([long.as_str()]) {
        let findings = |text| {
            [Severity::Critical, Severity::High, Severity::Low]
                .map(|severity| finding(severity, text))
        };
        for width in (60..=160).step_by(if text == long { 25 } else { 1 }) {
            let options = Options {
                width,
                ..Options::default()
            };
            let report = table(&findings(text), &summary(text), &options);
            for line in report.lines() {
                assert!(columns(line) <= width, "{width}: {line}");
                assert!(!line.chars().any(is_hidden), "{line:?}");
            }
            let harmless = table(&findings("x"), &summary("x"), &options);
            assert_eq!(ours(&report), ours(&harmless), "{report}");
        }
    }
}

#[test]
fn blanks_cannot_line_text_up_with_ours() {
    let mut finding = finding(Severity::High, "x");
    finding.actor.username = Some("x          who       admin".to_owned());
    let report = table(&[finding], &summary("x"), &Options::default());
    assert!(
        report.contains("  who       x[10 blanks]who[7 blanks]admin (x)"),
        "{report}"
    );
}

#[test]
fn color_marks_the_severity_and_nothing_else() {
    let findings = Severity::ALL.map(|severity| finding(severity, "x"));
    let plain = table(&findings, &summary("x"), &Options::default());
    let colored = table(
        &findings,
        &summary("x"),
        &Options {
            color: true,
            ..Options::default()
        },
    );
    assert!(!plain.contains('\x1b'));
    // And that of the incident they are.
    assert_eq!(colored.matches('\x1b').count(), 2 * (findings.len() + 1));
    let mut stripped = colored;
    for severity in Severity::ALL {
        stripped = stripped.replace(paint(severity), "");
    }
    assert_eq!(stripped.replace("\x1b[0m", ""), plain);
}

#[test]
fn no_findings_says_what_was_looked_at() {
    fn check(findings: &[Finding], summary: &Summary, expected: &str) {
        let options = Options {
            min_severity: Severity::High,
            ..Options::default()
        };
        let report = table(findings, summary, &options);
        let lines = report.split("\n\n").nth(1).unwrap().replace("\n  ", " ");
        assert_eq!(lines, expected);
    }
    let mut whole = summary("x");
    whole.blind.clear();
    check(
        &[],
        &whole,
        "No findings in 18190 events, 2026-11-22 04:55:27 .. 09:12:44 UTC (4h 17m).",
    );
    check(
        &[finding(Severity::Low, "x")],
        &summary("x"),
        "No findings of severity high or worse in 18190 events, 2026-11-22 04:55:27 .. 09:12:44 \
             UTC (4h 17m). What this log cannot show is listed above under \"blind to\".",
    );
    check(
        &[],
        &Summary::default(),
        "No findings in 0 events. Nothing was looked at.",
    );
}

#[test]
fn milder_findings_are_counted_when_not_printed() {
    let findings = Severity::ALL.map(|severity| finding(severity, "x"));
    let options = Options {
        min_severity: Severity::High,
        ..Options::default()
    };
    let report = table(&findings, &summary("x"), &options);
    assert!(report.contains(
        "findings  1 critical, 1 high, 1 medium, 1 low, 1 informational (3 below high not printed)"
    ));
    assert!(!report.contains("\nMEDIUM"));
}

#[test]
fn evidence_follows_the_option() {
    fn check(severity: Severity, evidence: Option<usize>, shown: usize) {
        let options = Options {
            evidence,
            ..Options::default()
        };
        let report = table(&[finding(severity, "x")], &summary("x"), &options);
        assert_eq!(report.matches("logs/audit.log:").count(), shown);
        assert!(report.contains(&format!("+{} more", 12 - shown)));
    }
    check(Severity::High, Some(EVIDENCE_DEFAULT), 3);
    check(Severity::Low, Some(EVIDENCE_DEFAULT), 1);
    check(Severity::High, Some(4), 4);
    check(Severity::High, Some(0), 0);
    check(Severity::High, None, 5);
}

#[test]
fn numbers_that_do_not_add_up_are_admitted() {
    let mut summary = summary("x");
    summary.totals = Counters {
        records: 1,
        ..summary.totals
    };
    assert!(table(&[], &summary, &Options::default()).contains("this is a bug in kubescry"));
}

#[test]
fn blanks_at_the_ends_of_a_name_are_seen() {
    let mut finding = finding(Severity::High, "x");
    finding.actor.username = Some("admin ".to_owned());
    assert!(who(&finding).starts_with("\"admin \""));
}

#[test]
fn sizes_and_times_read_well() {
    assert_eq!(bytes(0), "0 bytes");
    assert_eq!(bytes(1), "1 byte");
    assert_eq!(bytes(1023), "1023 bytes");
    assert_eq!(bytes(1024), "1.0 KiB");
    assert_eq!(bytes(1_048_575), "1023.9 KiB");
    assert_eq!(bytes(u64::MAX), "16383.9 PiB");
    assert_eq!(duration(0), "0.0s");
    assert_eq!(duration(1_250_000), "1.2s");
    assert_eq!(duration(61_000_000), "1m 1s");
    assert_eq!(duration(90_000_000_000), "1d 1h");
    let time = |seconds: i64| Timestamp(seconds * 1_000_000);
    assert_eq!(span(time(0), time(0)), "1970-01-01 00:00:00 UTC");
    assert_eq!(
        span(time(0), time(60)),
        "1970-01-01 00:00:00 .. 00:01:00 UTC (1m 0s)"
    );
    assert_eq!(
        span(time(86_399), time(86_400)),
        "1970-01-01 23:59:59 .. 1970-01-02 00:00:00 UTC (1.0s)"
    );
    assert_eq!(
        span(Timestamp(i64::MIN), Timestamp(i64::MAX))
            .matches("us")
            .count(),
        2
    );
}

#[test]
fn what_is_said_again_is_read_once() {
    let at = |hour: i64, count: u64| {
        let mut finding = finding(Severity::High, "curl/8.5.0");
        finding.summary = format!(
            "`x` listed Secrets: {count} request{}",
            if count == 1 { "" } else { "s" }
        );
        finding.finding_id = format!("{hour:032}");
        finding.first_seen = Timestamp(1_795_323_600_000_000 + hour * 3_600_000_000);
        finding.last_seen = finding.first_seen;
        finding.count = count;
        finding
    };
    let mut other = at(4, 1);
    other.summary = "`x` listed ConfigMaps: 1 request".to_owned();
    let findings = [at(0, 1), at(1, 3), at(2, 1), other];
    let summary = summary("audit.log");
    let short = table(&findings, &summary, &Options::default());
    assert_eq!(short.matches("`x` listed Secrets").count(), 1, "{short}");
    assert_eq!(short.matches("`x` listed ConfigMaps").count(), 1, "{short}");
    let again = "again     2 times more until 2026-11-22 07:00:00, 4 requests: a finding each in --format jsonl";
    assert!(
        short
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(&again.split_whitespace().collect::<Vec<_>>().join(" ")),
        "{short}"
    );
    let long = Options {
        evidence: None,
        ..Options::default()
    };
    let long = table(&findings, &summary, &long);
    assert_eq!(long.matches("`x` listed Secrets").count(), 3, "{long}");
}
