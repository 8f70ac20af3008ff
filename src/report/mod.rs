//! Findings to bytes, one format per file.
//!
//! Comes in: findings in any order and the [`Summary`] of what was read. Goes out: the same bytes
//! for the same input, on any writer. Every text that a log may have chosen passes [`clean`] on its
//! way; no format prints it another way. Left out on purpose: opening files, asking the terminal for
//! its width, and deciding what a finding is.
//!
//! All formats list findings in one order: severity, worst first; then first seen; then finding id.

pub mod clean;
mod csv;
pub(crate) mod document;
mod ingest;
mod json;
pub mod ocsf;
mod page;
pub mod record;
mod rows;
pub mod rules;
mod sarif;
mod table;
mod timesketch;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::io::{self, Write};
use std::sync::Arc;

use clap::ValueEnum;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::detect::feed::Reach;
use crate::finding::incident::Incident;
use crate::finding::{Evidence, Excluded, Finding, Severity, Timestamp};
use crate::redact;
pub use ingest::{ApiServer, Census, GAPS, Gap, Guess, Ingest, SKIPPED_NAMES};
pub(crate) use json::write_line;
pub use rows::{RowFormat, RowWriter, write_rows};

/// Evidence references printed per finding unless asked otherwise (`--evidence`).
pub const EVIDENCE_DEFAULT: usize = 20;

/// Columns of the table unless the terminal says otherwise.
pub const WIDTH_DEFAULT: usize = 100;

/// How findings are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: a summary of what was read, then the findings, worst first
    #[default]
    Table,
    /// For programs: one `kubescry.finding/1` object per line
    Jsonl,
    /// For programs: one `kubescry.report/1` object with what was read, the incidents and the findings
    Json,
    /// For tickets: a document with the incidents and the findings
    Markdown,
    /// To hand over: the same as one HTML file that loads nothing and runs nothing
    Html,
    /// For spreadsheets: a row per finding, RFC 4180; a cell that a spreadsheet would run begins with a quote
    Csv,
    /// For lakes and SIEMs: an OCSF 1.8.0 Detection Finding per line
    Ocsf,
    /// For pages of scanners' results: one SARIF 2.1.0 log
    Sarif,
    /// For timelines in Timesketch: JSON lines, where each finding begins and ends
    Timesketch,
}

/// What to print of the findings, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Columns no line of the table exceeds; below 60 counts as 60.
    pub width: usize,
    /// Whether severities are colored; the word is printed either way.
    pub color: bool,
    /// Evidence references per finding; `None` is all of them. At [`EVIDENCE_DEFAULT`] the table
    /// prints the first three only.
    pub evidence: Option<usize>,
    /// Findings milder than this are counted, not printed.
    pub min_severity: Severity,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: WIDTH_DEFAULT,
            color: false,
            evidence: Some(EVIDENCE_DEFAULT),
            min_severity: Severity::Informational,
        }
    }
}

/// What was read from one file or from all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Records found, whatever they are.
    pub records: u64,
    /// Audit events kept.
    pub events: u64,
    /// Audit events seen before.
    pub duplicates: u64,
    /// Records that do not decode.
    pub bad: u64,
    /// Records over the limit of length.
    pub oversize: u64,
    /// Records of another kind, such as `v1` `Event`.
    pub other: u64,
    /// Of the events: found by looking for a beginning behind damage, so of low trust.
    pub recovered: u64,
    /// Of the events: exported without some of their fields.
    pub partial: u64,
    /// Of the events: written as no API server writes them, though they can be read.
    pub odd: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Requests the events belong to.
    pub requests: u64,
    /// Earliest `stageTimestamp`.
    pub first: Option<Timestamp>,
    /// Latest `stageTimestamp`.
    pub last: Option<Timestamp>,
}

impl Counters {
    /// Returns whether every record is accounted for:
    /// `records = events + duplicates + bad + oversize + other`.
    pub fn adds_up(&self) -> bool {
        [
            self.events,
            self.duplicates,
            self.bad,
            self.oversize,
            self.other,
        ]
        .into_iter()
        .try_fold(0, u64::checked_add)
            == Some(self.records)
    }

    /// Adds `other` to these counters; the span grows to hold both.
    ///
    /// A request whose stages lie in two files counts twice; a caller that knows better sets
    /// `requests` afterwards.
    pub fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.events += other.events;
        self.duplicates += other.duplicates;
        self.bad += other.bad;
        self.oversize += other.oversize;
        self.other += other.other;
        self.recovered += other.recovered;
        self.partial += other.partial;
        self.odd += other.odd;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.into_iter().chain(other.last).max();
    }
}

/// What was read from one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStats {
    /// The file as given on the command line; `-` is standard input.
    pub path: Arc<str>,
    /// Its counters.
    #[serde(flatten)]
    pub counters: Counters,
}

/// A record that is not an audit event, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectLine {
    /// The file as given on the command line; `-` is standard input.
    pub file: Arc<str>,
    /// Line in the file, from 1.
    pub line: u64,
    /// Byte offset of the record in the (decompressed) file.
    pub offset: u64,
    /// What is wrong with it.
    pub cause: String,
    /// The member of it that may hold an event, in a wrapping that is not known. Written even if there is none: a memory
    /// has no names to tell what was left out.
    #[serde(default)]
    pub under: Option<String>,
}

/// What was read, what could not be, and what the log cannot show.
///
/// Its own JSON has these keys and serves to keep it; the one that is printed has others, see [`write_stats_json`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Per file, in reading order.
    pub files: Vec<FileStats>,
    /// All files together.
    pub totals: Counters,
    /// What the log holds, besides its findings.
    pub ingest: Ingest,
    /// What is missing, worded: unreadable files, cut streams.
    pub problems: Vec<String>,
    /// The first bad records, in reading order; `totals` counts all.
    pub rejects: Vec<RejectLine>,
    /// What lists of exclusions held back.
    pub excluded: Vec<Excluded>,
    /// How many rules the log can feed, and what the others lack.
    pub reach: Reach,
    /// What this log cannot show, worded.
    pub blind: Vec<String>,
    /// What else a reader should know, worded.
    pub notes: Vec<String>,
    /// That of the notes on events out of order, if there is one: findings may be missing or wrong.
    pub disorder: Option<String>,
}

/// Writes `findings`, and the `incidents` they come to, to `out` in `format`.
///
/// Shape: `jsonl` writes the findings only; the table begins with `summary`, and has each finding under its incident. Findings milder than
/// [`Options::min_severity`] are left out of all, and the table says how many.
///
/// # Errors
/// When `out` cannot be written.
pub fn render(
    format: Format,
    findings: &[Finding],
    incidents: &[Incident],
    summary: &Summary,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut chosen: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.severity >= options.min_severity)
        .collect();
    chosen.sort_by_key(|finding| {
        (
            Reverse(finding.severity),
            finding.first_seen,
            finding.finding_id.as_str(),
        )
    });
    let printed = || {
        let n_evidence = options.evidence.unwrap_or(usize::MAX);
        let findings = chosen
            .par_iter()
            .map(|finding| redacted(finding, n_evidence));
        findings.collect::<Vec<_>>()
    };
    match format {
        Format::Table => table::write(&chosen, findings, incidents, summary, options, out),
        Format::Jsonl => json::write(&chosen, options, out),
        Format::Json => json::write_report(&chosen, incidents, summary, options, out),
        Format::Markdown | Format::Html => {
            let blocks = document::scan::of(&chosen, findings, incidents, summary, options);
            let text = if format == Format::Html {
                document::html::render(&blocks)
            } else {
                document::markdown::render(&blocks)
            };
            out.write_all(text.as_bytes())
        }
        Format::Csv => csv::write(&printed(), out),
        Format::Ocsf => ocsf::write(&printed(), summary, out),
        Format::Sarif => sarif::write(&printed(), summary, out),
        Format::Timesketch => timesketch::write(&printed(), out),
    }
}

/// Writes the counters of `summary` to `out`: one JSON object on one line.
///
/// Shape: the counters of all files; `files`, an array of `path` and the same counters; then what [`Ingest`]
/// holds, the first `rejects`, how many rules the log can feed (`coverage`), what is missing (`problems`), what it is `blind` to,
/// and `notes`.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_stats_json(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    json::write_line(&Stats::of(summary), out)
}

/// A summary as JSON has it.
#[derive(Serialize)]
struct Stats<'a> {
    #[serde(flatten)]
    totals: &'a Counters,
    files: &'a [FileStats],
    #[serde(flatten)]
    ingest: &'a Ingest,
    rejects: &'a [RejectLine],
    excluded: &'a [Excluded],
    coverage: &'a Reach,
    problems: &'a [String],
    blind: &'a [String],
    notes: &'a [String],
}

impl<'a> Stats<'a> {
    fn of(summary: &'a Summary) -> Self {
        Self {
            totals: &summary.totals,
            files: &summary.files,
            ingest: &summary.ingest,
            rejects: &summary.rejects,
            excluded: &summary.excluded,
            coverage: &summary.reach,
            problems: &summary.problems,
            blind: &summary.blind,
            notes: &summary.notes,
        }
    }
}

/// Returns `incident` without secrets.
fn redacted_incident(incident: &Incident) -> Incident {
    let list = |list: &[String]| {
        let texts = list.iter().map(|text| redact::redact(text).into_owned());
        texts.collect::<Vec<_>>()
    };
    Incident {
        title: redact::redact(&incident.title).into_owned(),
        actors: list(&incident.actors),
        credentials: list(&incident.credentials),
        source_ips: list(&incident.source_ips),
        tied_by: list(&incident.tied_by),
        ..incident.clone()
    }
}

/// Returns `finding` without secrets and with at most `n_evidence` references.
///
/// Paths stay as given: they are not the log's text.
fn redacted(finding: &Finding, n_evidence: usize) -> Finding {
    fn text(text: &str) -> String {
        redact::redact(text).into_owned()
    }
    fn shared(text: &Arc<str>) -> Arc<str> {
        match redact::redact(text) {
            Cow::Borrowed(_) => Arc::clone(text),
            Cow::Owned(text) => text.into(),
        }
    }
    fn option(option: Option<&String>) -> Option<String> {
        option.map(|value| text(value))
    }
    fn list(list: &[String]) -> Vec<String> {
        list.iter().map(|item| text(item)).collect()
    }
    Finding {
        finding_id: finding.finding_id.clone(),
        incident_id: finding.incident_id.clone(),
        family: finding.family.clone(),
        severity: finding.severity,
        confidence: finding.confidence,
        rule: finding.rule.clone(),
        summary: text(&finding.summary),
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
        count: finding.count,
        recovered: finding.recovered,
        actor: crate::finding::Actor {
            username: option(finding.actor.username.as_ref()),
            kind: option(finding.actor.kind.as_ref()),
            credential_id: option(finding.actor.credential_id.as_ref()),
            impersonated: option(finding.actor.impersonated.as_ref()),
        },
        source: crate::finding::Origin {
            ips: list(&finding.source.ips),
            user_agents: list(&finding.source.user_agents),
        },
        target: crate::finding::Target {
            resource: option(finding.target.resource.as_ref()),
            subresource: option(finding.target.subresource.as_ref()),
            namespace: option(finding.target.namespace.as_ref()),
            name: option(finding.target.name.as_ref()),
        },
        attack: finding.attack.clone(),
        why: list(&finding.why),
        next_steps: list(&finding.next_steps),
        blind_spots: list(&finding.blind_spots),
        evidence_total: finding.evidence_total,
        evidence: finding
            .evidence
            .iter()
            .take(n_evidence)
            .map(|evidence| Evidence {
                audit_id: shared(&evidence.audit_id),
                stage: shared(&evidence.stage),
                file: Arc::clone(&evidence.file),
                ..*evidence
            })
            .collect(),
        ties: crate::finding::incident::Ties::default(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::finding::incident::{self, Surroundings};
    use crate::finding::{Actor, Confidence, Origin, RuleKind, RuleRef, Target};

    /// Log text that tries to act, to hide, to forge lines or to leak.
    pub(crate) const HOSTILE: [&str; 12] = [
        "\u{1b}[2J\u{1b}[1;1H\u{1b}]0;owned\u{7}",
        "\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
        "\u{1b}]52;c;cm0gLXJmIC8=\u{7}",
        "\u{9b}31mred\u{9d}0;title\u{9c}\u{90}q\u{9c}",
        "adm\u{202e}nimda\u{2066}\u{200b}\u{feff}",
        "x\r\nCRITICAL  forged: finding\n  who       system:admin\u{85}\u{2028}\u{2029}",
        "監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録",
        "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}\u{30c}z",
        "                                                            who       forged",
        "evidence  forged.log:1 evidence  forged.log:1 evidence  forged.log:1 evidence forged.log:1",
        "\u{e0041}\u{e0042}\u{fe0f}\u{3164}\u{2800}\u{115f}",
        "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl?token=hunter2-hunter2",
    ];

    /// A finding whose log texts are all `text`.
    pub(crate) fn finding(severity: Severity, text: &str) -> Finding {
        let some = || Some(text.to_owned());
        let many = || vec![text.to_owned(); 5];
        Finding {
            finding_id: format!("9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0{:x}", 11 + severity as u8),
            incident_id: None,
            family: "token-reuse".to_owned(),
            severity,
            confidence: Confidence::High,
            rule: RuleRef {
                id: "0b7b0a3e-5f0e-4d6c-9a63-3f1d2a4b5c6d".to_owned(),
                name: "token-reused-after-deletion".to_owned(),
                title: "Token used after its service account was deleted".to_owned(),
                kind: RuleKind::Analytic,
            },
            summary: format!("{text} was used 12 times after its deletion, by {text}."),
            first_seen: Timestamp(1_795_323_662_123_456),
            last_seen: Timestamp(1_795_326_250_000_000),
            count: 12,
            recovered: 0,
            actor: Actor {
                username: some(),
                kind: some(),
                credential_id: some(),
                impersonated: some(),
            },
            source: Origin {
                ips: many(),
                user_agents: many(),
            },
            target: Target {
                resource: some(),
                subresource: some(),
                namespace: some(),
                name: some(),
            },
            attack: vec!["T1550.001".to_owned()],
            why: many(),
            next_steps: many(),
            blind_spots: many(),
            evidence_total: 12,
            evidence: (0..5)
                .map(|idx| Evidence {
                    audit_id: text.into(),
                    stage: text.into(),
                    ts: Timestamp(1_795_323_662_123_456),
                    file: "logs/audit.log".into(),
                    line: 17 + idx,
                    offset: 9120,
                    length: 812,
                })
                .collect(),
            ties: crate::finding::incident::Ties::default(),
        }
    }

    /// A summary whose texts are all `text`.
    pub(crate) fn summary(text: &str) -> Summary {
        let totals = Counters {
            records: 18_204,
            events: 18_190,
            duplicates: 10,
            bad: 3,
            oversize: 1,
            other: 0,
            recovered: 1,
            partial: 0,
            odd: 2,
            bytes: 32_925_286,
            requests: 6_101,
            first: Some(Timestamp(1_795_323_327_649_211)),
            last: Some(Timestamp(1_795_338_764_000_000)),
        };
        Summary {
            files: vec![FileStats {
                path: text.into(),
                counters: totals,
            }],
            totals,
            ingest: ingest::tests::hostile(text),
            problems: vec![text.to_owned()],
            rejects: (0..3)
                .map(|idx| RejectLine {
                    file: text.into(),
                    line: 512 + idx,
                    offset: 40_122,
                    cause: text.to_owned(),
                    under: None,
                })
                .collect(),
            excluded: vec![Excluded {
                rule: "secret-read".to_owned(),
                list: "kubelet-secrets".to_owned(),
                requests: 7,
                at_most: true,
            }],
            reach: Reach {
                can_fire: 20,
                no_events: 1,
                no_bodies: 2,
                ..Reach::default()
            },
            blind: vec![text.to_owned()],
            notes: vec![text.to_owned()],
            disorder: None,
        }
    }

    pub(crate) fn rendered(
        format: Format,
        findings: &[Finding],
        summary: &Summary,
        options: &Options,
    ) -> String {
        let mut findings = findings.to_vec();
        let incidents = incident::tie(&mut findings, &Surroundings::default());
        let mut out = Vec::new();
        render(format, &findings, &incidents, summary, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn counters_account_for_every_record() {
        let totals = summary("").totals;
        assert!(totals.adds_up());
        assert!(Counters::default().adds_up());
        assert!(
            !Counters {
                records: 1,
                ..Counters::default()
            }
            .adds_up()
        );
        assert!(
            !Counters {
                events: u64::MAX,
                bad: 1,
                ..Counters::default()
            }
            .adds_up()
        );
    }

    #[test]
    fn merged_counters_span_both() {
        let mut total = Counters {
            records: 1,
            last: Some(Timestamp(5)),
            ..Counters::default()
        };
        let first = Some(Timestamp(2));
        total.merge(&Counters {
            records: 2,
            first,
            last: Some(Timestamp(3)),
            ..Counters::default()
        });
        assert_eq!(
            (total.records, total.first, total.last),
            (3, first, Some(Timestamp(5)))
        );
    }

    #[test]
    fn stats_have_the_promised_keys() {
        let mut out = Vec::new();
        let mut summary = summary("a\u{9b}.log");
        summary.files[0].counters = Counters::default();
        write_stats_json(&summary, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(concat!(
                r#"{"records":18204,"events":18190,"duplicates":10,"bad":3,"oversize":1,"other":0,"#,
                r#""recovered":1,"partial":0,"odd":2,"bytes":32925286,"requests":6101,"#,
                r#""first":"2026-11-22T04:55:27.649211Z","last":"2026-11-22T09:12:44.000000Z","#,
                r#""files":[{"path":"a\u009b.log","records":0,"events":0,"#,
            )),
            "{text}"
        );
        let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in [
            "stages",
            "verbs",
            "other_kinds",
            "api_servers",
            "rejects",
            "blind",
        ] {
            assert!(!stats[key].is_null(), "{key}");
        }
        assert_eq!(
            stats["api_servers"][0]["gaps"][0]["to"],
            "2026-11-22T09:12:44.000000Z"
        );
    }

    #[test]
    fn findings_come_worst_first() {
        let named = |severity, id: &str, first_seen| Finding {
            finding_id: id.to_owned(),
            first_seen: Timestamp(first_seen),
            ..finding(severity, "x")
        };
        let findings = [
            named(Severity::Low, "a", 1),
            named(Severity::High, "d", 2),
            named(Severity::High, "c", 2),
            named(Severity::High, "e", 1),
            named(Severity::Critical, "b", 9),
        ];
        let ids = |options: &Options| -> Vec<char> {
            rendered(Format::Jsonl, &findings, &summary(""), options)
                .lines()
                .map(|line| {
                    line.split(r#""finding_id":""#)
                        .nth(1)
                        .unwrap()
                        .chars()
                        .next()
                        .unwrap()
                })
                .collect()
        };
        assert_eq!(ids(&Options::default()), ['b', 'e', 'c', 'd', 'a']);
        let high = Options {
            min_severity: Severity::High,
            ..Options::default()
        };
        assert_eq!(ids(&high), ['b', 'e', 'c', 'd']);
    }

    #[test]
    fn no_format_leaks_a_secret() {
        for &format in Format::value_variants() {
            let text = HOSTILE[11];
            let output = rendered(
                format,
                &[finding(Severity::High, text)],
                &summary(text),
                &Options::default(),
            );
            assert!(
                !output.contains("eyJhbGci") && !output.contains("hunter2"),
                "{output}"
            );
        }
    }

    /// A memory has no names, so nothing may be left out.
    #[test]
    fn rejects_are_remembered_as_they_are() {
        for under in [None, Some("message".to_owned())] {
            let line = RejectLine {
                under,
                ..summary("x").rejects[0].clone()
            };
            let lines = vec![line; 2];
            let bytes = postcard::to_stdvec(&lines).unwrap();
            assert_eq!(postcard::from_bytes::<Vec<RejectLine>>(&bytes), Ok(lines));
        }
    }
}
